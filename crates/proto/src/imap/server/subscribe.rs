//! SUBSCRIBE and UNSUBSCRIBE (RFC 3501, 6.3.6 and 6.3.7).

use super::{Request, Server, Turn, Waiting};

impl Server {
    pub(super) fn subscribe(&mut self, tag: String, mailbox: String, subscribed: bool) -> Turn {
        let done = if subscribed { "OK Subscribe completed." } else { "OK Unsubscribe completed." };
        self.ask(Waiting::Change { tag, done }, Request::Subscribe { mailbox, subscribed })
    }
}
