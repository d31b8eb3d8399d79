//! DELETE (RFC 3501, 6.3.4).

use super::{Request, Server, Turn, Waiting};

impl Server {
    /// The selected mailbox is let go before it is deleted: the client knows what it does.
    pub(super) fn delete(&mut self, tag: String, mailbox: String) -> Turn {
        if self.view.as_ref().is_some_and(|view| view.mailbox == mailbox && mailbox != "INBOX") {
            self.view = None;
            return self.ask(Waiting::Delete { tag, mailbox }, Request::Unselect);
        }
        let done = "OK Delete completed.";
        self.ask(Waiting::Change { tag, done }, Request::Delete(mailbox))
    }
}
