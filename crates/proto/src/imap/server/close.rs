//! CLOSE (RFC 3501, 6.4.2) and UNSELECT (RFC 3691).

use std::sync::Arc;

use super::{Failure, Request, Server, Snapshot, Turn, Waiting, reply};

impl Server {
    /// Removes what has `\Deleted` without a word of it; a read-only mailbox loses nothing.
    pub(super) fn close(&mut self, tag: String) -> Turn {
        if self.view.as_ref().is_some_and(|view| view.read_only) {
            return self.let_go(tag, "OK Close completed.");
        }
        self.ask(Waiting::Close { tag }, Request::Expunge(None))
    }

    /// What could not be removed is still there, and so is the client: it may try again.
    pub(super) fn emptied(
        &mut self,
        tag: String,
        result: &Result<Arc<Snapshot>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        match result {
            Ok(_) | Err(Failure::NoSuchMailbox) => self.let_go(tag, "OK Close completed."),
            Err(failure) => {
                reply::tagged(out, &tag, reply::failure(*failure));
                Turn::Again
            }
        }
    }

    pub(super) fn unselect(&mut self, tag: String) -> Turn {
        self.let_go(tag, "OK Unselect completed.")
    }

    fn let_go(&mut self, tag: String, done: &'static str) -> Turn {
        self.view = None;
        self.ask(Waiting::Unselect { tag, done }, Request::Unselect)
    }

    pub(super) fn unselected(&mut self, tag: &str, done: &str, out: &mut Vec<u8>) -> Turn {
        reply::tagged(out, tag, done);
        Turn::Again
    }
}
