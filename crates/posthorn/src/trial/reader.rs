//! A small mail reader, to see a letter as a client sees it: lines over TLS, little more.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::accounts::Account;

/// No answer within this time is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a mailbox server. Every error is a sentence for the person who tries.
pub(super) struct Reader {
    stream: BufStream<TlsStream<TcpStream>>,
}

/// A reader of IMAP, logged in, with INBOX open.
pub(super) struct Imap(Reader);

/// A reader of POP3, logged in.
pub(super) struct Pop3(Reader);

/// How many messages a mailbox holds.
pub(super) type Count = u32;

impl Reader {
    async fn connect(port: u16, authority: &CertificateDer<'static>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).map_err(|error| error.to_string())?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        let connect = async {
            let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
            TlsConnector::from(Arc::new(config)).connect(name, tcp).await
        };
        let tls = in_time(connect).await?;
        Ok(Self { stream: BufStream::new(tls) })
    }

    async fn say(&mut self, line: &str) -> Result<(), String> {
        let write = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.write_all(b"\r\n").await?;
            self.stream.flush().await
        };
        in_time(write).await
    }

    async fn line(&mut self) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        in_time(self.stream.read_until(b'\n', &mut line)).await?;
        match line.strip_suffix(b"\r\n") {
            Some(text) => Ok(text.to_vec()),
            None => Err("the server hung up".to_owned()),
        }
    }

    async fn octets(&mut self, count: usize) -> Result<Vec<u8>, String> {
        let mut octets = vec![0; count];
        in_time(self.stream.read_exact(&mut octets)).await?;
        Ok(octets)
    }
}

impl Imap {
    /// Logs in and selects INBOX; how many messages are there.
    pub(super) async fn open(
        port: u16,
        authority: &CertificateDer<'static>,
        account: &Account,
    ) -> Result<(Self, Count), String> {
        let mut imap = Self(Reader::connect(port, authority).await?);
        imap.0.line().await?;
        let (name, password) = (account.address.to_string(), account.password.as_str());
        imap.command(&format!("LOGIN {} {}", quoted(&name), quoted(password))).await?;
        let untagged = imap.command("SELECT INBOX").await?;
        let count = untagged.iter().find_map(|line| exists(line));
        let count = count.ok_or("SELECT told of no EXISTS")?;
        Ok((imap, count))
    }

    /// Waits until the server speaks of a message after the first `known`; its number.
    pub(super) async fn wait_for_message(&mut self, known: Count) -> Result<Count, String> {
        self.0.say("i IDLE").await?;
        let number = loop {
            let line = self.0.line().await?;
            match exists(&line) {
                Some(count) if count > known => break count,
                _ if line.starts_with(b"i ") => return Err(shown(&line)),
                _ => {}
            }
        };
        self.0.say("DONE").await?;
        while !self.0.line().await?.starts_with(b"i ") {}
        Ok(number)
    }

    /// A whole message.
    pub(super) async fn message(&mut self, number: Count) -> Result<Vec<u8>, String> {
        self.0.say(&format!("f FETCH {number} BODY.PEEK[]")).await?;
        let mut message = None;
        loop {
            let line = self.0.line().await?;
            if line.starts_with(b"f ") {
                return message.ok_or_else(|| shown(&line));
            }
            if let Some(count) = literal(&line) {
                message = Some(self.0.octets(count).await?);
            }
        }
    }

    pub(super) async fn logout(mut self) -> Result<(), String> {
        self.command("LOGOUT").await.map(drop)
    }

    /// The untagged lines before the command's OK.
    async fn command(&mut self, command: &str) -> Result<Vec<Vec<u8>>, String> {
        self.0.say(&format!("c {command}")).await?;
        let mut untagged = Vec::new();
        loop {
            let line = self.0.line().await?;
            if line.starts_with(b"c OK") {
                return Ok(untagged);
            }
            if line.starts_with(b"c ") {
                return Err(shown(&line));
            }
            untagged.push(line);
        }
    }
}

impl Pop3 {
    /// Logs in; how many messages are there.
    pub(super) async fn open(
        port: u16,
        authority: &CertificateDer<'static>,
        account: &Account,
    ) -> Result<(Self, Count), String> {
        let mut pop3 = Self(Reader::connect(port, authority).await?);
        pop3.ok().await?;
        pop3.command(&format!("USER {}", account.address)).await?;
        pop3.command(&format!("PASS {}", account.password)).await?;
        let status = pop3.command("STAT").await?;
        let count = status.split(' ').nth(1).and_then(|count| count.parse().ok());
        let count = count.ok_or(format!("STAT says {status:?}"))?;
        Ok((pop3, count))
    }

    /// A whole message.
    pub(super) async fn message(&mut self, number: Count) -> Result<Vec<u8>, String> {
        self.command(&format!("RETR {number}")).await?;
        let mut message = Vec::new();
        loop {
            let line = self.0.line().await?;
            if line == b"." {
                return Ok(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            message.extend_from_slice(b"\r\n");
        }
    }

    pub(super) async fn quit(mut self) -> Result<(), String> {
        self.command("QUIT").await.map(drop)
    }

    async fn command(&mut self, command: &str) -> Result<String, String> {
        self.0.say(command).await?;
        self.ok().await
    }

    async fn ok(&mut self) -> Result<String, String> {
        let line = shown(&self.0.line().await?);
        if line.starts_with("+OK") { Ok(line) } else { Err(line) }
    }
}

/// Reads the authority's certificate.
pub(super) fn authority(pem: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string())
}

async fn in_time<T>(work: impl Future<Output = std::io::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// `* 23 EXISTS`
fn exists(line: &[u8]) -> Option<Count> {
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok()
}

/// The octets that follow a line that ends in `{count}`.
fn literal(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

/// An IMAP quoted string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
