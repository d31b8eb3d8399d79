//! Where daemons listen, and the small types of the configuration that are read from text.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// Where to listen: `:25` (all addresses), `127.0.0.1:25`, `[::1]:25`, `/run/posthorn/lmtp.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Endpoint {
    /// All of these.
    Tcp(Vec<SocketAddr>),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Whether TLS comes first, may come, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// By STARTTLS or STLS, where the site has a certificate.
    #[default]
    Starttls,
    /// Before the first word.
    Implicit,
}

/// What an mtad listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Mail from other servers.
    Mx,
    /// Mail from people, who log in.
    Submission,
    /// Mail from local programs, over a Unix socket.
    Inject,
}

/// A listener of mtad.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MtadListen {
    /// Where.
    pub address: Endpoint,
    /// As what.
    pub role: Role,
    /// `starttls` or `implicit`.
    #[serde(default)]
    pub tls: TlsMode,
}

/// A listener of lmtp-deliverd.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LmtpListen {
    /// Where.
    pub address: Endpoint,
}

/// A listener of imapd.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImapListen {
    /// Where.
    pub address: Endpoint,
    /// `starttls` or `implicit`.
    #[serde(default)]
    pub tls: TlsMode,
}

/// A listener of pop3d.
pub type Pop3Listen = ImapListen;

/// A server to hand mail to: `mx.example.org:25`, `[192.0.2.1]:25`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NextHop {
    /// A host name, or an address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// A port on all addresses, IPv6 and IPv4.
    #[must_use]
    pub fn any(port: u16) -> Self {
        Self::Tcp(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()])
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        todo!("{text}")
    }
}

impl TryFrom<String> for NextHop {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        todo!("{text}")
    }
}

/// For fields whose type reads itself from text.
pub(super) fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: std::fmt::Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
}

/// [`parsed`] for a list.
pub(super) fn parsed_list<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: FromStr<Err: std::fmt::Display>,
    D: Deserializer<'de>,
{
    let _ = deserializer;
    todo!()
}

/// [`parsed`] for a value that may be absent.
pub(super) fn parsed_option<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: std::fmt::Display>,
    D: Deserializer<'de>,
{
    parsed(deserializer).map(Some)
}
