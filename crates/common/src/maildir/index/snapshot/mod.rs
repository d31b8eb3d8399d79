//! `posthorn.index`: a mailbox at one moment.
//!
//! A header of fixed length, then sections, each in blocks with a checksum: the head; UIDs and
//! flags; what was expunged; odd tails; facts. Whoever opens a mailbox reads the first three. The
//! checksums are of the snapshot's id and of the place in it too.
//!
//! The file is replaced by rename and never changed, so its id and its length say that it is the
//! one that was read before.

mod read;
mod write;

use mail_proto::mailbox::{Form, Piece};

pub(super) use read::{Snapshot, Trouble, log_damage, read};
pub(super) use write::write;

/// The name of the file.
pub(in crate::maildir) const FILE: &str = "posthorn.index";

const MAGIC: &[u8; 8] = b"PHN-IDX\n";

/// Octets of the header: magic, version, their checksum; id, number of messages, lengths of the
/// five sections; their checksum.
const HEADER: usize = 76;

/// Messages, or facts, of a block.
const BLOCK: usize = 1024;

/// Octets of a fact.
const ROW: usize = 32;

/// Octets of a checksum.
const SUM: usize = 4;

/// Which snapshot is in the file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Identity {
    /// A random number; 0 for one that was never written.
    pub(super) id: u64,
    /// Its octets.
    pub(super) size: u64,
}

/// What the header says.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    messages: u64,
    head: u64,
    hot: u64,
    vanished: u64,
    tails: u64,
    facts: u64,
}

impl Lengths {
    fn fields(self) -> [u64; 6] {
        [self.messages, self.head, self.hot, self.vanished, self.tails, self.facts]
    }

    /// Octets of the whole file; `None` where that cannot be.
    fn total(self) -> Option<u64> {
        let [_, sections @ ..] = self.fields();
        let blocks = self.messages.div_ceil(BLOCK as u64);
        let rows = self.messages.checked_mul(ROW as u64)?.checked_add(blocks * SUM as u64)?;
        if rows != self.facts {
            return None;
        }
        sections.iter().try_fold(HEADER as u64, |sum, length| sum.checked_add(*length))
    }
}

const PLAIN: u8 = 0;
const KEYWORDS: u8 = 1;

/// Octets of a block of messages before its columns.
const PIECE_HEADER: usize = 3;

/// Octets of a block of messages.
fn block_length(messages: usize, form: Form) -> usize {
    PIECE_HEADER + Piece::size(messages, form) + SUM
}
