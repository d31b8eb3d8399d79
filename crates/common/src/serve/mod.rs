//! A session, a stream, a backend: the one loop that joins them.
//!
//! STARTTLS injection, pipelining, timeouts, shutdown and news are decided here, once. An idle
//! session holds no buffers: input is read into a thread's buffer and handed on, output is
//! dropped when it was sent.

mod stream;

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use mail_proto::Session;
use tokio_util::sync::CancellationToken;

pub use stream::Stream;

use crate::tls::Acceptor;

/// What answers a session's questions.
pub trait Backend<S: Session>: Send {
    /// Does what was asked.
    fn perform(&mut self, request: S::Request) -> impl Future<Output = S::Answer> + Send;

    /// Waits for news. Polled only while the session listens; must be cancel-safe.
    fn news(&mut self) -> impl Future<Output = S::Answer> + Send {
        pending()
    }
}

/// What a conversation needs besides its session, stream and backend.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// For STARTTLS of a server session.
    pub tls: Option<Acceptor>,
    /// For STARTTLS of a client session.
    pub connect_tls: Option<crate::tls::Connector>,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
    /// How long the peer may take to read what is written.
    pub write_patience: Duration,
}

/// How a conversation came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It closed; the stream is shut down.
    Closed,
    /// The session said `Done`: another one takes over. Output is still in the stream's buffer.
    Done,
    /// The peer went away without a word.
    Vanished,
}

/// Carries a conversation to its end. On an error the session is left as it was, so that its
/// owner can ask it what was under way.
pub async fn converse<S: Session, B: Backend<S>>(
    session: &mut S,
    stream: &mut Stream,
    backend: &mut B,
    surroundings: &Surroundings,
) -> io::Result<Outcome> {
    let _ = (session, stream, backend, surroundings);
    todo!()
}
