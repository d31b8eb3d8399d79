//! The site's configuration: one file, `/etc/posthorn/posthorn.toml`, then `conf.d/*.toml` beside
//! it, then `POSTHORN_…` variables (`POSTHORN_MTAD__SPOOL=/x` is `mtad.spool`), then flags.
//!
//! Values parse into types in which nothing can be wrong: nobody checks them again. Defaults
//! live in `Default` and nowhere else. All mistakes are told at once, each with file, line and
//! column, and an unknown key with the nearest right one.

mod extract;
mod file;
mod hold;
mod layers;
mod limits;
mod listen;
mod load;
mod mtad;
mod postmaster;
mod rules;
mod show;
mod span;
mod template;
mod text;
mod words;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use mail_proto::address::Domain;
use serde::{Deserialize, Serialize};

pub use hold::{HoldRule, Pattern};
pub use limits::Limits;
pub use listen::{
    Endpoint, ImapListen, LmtpListen, MtadListen, NextHop, Pop3Listen, Role, TlsMode,
};
pub use load::{Mistake, Mistakes, Source, load};
pub use mtad::Mtad;
pub use postmaster::PostmasterCopy;
pub(crate) use show::Shown;
pub use span::{After, Span};
pub use template::PathTemplate;

/// The site's configuration, where no other file is named.
pub const SITE_FILE: &str = "/etc/posthorn/posthorn.toml";

/// Everything a site says. The same file serves all daemons.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The form of this file: 1.
    pub config_version: Version,
    /// The name in greetings and in `Received` fields.
    #[serde(deserialize_with = "text::parsed", serialize_with = "text::shown")]
    pub hostname: Domain,
    /// Postfix's address classes.
    #[serde(default)]
    pub domains: Domains,
    /// Certificate and key; without them no TLS is offered.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Where mail lives.
    #[serde(default)]
    pub mail: Mail,
    /// Who may log in.
    #[serde(default)]
    pub auth: Auth,
    /// Sockets and other things that live as long as the daemons.
    #[serde(default)]
    pub run: Run,
    /// What anybody may use up.
    #[serde(default)]
    pub limits: Limits,
    /// How much is logged.
    #[serde(default)]
    pub log: Log,
    /// The mail transport.
    #[serde(default)]
    pub mtad: Mtad,
    /// Local delivery.
    #[serde(default, rename = "lmtp-deliverd")]
    pub lmtp_deliverd: LmtpDeliverd,
    /// IMAP.
    #[serde(default)]
    pub imapd: Imapd,
    /// POP3.
    #[serde(default)]
    pub pop3d: Pop3d,
}

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Version;

/// Postfix's address classes.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Domains {
    /// Mailboxes here.
    #[serde(deserialize_with = "text::parsed_list", serialize_with = "text::shown_list")]
    pub local: Vec<Domain>,
    /// Mailboxes elsewhere, for which mail is taken from anybody: `"branch.example.org" = {
    /// next_hop = "[192.0.2.5]:25" }`.
    #[serde(deserialize_with = "text::parsed_keys", serialize_with = "text::shown_keys")]
    pub relay: BTreeMap<Domain, Relay>,
}

/// A domain whose mailboxes are elsewhere.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// Where its mail goes: `host:port`, `[host]:port`.
    pub next_hop: NextHop,
}

/// Certificate and key, both PEM, watched for change.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// Where mail lives.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// Where a user's mail is: `%d` domain, `%n` local part, `%u` both.
    pub path: PathTemplate,
    /// Where `dovecot-uidlist`, `dovecot-keywords`, `dovecot-uidvalidity`, `subscriptions` and
    /// `maildirsize` are, if not there (Dovecot's `CONTROL=`).
    pub control: Option<PathTemplate>,
    /// Where the `posthorn.*` files are, if not there (Dovecot's `INDEX=`).
    pub index: Option<PathTemplate>,
    /// How the mailboxes of a user lie in that directory.
    pub layout: Layout,
    /// How directories spell mailbox names.
    pub names: Names,
    /// Between the levels of a mailbox name, as clients see it.
    pub separator: char,
    /// The personal namespace's prefix; empty but where a site was taken over.
    pub prefix: String,
}

/// How the mailboxes of a user lie in their directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
pub enum Layout {
    /// All beside each other: `A/B` is `.A.B`.
    #[default]
    #[serde(rename = "maildir++")]
    MaildirPlusPlus,
    /// One in the other: `A/B` is `A/B`.
    #[serde(rename = "fs")]
    Fs,
}

/// How directories spell mailbox names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
pub enum Names {
    /// Modified UTF-7, as IMAP clients do (RFC 3501, 5.1.3).
    #[default]
    #[serde(rename = "utf-7")]
    Utf7,
    /// UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
}

/// Who may log in.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// A passwd-file as Dovecot has it: `user:{SCHEME}hash:uid:gid:gecos:home:shell:extra`.
    pub passwd: PathBuf,
    /// Whether passwords are taken without TLS.
    pub cleartext: Cleartext,
    /// Passwords being hashed at the same time.
    pub hashing: NonZeroUsize,
}

/// Whether passwords are taken without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleartext {
    /// Never.
    #[default]
    Never,
    /// From loopback addresses (`posthorn try`).
    Loopback,
}

/// Sockets and other things that live as long as the daemons.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Their directory.
    pub directory: PathBuf,
}

/// How much is logged.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important lines that are still written.
    pub level: Level,
}

/// The importance of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Local delivery.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LmtpDeliverd {
    /// Where it listens, when systemd passes no sockets.
    pub listen: Vec<LmtpListen>,
    /// The directory of the journal of deliveries.
    pub state: PathBuf,
    /// Deliveries that the journal remembers at most, 64 octets on the disk each.
    pub remembered: NonZeroUsize,
}

/// IMAP.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Imapd {
    /// Where it listens, when systemd passes no sockets.
    pub listen: Vec<ImapListen>,
}

/// POP3.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pop3d {
    /// Where it listens, when systemd passes no sockets.
    pub listen: Vec<Pop3Listen>,
}

impl TryFrom<i64> for Version {
    type Error = String;

    fn try_from(version: i64) -> Result<Self, String> {
        if version == 1 {
            Ok(Self)
        } else {
            Err(format!("this release reads config_version 1, not {version}"))
        }
    }
}

impl From<Version> for i64 {
    fn from(_: Version) -> Self {
        1
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            path: PathTemplate::default(),
            control: None,
            index: None,
            layout: Layout::default(),
            names: Names::default(),
            separator: '/',
            prefix: String::new(),
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            passwd: "/etc/posthorn/passwd".into(),
            cleartext: Cleartext::default(),
            hashing: const { NonZeroUsize::new(2).expect("2 is not 0") },
        }
    }
}

impl Run {
    /// Where mtad answers `posthorn queue`: a directory of its own, because the others are not for
    /// its user to make sockets in.
    #[must_use]
    pub fn mtad_control(&self) -> PathBuf {
        self.directory.join("mtad/control.sock")
    }
}

impl Default for Run {
    fn default() -> Self {
        Self { directory: "/run/posthorn".into() }
    }
}

impl Default for LmtpDeliverd {
    fn default() -> Self {
        Self {
            listen: vec![LmtpListen { address: Endpoint::Unix("/run/posthorn/lmtp.sock".into()) }],
            state: "/var/lib/posthorn/lmtp-deliverd".into(),
            remembered: const { NonZeroUsize::new(1_000_000).expect("1,000,000 is not 0") },
        }
    }
}

impl Default for Imapd {
    fn default() -> Self {
        Self {
            listen: vec![
                ImapListen { address: Endpoint::any(143), tls: TlsMode::Starttls },
                ImapListen { address: Endpoint::any(993), tls: TlsMode::Implicit },
            ],
        }
    }
}

impl Default for Pop3d {
    fn default() -> Self {
        Self {
            listen: vec![
                Pop3Listen { address: Endpoint::any(110), tls: TlsMode::Starttls },
                Pop3Listen { address: Endpoint::any(995), tls: TlsMode::Implicit },
            ],
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
