//! `lmtp-deliverd`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mail_common::daemon::run::<lmtp_deliverd::LmtpDeliverd>()
}
