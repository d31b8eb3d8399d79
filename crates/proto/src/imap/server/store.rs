//! STORE (RFC 3501, 6.4.6).

use std::sync::Arc;

use super::{Failure, FlagChange, Request, Server, Snapshot, Telling, Turn, Waiting, reply};
use crate::imap::syntax::Numbering;
use crate::imap::view::Stored;

impl Server {
    pub(super) fn store(
        &mut self,
        tag: String,
        numbering: Numbering,
        positions: Vec<u32>,
        change: FlagChange,
        silent: bool,
        out: &mut Vec<u8>,
    ) -> Turn {
        let Some(view) = self.view.as_deref() else {
            return self.nothing_selected(&tag, out);
        };
        if view.read_only {
            return self.read_only(tag, out);
        }
        let uids = view.uids(&positions);
        let by_uid = numbering == Numbering::Uid;
        if uids.is_empty() {
            return self.finish(tag, "OK Store completed.", Telling::ALL, out);
        }
        let request = Request::StoreFlags { uids, change: change.clone() };
        self.ask(Waiting::Store { tag, uids: by_uid, silent, positions, change }, request)
    }

    /// RFC 3501, 7.4.1: no EXPUNGE while STORE is answered; UID STORE is another command.
    #[expect(clippy::too_many_arguments, reason = "what was asked, and what came of it")]
    pub(super) fn stored(
        &mut self,
        tag: &str,
        uids: bool,
        silent: bool,
        positions: &[u32],
        change: &FlagChange,
        result: Result<Arc<Snapshot>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let stored = match &result {
            Err(_) => Stored::Nothing,
            Ok(_) if silent => Stored::Silently(positions, change),
            Ok(_) => Stored::Loudly(positions),
        };
        if let Err(turn) = self.tell(&result, Telling { expunges: uids, uids, stored }, out) {
            return turn;
        }
        reply::tagged(out, tag, result.map_or_else(reply::failure, |_| "OK Store completed."));
        Turn::Again
    }
}
