//! What is aimed at: an address, the users there, and the processes that serve.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Where the server is, who may log in, and whose CPU counts as the server's.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// HOST:PORT, or the path of a Unix socket
    #[arg(long)]
    pub(crate) to: Address,
    /// A file with lines ADDRESS:PASSWORD
    #[arg(long)]
    users: PathBuf,
    /// Take this one of them alone
    #[arg(long)]
    user: Option<String>,
    /// A process of the server; its descendants count too
    #[arg(long = "pid")]
    pub(crate) pids: Vec<u32>,
}

/// An address to connect to.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    /// `127.0.0.1:143`
    Tcp(String),
    /// `/run/lmtp.sock`
    Unix(PathBuf),
}

/// Somebody who has a mailbox.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// As mail is addressed to them, and as they log in.
    pub(crate) address: String,
    /// In clear.
    pub(crate) password: String,
}

impl Target {
    /// The users, at least one.
    pub(crate) fn users(&self) -> io::Result<Vec<User>> {
        let text = fs::read_to_string(&self.users)?;
        let wanted = |user: &User| self.user.as_ref().is_none_or(|name| *name == user.address);
        let users: Vec<User> = text.lines().filter_map(User::parse).filter(wanted).collect();
        if users.is_empty() {
            return Err(io::Error::other(format!("{}: no such users", self.users.display())));
        }
        Ok(users)
    }
}

impl User {
    fn parse(line: &str) -> Option<Self> {
        let (address, password) = line.split_once(':')?;
        Some(Self { address: address.to_owned(), password: password.to_owned() })
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':') {
            _ if text.starts_with('/') => Ok(Self::Unix(PathBuf::from(text))),
            Some((_, port)) if port.parse::<u16>().is_ok() => Ok(Self::Tcp(text.to_owned())),
            _ => Err("neither HOST:PORT nor an absolute path".to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}
