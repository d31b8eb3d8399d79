//! Maildirs go from Dovecot to us and back, and an IMAP client sees no difference.
//!
//! Users of Debian's Dovecot have mailboxes with random histories: messages come and go, flags and
//! keywords change, mailboxes are made, renamed and removed, subscribed or not, other programs
//! deliver. Then Dovecot is stopped and imapd serves the same files; what a client can see
//! (UIDVALIDITY, UIDNEXT, UIDs, flags, keywords, INTERNALDATE, sizes, subscriptions) must be what
//! it was. Then imapd makes history, and Dovecot takes the files back; and so on, to and fro.
//!
//! `POSTHORN_TEST_HISTORIES=500` makes more users, `POSTHORN_TEST_SEED=7` other ones.

mod history;
mod imap;
mod servers;
mod view;

use history::History;
use mail_tests::progress::Progress;
use mail_tests::reference::Unpacked;
use mail_tests::view::View;
use servers::{Servers, Side};
use view::Mailbox;

/// How often the files change hands.
const TURNS: usize = 4;
/// What happens to each user's mailboxes before the files change hands.
const STEPS: usize = 25;

#[test]
fn maildirs_move_in_and_out_without_a_client_noticing() {
    let unpacked = Unpacked::find().unwrap_or_else(|why| panic!("the original is needed: {why}"));
    let histories = number("POSTHORN_TEST_HISTORIES", 12);
    let seed = number("POSTHORN_TEST_SEED", 1);
    let mut users: Vec<History> =
        (0..histories).map(|at| History::new(format!("user{at}"), seed * 1_000_003 + at)).collect();
    let names: Vec<&str> = users.iter().map(|history| history.user.as_str()).collect();
    let mut servers = Servers::new(&names);
    let mut views: Vec<View<Mailbox>> = Vec::new();
    let mut progress = Progress::new("visits", users.len() * TURNS * 2);
    for turn in 0..TURNS {
        let side = if turn % 2 == 0 { Side::Dovecot } else { Side::Posthorn };
        servers.change_to(side, &unpacked);
        for (at, history) in users.iter_mut().enumerate() {
            let mut client = servers.login(&history.user);
            if turn == 0 {
                history.begin(&mut client);
            }
            if let Some(before) = views.get(at) {
                let now = view::of(&mut client);
                assert!(
                    now == *before,
                    "{side:?} sees {} otherwise, seed {seed}, turn {turn}:\n{}\nhistory: {:#?}",
                    history.user,
                    before.difference(&now),
                    history.steps
                );
            }
            let maildir = servers.maildir(&history.user);
            for _ in 0..STEPS {
                history.step(&mut client, &maildir);
            }
            progress.step();
        }
        views = users
            .iter()
            .map(|history| {
                progress.step();
                view::of(&mut servers.login(&history.user))
            })
            .collect();
    }
    let messages: usize = views.iter().map(view::messages).sum();
    assert!(messages > users.len(), "histories leave messages: {messages}");
    println!(
        "figure: {histories} users, {TURNS} turns, {messages} messages at the end, all as seen"
    );
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
