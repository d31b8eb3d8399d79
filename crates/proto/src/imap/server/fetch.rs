//! FETCH (RFC 3501, 6.4.5).
//!
//! What sets `\Seen` sets it first, and the client is told of it in the response that it waits for:
//! curl takes the first response for the message, and clients of Dovecot know no other form. Then
//! the backend writes responses, as much as it likes at a time. Two buffers take turns: while the
//! loop sends one, the backend fills the other.

use std::sync::Arc;

use super::{Failure, Phase, Progress, Request, Server, Telling, Turn, Waiting, reply};
use crate::imap::Fetch;
use crate::imap::fetch::Item;
use crate::imap::syntax::Numbering;
use crate::imap::view::Stored;
use crate::mailbox::{Change, FlagChange, Flags, NamedFlags, Snapshot};

/// A FETCH that waits until `\Seen` is set.
#[derive(Debug)]
pub(super) struct Asked {
    tag: String,
    uids: bool,
    positions: Vec<u32>,
    items: Arc<[Item]>,
    /// Those of the positions that are to become `\Seen`, and then those that did.
    seen: Vec<u32>,
}

impl Server {
    pub(super) fn fetch(
        &mut self,
        tag: String,
        numbering: Numbering,
        positions: Vec<u32>,
        items: Arc<[Item]>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let uids = numbering == Numbering::Uid;
        let mut asked = Asked { tag, uids, positions, items, seen: Vec::new() };
        let Some(view) = self.view.as_deref() else {
            return self.nothing_selected(&asked.tag, out);
        };
        if view.read_only || !sets_seen(&asked.items) {
            return self.begin_fetch(asked, out);
        }
        let is_unseen = |at: &&u32| {
            let entry = view.shown.messages.get(**at as usize);
            entry.is_some_and(|entry| !entry.flags.has(Flags::SEEN))
        };
        asked.seen = asked.positions.iter().filter(is_unseen).copied().collect();
        if asked.seen.is_empty() {
            return self.begin_fetch(asked, out);
        }
        let request = Request::StoreFlags { uids: view.uids(&asked.seen), change: add_seen() };
        self.ask(Waiting::FetchSeen(Box::new(asked)), request)
    }

    /// Mail can be read even where a flag cannot be written. The positions stay as they are:
    /// nothing is expunged before the end.
    pub(super) fn seen(
        &mut self,
        mut asked: Asked,
        result: &Result<Arc<Snapshot>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let change = add_seen();
        let stored = Stored::Silently(&asked.seen, &change);
        let telling = Telling { uids: asked.uids, stored, ..Telling::NO_EXPUNGE };
        if let Err(turn) = self.tell(result, telling, out) {
            return turn;
        }
        if result.is_err() {
            asked.seen.clear();
        }
        self.begin_fetch(asked, out)
    }

    fn begin_fetch(&mut self, asked: Asked, out: &mut Vec<u8>) -> Turn {
        let Asked { tag, uids, positions, items, seen } = asked;
        let Some(view) = self.view.as_deref() else {
            return self.nothing_selected(&tag, out);
        };
        if positions.is_empty() {
            return self.end_fetch(tag, uids, Progress::default(), out);
        }
        let progress = Progress::default();
        let fetch = Fetch {
            positions: positions.into(),
            snapshot: Arc::clone(&view.shown),
            recent_from: view.recent_from,
            items,
            seen: seen.into(),
            // What stands in `out` stays there: it must not be lost with a FETCH that fails.
            out: if out.is_empty() { std::mem::take(out) } else { Vec::new() },
            progress,
        };
        self.ask(Waiting::Fetch { tag, uids, progress }, Request::Fetch(Box::new(fetch)))
    }

    pub(super) fn fetched(
        &mut self,
        tag: String,
        uids: bool,
        before: Progress,
        fetch: Result<Box<Fetch>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let mut fetch = match fetch {
            Ok(fetch) => fetch,
            // Nothing but the end can follow half a response.
            Err(_) if before.item > 0 || before.offset.is_some() => return self.fetch_broken(),
            Err(failure) => {
                let telling = Telling { expunges: uids, uids, ..Telling::ALL };
                return self.finish(tag, reply::failure(failure), telling, out);
            }
        };
        if out.is_empty() {
            std::mem::swap(out, &mut fetch.out);
        } else {
            out.append(&mut fetch.out);
        }
        let progress = fetch.progress;
        if progress.message < fetch.positions.len() {
            return self.ask(Waiting::Fetch { tag, uids, progress }, Request::Fetch(fetch));
        }
        self.end_fetch(tag, uids, progress, out)
    }

    /// Within a literal, a BYE would be taken for the message.
    pub(super) fn fetch_broken(&mut self) -> Turn {
        self.phase = Phase::Closed;
        Turn::Again
    }

    /// RFC 3501, 7.4.1: no EXPUNGE while FETCH is answered; UID FETCH is another command, and
    /// UIDs that are gone are no mistake of the client's.
    fn end_fetch(&mut self, tag: String, uids: bool, came: Progress, out: &mut Vec<u8>) -> Turn {
        let done = match (came.missing, uids) {
            _ if came.unreadable > 0 => "NO [UNAVAILABLE] Some messages could not be read.",
            (0, _) => "OK Fetch completed.",
            (_, true) => "OK [EXPUNGEISSUED] Some messages were already expunged.",
            (_, false) => "NO [EXPUNGEISSUED] Some messages were already expunged.",
        };
        self.finish(tag, done, Telling { expunges: uids, uids, ..Telling::ALL }, out)
    }
}

fn add_seen() -> FlagChange {
    let flags = NamedFlags { system: Flags::SEEN, keywords: Vec::new() };
    FlagChange { how: Change::Add, flags }
}

fn sets_seen(items: &[Item]) -> bool {
    items.iter().any(|item| matches!(item, Item::Section(section) if !section.peek))
}
