//! One connection to a desk, over a Unix socket: mtad's control socket, or a pair of sockets within
//! `posthorn queue` while mtad is down. Either way the same is said and done.

use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::net::UnixStream;

use super::Desk;
use super::protocol::{self, Answer};

/// Answers the requests of a connection until its other end is closed. Plain blocking code.
///
/// # Errors
/// The connection broke, or somebody spoke otherwise than the protocol wants.
pub fn serve(stream: &UnixStream, who: u32, desk: &Desk) -> io::Result<()> {
    let mut from = BufReader::new(stream);
    let mut to = BufWriter::new(stream);
    loop {
        let request = match protocol::read(&mut from) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) => {
                let why = format!("no request: {error}");
                protocol::write(&mut to, &Answer::Error { why })?;
                to.flush()?;
                return Err(error);
            }
        };
        let mut parts = || {
            let part = protocol::read(&mut from)?;
            part.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        };
        desk.answer(who, request, &mut parts, &mut |answer| protocol::write(&mut to, &answer))?;
        to.flush()?;
    }
}
