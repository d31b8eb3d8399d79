//! Conversations as files (`tests/chats/README.md` has the format).
//!
//! [`Chat::parse`] reads a file, [`play`] says the client's lines to whatever [`World`] it is
//! given and returns the conversation that came of it, in the file's own form: a failure is a
//! diff of two conversations.

mod act;
mod mail;
mod parse;
mod pattern;
mod play;
mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::trouble::Trouble;

pub use act::{Act, Said};
pub(crate) use mail::travelling_lines;
pub use mail::{Traced, is_delivered, message, stuffed, without_trace};
pub(crate) use pattern::{Names, written};
pub use play::play;
pub use record::record;

/// A conversation.
#[derive(Debug, Clone)]
pub struct Chat {
    /// What stands before the first empty line.
    pub heading: Heading,
    /// Everything after it, as written.
    pub body: String,
    /// The same, read.
    pub acts: Vec<Act>,
}

/// What a conversation needs before it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heading {
    /// What this proves.
    pub about: Vec<String>,
    /// `with: ann has plain, 8bit`: users and the names of their messages.
    pub with: Vec<(String, Vec<String>)>,
    /// `config: limits.recipients = 2`: lines of the site's configuration.
    pub config: Vec<String>,
    /// `needs: IDLE`: what a foreign server must offer for this chat to be fair to it.
    pub needs: Vec<String>,
    /// `pieces: all`: what is said together arrives together, and is not cut up.
    pub one_piece: bool,
    /// `disk: small`: mail and queue are on small disks of their own, so that they can be full.
    pub small_disk: bool,
    /// `without: tls`: the site has no certificate.
    pub without_tls: bool,
    /// `reference: differs, because ...`; none: Postfix and Dovecot do the same.
    pub reference: Option<String>,
}

/// The language of a conversation: how messages travel in it, and whom it is spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Port 25.
    Smtp,
    /// Port 587.
    Submission,
    /// `inject.sock`.
    Inject,
    /// `lmtp.sock`.
    Lmtp,
    /// Port 110.
    Pop3,
    /// Port 143.
    Imap,
}

/// What a chat is played to.
pub trait World {
    /// A new connection of the protocol under test.
    fn connect(&mut self) -> Box<dyn Connection>;

    /// The messages in a user's INBOX as they are stored; waits until `enough` says so or
    /// patience ends. `None` where this world has no mailboxes behind it.
    fn inbox(
        &mut self,
        user: &str,
        enough: &mut dyn FnMut(&[Vec<u8>]) -> bool,
    ) -> Option<Vec<Vec<u8>>>;

    /// Lets something go wrong around the server.
    fn befall(&mut self, trouble: &Trouble);

    /// Tells the server to stop. Connections are then told with [`Connection::shut_down`].
    fn shut_down(&mut self);
}

/// One connection of a chat.
pub trait Connection {
    /// Sends bytes.
    fn say(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Hears one line, without its CRLF.
    fn hear(&mut self) -> io::Result<Heard>;

    /// Negotiates TLS.
    fn start_tls(&mut self) -> io::Result<()>;

    /// Lets time pass with nobody speaking. `false` where time is real and cannot be hurried:
    /// the chat ends there.
    fn pass(&mut self, span: Duration) -> bool;

    /// The server stops. Real servers tell their sessions themselves.
    fn shut_down(&mut self) {}

    /// Says nothing more; hears what is still said.
    fn hang_up(&mut self) -> io::Result<Vec<Vec<u8>>>;
}

/// What came when a line was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A line, without its CRLF.
    Line(Vec<u8>),
    /// Nothing, for as long as anybody would wait.
    Silence,
    /// The end of the connection.
    Closed,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Smtp, Self::Submission, Self::Inject, Self::Lmtp, Self::Pop3, Self::Imap];

    /// The name of its folder below `tests/chats`.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Inject => "inject",
            Self::Lmtp => "lmtp",
            Self::Pop3 => "pop3",
            Self::Imap => "imap",
        }
    }

    /// Its chats, in order of name.
    #[must_use]
    pub fn chats(self) -> Vec<PathBuf> {
        let folder = folder().join(self.folder());
        let Ok(entries) = fs::read_dir(&folder) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "chat"))
            .collect();
        paths.sort();
        paths
    }
}

impl Heading {
    /// Postfix and Dovecot are said to do the same.
    #[must_use]
    pub fn claims_same(&self) -> bool {
        self.reference.as_deref().is_none_or(|claim| claim == "same")
    }
}

impl Chat {
    /// Reads a file.
    ///
    /// # Errors
    /// In words, with the file's name and the line, for whoever writes chats.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(&text).map_err(|e| format!("{}:{e}", path.display()))
    }

    /// Whether something goes wrong around the server, or it is told to stop: no chat for servers
    /// of others.
    #[must_use]
    pub fn is_about_troubles(&self) -> bool {
        let trouble = |act: &Act| matches!(act, Act::Befall(_) | Act::Shutdown);
        self.heading.without_tls || self.acts.iter().any(trouble)
    }

    /// The conversation where time cannot be hurried: it ends where time passes.
    #[must_use]
    pub fn until_time_passes(&self) -> String {
        let lines = self.body.lines();
        let lines = lines.take_while(|line| !(line.starts_with("-- ") && line.ends_with(" pass")));
        lines.flat_map(|line| [line, "\n"]).collect()
    }
}

/// Where the chats are.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("chats")
}
