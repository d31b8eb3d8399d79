//! `-bs`: the program speaks SMTP itself, on standard input and output; mtad answers.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use super::{Failure, unavailable};

/// Passes bytes both ways until mtad hangs up.
pub(super) fn pass_on(socket: &Path) -> Result<(), Failure> {
    let unavailable = |error: io::Error| unavailable(socket, &error);
    let mut from_mtad = UnixStream::connect(socket).map_err(unavailable)?;
    let mut to_mtad = from_mtad.try_clone().map_err(unavailable)?;
    thread::spawn(move || {
        // When either side is gone, the other is told by the end of its stream.
        let _ = io::copy(&mut io::stdin().lock(), &mut to_mtad);
        let _ = to_mtad.shutdown(Shutdown::Write);
    });
    let mut output = Unbuffered(io::stdout());
    io::copy(&mut from_mtad, &mut output).map(drop).map_err(unavailable)
}

/// Standard output that keeps nothing back: a reply that waits is a conversation that stands.
struct Unbuffered(io::Stdout);

impl io::Write for Unbuffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(bytes)?;
        self.0.flush()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
