//! CAPABILITY (RFC 3501, 6.1.1).

use super::{Server, Telling, Turn, reply};
use crate::imap::capability;

impl Server {
    pub(super) fn capability(&mut self, tag: String, out: &mut Vec<u8>) -> Turn {
        reply::untagged(out, &format!("CAPABILITY {}", capability::after_login()));
        self.finish(tag, "OK Capability completed.", Telling::ALL, out)
    }
}
