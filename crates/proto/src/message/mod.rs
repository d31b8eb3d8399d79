//! Messages: header fields, dates, addresses for ENVELOPE, and MIME structure.

pub mod address_list;
pub mod date;
pub mod header;
pub mod structure;
