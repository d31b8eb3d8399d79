//! DELE (RFC 1939, 5).

use super::Reply;
use super::reply::DELETED;
use super::server::{Next, Server};

impl Server {
    /// Only marks: QUIT removes.
    pub(super) fn dele(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Next, Reply> {
        self.named(argument.trim_ascii())?.1.deleted = true;
        DELETED.write(out);
        Ok(Next::Line)
    }
}
