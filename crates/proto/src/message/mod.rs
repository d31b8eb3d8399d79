//! Messages: header fields, dates, addresses for ENVELOPE, and MIME structure.

pub mod date;
pub mod structure;
