//! SMTP (RFC 5321), message submission (RFC 6409) and LMTP (RFC 2033): one server, one client.

mod body;
pub mod client;
mod command;
pub mod reply;
mod server;

use std::time::Duration;

pub use reply::Reply;
pub use server::Server;

use crate::address::{Address, Domain, ReversePath};
use crate::sasl::{Credentials, Verdict};

/// Which of the three related protocols is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Mail from other servers: port 25. Never offers AUTH.
    Smtp,
    /// Mail from people: ports 587 and 465. Takes no mail before AUTH.
    Submission,
    /// Mail from local programs over `inject.sock`: who speaks is known from the socket.
    Inject,
    /// Mail to mailboxes (RFC 2033): LHLO, and a reply for each recipient after the final dot.
    Lmtp,
}

/// What a server session is told when it begins.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Which protocol.
    pub dialect: Dialect,
    /// Our name in the greeting.
    pub hostname: Domain,
    /// What the peer may use up.
    pub limits: Limits,
    /// Whether STARTTLS can be offered.
    pub starttls: bool,
    /// Whether AUTH is offered before TLS too.
    pub cleartext_auth: bool,
    /// Whether XDELIVERID is offered, and with it XOLDEST (our own LMTP socket).
    pub delivery_ids: bool,
}

/// What a peer may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Octets of a message as it travels, dots unstuffed.
    pub message_size: u64,
    /// Recipients of a transaction.
    pub recipients: usize,
    /// Octets of a command line, CRLF included. RFC 5321, 4.5.3.1.4 wants 512 and more for
    /// extensions; Exchange needs 2,048.
    pub command_line: usize,
    /// Replies of the 5xx kind before the session is ended; a message that is taken sets the
    /// count back. What LMTP says of a delivery is not counted, and nothing on our own socket
    /// ([`Setup::delivery_ids`]).
    pub errors: u32,
    /// How long a peer may be silent between commands.
    pub patience: Duration,
}

/// Who speaks, as far as a message's `Received` field tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// What it called itself.
    pub hello: String,
    /// Whether it said EHLO or LHLO.
    pub extended: bool,
    /// What TLS agreed on.
    pub tls: Option<crate::Secured>,
    /// Whose credentials it showed.
    pub username: Option<String>,
}

/// What the MAIL and RCPT commands of a transaction said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where bounces go.
    pub sender: ReversePath,
    /// Who shall get it; at least one once the message comes.
    pub recipients: Vec<Recipient>,
    /// What SIZE= announced.
    pub size: Option<u64>,
    /// Whether the sender said BODY=8BITMIME.
    pub eight_bit: bool,
    /// XOLDEST, on our own LMTP socket only: the oldest of mtad's messages that are not done with.
    pub oldest: Option<String>,
    /// RET (RFC 3461, 4.3): how much of the message a notification of failure brings back.
    pub ret: Option<Return>,
    /// ENVID (RFC 3461, 4.4), decoded: what the sender calls this transaction.
    pub envid: Option<String>,
}

/// One recipient of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address. `<Postmaster>` (RFC 5321, 4.5.1) is given our own host name as domain.
    pub address: Address,
    /// NOTIFY (RFC 3461, 4.1): of what its sender wants to hear; `None`: it did not say.
    pub notify: Option<Notify>,
    /// ORCPT (RFC 3461, 4.2), decoded: `rfc822;ann@example.org`, the address that the sender wrote.
    pub original: Option<String>,
    /// XDELIVERID, on our own LMTP socket only: mtad's queue id, and which recipient this is.
    pub delivery_id: Option<String>,
}

/// Of what a sender wants to be notified. All false: NOTIFY=NEVER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// It arrived, or went on to a host that does not notify.
    pub success: bool,
    /// It will not arrive.
    pub failure: bool,
    /// It takes longer than usual.
    pub delay: bool,
}

/// How much of a message a notification of failure brings back (RFC 3461, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

impl Envelope {
    /// Of a transaction of which nothing is known but its sender.
    #[must_use]
    pub fn new(sender: ReversePath) -> Self {
        Self {
            sender,
            recipients: Vec::new(),
            size: None,
            eight_bit: false,
            oldest: None,
            ret: None,
            envid: None,
        }
    }
}

impl Recipient {
    /// One of whom nothing is known but the address.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { address, notify: None, original: None, delivery_id: None }
    }
}

/// What a server session asks.
#[derive(Debug)]
pub enum Request {
    /// AUTH: whose are these?
    Verify(Credentials),
    /// MAIL: may this client send as this sender?
    Sender {
        /// Who speaks.
        client: Client,
        /// The sender it named.
        sender: ReversePath,
    },
    /// RCPT: does mail for this recipient go on from here?
    Route {
        /// Who speaks.
        client: Client,
        /// The sender of the transaction.
        sender: ReversePath,
        /// The recipient it named.
        recipient: Recipient,
    },
    /// DATA, or the first BDAT: a message is about to come. What was begun and never committed leaves no trace.
    Begin {
        /// Who speaks.
        client: Client,
        /// For whom it is.
        envelope: Envelope,
    },
    /// A full block of the message: wire bytes, dots unstuffed.
    Store(Vec<u8>),
    /// The last block. Answer only once what is answered survives a power cut.
    Commit(Vec<u8>),
    /// The message is broken or too big, a block of it could not be stored, or its sender has
    /// changed its mind: forget it.
    Discard,
    /// In LMTP: messages that came together, each whole. Of this nothing was begun; answer as to
    /// `Commit`.
    Deliver(Vec<Transaction>),
}

/// A message with its envelope.
#[derive(Debug)]
pub struct Transaction {
    /// Who speaks.
    pub client: Client,
    /// For whom it is.
    pub envelope: Envelope,
    /// Its wire bytes, at most 1 MiB.
    pub message: Vec<u8>,
}

/// What a server session is answered.
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Verify`].
    Verified {
        /// Whose credentials they were.
        username: String,
        /// What they are worth.
        verdict: Verdict,
    },
    /// To [`Request::Sender`].
    Sender(Result<(), Failure>),
    /// To [`Request::Route`].
    Routed {
        /// The recipient asked about.
        recipient: Recipient,
        /// What comes of it.
        outcome: Result<(), Failure>,
    },
    /// To [`Request::Begin`].
    Begun(Result<(), Failure>),
    /// To [`Request::Store`]: an empty block to fill next, with its old capacity.
    Stored(Result<Vec<u8>, Failure>),
    /// To [`Request::Commit`]: one outcome in SMTP; in LMTP one for each recipient, in order.
    Committed(Vec<Result<Accepted, Failure>>),
    /// To [`Request::Discard`].
    Discarded,
    /// To [`Request::Deliver`]: for each message, in order, one outcome for each recipient, in
    /// order.
    Delivered(Vec<Vec<Result<Accepted, Failure>>>),
}

/// What became of a message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is in our queue under this id.
    Queued(String),
    /// It is in the recipient's mailbox.
    Delivered(String),
}

/// Why something is refused. [`reply`] has the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Something of ours does not work now: 451 4.3.0.
    Unavailable,
    /// Our disk is full: 452 4.3.1.
    DiskFull,
    /// No such mailbox here: 550 5.1.1.
    NoSuchUser,
    /// Neither from nor for somebody here: 554 5.7.1.
    RelayDenied,
    /// This user may not send as this sender: 553 5.7.1.
    SenderNotYours,
    /// The message was here before: 554 5.4.6.
    Loop,
    /// Mail to an unqualified or literal domain that we do not serve: 550 5.1.2.
    BadDomain,
}

impl Failure {
    /// Whether trying again later may help. Unknown troubles are temporary.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Unavailable | Self::DiskFull)
    }
}
