//! An IMAP client that knows commands, literals and nothing more.

use std::net::SocketAddr;

use mail_tests::chat::Connection as _;
use mail_tests::client::Client;
use mail_tests::site::{DOMAIN, Site};

/// A session.
#[derive(Debug)]
pub(crate) struct Imap {
    client: Client,
    tag: u32,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Done {
    /// Untagged responses, and what stood in their literals, by line.
    pub(crate) lines: Vec<String>,
    /// `OK …`, `NO …` or `BAD …`.
    pub(crate) status: String,
}

/// The password of all users.
pub(crate) const PASSWORD: &str = "secret";

impl Imap {
    /// Connects and logs in.
    pub(crate) fn login(address: SocketAddr, site: &Site, user: &str) -> Self {
        let mut client = Client::tcp(address, site).expect("the server is up");
        client.until("* OK").expect("a greeting");
        let mut imap = Self { client, tag: 0 };
        imap.ok(&format!("LOGIN {user}@{DOMAIN} {PASSWORD}"));
        imap
    }

    /// Gives a command.
    pub(crate) fn command(&mut self, text: &str) -> Done {
        self.literal(text, b"")
    }

    /// Gives a command that must succeed.
    pub(crate) fn ok(&mut self, text: &str) -> Done {
        let done = self.command(text);
        assert!(done.status.starts_with("OK"), "{text}: {done:?}");
        done
    }

    /// Gives a command that ends with a literal, if that is not empty.
    pub(crate) fn literal(&mut self, text: &str, literal: &[u8]) -> Done {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        let mut bytes = format!("{tag}{text}").into_bytes();
        if !literal.is_empty() {
            bytes.extend_from_slice(format!(" {{{}+}}\r\n", literal.len()).as_bytes());
            bytes.extend_from_slice(literal);
        }
        bytes.extend_from_slice(b"\r\n");
        self.client.say(&bytes).expect("the server listens");
        let mut lines = self.client.until(&tag).unwrap_or_else(|error| panic!("{text}: {error}"));
        let status = lines.pop().unwrap_or_default();
        Done { lines, status: status.trim_start_matches(&tag).to_owned() }
    }
}
