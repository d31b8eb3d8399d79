//! NOOP and CHECK (RFC 3501, 6.1.2 and 6.4.1).

use std::sync::Arc;

use super::{Failure, Request, Server, Snapshot, Telling, Turn, Waiting, reply};

impl Server {
    pub(super) fn noop(&mut self, tag: String, done: &'static str, out: &mut Vec<u8>) -> Turn {
        if self.view.is_none() {
            reply::tagged(out, &tag, done);
            return Turn::Again;
        }
        self.ask(Waiting::Noop { tag, done }, Request::Sync)
    }

    /// News are all that was wanted, so that there are none now is a refusal.
    pub(super) fn noop_news(
        &mut self,
        tag: &str,
        done: &'static str,
        now: Result<Arc<Snapshot>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        if let Err(turn) = self.tell(&now, Telling::ALL, out) {
            return turn;
        }
        reply::tagged(out, tag, now.map_or_else(reply::failure, |_| done));
        Turn::Again
    }
}
