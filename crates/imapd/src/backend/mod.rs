//! What answers the sessions: users from `auth`, mailboxes from `maildir`.

mod failure;
mod mailboxes;
mod selected;
mod source;
mod work;

pub use mailboxes::Mailboxes;
