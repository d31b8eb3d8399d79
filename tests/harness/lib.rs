//! What the tests of the whole system stand on.
//!
//! - [`chat`]: conversations as files, and playing them
//! - [`proxy`]: what stands between two daemons and breaks what goes through
//! - [`pure`]: a session joined with its backend, without sockets
//! - [`site`]: a site in a temporary directory
//! - [`suite`]: the real daemons, started as systemd starts them
//! - [`client`]: a blunt client that speaks in lines
//! - [`courier`]: Courier, over the mailboxes of a user
//! - [`dovecot`]: Dovecot alone, over the mailboxes of a site
//! - [`mail`]: sending and reading whole letters with it
//! - [`numbered`]: letters that are known by their numbers
//! - [`sink`]: a foreign mail server that takes, refuses or is not there
//! - [`outcomes`]: waiting for what a spool was asked
//! - [`progress`]: how far a long run is
//! - [`trial`]: `posthorn try`
//! - [`trouble`]: what can go wrong around a server
//! - [`view`]: what a client sees of mailboxes, now and later
//! - [`wanted`]: how much of a long test is wanted
//! - [`rig`]: histories of mailboxes, and what must be left of them when something goes wrong
//! - [`reference`]: Postfix and Dovecot, to which the same chats are played
//! - [`source`]: the workspace's own files, for the house rules
//!
//! No test sleeps for a start, takes a fixed port, uses the network or a shared directory.

pub mod chat;
pub mod client;
pub mod courier;
pub mod dovecot;
pub mod mail;
pub mod numbered;
pub mod outcomes;
pub mod patience;
pub mod progress;
pub mod proxy;
pub mod pure;
pub mod reference;
pub mod rig;
pub mod sink;
pub mod site;
pub mod source;
pub mod suite;
pub mod trial;
pub mod trouble;
pub mod view;
pub mod wanted;
