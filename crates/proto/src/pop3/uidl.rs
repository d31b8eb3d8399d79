//! UIDL (RFC 1939, 7).

use super::server::{Next, Server};
use super::{Reply, reply, write_line};

impl Server {
    pub(super) fn uidl(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Next, Reply> {
        let argument = argument.trim_ascii();
        if !argument.is_empty() {
            let (number, held) = self.named(argument)?;
            write_line(out, format_args!("+OK {number} {}", held.message.uidl));
            return Ok(Next::Line);
        }
        reply::OK.write(out);
        for (number, message) in self.listed() {
            write_line(out, format_args!("{number} {}", message.uidl));
        }
        out.extend_from_slice(b".\r\n");
        Ok(Next::Line)
    }
}
