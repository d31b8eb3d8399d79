//! APPEND, alone and with a STORE behind it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::Client;
use crate::letters::Letters;
use crate::meter::{Meter, Spent};
use crate::report::Report;
use crate::target::{Target, User};

/// Where messages go that are appended for the rate.
const MAILBOX: &str = "Appended";

/// Different letters.
const LETTERS: u64 = 200;

/// Appends to one mailbox, or to one of each user.
pub(crate) async fn run(
    target: &Target,
    users: &[User],
    connections: usize,
    messages: usize,
    spread: bool,
) -> io::Result<()> {
    let letters = letters();
    let mut clients = Vec::new();
    for at in 0..connections {
        let user = if spread { &users[at % users.len()] } else { &users[0] };
        let mut client = Client::login(target, user).await?;
        // It may be there from a run before, or from the other connection's.
        let _ = client.run(&format!("CREATE {MAILBOX}")).await;
        clients.push(client);
    }
    let took = Rc::new(RefCell::new(Vec::new()));
    let meter = Meter::start(&target.pids);
    let mut lanes = JoinSet::new();
    for (at, mut client) in clients.into_iter().enumerate() {
        let (letters, took) = (Rc::clone(&letters), Rc::clone(&took));
        lanes.spawn_local(async move {
            for number in (at..messages).step_by(connections) {
                let begun = Instant::now();
                client.append(MAILBOX, &letters[number % letters.len()]).await?;
                took.borrow_mut().push(begun.elapsed());
            }
            io::Result::Ok(client)
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.map_err(io::Error::other)??;
    }
    let spent = meter.stop();
    let name = if spread { "imap append, a mailbox each" } else { "imap append, one mailbox" };
    let report = Report::new(name, messages as u64, spent, took.take());
    report.with("connections", connections as f64).print();
    Ok(())
}

/// Flags a message right after a new one came: only the STOREs count.
pub(crate) async fn and_store(
    target: &Target,
    user: &User,
    mailbox: &str,
    times: usize,
) -> io::Result<()> {
    let letters = letters();
    let mut client = Client::in_mailbox(target, user, mailbox).await?;
    let mut spent = Spent::default();
    let mut took = Vec::new();
    for number in 0..times {
        client.append(mailbox, &letters[number % letters.len()]).await?;
        let meter = Meter::start(&target.pids);
        client.run(&format!("STORE {} +FLAGS (\\Flagged)", number + 1)).await?;
        let now = meter.stop_at_once();
        took.push(now.time);
        spent += now;
    }
    client.logout().await?;
    Report::new("imap store after append", times as u64, spent, took).print();
    Ok(())
}

fn letters() -> Rc<Vec<Vec<u8>>> {
    let letters = Letters::new();
    Rc::new((0..LETTERS).map(|number| letters.sent(number)).collect())
}
