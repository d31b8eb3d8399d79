//! IMAP4rev1 (RFC 3501) with LITERAL+ (RFC 7888), SASL-IR (RFC 4959), ID (RFC 2971), NAMESPACE
//! (RFC 2342), UIDPLUS (RFC 4315), UNSELECT (RFC 3691), MOVE (RFC 6851), IDLE (RFC 2177),
//! CHILDREN (RFC 3348), SPECIAL-USE (RFC 6154) and ENABLE (RFC 5161).
//!
//! Two sessions, one after the other: [`Login`] until the user is known, then [`Server`] over the
//! user's mailboxes. [`syntax`] turns bytes into commands, [`fetch`] turns messages into
//! responses; both are used without a session too (imapd writes FETCH responses with the latter).

mod capability;
pub mod fetch;
mod login;
mod reply;
pub mod search;
mod server;
pub mod syntax;
mod view;
pub mod write;

use std::sync::Arc;
use std::time::Duration;

pub use login::Login;
pub use server::Server;

use crate::address::Domain;
use crate::mailbox::{FlagChange, Folder, NamedFlags, Snapshot, Uid};

/// What both sessions are told when they begin.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Our name in the greeting.
    pub hostname: Domain,
    /// Whether STARTTLS can be offered.
    pub starttls: bool,
    /// Whether passwords are taken before TLS too; if not, LOGINDISABLED is shown.
    pub cleartext_auth: bool,
    /// Between the levels of a mailbox name.
    pub separator: char,
    /// The personal namespace's prefix: empty, but where a site was taken over.
    pub prefix: String,
    /// What the peer may use up.
    pub limits: Limits,
}

/// What a peer may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Octets of a command with its literals, before login.
    pub command_before_login: usize,
    /// Octets of a command with its literals (a message to APPEND not counted).
    pub command: usize,
    /// Octets of a message to APPEND, as it travels.
    pub message_size: u64,
    /// Parentheses within parentheses, in SEARCH above all.
    pub nesting: usize,
    /// BAD replies in a row before the session is ended.
    pub errors: u32,
    /// How long a peer may be silent before login.
    pub patience_before_login: Duration,
    /// How long a peer may be silent (RFC 3501, 5.4: at least 30 minutes).
    pub patience: Duration,
}

/// What [`Server`] asks. Mailbox names are UTF-8 with the site's separator; `INBOX` is spelt so.
#[derive(Debug)]
pub enum Request {
    /// All mailboxes of the user, `INBOX` among them; names that are only subscribed too.
    Folders,
    /// CREATE.
    Create(String),
    /// DELETE.
    Delete(String),
    /// RENAME. Of INBOX: its messages move, it stays (RFC 3501, 6.3.5).
    Rename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// SUBSCRIBE, UNSUBSCRIBE.
    Subscribe {
        /// The name; no mailbox needs to have it.
        mailbox: String,
        /// Which of the two.
        subscribed: bool,
    },
    /// STATUS, without opening the mailbox for the session.
    Status(String),
    /// SELECT, EXAMINE: what was selected before is let go.
    Select {
        /// The name.
        mailbox: String,
        /// EXAMINE: nothing changes, `\Recent` neither.
        read_only: bool,
    },
    /// The selected mailbox is let go.
    Unselect,
    /// How does the selected mailbox look now?
    Sync,
    /// The same of a client that idles: what changes from here on is to be told as news.
    Listen,
    /// FETCH of the selected mailbox, as far as one question goes.
    Fetch(Box<Fetch>),
    /// SEARCH of the selected mailbox, as far as one question goes.
    Search(Box<Search>),
    /// STORE in the selected mailbox. UIDs that are gone are passed over.
    StoreFlags {
        /// The messages.
        uids: Vec<Uid>,
        /// What to change.
        change: FlagChange,
    },
    /// COPY or MOVE out of the selected mailbox. Messages are moved or copied all or, on a
    /// failure, none; UIDs that are gone are passed over.
    Copy {
        /// The messages.
        uids: Vec<Uid>,
        /// Where to.
        mailbox: String,
        /// Whether they leave here.
        moving: bool,
    },
    /// EXPUNGE, UID EXPUNGE, CLOSE: removes those of `uids` (or of all) that have `\Deleted`.
    Expunge(Option<Vec<Uid>>),
    /// APPEND: a message is about to come. What was begun and never committed leaves no trace.
    Append(Append),
    /// A full block of the message: wire bytes.
    AppendBlock(Vec<u8>),
    /// The last block. Answer only once the message survives a power cut.
    AppendCommit(Vec<u8>),
    /// The message does not come to its end: forget it.
    AppendDiscard,
}

/// A message to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: String,
    /// Its flags.
    pub flags: NamedFlags,
    /// Its INTERNALDATE in seconds since 1970, where the client gave one.
    pub internal_date: Option<i64>,
    /// Its octets, as announced.
    pub size: u64,
}

/// A FETCH under way. It goes to the backend and comes back until nothing is left to do; the
/// output buffer travels along, so that not even its capacity is allocated again.
#[derive(Debug)]
pub struct Fetch {
    /// Positions (from 0) in the snapshot that the client knows, rising.
    pub positions: Arc<[u32]>,
    /// That snapshot: sequence numbers and flags come from it.
    pub snapshot: Arc<Snapshot>,
    /// UIDs from here on are `\Recent` in this session.
    pub recent_from: Uid,
    /// What to tell of each.
    pub items: Arc<[fetch::Item]>,
    /// Positions, rising, of which this FETCH itself has just set `\Seen`: each is told its flags
    /// in the same response (RFC 3501, 6.4.5).
    pub seen: Arc<[u32]>,
    /// Where to write.
    pub out: Vec<u8>,
    /// How far it came.
    pub progress: Progress,
}

/// How far a FETCH came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Index into [`Fetch::positions`]; their number when all is done.
    pub message: usize,
    /// Index into [`Fetch::items`].
    pub item: usize,
    /// Octets of that item's literal that are already written; `None` before its first octet.
    pub offset: Option<u64>,
    /// Messages that were gone when they were to be read: the tagged reply tells of it.
    pub missing: u32,
    /// Messages that are there and could not be read.
    pub unreadable: u32,
}

/// A SEARCH under way. It goes to the backend and comes back until nothing is left to do.
#[derive(Debug)]
pub struct Search {
    /// The snapshot that the client knows.
    pub snapshot: Arc<Snapshot>,
    /// UIDs from here on are `\Recent` in this session.
    pub recent_from: Uid,
    /// What to look for; sequence sets are already positions.
    pub key: search::Key,
    /// The next position to look at; their number when all is done.
    pub next: u32,
    /// The positions (from 0) found so far.
    pub found: Vec<u32>,
}

/// What [`Server`] is answered.
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Folders`].
    Folders(Result<Vec<Folder>, Failure>),
    /// To [`Request::Create`], [`Request::Delete`], [`Request::Rename`], [`Request::Subscribe`].
    Changed(Result<(), Failure>),
    /// To [`Request::Status`].
    Status(Result<Status, Failure>),
    /// To [`Request::Select`].
    Selected(Result<Selected, Failure>),
    /// To [`Request::Unselect`].
    Unselected,
    /// To [`Request::Sync`], [`Request::Listen`] and [`Request::StoreFlags`].
    Synced(Result<Arc<Snapshot>, Failure>),
    /// To [`Request::Fetch`].
    Fetched(Result<Box<Fetch>, Failure>),
    /// To [`Request::Fetch`]: a literal that was announced cannot come to its end. Nothing more may
    /// be sent, for the client would take it for the message: the connection is closed at once.
    FetchBroken,
    /// To [`Request::Search`].
    Searched(Result<Box<Search>, Failure>),
    /// To [`Request::Copy`].
    Copied(Result<Copied, Failure>),
    /// To [`Request::Expunge`].
    Expunged(Result<Arc<Snapshot>, Failure>),
    /// To [`Request::Append`].
    AppendReady(Result<(), Failure>),
    /// To [`Request::AppendBlock`]: an empty block to fill next, with its old capacity.
    AppendStored(Result<Vec<u8>, Failure>),
    /// To [`Request::AppendCommit`].
    Appended(Result<Appended, Failure>),
    /// To [`Request::AppendDiscard`].
    AppendDiscarded,
    /// Nobody asked: the selected mailbox may have changed. Given only while the session listens.
    News,
}

/// A mailbox that was selected.
#[derive(Debug, Clone)]
pub struct Selected {
    /// What it holds.
    pub snapshot: Arc<Snapshot>,
    /// UIDs from here on are `\Recent` in this session.
    pub recent_from: Uid,
}

/// What STATUS tells (RFC 3501, 6.3.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// MESSAGES.
    pub messages: u32,
    /// RECENT.
    pub recent: u32,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UNSEEN.
    pub unseen: u32,
}

/// What COPY or MOVE did (RFC 4315, 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub uid_validity: u32,
    /// Old UID and new UID, in order of the old.
    pub uids: Vec<(Uid, Uid)>,
    /// The selected mailbox afterwards.
    pub snapshot: Arc<Snapshot>,
}

/// Where an appended message is (RFC 4315, 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// UIDVALIDITY of the mailbox.
    pub uid_validity: u32,
    /// The message's UID.
    pub uid: Uid,
}

/// Why something is refused, with the response code of RFC 5530 that it is told with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// `[NONEXISTENT]`; to APPEND, COPY and MOVE `[TRYCREATE]`.
    NoSuchMailbox,
    /// `[ALREADYEXISTS]`
    AlreadyExists,
    /// `[CANNOT]`: a name that no mailbox can have, INBOX to DELETE.
    Cannot,
    /// `[LIMIT]`: more keywords or levels than can be kept.
    Limit,
    /// `[OVERQUOTA]`
    OverQuota,
    /// `[UNAVAILABLE]`: the disk or another part of ours does not work now.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A site as the chats have it, but less patient with mistakes.
    pub(super) fn setup() -> Setup {
        Setup {
            hostname: "mx.example.org".parse().expect("a host name"),
            starttls: true,
            cleartext_auth: true,
            separator: '/',
            prefix: String::new(),
            limits: Limits {
                command_before_login: 8 << 10,
                command: 1 << 20,
                message_size: 50 << 20,
                nesting: 100,
                errors: 5,
                patience_before_login: Duration::from_secs(60),
                patience: Duration::from_secs(1800),
            },
        }
    }
}
