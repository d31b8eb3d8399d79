//! Exit codes that cron, git and monitoring know how to read: those of sysexits.h.

/// The command line is wrong.
pub(crate) const USAGE: u8 = 64;

/// What was to be read is wrong.
pub(crate) const DATA: u8 = 65;

/// A service says no.
pub(crate) const UNAVAILABLE: u8 = 69;

/// It may do later.
pub(crate) const TEMPORARY: u8 = 75;

/// The configuration does not hold.
pub(crate) const CONFIGURATION: u8 = 78;
