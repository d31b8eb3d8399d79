//! NOOP (RFC 1939, 5).

use super::reply::OK;
use super::server::{Next, Server};
use super::{Reply, without_argument};

impl Server {
    pub(super) fn noop(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Next, Reply> {
        without_argument(argument)?;
        OK.write(out);
        Ok(Next::Line)
    }
}
