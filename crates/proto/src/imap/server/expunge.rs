//! EXPUNGE (RFC 3501, 6.4.3) and UID EXPUNGE (RFC 4315, 2.1).

use std::sync::Arc;

use super::{Failure, Request, Server, Snapshot, Telling, Turn, Waiting, reply};

impl Server {
    pub(super) fn expunge(
        &mut self,
        tag: String,
        positions: Option<&[u32]>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let Some(view) = self.view.as_deref() else {
            return self.nothing_selected(&tag, out);
        };
        if view.read_only {
            return self.read_only(tag, out);
        }
        let uids = positions.map(|positions| view.uids(positions));
        if uids.as_ref().is_some_and(Vec::is_empty) {
            return self.finish(tag, "OK Expunge completed.", Telling::ALL, out);
        }
        let waiting = Waiting::Expunge { tag, uids: uids.is_some() };
        self.ask(waiting, Request::Expunge(uids))
    }

    pub(super) fn expunged(
        &mut self,
        tag: &str,
        uids: bool,
        result: Result<Arc<Snapshot>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        if let Err(turn) = self.tell(&result, Telling { uids, ..Telling::ALL }, out) {
            return turn;
        }
        reply::tagged(out, tag, result.map_or_else(reply::failure, |_| "OK Expunge completed."));
        Turn::Again
    }

    /// What would change an EXAMINEd mailbox is refused.
    pub(super) fn read_only(&mut self, tag: String, out: &mut Vec<u8>) -> Turn {
        self.finish(tag, "NO [READ-ONLY] Mailbox is read-only", Telling::NO_EXPUNGE, out)
    }

    pub(super) fn nothing_selected(&mut self, tag: &str, out: &mut Vec<u8>) -> Turn {
        reply::tagged(out, tag, "BAD No mailbox selected");
        Turn::Again
    }
}
