//! RSET (RFC 1939, 5).

use super::reply::OK;
use super::server::{Next, Server};
use super::{Reply, without_argument};

impl Server {
    /// Takes back every DELE. What was read stays read.
    pub(super) fn rset(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Next, Reply> {
        without_argument(argument)?;
        for held in &mut self.maildrop {
            held.deleted = false;
        }
        OK.write(out);
        Ok(Next::Line)
    }
}
