//! COPY (RFC 3501, 6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315, 3).

use super::{Failure, Request, Server, Telling, Turn, Waiting, reply};
use crate::imap::syntax::write_uids;
use crate::imap::{Copied, write};

impl Server {
    pub(super) fn copy(
        &mut self,
        tag: String,
        positions: &[u32],
        mailbox: String,
        moving: bool,
        out: &mut Vec<u8>,
    ) -> Turn {
        let Some(view) = self.view.as_deref() else {
            return self.nothing_selected(&tag, out);
        };
        if moving && view.read_only {
            return self.read_only(tag, out);
        }
        let uids = view.uids(positions);
        if uids.is_empty() {
            // iOS keeps ghosts of messages when missing UIDs are refused.
            return self.finish(tag, "OK No messages found.", Telling::ALL, out);
        }
        self.ask(Waiting::Copy { tag, moving }, Request::Copy { uids, mailbox, moving })
    }

    /// RFC 6851, 4.3: of MOVE, COPYUID comes first, then EXPUNGE, then the tagged OK.
    pub(super) fn copied(
        &mut self,
        tag: &str,
        moving: bool,
        result: Result<Copied, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let copied = match result {
            Ok(copied) => copied,
            Err(failure) => {
                reply::tagged(out, tag, reply::failure_of_target(failure));
                return Turn::Again;
            }
        };
        if moving && !copied.uids.is_empty() {
            copy_uid(out, "*", &copied, "Moved UIDs.");
        }
        if let Err(turn) = self.tell(&Ok(copied.snapshot.clone()), Telling::ALL, out) {
            return turn;
        }
        match (moving, copied.uids.is_empty()) {
            (_, true) => reply::tagged(out, tag, "OK No messages found."),
            (true, false) => reply::tagged(out, tag, "OK Move completed."),
            (false, false) => copy_uid(out, tag, &copied, "Copy completed."),
        }
        Turn::Again
    }
}

fn copy_uid(out: &mut Vec<u8>, tag: &str, copied: &Copied, text: &str) {
    out.extend_from_slice(tag.as_bytes());
    out.extend_from_slice(b" OK [COPYUID ");
    write::number(out, copied.uid_validity.into());
    out.push(b' ');
    write_uids(out, copied.uids.iter().map(|(old, _)| *old));
    out.push(b' ');
    write_uids(out, copied.uids.iter().map(|(_, new)| *new));
    out.extend_from_slice(b"] ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}
