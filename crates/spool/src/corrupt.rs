//! What could not be read, kept for a person to look at.

use std::fs::File;
use std::io;

use mail_common::disk::{self, Dir, DiskError};
use mail_common::log::Id;

use crate::fsck::Stretch;
use crate::record::HEADER;
use crate::scan::Octets;
use crate::{Letter, text};

/// Files in `corrupt/`; more are not kept, for a dying disk must not fill the other.
const FILES: usize = 1000;
/// Octets at a time.
const BLOCK: usize = 64 << 10;
/// Octets in which the envelope of a damaged record is looked for.
const ENVELOPE: usize = 64 << 10;

/// Copies a stretch of a segment there. One that is there already is not copied again.
///
/// # Errors
/// The disk is full or broken, or too much is there already.
pub(crate) fn keep(corrupt: &Dir, file: &File, stretch: &Stretch) -> Result<(), DiskError> {
    let Stretch { slot, generation, range } = stretch;
    let name = format!("{slot:08x}-{generation}-{}", range.start);
    let length = range.end.saturating_sub(range.start);
    if disk::found(corrupt.stat(&name))?.is_some_and(|stat| stat.size >= length) {
        return Ok(());
    }
    if corrupt.entries()?.count() >= FILES {
        let error = io::Error::new(io::ErrorKind::QuotaExceeded, "too much is kept here already");
        return Err(DiskError::new(corrupt.path().to_owned(), error));
    }
    corrupt.replace_with(&name, |kept| {
        let mut block = vec![0; BLOCK];
        for at in range.clone().step_by(BLOCK) {
            block.truncate(usize::try_from(range.end - at).unwrap_or(BLOCK));
            // What cannot be read has no octets to keep, but those behind it stay in their place.
            let count = file.read_at(&mut block, at).unwrap_or(0);
            block.iter_mut().skip(count).for_each(|octet| *octet = 0);
            kept.write(&block)?;
        }
        Ok(())
    })
}

/// Gives a body a name there, too, of which nobody will know what it is.
///
/// # Errors
/// The disk is full or broken.
pub(crate) fn keep_big(corrupt: &Dir, big: &Dir, id: Id) -> Result<(), DiskError> {
    let name = id.as_str();
    match big.link(name, corrupt, name) {
        // It was given by somebody who was killed next.
        Err(error) if error.is_taken() && corrupt.stat(name)?.inode == big.stat(name)?.inode => {}
        linked => linked?,
    }
    corrupt.sync()
}

/// The same, and then it has its own no more.
///
/// # Errors
/// The disk is full or broken.
pub(crate) fn move_big(corrupt: &Dir, big: &Dir, id: Id) -> Result<(), DiskError> {
    keep_big(corrupt, big, id)?;
    big.unlink(id.as_str())
}

/// Whose message a damaged stretch begins with, if its envelope can be read:
/// `0V9bTkL2xQ0d8YzA from ann@example.org to bob@example.net and 2 more`.
pub(crate) fn envelope(file: &(impl Octets + ?Sized), offset: u64) -> Option<String> {
    let mut octets = vec![0; ENVELOPE];
    let count = file.read_at(&mut octets, offset).ok()?;
    let (header, rest) = octets.get(..count)?.split_at_checked(HEADER)?;
    let id = header.get(24..40)?.first_chunk().and_then(Id::from_octets)?;
    let letter = Letter::decode(id, rest.get(..text::length(rest)?)?).ok()?;
    Some(describe(&letter))
}

fn describe(letter: &Letter) -> String {
    let sender = letter.sender.0.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string);
    let mut recipients = letter.recipients.iter();
    let first = recipients.next().map(|recipient| recipient.address.to_string());
    let more = match recipients.len() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    format!("{} from {sender} to {}{more}", letter.id, first.unwrap_or_default())
}
