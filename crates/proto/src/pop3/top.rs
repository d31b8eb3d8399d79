//! TOP (RFC 1939, 7).

use super::Reply;
use super::reply::TOP_NEEDS_NUMBERS;
use super::server::{Next, Server, parse_number};
use super::text::Extent;

impl Server {
    /// The header, the empty line, and so many lines. Does not count as reading the message.
    pub(super) fn top(&mut self, argument: &[u8], _out: &mut Vec<u8>) -> Result<Next, Reply> {
        let mut words = argument.split(|&b| b == b' ').filter(|word| !word.is_empty());
        let (Some(number), Some(lines), None) = (words.next(), words.next(), words.next()) else {
            return Err(TOP_NEEDS_NUMBERS);
        };
        let lines = parse_number(lines).ok_or(TOP_NEEDS_NUMBERS)?;
        self.send(number, Extent::Top(lines))
    }
}
