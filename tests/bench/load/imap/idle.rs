//! How soon an idle client hears of a delivery.

use std::io;
use std::time::Instant;

use super::Client;
use crate::meter::Meter;
use crate::report::Report;
use crate::smtp::{Dialect, Peer, body};
use crate::target::{Address, Target, User};

/// Delivers one message after the other; each is timed from the 250 to the news.
pub(crate) async fn run(
    target: &Target,
    user: &User,
    lmtp: &Address,
    times: usize,
) -> io::Result<()> {
    let mut client = Client::login(target, user).await?;
    let mut held = client.select("INBOX").await?;
    client.idle().await?;
    let mut peer = Peer::hello(lmtp, Dialect::Lmtp).await?;
    let body = body(4096);
    let mut took = Vec::new();
    let meter = Meter::start(&target.pids);
    for number in 0..times {
        peer.transaction(&[&user.address], number as u64, &body).await?;
        let begun = Instant::now();
        held = client.news(held).await?;
        took.push(begun.elapsed());
    }
    Report::new("imap idle, from the 250 to the news", times as u64, meter.stop(), took).print();
    Ok(())
}
