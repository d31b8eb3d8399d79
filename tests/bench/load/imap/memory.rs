//! Memory while a mailbox is open.

use std::io;

use super::Client;
use crate::meter::memory;
use crate::report::Report;
use crate::target::{Target, User};

/// Measures before, with one session, and with many. All have fetched UIDs and flags once, as
/// clients do; the octets of that answer are gone by then.
pub(crate) async fn run(
    target: &Target,
    user: &User,
    mailbox: &str,
    sessions: usize,
) -> io::Result<()> {
    let mut clients = Vec::new();
    for _ in 0..sessions.max(1) {
        clients.push(Client::login(target, user).await?);
    }
    let before = memory(&target.pids);
    let mut exists = 0;
    let mut with_one = before;
    for (at, client) in clients.iter_mut().enumerate() {
        exists = client.select(mailbox).await?;
        client.run("UID FETCH 1:* (UID FLAGS)").await?;
        if at == 0 {
            with_one = memory(&target.pids);
        }
    }
    let with_all = memory(&target.pids);
    let each = |octets: u64| octets.saturating_sub(before) as f64 / exists.max(1) as f64;
    Report::bare("imap memory")
        .with("exists", exists as f64)
        .with("sessions", clients.len() as f64)
        .with("octets_a_message_one", each(with_one))
        .with("octets_a_message_all", each(with_all))
        .print();
    Ok(())
}
