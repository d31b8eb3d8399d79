//! SEARCH (RFC 3501, 6.4.4).

use std::sync::Arc;

use super::{Failure, Request, Server, Telling, Turn, Waiting, reply};
use crate::imap::search::Key;
use crate::imap::syntax::Numbering;
use crate::imap::{Search, write};
use crate::mailbox::Snapshot;

impl Server {
    pub(super) fn search(&mut self, tag: String, numbering: Numbering, key: Key) -> Turn {
        let (snapshot, recent_from) = match self.view.as_deref() {
            Some(view) => (Arc::clone(&view.shown), view.recent_from),
            None => (Arc::default(), 0),
        };
        let search = Search { snapshot, recent_from, key, next: 0, found: Vec::new() };
        let uids = numbering == Numbering::Uid;
        self.ask(Waiting::Search { tag, uids }, Request::Search(Box::new(search)))
    }

    pub(super) fn searched(
        &mut self,
        tag: String,
        uids: bool,
        search: Result<Box<Search>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let search = match search {
            Ok(search) => search,
            Err(failure) => {
                let telling = Telling { expunges: uids, uids, ..Telling::ALL };
                return self.finish(tag, reply::failure(failure), telling, out);
            }
        };
        if (search.next as usize) < search.snapshot.messages.len() {
            return self.ask(Waiting::Search { tag, uids }, Request::Search(search));
        }
        write_found(&search.found, uids.then_some(&*search.snapshot), out);
        // RFC 3501, 7.4.1: no EXPUNGE while SEARCH is answered; UID SEARCH is another command.
        let telling = Telling { expunges: uids, uids, ..Telling::ALL };
        self.finish(tag, "OK Search completed.", telling, out)
    }
}

/// Sequence numbers, or UIDs where there is a snapshot to take them from.
fn write_found(found: &[u32], by_uid: Option<&Snapshot>, out: &mut Vec<u8>) {
    let mut entries = by_uid.map(|snapshot| snapshot.messages.reader());
    out.extend_from_slice(b"* SEARCH");
    for &position in found {
        let number = match &mut entries {
            None => position + 1,
            Some(entries) => match entries.get(position as usize) {
                Some(entry) => entry.uid,
                None => continue,
            },
        };
        out.push(b' ');
        write::number(out, u64::from(number));
    }
    out.extend_from_slice(b"\r\n");
}
