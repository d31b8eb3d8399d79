//! Where daemons listen, and the small types of the configuration that are read from text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use mail_proto::address::Domain;
use serde::{Deserialize, Serialize};

/// Where to listen: `:25` (all addresses), `127.0.0.1:25`, `[::1]:25`, `/run/posthorn/lmtp.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Endpoint {
    /// All of these.
    Tcp(Vec<SocketAddr>),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Whether TLS comes first, may come, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// By STARTTLS or STLS, where the site has a certificate.
    #[default]
    Starttls,
    /// Before the first word.
    Implicit,
}

/// What an mtad listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LmtpListen {
    /// Where.
    pub address: Endpoint,
}

/// A listener of imapd.
#[derive(Debug, Clone, Deserialize, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
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

/// What the kernel takes as the name of a Unix socket (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('/') {
            if text.len() > LONGEST_SOCKET_PATH {
                return Err(format!("a socket's path has at most {LONGEST_SOCKET_PATH} octets"));
            }
            return Ok(Self::Unix(text.into()));
        }
        if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
            return Ok(Self::any(port));
        }
        let address = text.parse().map_err(|_| {
            format!("{text:?} is no address: write :25, 127.0.0.1:25, [::1]:25 or /path/to/socket")
        })?;
        Ok(Self::Tcp(vec![address]))
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Unix(path) => path.display().to_string(),
            Endpoint::Tcp(addresses) => match addresses.as_slice() {
                [one] => one.to_string(),
                several => format!(":{}", several.first().map_or(0, SocketAddr::port)),
            },
        }
    }
}

impl TryFrom<String> for NextHop {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no server: write mx.example.org:25 or [192.0.2.1]:25");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|&port| port > 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_address = bare.unwrap_or(host).parse::<IpAddr>().is_ok();
        let has_colons = host.contains(':') && bare.is_none();
        let is_name = || bare.unwrap_or(host).parse::<Domain>().is_ok_and(|d| !d.is_literal());
        if has_colons || !(is_address || is_name()) {
            return Err(wrong());
        }
        Ok(Self { host: bare.unwrap_or(host).to_owned(), port })
    }
}

impl From<NextHop> for String {
    fn from(hop: NextHop) -> Self {
        match hop.host.parse::<IpAddr>() {
            Ok(address) => format!("[{address}]:{}", hop.port),
            Err(_) => format!("{}:{}", hop.host, hop.port),
        }
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let table = [
            (":25", Some(":25")),
            ("127.0.0.1:0", Some("127.0.0.1:0")),
            ("[::1]:143", Some("[::1]:143")),
            ("/run/posthorn/lmtp.sock", Some("/run/posthorn/lmtp.sock")),
            ("25", None),
            ("localhost:25", None),
            ("127.0.0.1", None),
            (":65536", None),
            ("run/lmtp.sock", None),
            ("", None),
        ];
        for (text, expected) in table {
            let shown = Endpoint::try_from(text.to_owned()).ok().map(String::from);
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
        assert!(Endpoint::try_from(format!("/{}", "x".repeat(107))).is_err());
    }

    #[test]
    fn next_hops() {
        let table = [
            ("mx.example.org:25", Some(("mx.example.org", 25))),
            ("[mx.example.org]:2525", Some(("mx.example.org", 2525))),
            ("192.0.2.1:25", Some(("192.0.2.1", 25))),
            ("[2001:db8::1]:25", Some(("2001:db8::1", 25))),
            ("2001:db8::1:25", None),
            ("mx.example.org", None),
            ("mx.example.org:0", None),
            (":25", None),
            ("a b:25", None),
        ];
        for (text, expected) in table {
            let hop = NextHop::try_from(text.to_owned()).ok();
            let found = hop.as_ref().map(|hop| (hop.host.as_str(), hop.port));
            assert_eq!(found, expected, "{text}");
            if let Some(hop) = hop {
                assert_eq!(NextHop::try_from(String::from(hop.clone())), Ok(hop));
            }
        }
    }
}
