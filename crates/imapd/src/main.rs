//! IMAP over mailboxes.

fn main() -> std::process::ExitCode {
    mail_common::daemon::run::<imapd::Imapd>()
}
