//! What anybody may use up. There is no "unlimited".

use serde::{Deserialize, Serialize};

use super::Span;
use super::text::at_least;

/// What anybody may use up.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Octets of a message.
    #[serde(deserialize_with = "at_least::<1024, _, _>")]
    pub message_size: u64,
    /// Recipients of a message. A server that takes mail from others needs 100 (RFC 5321,
    /// 4.5.3.1.8).
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub recipients: usize,
    /// Octets of a message's header that are looked at.
    #[serde(deserialize_with = "at_least::<1024, _, _>")]
    pub header_size: usize,
    /// `Received` fields in a message before it counts as looping.
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub hops: usize,
    /// Connections to a daemon at the same time.
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub connections: usize,
    /// Octets of an SMTP command line. At least 512 (RFC 5321, 4.5.3.1.4).
    #[serde(deserialize_with = "at_least::<512, _, _>")]
    pub smtp_command_line: usize,
    /// Octets of an IMAP command before login.
    #[serde(deserialize_with = "at_least::<512, _, _>")]
    pub imap_command_before_login: usize,
    /// Octets of an IMAP command; clients send long lists of UIDs.
    #[serde(deserialize_with = "at_least::<8192, _, _>")]
    pub imap_command: usize,
    /// Parentheses within parentheses of an IMAP command.
    #[serde(deserialize_with = "at_least::<10, _, _>")]
    pub imap_nesting: usize,
    /// Errors of a peer before it is sent away.
    #[serde(deserialize_with = "at_least::<1, _, _>")]
    pub errors: u32,
    /// How long a peer may be silent in SMTP, LMTP, and before a login.
    pub patience: Span,
    /// How long a peer that logged in to IMAP or POP3 may be silent.
    pub patience_logged_in: Span,
    /// How long the sessions of a daemon that stops may go on.
    pub drain: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 50 << 20,
            recipients: 1000,
            header_size: 1 << 20,
            hops: 50,
            connections: 10_000,
            smtp_command_line: 4096,
            imap_command_before_login: 8 << 10,
            imap_command: 1 << 20,
            imap_nesting: 100,
            errors: 20,
            patience: Span::minutes(5),
            patience_logged_in: Span::minutes(31),
            drain: Span::seconds(20),
        }
    }
}
