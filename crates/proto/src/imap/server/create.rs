//! CREATE (RFC 3501, 6.3.3).

use super::{Request, Server, Turn, Waiting};

impl Server {
    pub(super) fn create(&mut self, tag: String, mailbox: String) -> Turn {
        let done = "OK Create completed.";
        self.ask(Waiting::Change { tag, done }, Request::Create(mailbox))
    }
}
