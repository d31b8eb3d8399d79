//! SELECT and EXAMINE (RFC 3501, 6.3.1 and 6.3.2).

use super::{Failure, Request, Server, Turn, View, Waiting, reply};
use crate::imap::{Selected, write};
use crate::mailbox::Flags;

impl Server {
    /// Whatever comes of it, what was selected before is let go. No `[CLOSED]` tells of that: it
    /// belongs to QRESYNC, and K-9 was confused by it.
    pub(super) fn select(&mut self, tag: String, mailbox: String, read_only: bool) -> Turn {
        self.view = None;
        let request = Request::Select { mailbox: mailbox.clone(), read_only };
        self.ask(Waiting::Select { tag, mailbox, read_only }, request)
    }

    pub(super) fn selected(
        &mut self,
        tag: &str,
        mailbox: String,
        read_only: bool,
        selected: Result<Selected, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let Selected { snapshot, recent_from } = match selected {
            Ok(selected) => selected,
            Err(failure) => {
                reply::tagged(out, tag, reply::failure(failure));
                return Turn::Again;
            }
        };
        let view = View { mailbox, read_only, recent_from, shown: snapshot };
        view.write_flags(out);
        view.count(out);
        if let Some(first) = view.shown.messages.first_without(Flags::SEEN) {
            number_code(out, "UNSEEN", first as u64 + 1, "First unseen.");
        }
        number_code(out, "UIDVALIDITY", view.shown.uid_validity.into(), "UIDs valid");
        number_code(out, "UIDNEXT", view.shown.uid_next.into(), "Predicted next UID");
        let done = if read_only {
            "OK [READ-ONLY] Examine completed."
        } else {
            "OK [READ-WRITE] Select completed."
        };
        reply::tagged(out, tag, done);
        self.view = Some(Box::new(view));
        Turn::Again
    }
}

fn number_code(out: &mut Vec<u8>, code: &str, value: u64, text: &str) {
    out.extend_from_slice(b"* OK [");
    out.extend_from_slice(code.as_bytes());
    out.push(b' ');
    write::number(out, value);
    out.extend_from_slice(b"] ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}
