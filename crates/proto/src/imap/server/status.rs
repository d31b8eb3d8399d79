//! STATUS (RFC 3501, 6.3.10).

use super::{Failure, Request, Server, StatusItem, Telling, Turn, Waiting, reply};
use crate::imap::syntax::utf7;
use crate::imap::{Status, write};

impl Server {
    pub(super) fn status(&mut self, tag: String, mailbox: String, items: Vec<StatusItem>) -> Turn {
        let request = Request::Status(mailbox.clone());
        self.ask(Waiting::Status { tag, items, mailbox }, request)
    }

    pub(super) fn status_told(
        &mut self,
        tag: String,
        mailbox: &str,
        items: &[StatusItem],
        status: Result<Status, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let status = match status {
            Ok(status) => status,
            Err(failure) => return self.finish(tag, reply::failure(failure), Telling::ALL, out),
        };
        out.extend_from_slice(b"* STATUS ");
        write::astring(out, utf7::encode(mailbox).as_bytes());
        let mut separator: &[u8] = b" (";
        for item in items {
            let (name, value) = match item {
                StatusItem::Messages => ("MESSAGES ", status.messages),
                StatusItem::Recent => ("RECENT ", status.recent),
                StatusItem::UidNext => ("UIDNEXT ", status.uid_next),
                StatusItem::UidValidity => ("UIDVALIDITY ", status.uid_validity),
                StatusItem::Unseen => ("UNSEEN ", status.unseen),
            };
            out.extend_from_slice(separator);
            out.extend_from_slice(name.as_bytes());
            write::number(out, u64::from(value));
            separator = b" ";
        }
        out.extend_from_slice(b")\r\n");
        self.finish(tag, "OK Status completed.", Telling::ALL, out)
    }
}
