//! Messages: header fields, dates, addresses for ENVELOPE, and MIME structure.

pub mod address_list;
pub mod charset;
pub mod date;
pub mod encoded_word;
pub mod header;
pub mod structure;
pub mod transfer;
pub mod wire;
