//! `posthorn check`: what is wrong with the configuration, all of it. It exits as the daemons do
//! when their configuration does not hold.

use std::process::ExitCode;

use crate::site_file::SiteFile;
use crate::sysexits;

pub(crate) fn main(file: &SiteFile) -> ExitCode {
    match file.load() {
        Ok(site) => {
            println!("{}: holds, for {}", file.path.display(), site.hostname);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(sysexits::CONFIGURATION)
        }
    }
}
