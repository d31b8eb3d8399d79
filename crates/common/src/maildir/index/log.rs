//! `posthorn.log`: the transactions since the snapshot.

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Which log: a random number.
    pub(super) log: u64,
    /// Octets from its beginning.
    pub(super) offset: u64,
}
