//! RETR (RFC 1939, 5), and how a message is sent, which TOP shares.
//!
//! The reply waits for the first block: a message that another session removed is refused then.
//! Once `+OK` was said there is no way in POP3 to take it back, so a message that cannot be read
//! on is never ended with a dot: the connection is cut, and the client knows that it has half.

use super::reply::{OK, not_loaded};
use super::server::{Next, Server};
use super::text::{Extent, Text};
use super::{Failure, Reply, Request, write_line};
use crate::mailbox::Uid;

/// A message on its way to the client.
#[derive(Debug)]
pub(super) struct Transfer {
    uid: Uid,
    /// Its place in the maildrop, from 0.
    at: usize,
    /// How many octets were loaded.
    offset: u64,
    extent: Extent,
    text: Text,
}

impl Transfer {
    pub(super) fn request(&self) -> Request {
        Request::Load { uid: self.uid, offset: self.offset }
    }
}

impl Server {
    pub(super) fn retr(&mut self, argument: &[u8], _out: &mut Vec<u8>) -> Result<Next, Reply> {
        self.send(argument.trim_ascii(), Extent::Whole)
    }

    /// Begins to send a message, or the top of it.
    pub(super) fn send(&mut self, number: &[u8], extent: Extent) -> Result<Next, Reply> {
        let (number, held) = self.named(number)?;
        let uid = held.message.uid;
        let transfer = Transfer { uid, at: number - 1, offset: 0, extent, text: Text::new(extent) };
        Ok(Next::Send(transfer))
    }

    /// A block came; an empty one is the end.
    pub(super) fn loaded(
        &mut self,
        mut transfer: Transfer,
        result: Result<Vec<u8>, Failure>,
        out: &mut Vec<u8>,
    ) -> Next {
        let first = transfer.offset == 0;
        let block = match result {
            Ok(block) => block,
            Err(failure) if first => {
                not_loaded(failure).write(out);
                return Next::Line;
            }
            Err(_) => return Next::Close,
        };
        if first {
            self.announce(&transfer, out);
        }
        transfer.offset += block.len() as u64;
        let enough = transfer.text.add(&block, out);
        if !block.is_empty() && !enough {
            return Next::Send(transfer);
        }
        transfer.text.finish(out);
        self.sent(transfer.at, transfer.extent);
        Next::Line
    }

    fn announce(&self, transfer: &Transfer, out: &mut Vec<u8>) {
        match (transfer.extent, self.maildrop.get(transfer.at)) {
            (Extent::Whole, Some(held)) => {
                write_line(out, format_args!("+OK {} octets", held.message.size));
            }
            _ => OK.write(out),
        }
    }

    fn sent(&mut self, at: usize, extent: Extent) {
        if let (Extent::Whole, Some(held)) = (extent, self.maildrop.get_mut(at)) {
            held.retrieved = true;
        }
    }
}
