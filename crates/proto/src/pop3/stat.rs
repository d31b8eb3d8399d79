//! STAT (RFC 1939, 5).

use super::server::{Next, Server};
use super::{Reply, without_argument, write_line};

impl Server {
    /// Counts what is not deleted. Sizes are those with CRLF line ends.
    pub(super) fn stat(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Next, Reply> {
        without_argument(argument)?;
        let (count, octets) = self
            .listed()
            .fold((0u64, 0u64), |(count, octets), (_, message)| (count + 1, octets + message.size));
        write_line(out, format_args!("+OK {count} {octets}"));
        Ok(Next::Line)
    }
}
