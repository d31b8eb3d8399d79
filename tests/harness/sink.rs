//! A foreign mail server: takes what it gets, refuses, or is not there.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::net::{AddressFamily, SocketType};

use crate::patience;

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// `<bob@example.org>` of MAIL.
    pub sender: String,
    /// `<x@example.net>` of each RCPT that was taken.
    pub recipients: Vec<String>,
    /// Wire bytes, dots unstuffed.
    pub message: Vec<u8>,
}

/// A server that has a port but is not there: connections are refused.
#[derive(Debug)]
pub struct Absent {
    socket: OwnedFd,
}

/// A server that is there.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Absent {
    /// Takes a port and does not listen on it.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn new() -> Self {
        let socket =
            rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        Self { socket }
    }

    /// Where it would be.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let name = rustix::net::getsockname(&self.socket).expect("is bound");
        name.try_into().expect("is an internet address")
    }

    /// Now it is there. It refuses recipients whose address begins with `refused`.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn appear(self) -> Sink {
        rustix::net::listen(&self.socket, 64).expect("is bound");
        let address = self.address();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let (listener, box_) = (TcpListener::from(self.socket), Arc::clone(&arrived));
        // Ends with the test's process: a thread that waits to accept costs nothing.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let arrived = Arc::clone(&box_);
                thread::spawn(move || serve(&stream, &arrived));
            }
        });
        Sink { address, arrived }
    }
}

impl Default for Absent {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink {
    /// A server that is there from the beginning.
    #[must_use]
    pub fn start() -> Self {
        Absent::new().appear()
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has arrived once it is at least `count`, or when patience ends.
    #[must_use]
    pub fn arrived(&self, count: usize) -> Vec<Arrived> {
        let now = || self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone();
        patience::until(|| Some(now()).filter(|all| all.len() >= count)).unwrap_or_else(now)
    }
}

fn serve(stream: &TcpStream, arrived: &Mutex<Vec<Arrived>>) -> io::Result<()> {
    let mut lines = BufReader::new(stream);
    let say = |text: &str| (&*stream).write_all(format!("{text}\r\n").as_bytes());
    let empty = || Arrived { sender: String::new(), recipients: Vec::new(), message: Vec::new() };
    let mut letter = empty();
    say("220 sink.example.net ESMTP")?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let verb: String = line.chars().take(4).collect::<String>().to_uppercase();
        match verb.as_str() {
            "EHLO" => say("250-sink.example.net\r\n250-PIPELINING\r\n250 8BITMIME")?,
            "MAIL" => {
                letter = Arrived { sender: path(line), ..empty() };
                say("250 2.1.0 Ok")?;
            }
            "RCPT" if line.contains("<refused") => say("550 5.1.1 No such person")?,
            "RCPT" => {
                letter.recipients.push(path(line));
                say("250 2.1.5 Ok")?;
            }
            "DATA" if letter.recipients.is_empty() => say("554 5.5.1 No valid recipients")?,
            "DATA" => {
                say("354 Go ahead")?;
                letter.message = message(&mut lines)?;
                let taken = std::mem::replace(&mut letter, empty());
                arrived.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
                say("250 2.0.0 Ok")?;
            }
            "QUIT" => return say("221 2.0.0 Bye"),
            "HELO" | "RSET" | "NOOP" => say("250 2.0.0 Ok")?,
            _ => say("500 5.5.2 What?")?,
        }
    }
}

/// `<...>` of a command.
fn path(line: &str) -> String {
    let from = line.find('<').unwrap_or(line.len());
    let to = line.find('>').map_or(line.len(), |at| at + 1);
    line.get(from..to).unwrap_or_default().to_owned()
}

fn message(lines: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(message);
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
