//! LIST (RFC 1939, 5).

use super::server::{Next, Server};
use super::{Reply, write_line};

impl Server {
    pub(super) fn list(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Next, Reply> {
        let argument = argument.trim_ascii();
        if !argument.is_empty() {
            let (number, held) = self.named(argument)?;
            write_line(out, format_args!("+OK {number} {}", held.message.size));
            return Ok(Next::Line);
        }
        write_line(out, format_args!("+OK {} messages", self.listed().count()));
        for (number, message) in self.listed() {
            write_line(out, format_args!("{number} {}", message.size));
        }
        out.extend_from_slice(b".\r\n");
        Ok(Next::Line)
    }
}
