//! A connection: lines, and answers of any size of which only the end matters.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::target::Address;

/// Octets read at once.
const READ: usize = 256 << 10;

/// Octets kept of an answer that is let go by: its last line fits.
const KEPT: usize = 4 << 10;

/// A connection in clear.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    /// What was read; what was taken of it ends at `taken`.
    buffer: Vec<u8>,
    taken: usize,
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Wire {
    pub(crate) async fn connect(to: &Address) -> io::Result<Self> {
        let connected: io::Result<Box<dyn Stream>> = match to {
            Address::Tcp(address) => TcpStream::connect(address).await.and_then(|stream| {
                stream.set_nodelay(true)?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            }),
            Address::Unix(path) => {
                UnixStream::connect(path).await.map(|stream| Box::new(stream) as Box<dyn Stream>)
            }
        };
        let stream = connected.map_err(|e| io::Error::new(e.kind(), format!("{to}: {e}")))?;
        Ok(Self { stream, buffer: Vec::new(), taken: 0 })
    }

    pub(crate) async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets).await
    }

    /// The next line, with its CRLF.
    pub(crate) async fn line(&mut self) -> io::Result<&[u8]> {
        let mut searched = 0;
        loop {
            let held = &self.buffer[self.taken..];
            if let Some(at) = held[searched..].iter().position(|&octet| octet == b'\n') {
                let from = self.taken;
                self.taken += searched + at + 1;
                return Ok(&self.buffer[from..self.taken]);
            }
            searched = held.len();
            self.read(searched).await?;
        }
    }

    /// Lets an answer go by until a line that begins so is the last one that came; returns that
    /// line and how many octets came in all.
    pub(crate) async fn until(&mut self, beginning: &str) -> io::Result<(String, usize)> {
        let mut gone = 0;
        loop {
            let held = &self.buffer[self.taken..];
            if let Some(last) = last_line(held).filter(|l| l.starts_with(beginning.as_bytes())) {
                let octets = gone + held.len();
                let last = String::from_utf8_lossy(last).into_owned();
                self.taken = self.buffer.len();
                return Ok((last, octets));
            }
            let kept = held.len().min(KEPT);
            gone += held.len() - kept;
            self.read(kept).await?;
        }
    }

    /// Reads more behind the last `kept` octets; the others are forgotten.
    async fn read(&mut self, kept: usize) -> io::Result<()> {
        let forgotten = self.buffer.len() - kept;
        self.buffer.drain(..forgotten);
        self.taken = 0;
        self.buffer.reserve(READ);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up")),
            _ => Ok(()),
        }
    }
}

/// The last line, if it is whole.
fn last_line(octets: &[u8]) -> Option<&[u8]> {
    let line = octets.strip_suffix(b"\r\n")?;
    let from = line.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
    octets.get(from..)
}
