//! What happened in the selected mailbox, told before the tagged reply of whatever command.

use std::sync::Arc;

use super::{Failure, Request, Server, Snapshot, Telling, Turn, Waiting, reply};

impl Server {
    /// The command is done: tells what happened meanwhile, then `done` as its tagged reply. Some
    /// clients miss what is only told to NOOP.
    pub(super) fn finish(
        &mut self,
        tag: String,
        done: impl Into<String>,
        telling: Telling<'static>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let done = done.into();
        if self.view.is_none() {
            reply::tagged(out, &tag, &done);
            return Turn::Again;
        }
        self.ask(Waiting::Finish { tag, done, telling }, Request::Sync)
    }

    pub(super) fn finished(
        &mut self,
        tag: &str,
        done: &str,
        telling: Telling<'_>,
        now: &Result<Arc<Snapshot>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        // The command itself went well: that there are no news now does not change it.
        if let Err(turn) = self.tell(now, telling, out) {
            return turn;
        }
        reply::tagged(out, tag, done);
        Turn::Again
    }

    /// Tells the client how the selected mailbox is now. `Err`: there is no such mailbox any more,
    /// and the client was sent away.
    pub(super) fn tell(
        &mut self,
        now: &Result<Arc<Snapshot>, Failure>,
        telling: Telling<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Turn> {
        let Some(view) = self.view.as_deref_mut() else {
            return Ok(());
        };
        match now {
            Ok(now) => view
                .report(now, telling, out)
                .map_err(|_| self.bye("BYE Selected mailbox was replaced", out)),
            // RFC 2180, 3.3: nothing better can be said of a mailbox that somebody else deleted.
            Err(Failure::NoSuchMailbox) => Err(self.bye("BYE Selected mailbox was deleted", out)),
            Err(_) => Ok(()),
        }
    }
}
