//! `posthorn check`: what is wrong with the configuration, all of it. It exits as the daemons do
//! when their configuration does not hold.

use std::path::PathBuf;
use std::process::ExitCode;

use mail_common::config::{Source, load};

use crate::sysexits;

pub(crate) fn main(file: PathBuf) -> ExitCode {
    let shown = file.display().to_string();
    match load(&Source { file, flags: Vec::new() }) {
        Ok(site) => {
            println!("{shown}: holds, for {}", site.hostname);
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::from(sysexits::CONFIGURATION)
        }
    }
}
