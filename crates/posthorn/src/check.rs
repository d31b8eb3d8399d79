//! `posthorn check`: what is wrong with the configuration, all of it.

use std::path::PathBuf;
use std::process::ExitCode;

use mail_common::config::{Source, load};

/// 78, as the daemons exit when their configuration does not hold (sysexits' EX_CONFIG).
const CONFIGURATION: u8 = 78;

pub(crate) fn main(file: PathBuf) -> ExitCode {
    let shown = file.display().to_string();
    match load(&Source { file, flags: Vec::new() }) {
        Ok(site) => {
            println!("{shown}: holds, for {}", site.hostname);
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::from(CONFIGURATION)
        }
    }
}
