//! A blunt client: it sends bytes and hears lines, and knows no protocol.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::chat::{Connection, Heard};
use crate::patience::PATIENCE;
use crate::site::Site;

/// A connection.
#[derive(Debug)]
pub struct Client {
    carrier: Carrier,
    tls: Arc<ClientConfig>,
    unread: Vec<u8>,
}

#[derive(Debug)]
enum Carrier {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// Between the clear and TLS.
    Nothing,
}

impl Client {
    /// Over TCP, in clear.
    ///
    /// # Errors
    /// Of the connection.
    pub fn tcp(address: SocketAddr, site: &Site) -> io::Result<Self> {
        Self::plain(address, &site.client_tls())
    }

    /// [`tcp`](Self::tcp) for those who have no site at hand.
    ///
    /// # Errors
    /// Of the connection.
    pub fn plain(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { carrier: Carrier::Tcp(stream), tls: Arc::clone(tls), unread: Vec::new() })
    }

    /// Over TCP, TLS before the first word.
    ///
    /// # Errors
    /// Of the connection.
    pub fn tls(address: SocketAddr, site: &Site) -> io::Result<Self> {
        let mut client = Self::tcp(address, site)?;
        client.start_tls()?;
        Ok(client)
    }

    /// Over a Unix socket.
    ///
    /// # Errors
    /// Of the connection.
    pub fn unix(path: &Path, site: &Site) -> io::Result<Self> {
        Self::over(UnixStream::connect(path)?, site)
    }

    /// Over one end of a pair of sockets.
    ///
    /// # Errors
    /// Of the connection.
    pub fn over(stream: UnixStream, site: &Site) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { carrier: Carrier::Unix(stream), tls: site.client_tls(), unread: Vec::new() })
    }

    /// Takes silence for an answer after this long.
    ///
    /// # Errors
    /// Of the connection.
    pub fn wait_no_longer_than(&mut self, span: Duration) -> io::Result<()> {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.set_read_timeout(Some(span)),
            Carrier::Unix(stream) => stream.set_read_timeout(Some(span)),
            Carrier::Tls(stream) => stream.sock.set_read_timeout(Some(span)),
            Carrier::Nothing => Ok(()),
        }
    }

    /// The next line, without its CRLF, where there must be one.
    ///
    /// # Errors
    /// Of the connection; that it closed, or was silent.
    pub fn line(&mut self) -> io::Result<String> {
        match Connection::hear(self)? {
            Heard::Line(line) => Ok(String::from_utf8_lossy(&line).into_owned()),
            Heard::Silence => Err(io::ErrorKind::TimedOut.into()),
            Heard::Closed => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Exactly so many bytes.
    ///
    /// # Errors
    /// Of the connection.
    pub fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            if self.read()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// Says a line and hears lines until one begins with `until`; returns all of them. For
    /// protocols where the last line is known by its beginning.
    ///
    /// # Errors
    /// Of the connection.
    pub fn ask(&mut self, line: &str, until: &str) -> io::Result<Vec<String>> {
        self.say(line.as_bytes())?;
        self.say(b"\r\n")?;
        self.until(until)
    }

    /// Hears lines until one begins with `until`; returns all of them.
    ///
    /// # Errors
    /// Of the connection.
    pub fn until(&mut self, until: &str) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().map_err(|error| {
                io::Error::new(error.kind(), format!("{error}; no {until:?} after {lines:#?}"))
            })?;
            let last = line.starts_with(until);
            lines.push(line);
            if last {
                return Ok(lines);
            }
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16384];
        let count = match &mut self.carrier {
            Carrier::Tcp(stream) => stream.read(&mut buffer),
            Carrier::Unix(stream) => stream.read(&mut buffer),
            Carrier::Tls(stream) => stream.read(&mut buffer),
            Carrier::Nothing => Ok(0),
        }?;
        self.unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Connection for Client {
    /// A peer that has hung up already is not an error here: what it said before is heard next.
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let said = match &mut self.carrier {
            Carrier::Tcp(stream) => stream.write_all(bytes),
            Carrier::Unix(stream) => stream.write_all(bytes),
            Carrier::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Carrier::Nothing => Err(io::ErrorKind::NotConnected.into()),
        };
        match said {
            Err(error) if is_end(error.kind()) => Ok(()),
            other => other,
        }
    }

    fn hear(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                return Ok(Heard::Line(self.unread.drain(..end + 2).take(end).collect()));
            }
            match self.read() {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) if is_silence(error.kind()) => return Ok(Heard::Silence),
                Err(error) if is_end(error.kind()) => {}
                Err(error) => return Err(error),
            }
            return Ok(match std::mem::take(&mut self.unread) {
                rest if rest.is_empty() => Heard::Closed,
                rest => Heard::Line(rest),
            });
        }
    }

    fn start_tls(&mut self) -> io::Result<()> {
        if !self.unread.is_empty() {
            return Err(io::Error::other("the server spoke before TLS was agreed on"));
        }
        let stream = match std::mem::replace(&mut self.carrier, Carrier::Nothing) {
            Carrier::Tcp(stream) => stream,
            _ => return Err(io::Error::other("TLS goes over TCP in clear, once")),
        };
        let session = ClientConnection::new(Arc::clone(&self.tls), Site::server_name())
            .map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        self.carrier = Carrier::Tls(Box::new(stream));
        Ok(())
    }

    fn pass(&mut self, _span: Duration) -> bool {
        false
    }

    fn hang_up(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let ended = match &mut self.carrier {
            Carrier::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Carrier::Unix(stream) => stream.shutdown(Shutdown::Write),
            Carrier::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().and_then(|()| stream.sock.shutdown(Shutdown::Write))
            }
            Carrier::Nothing => Ok(()),
        };
        match ended {
            Err(error) if !is_end(error.kind()) => return Err(error),
            _ => {}
        }
        let mut lines = Vec::new();
        loop {
            match self.hear()? {
                Heard::Line(line) => lines.push(line),
                Heard::Closed => return Ok(lines),
                Heard::Silence => return Err(io::Error::other("the server does not hang up")),
            }
        }
    }
}

fn is_silence(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn is_end(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}
