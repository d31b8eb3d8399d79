//! IDLE (RFC 2177).

use std::sync::Arc;

use super::{Failure, Phase, Request, Server, Snapshot, Telling, Turn, Waiting};

impl Server {
    /// What was not told yet is told behind the continuation: simple clients break if it comes
    /// before, and Delta Chat waits for ever if it does not come.
    pub(super) fn idle(&mut self, tag: String, out: &mut Vec<u8>) -> Turn {
        out.extend_from_slice(b"+ idling\r\n");
        if self.view.is_some() {
            return self.ask(Waiting::Idle { tag }, Request::Listen);
        }
        self.phase = Phase::Idling { tag };
        Turn::Again
    }

    pub(super) fn idle_news(
        &mut self,
        tag: String,
        now: &Result<Arc<Snapshot>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        if let Err(turn) = self.tell(now, Telling::ALL, out) {
            return turn;
        }
        self.phase = Phase::Idling { tag };
        Turn::Again
    }

    /// DONE ends it. So does anything else, which is then read as the next command: iOS sends one
    /// where DONE was due.
    pub(super) fn idling(&mut self, tag: String, out: &mut Vec<u8>) -> Turn {
        if self.commands.line_is("DONE").is_none() {
            self.phase = Phase::Idling { tag };
            return Turn::Read;
        }
        self.finish(tag, "OK Idle completed.", Telling::ALL, out)
    }
}
