//! How a message and its progress are written.
//!
//! A message: `PHQ1`, length and CRC32C of the letter, the letter as JSON, the wire bytes, their
//! length and CRC32C, `END1`. All numbers are little-endian. The end is not only a check against
//! a torn file: while a message is read its CRC is computed along, and a message whose last block
//! does not confirm it never gets its final dot.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use mail_common::disk::DiskError;
use mail_common::log::Id;
use mail_proto::address::{AddressError, ReversePath};
use mail_proto::smtp::{Notify, Recipient, Return};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Letter, Progress, State};

const MAGIC: &[u8; 4] = b"PHQ1";
const PROGRESS_MAGIC: &[u8; 4] = b"PHR1";
const END: &[u8; 4] = b"END1";
/// Length, CRC32C, `END1`.
const TRAILER: u64 = 16;
/// Octets of a letter or a progress as JSON: 100,000 recipients of 600 octets.
pub(super) const TEXT_LIMIT: u32 = 64 << 20;

/// What is wrong with what was read.
#[derive(Debug, Error)]
pub(crate) enum Damage {
    /// The name is no id, or another message's.
    #[error("its name is not its id")]
    Name,
    /// It does not begin as a message of this version does.
    #[error("not a queued message of this version")]
    Magic,
    /// A checksum does not hold.
    #[error("the checksum of its {0} does not hold")]
    Checksum(&'static str),
    /// It ends too early or goes on after its end.
    #[error("it is cut short")]
    Cut,
    /// The checksum holds, the content does not.
    #[error("its envelope cannot be understood: {0}")]
    Content(String),
    /// Not damaged, but not to be had now.
    #[error(transparent)]
    Unreadable(io::Error),
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Cut,
            _ => Self::Unreadable(error),
        }
    }
}

impl From<DiskError> for Damage {
    fn from(error: DiskError) -> Self {
        Self::Unreadable(error.into())
    }
}

#[derive(Serialize, Deserialize)]
struct StoredLetter {
    id: String,
    arrived: u64,
    /// Empty: nobody.
    sender: String,
    recipients: Vec<StoredRecipient>,
    eight_bit: bool,
    /// Whether RET=FULL was said, or RET=HDRS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    full: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envid: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredRecipient {
    to: String,
    /// The letters of SUCCESS, FAILURE and DELAY; empty: NEVER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredProgress {
    recipients: Vec<StoredState>,
    attempts: u32,
    outages: u32,
    due: u64,
    #[serde(default)]
    delay_told: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredState {
    Waiting(Option<String>),
    Delivered,
    Failed,
}

/// What stands before the wire bytes.
pub(super) fn encode_letter(letter: &Letter) -> Vec<u8> {
    let stored = StoredLetter {
        id: letter.id.to_string(),
        arrived: letter.arrived,
        sender: letter.sender.0.as_ref().map(ToString::to_string).unwrap_or_default(),
        recipients: letter.recipients.iter().map(store).collect(),
        eight_bit: letter.eight_bit,
        full: letter.ret.map(|ret| ret == Return::Full),
        envid: letter.envid.clone(),
    };
    framed(MAGIC, &json(&stored))
}

/// What stands after the wire bytes.
pub(super) fn encode_end(length: u64, checksum: u32) -> Vec<u8> {
    [length.to_le_bytes().as_slice(), &checksum.to_le_bytes(), END].concat()
}

pub(super) fn encode_progress(progress: &Progress) -> Vec<u8> {
    let state = |state: &State| match state {
        State::Waiting(reason) => StoredState::Waiting(reason.clone()),
        State::Delivered => StoredState::Delivered,
        State::Failed => StoredState::Failed,
    };
    let stored = StoredProgress {
        recipients: progress.recipients.iter().map(state).collect(),
        attempts: progress.attempts,
        outages: progress.outages,
        due: progress.due,
        delay_told: progress.delay_told,
    };
    framed(PROGRESS_MAGIC, &json(&stored))
}

/// The letter, and how many wire bytes follow; the wire bytes themselves are checked when they
/// are read.
pub(super) fn read_letter(mut file: File) -> Result<(Letter, u64), Damage> {
    let text = unframed(MAGIC, &mut file)?;
    let (size, _) = read_end(&mut file)?;
    Ok((decode_letter(&text)?, size))
}

/// Goes to the first wire byte. Returns their number and checksum.
pub(super) fn seek_to_body(file: &mut File) -> Result<(u64, u32), Damage> {
    unframed(MAGIC, file)?;
    let start = file.stream_position()?;
    let end = read_end(file)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(end)
}

pub(super) fn decode_progress(mut bytes: &[u8], recipients: usize) -> Result<Progress, Damage> {
    let text = unframed(PROGRESS_MAGIC, &mut bytes)?;
    let stored: StoredProgress =
        serde_json::from_slice(&text).map_err(|error| Damage::Content(error.to_string()))?;
    if stored.recipients.len() != recipients {
        return Err(Damage::Content("another number of recipients".to_owned()));
    }
    let state = |state| match state {
        StoredState::Waiting(reason) => State::Waiting(reason),
        StoredState::Delivered => State::Delivered,
        StoredState::Failed => State::Failed,
    };
    Ok(Progress {
        recipients: stored.recipients.into_iter().map(state).collect(),
        attempts: stored.attempts,
        outages: stored.outages,
        due: stored.due,
        delay_told: stored.delay_told,
    })
}

fn decode_letter(text: &[u8]) -> Result<Letter, Damage> {
    let content = |error: &dyn std::fmt::Display| Damage::Content(error.to_string());
    let stored: StoredLetter = serde_json::from_slice(text).map_err(|error| content(&error))?;
    let sender = match stored.sender.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|error| content(&error))?),
    };
    let recipients = stored.recipients.into_iter().map(restore);
    Ok(Letter {
        id: Id::parse(&stored.id).ok_or(Damage::Name)?,
        arrived: stored.arrived,
        sender: ReversePath(sender),
        recipients: recipients.collect::<Result<_, _>>().map_err(|error| content(&error))?,
        eight_bit: stored.eight_bit,
        ret: stored.full.map(|full| if full { Return::Full } else { Return::Headers }),
        envid: stored.envid,
    })
}

fn store(recipient: &Recipient) -> StoredRecipient {
    let letters = |notify: Notify| {
        let wanted = [('S', notify.success), ('F', notify.failure), ('D', notify.delay)];
        wanted.into_iter().filter_map(|(letter, wanted)| wanted.then_some(letter)).collect()
    };
    StoredRecipient {
        to: recipient.address.to_string(),
        notify: recipient.notify.map(letters),
        original: recipient.original.clone(),
    }
}

fn restore(stored: StoredRecipient) -> Result<Recipient, AddressError> {
    let notify = |letters: String| Notify {
        success: letters.contains('S'),
        failure: letters.contains('F'),
        delay: letters.contains('D'),
    };
    Ok(Recipient {
        address: stored.to.parse()?,
        notify: stored.notify.map(notify),
        original: stored.original,
    })
}

/// From where the file stands: the rest must be the wire bytes and their end.
fn read_end(file: &mut File) -> Result<(u64, u32), Damage> {
    let start = file.stream_position()?;
    let length = file.seek(SeekFrom::End(0))?;
    let size = length.checked_sub(start + TRAILER).ok_or(Damage::Cut)?;
    file.seek(SeekFrom::Start(start + size))?;
    let (written, checksum, end) = (array::<8>(file)?, array::<4>(file)?, array::<4>(file)?);
    if end != *END || u64::from_le_bytes(written) != size {
        return Err(Damage::Cut);
    }
    Ok((size, u32::from_le_bytes(checksum)))
}

fn json(stored: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(stored).expect("strings and numbers have a JSON form")
}

fn framed(magic: &[u8; 4], text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("an envelope is within its limits");
    let checksum = crc32c::crc32c(text);
    [magic, length.to_le_bytes().as_slice(), &checksum.to_le_bytes(), text].concat()
}

fn unframed(magic: &[u8; 4], from: &mut impl Read) -> Result<Vec<u8>, Damage> {
    if array::<4>(from)? != *magic {
        return Err(Damage::Magic);
    }
    let length = u32::from_le_bytes(array(from)?);
    let checksum = u32::from_le_bytes(array(from)?);
    if length > TEXT_LIMIT {
        return Err(Damage::Cut);
    }
    let mut text = Vec::new();
    from.take(length.into()).read_to_end(&mut text)?;
    if text.len() as u64 != u64::from(length) {
        return Err(Damage::Cut);
    }
    if crc32c::crc32c(&text) != checksum {
        return Err(Damage::Checksum("envelope"));
    }
    Ok(text)
}

fn array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], Damage> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
