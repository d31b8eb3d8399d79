//! A message on its way out of the queue.

use std::fs::File;
use std::io::Read as _;

use super::format::{self, Damage};

/// Octets of a block.
const BLOCK: usize = 64 << 10;

/// A message open for reading. It can be read to its end even if it is finished meanwhile.
#[derive(Debug)]
pub(crate) struct Body {
    file: File,
    left: u64,
    found: u32,
    expected: u32,
}

impl Body {
    pub(super) fn open(mut file: File) -> Result<Self, Damage> {
        let (left, expected) = format::seek_to_body(&mut file)?;
        Ok(Self { file, left, found: 0, expected })
    }

    /// The next block; an empty one is the end.
    ///
    /// # Errors
    /// The message cannot be read, or what was read is not what was written: it must not be taken
    /// for a whole message.
    pub(crate) fn block(&mut self) -> Result<Vec<u8>, Damage> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(BLOCK);
        let mut block = vec![0; length];
        self.file.read_exact(&mut block)?;
        self.left -= length as u64;
        self.found = crc32c::crc32c_append(self.found, &block);
        if self.left == 0 && self.found != self.expected {
            return Err(Damage::Checksum("text"));
        }
        Ok(block)
    }

    /// The header: all before the empty line, at most `limit` octets of it.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub(crate) fn header(mut self, limit: usize) -> Result<Vec<u8>, Damage> {
        let mut header = Vec::new();
        loop {
            let block = self.block()?;
            header.extend_from_slice(&block);
            if let Some(end) = header.windows(4).position(|four| four == b"\r\n\r\n") {
                header.truncate(end + 2);
                break;
            }
            if block.is_empty() || header.len() >= limit {
                break;
            }
        }
        header.truncate(limit);
        Ok(header)
    }
}
