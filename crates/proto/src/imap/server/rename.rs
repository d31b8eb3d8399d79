//! RENAME (RFC 3501, 6.3.5).

use super::{Request, Server, Turn, Waiting};

impl Server {
    pub(super) fn rename(&mut self, tag: String, from: String, to: String) -> Turn {
        let done = "OK Rename completed.";
        self.ask(Waiting::Change { tag, done }, Request::Rename { from, to })
    }
}
