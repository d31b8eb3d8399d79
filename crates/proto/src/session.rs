//! What every protocol here is.

use std::time::Duration;

/// What a session wants done next.
///
/// Whatever the session had to say stands in the output buffer that [`Session::step`] was given.
/// The loop sends it when it turns to the peer again ([`Step::Read`], [`Step::StartTls`],
/// [`Step::Close`]) or when much has gathered, so that pipelined replies leave together.
#[derive(Debug)]
pub enum Step<Request> {
    /// Do this, then call [`Session::answer`].
    Ask(Request),
    /// Send the output, negotiate TLS, then call [`Session::secured`]. No unread input is left.
    StartTls,
    /// Send the output and read more from the peer.
    Read,
    /// This session is over and the connection goes on under another one, which takes the
    /// unread input along (a login has become a mailbox).
    Done,
    /// Send the output and hang up.
    Close,
}

/// Why a conversation ends without the peer's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The peer was silent for longer than [`Session::patience`].
    Timeout,
    /// The daemon stops.
    Shutdown,
}

/// What TLS agreed on, for `Received` fields and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secured {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
}

/// One connection's side of a protocol.
///
/// The loop calls [`step`](Self::step) until it says [`Step::Read`]. One question at a time: a
/// session that has asked says nothing more until it is answered; pipelined input waits inside.
pub trait Session {
    /// What this protocol asks of the world.
    type Request;
    /// What the world answers.
    type Answer;

    /// Takes bytes from the peer. Never parses; [`step`](Self::step) does.
    fn receive(&mut self, bytes: &[u8]);

    /// Takes the answer to the question last asked, or news while [`listens`](Self::listens).
    fn answer(&mut self, answer: Self::Answer);

    /// Goes on as far as one step, appending to `out` what the peer shall read.
    fn step(&mut self, out: &mut Vec<u8>) -> Step<Self::Request>;

    /// How long the peer may be silent here.
    fn patience(&self) -> Duration;

    /// Whether news may be given to [`answer`](Self::answer) while this session reads (IDLE).
    fn listens(&self) -> bool {
        false
    }

    /// TLS holds from here on. What was said before it no longer counts.
    fn secured(&mut self, tls: Secured);

    /// Says goodbye: the next [`step`](Self::step) writes it and closes.
    fn end(&mut self, why: Ended);
}
