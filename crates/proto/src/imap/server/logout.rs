//! LOGOUT (RFC 3501, 6.1.3): what has `\Deleted` stays.

use super::{Phase, Server, Turn, reply};

impl Server {
    pub(super) fn logout(&mut self, tag: &str, out: &mut Vec<u8>) -> Turn {
        reply::logout(out, tag);
        self.phase = Phase::Closed;
        Turn::Again
    }
}
