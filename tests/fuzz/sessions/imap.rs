//! IMAP, before and after login.

use std::sync::Arc;
use std::time::Duration;

use mail_proto::imap::{
    Answer, Appended, Copied, Fetch, Limits, Login, Request, Search, Selected, Server, Setup,
    Status,
};
use mail_proto::mailbox::{Entry, Flags, Folder, Snapshot};
use mail_proto::sasl::Verdict;

use super::{End, Talk, opened, same};

pub(crate) fn imap(octets: &[u8]) {
    let Some((conditions, piece, octets)) = opened(octets) else { return };
    same(&talk(conditions, piece, octets), &talk(conditions, octets.len(), octets));
}

fn talk(conditions: u8, piece: usize, octets: &[u8]) -> Talk<'_> {
    let (setup, mut talk) = (setup(conditions), Talk::new(octets, piece));
    let mut login = Login::new(setup.clone());
    let unread = match conditions & 1 {
        // Who is known already says more in the same octets.
        0 => Vec::new(),
        _ if talk.hold(&mut login, &mut |_| Verdict::Accepted) == End::Done => login.into_unread(),
        _ => return talk,
    };
    talk.hold(&mut Server::new(setup, &unread), &mut answer);
    talk
}

fn setup(conditions: u8) -> Setup {
    Setup {
        hostname: "mx.example.org".parse().expect("is a domain"),
        starttls: conditions & 4 != 0,
        cleartext_auth: true,
        separator: if conditions & 2 == 0 { '/' } else { '.' },
        prefix: String::new(),
        limits: Limits {
            command_before_login: 1 << 10,
            command: 4 << 10,
            message_size: 2 << 10,
            nesting: 20,
            errors: 20,
            patience_before_login: Duration::from_secs(60),
            patience: Duration::from_secs(1800),
        },
    }
}

fn answer(request: Request) -> Answer {
    match request {
        Request::Folders => Answer::Folders(Ok(["INBOX", "Lists/Rust"].map(folder).to_vec())),
        Request::Create(_)
        | Request::Delete(_)
        | Request::Rename { .. }
        | Request::Subscribe { .. } => Answer::Changed(Ok(())),
        Request::Status(_) => Answer::Status(Ok(Status {
            messages: 3,
            recent: 1,
            uid_next: 10,
            uid_validity: 1,
            unseen: 2,
        })),
        Request::Select { .. } => {
            Answer::Selected(Ok(Selected { snapshot: snapshot(), recent_from: 9 }))
        }
        Request::Unselect => Answer::Unselected,
        Request::Sync | Request::Listen | Request::StoreFlags { .. } => {
            Answer::Synced(Ok(snapshot()))
        }
        Request::Fetch(fetch) => Answer::Fetched(Ok(fetched(fetch))),
        Request::Search(search) => Answer::Searched(Ok(searched(search))),
        Request::Copy { uids, .. } => {
            let uids = uids.into_iter().map(|uid| (uid, uid)).collect();
            Answer::Copied(Ok(Copied { uid_validity: 1, uids, snapshot: snapshot() }))
        }
        Request::Expunge(_) => Answer::Expunged(Ok(snapshot())),
        Request::Append(_) => Answer::AppendReady(Ok(())),
        Request::AppendBlock(_) => Answer::AppendStored(Ok(Vec::new())),
        Request::AppendCommit(_) => Answer::Appended(Ok(Appended { uid_validity: 1, uid: 10 })),
        Request::AppendDiscard => Answer::AppendDiscarded,
    }
}

fn folder(name: &str) -> Folder {
    Folder {
        name: name.to_owned(),
        selectable: true,
        has_children: false,
        subscribed: true,
        exists: true,
        special_use: None,
    }
}

/// Three messages, one of them with a keyword.
fn snapshot() -> Arc<Snapshot> {
    let entry = |(uid, keywords)| Entry { uid, flags: Flags { system: Flags::SEEN, keywords } };
    Arc::new(Snapshot {
        uid_validity: 1,
        uid_next: 10,
        modseq: 0,
        keywords: vec!["Work".to_owned()].into(),
        keywords_full: false,
        messages: [(1, 0), (5, 1), (9, 0)].into_iter().map(entry).collect(),
    })
}

fn fetched(mut fetch: Box<Fetch>) -> Box<Fetch> {
    fetch.progress.message = fetch.positions.len();
    fetch.progress.missing = u32::from(fetch.positions.len() > 2);
    fetch
}

fn searched(mut search: Box<Search>) -> Box<Search> {
    search.next = u32::try_from(search.snapshot.messages.len()).unwrap_or(u32::MAX);
    search.found = vec![0, 2];
    search
}
