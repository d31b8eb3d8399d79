//! The mail transport, as a daemon.

fn main() -> std::process::ExitCode {
    mail_common::daemon::run::<mtad::Mtad>()
}
