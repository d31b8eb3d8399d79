//! Sending and reading whole letters with the blunt client.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chat::{Connection as _, stuffed};
use crate::client::Client;
use crate::site::{DOMAIN, USERS};

/// An SMTP or LMTP connection after its hello.
#[derive(Debug)]
pub struct Smtp(Client);

/// An IMAP connection after its login.
#[derive(Debug)]
pub struct Imap(Client);

/// A POP3 connection after its login.
#[derive(Debug)]
pub struct Pop3(Client);

impl Smtp {
    /// Hears the greeting and says hello; LHLO or EHLO.
    ///
    /// # Errors
    /// Of the connection, or a refusal.
    pub fn hello(client: Client, word: &str) -> io::Result<Self> {
        let mut smtp = Self(client);
        smtp.expect("2")?;
        smtp.command(&format!("{word} client.example.net"), "250")?;
        Ok(smtp)
    }

    /// [`hello`](Self::hello) and AUTH PLAIN.
    ///
    /// # Errors
    /// Of the connection, or a refusal.
    pub fn login(client: Client, user: &str) -> io::Result<Self> {
        let mut smtp = Self::hello(client, "EHLO")?;
        let response = STANDARD.encode(format!("\0{user}@{DOMAIN}\0{}", password(user)));
        smtp.command(&format!("AUTH PLAIN {response}"), "235")?;
        Ok(smtp)
    }

    /// The connection that there is; a new one where the last one broke.
    ///
    /// # Errors
    /// Of the connection, or a refusal.
    pub fn kept(
        last: &mut Option<Self>,
        connect: impl Fn() -> io::Result<Client>,
    ) -> io::Result<&mut Self> {
        match last {
            Some(smtp) => Ok(smtp),
            None => Ok(last.insert(Self::hello(connect()?, "EHLO")?)),
        }
    }

    /// Sends a letter; returns the reply to it, which begins with 250.
    ///
    /// # Errors
    /// Of the connection, or a refusal.
    pub fn send(&mut self, sender: &str, recipients: &[&str], letter: &[u8]) -> io::Result<String> {
        self.command(&format!("MAIL FROM:<{sender}>"), "250")?;
        for recipient in recipients {
            self.command(&format!("RCPT TO:<{recipient}>"), "250")?;
        }
        self.command("DATA", "354")?;
        self.0.say(&stuffed(letter))?;
        self.expect("250")
    }

    /// Says a command and wants a reply that begins so; returns its last line.
    ///
    /// # Errors
    /// Of the connection, or another reply.
    pub fn command(&mut self, line: &str, reply: &str) -> io::Result<String> {
        self.0.say(format!("{line}\r\n").as_bytes())?;
        self.expect(reply).map_err(|error| io::Error::new(error.kind(), format!("{line}: {error}")))
    }

    /// Hears one more reply.
    ///
    /// # Errors
    /// Another one comes, or none.
    pub fn expect(&mut self, reply: &str) -> io::Result<String> {
        loop {
            let line = self.0.line()?;
            if !line.starts_with(reply) {
                return Err(io::Error::other(format!("expected {reply}, heard {line:?}")));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }
}

impl Imap {
    /// Logs in.
    ///
    /// # Errors
    /// Of the connection, or a refusal.
    pub fn login(client: Client, user: &str) -> io::Result<Self> {
        let mut imap = Self(client);
        imap.0.until("* OK")?;
        imap.command(&format!("LOGIN {user}@{DOMAIN} {}", password(user)))?;
        Ok(imap)
    }

    /// Selects INBOX; returns how many messages it holds.
    ///
    /// # Errors
    /// Of the connection, or a refusal.
    pub fn select(&mut self) -> io::Result<usize> {
        let lines = self.command("SELECT INBOX")?;
        lines.iter().rev().find_map(|line| exists(line)).ok_or_else(|| odd(&lines))
    }

    /// Says a command; returns what came before its OK, with it.
    ///
    /// # Errors
    /// Of the connection, or a NO or BAD.
    pub fn command(&mut self, line: &str) -> io::Result<Vec<String>> {
        let lines = self.0.ask(&format!("t {line}"), "t ")?;
        match lines.last() {
            Some(last) if last.starts_with("t OK") => Ok(lines),
            _ => Err(odd(&lines)),
        }
    }

    /// Waits in IDLE until INBOX, which is selected and held `held`, holds `wanted` messages.
    ///
    /// # Errors
    /// Of the connection, or that nothing came.
    pub fn wait(&mut self, held: usize, wanted: usize) -> io::Result<()> {
        if held >= wanted {
            return Ok(());
        }
        self.0.ask("t IDLE", "+ ")?;
        while exists(&self.0.line()?).is_none_or(|count| count < wanted) {}
        self.0.ask("DONE", "t OK")?;
        Ok(())
    }

    /// A message of the selected mailbox, whole.
    ///
    /// # Errors
    /// Of the connection, or no such message.
    pub fn fetch(&mut self, number: usize) -> io::Result<Vec<u8>> {
        self.0.say(format!("t FETCH {number} (BODY.PEEK[])\r\n").as_bytes())?;
        loop {
            let line = self.0.line()?;
            if line.starts_with("t ") {
                return Err(io::Error::other(format!("no message {number}: {line}")));
            }
            let size = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
            let Some(size) = size.and_then(|(_, size)| size.parse().ok()) else { continue };
            let message = self.0.bytes(size)?;
            self.0.until("t OK")?;
            return Ok(message);
        }
    }

    /// Every message of INBOX once there are `wanted`.
    ///
    /// # Errors
    /// Of the connection, or that they did not come.
    pub fn inbox(&mut self, wanted: usize) -> io::Result<Vec<Vec<u8>>> {
        let held = self.select()?;
        self.wait(held, wanted)?;
        let held = self.select()?;
        (1..=held).map(|number| self.fetch(number)).collect()
    }
}

impl Pop3 {
    /// Logs in.
    ///
    /// # Errors
    /// Of the connection, or a refusal.
    pub fn login(client: Client, user: &str) -> io::Result<Self> {
        let mut pop3 = Self(client);
        pop3.0.until("+OK")?;
        pop3.command(&format!("USER {user}@{DOMAIN}"))?;
        pop3.command(&format!("PASS {}", password(user)))?;
        Ok(pop3)
    }

    /// Says a command; returns its `+OK` line.
    ///
    /// # Errors
    /// Of the connection, or `-ERR`.
    pub fn command(&mut self, line: &str) -> io::Result<String> {
        self.0.say(format!("{line}\r\n").as_bytes())?;
        let reply = self.0.line()?;
        if reply.starts_with("+OK") { Ok(reply) } else { Err(odd(&[reply])) }
    }

    /// Every message of the maildrop.
    ///
    /// # Errors
    /// Of the connection, or a refusal.
    pub fn inbox(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let stat = self.command("STAT")?;
        let count = stat.split(' ').nth(1).and_then(|count| count.parse::<usize>().ok());
        let count = count.ok_or_else(|| odd(std::slice::from_ref(&stat)))?;
        (1..=count).map(|number| self.retrieve(number)).collect()
    }

    fn retrieve(&mut self, number: usize) -> io::Result<Vec<u8>> {
        self.command(&format!("RETR {number}"))?;
        let mut message = Vec::new();
        loop {
            let crate::chat::Heard::Line(line) = self.0.hear()? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            if line == b"." {
                return Ok(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            message.extend_from_slice(b"\r\n");
        }
    }
}

/// The password of a user of the site.
///
/// # Panics
/// If there is none of this name.
#[must_use]
pub fn password(user: &str) -> &'static str {
    let found = USERS.iter().find(|(name, _)| *name == user);
    found.map(|(_, password)| *password).expect("the site has this user")
}

fn exists(line: &str) -> Option<usize> {
    line.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok()
}

fn odd(lines: &[String]) -> io::Error {
    io::Error::other(format!("unexpected: {lines:#?}"))
}
