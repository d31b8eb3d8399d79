//! What was expunged, for clients that come back (RFC 7162, 3.2.5.1).

use mail_proto::mailbox::Uid;

/// What was expunged lately, and since when that is known completely.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::maildir) struct Vanished {
    /// Below this modseq, what went is not known any more.
    floor: u64,
    /// Modseq and UID, in order of modseq.
    gone: Vec<(u64, Uid)>,
}

impl Vanished {
    /// UIDs that went after a modseq, rising; `None`: that is not known, and every UID that does
    /// not exist may have gone since.
    pub(in crate::maildir) fn since(&self, modseq: u64) -> Option<Vec<Uid>> {
        todo!("{modseq} {} {:?}", self.floor, self.gone)
    }
}
