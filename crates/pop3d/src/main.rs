//! `pop3d`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mail_common::daemon::run::<pop3d::Pop3d>()
}
