//! A plain IMAP client that waits for each answer.

use std::io;

use crate::target::{Target, User};
use crate::wire::Wire;

/// A connection after its login.
pub(crate) struct Client {
    wire: Wire,
    commands: u32,
}

impl Client {
    pub(crate) async fn login(target: &Target, user: &User) -> io::Result<Self> {
        let mut client = Self { wire: Wire::connect(&target.to).await?, commands: 0 };
        let greeting = String::from_utf8_lossy(client.wire.line().await?).into_owned();
        if !greeting.starts_with("* OK") {
            return Err(io::Error::other(format!("greeted with {greeting:?}")));
        }
        client.run(&format!("LOGIN {} {}", user.address, user.password)).await?;
        Ok(client)
    }

    /// [`login`](Self::login) and [`select`](Self::select).
    pub(crate) async fn in_mailbox(
        target: &Target,
        user: &User,
        mailbox: &str,
    ) -> io::Result<Self> {
        let mut client = Self::login(target, user).await?;
        client.select(mailbox).await?;
        Ok(client)
    }

    /// Selects a mailbox; returns how many messages it holds.
    pub(crate) async fn select(&mut self, mailbox: &str) -> io::Result<u64> {
        let tag = self.say(&format!("SELECT {mailbox}")).await?;
        let mut exists = 0;
        loop {
            let line = String::from_utf8_lossy(self.wire.line().await?).into_owned();
            exists = count(&line).unwrap_or(exists);
            if line.starts_with(&tag) {
                ended_well(&line)?;
                return Ok(exists);
            }
        }
    }

    /// Runs a command to its end; returns how many octets came.
    pub(crate) async fn run(&mut self, command: &str) -> io::Result<usize> {
        let tag = self.say(command).await?;
        self.ended(&tag).await
    }

    /// Appends a message, as a literal that asks for no leave (RFC 7888).
    pub(crate) async fn append(&mut self, mailbox: &str, message: &[u8]) -> io::Result<()> {
        let length = message.len();
        let tag = self.tag();
        let line = format!("{tag}APPEND {mailbox} (\\Seen) {{{length}+}}\r\n");
        self.wire.send(&[line.as_bytes(), message, b"\r\n"].concat()).await?;
        self.ended(&tag).await?;
        Ok(())
    }

    /// Begins to idle.
    pub(crate) async fn idle(&mut self) -> io::Result<()> {
        self.say("IDLE").await?;
        loop {
            let line = String::from_utf8_lossy(self.wire.line().await?).into_owned();
            match line.chars().next() {
                Some('+') => return Ok(()),
                Some('*') => {}
                _ => return Err(io::Error::other(format!("the server said {line:?}"))),
            }
        }
    }

    /// Waits in IDLE until the mailbox holds more messages than it did.
    pub(crate) async fn news(&mut self, held: u64) -> io::Result<u64> {
        loop {
            let line = String::from_utf8_lossy(self.wire.line().await?).into_owned();
            if let Some(exists) = count(&line).filter(|&exists| exists > held) {
                return Ok(exists);
            }
        }
    }

    pub(crate) async fn logout(mut self) -> io::Result<()> {
        self.run("LOGOUT").await?;
        Ok(())
    }

    async fn say(&mut self, command: &str) -> io::Result<String> {
        let tag = self.tag();
        self.wire.send(format!("{tag}{command}\r\n").as_bytes()).await?;
        Ok(tag)
    }

    /// The next tag, with the blank behind it.
    fn tag(&mut self) -> String {
        self.commands += 1;
        format!("LoAd{} ", self.commands)
    }

    async fn ended(&mut self, tag: &str) -> io::Result<usize> {
        let (line, octets) = self.wire.until(tag).await?;
        ended_well(&line)?;
        Ok(octets)
    }
}

fn ended_well(line: &str) -> io::Result<()> {
    if line.split(' ').nth(1) == Some("OK") {
        return Ok(());
    }
    Err(io::Error::other(format!("the server said {line:?}")))
}

fn count(line: &str) -> Option<u64> {
    line.strip_prefix("* ")?.trim_end().strip_suffix(" EXISTS")?.parse().ok()
}
