//! The mail protocols as pure state machines.
//!
//! Nothing here opens a socket or a file, reads a clock, logs, or knows tokio: the manifest has
//! nothing that could. A protocol is a [`Session`]: bytes and answers go in, bytes and questions
//! come out. What a question needs of the world (users, mailboxes, the queue) is done by a
//! backend in a daemon; one loop, `mail_common::serve`, joins the two.
//!
//! That makes every conversation a text file that can be played in any split of its bytes, and
//! every parser and state a fuzz target.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::panic, clippy::todo))]

pub mod address;
pub mod dsn;
pub mod imap;
pub mod line;
pub mod mailbox;
pub mod message;
pub mod pop3;
pub mod sasl;
mod session;
pub mod smtp;

pub use session::{Ended, Secured, Session, Step};
