//! Where messages are read from.

use thiserror::Error;

use crate::mailbox::Uid;
use crate::message::charset::Charsets;
use crate::message::date::DateTime;

/// A mailbox whose messages can be read. It knows no line ends: octets are as stored.
///
/// One message is read at a time, often in many calls: keep it open until another UID comes.
pub trait Source {
    /// Why a message cannot be read.
    type Error;

    /// RFC822.SIZE: octets with CRLF line ends.
    fn size(&mut self, uid: Uid) -> Result<u64, Self::Error>;

    /// INTERNALDATE, in the zone in which it is to be told.
    fn internal_date(&mut self, uid: Uid) -> Result<DateTime, Self::Error>;

    /// Reads at most `buffer.len()` octets as stored, from `offset`; 0 at the end.
    fn read_at(&mut self, uid: Uid, buffer: &mut [u8], offset: u64) -> Result<usize, Self::Error>;

    /// Puts the [`Summary`](super::Summary) of a message in place of what is in `summary`, if there
    /// is one at hand; whether it is. Nothing is read of the message.
    fn summary(&mut self, uid: Uid, summary: &mut Vec<u8>) -> bool;

    /// Takes the summary that was made of a message, to give it back when it is asked for again.
    fn keep_summary(&mut self, uid: Uid, summary: &[u8]);

    /// The charsets in which texts of messages are read.
    fn charsets(&self) -> &'static dyn Charsets;

    /// Whether the error means that the message is there no more: then nothing is wrong.
    fn is_gone(error: &Self::Error) -> bool;

    /// A message cannot be read and is passed over: the place to log it. Others are still served.
    fn unreadable(&mut self, uid: Uid, error: &ReadError<Self::Error>);
}

/// Why a message does not give what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError<E> {
    /// The source said no.
    #[error("{0}")]
    Source(#[from] E),
    /// The message became shorter while it was read.
    #[error("message {0} ends before its announced end")]
    Short(Uid),
}
