//! Sessions joined with their backends, without sockets: the loop of `mail_common::serve` with
//! the clock and the stream left out.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use mail_common::serve::Backend;
use mail_proto::{Ended, Secured, Session, Step};
use tokio::runtime::Runtime;

use crate::chat::{Connection, Heard};
use crate::patience::PATIENCE;

/// Where a stage stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It wants to read.
    Read,
    /// It wants TLS.
    StartTls,
    /// Another one takes over.
    Done,
    /// It hung up.
    Close,
}

/// A session with its backend, whatever their types.
pub trait Stage {
    /// Takes bytes from the peer.
    fn receive(&mut self, bytes: &[u8]);
    /// Goes on until it needs the peer.
    fn advance(&mut self, out: &mut Vec<u8>) -> Pause;
    /// TLS holds.
    fn secured(&mut self, tls: Secured);
    /// The end, for a reason that is not the peer's.
    fn end(&mut self, why: Ended);
    /// How long the peer may be silent.
    fn patience(&self) -> Duration;
    /// Waits for news, if the session listens. `false`: none came.
    fn wait(&mut self) -> bool;
    /// Who takes over.
    fn follower(self: Box<Self>) -> Box<dyn Stage>;
}

/// Makes the stage that comes after this session.
pub type Follow<S, B> = Box<dyn FnOnce(S, B) -> Box<dyn Stage>>;

/// A session and its backend.
pub struct Joined<S, B> {
    /// The session.
    pub session: S,
    /// What answers it.
    pub backend: B,
    /// Where the backend's work is waited for.
    pub runtime: Rc<Runtime>,
    /// Who takes over when it is done; none if it never is.
    pub then: Option<Follow<S, B>>,
}

impl<S, B> Stage for Joined<S, B>
where
    S: Session + 'static,
    B: Backend<S> + 'static,
{
    fn receive(&mut self, bytes: &[u8]) {
        self.session.receive(bytes);
    }

    fn advance(&mut self, out: &mut Vec<u8>) -> Pause {
        loop {
            match self.session.step(out) {
                Step::Ask(request) => {
                    let answer = self.runtime.block_on(self.backend.perform(request));
                    self.session.answer(answer);
                }
                Step::StartTls => return Pause::StartTls,
                Step::Read => return Pause::Read,
                Step::Done => return Pause::Done,
                Step::Close => return Pause::Close,
            }
        }
    }

    fn secured(&mut self, tls: Secured) {
        self.session.secured(tls);
    }

    fn end(&mut self, why: Ended) {
        self.session.end(why);
    }

    fn patience(&self) -> Duration {
        self.session.patience()
    }

    fn wait(&mut self) -> bool {
        if !self.session.listens() {
            return false;
        }
        let news = async { tokio::time::timeout(PATIENCE, self.backend.news()).await };
        match self.runtime.block_on(news) {
            Ok(news) => {
                self.session.answer(news);
                true
            }
            Err(_) => false,
        }
    }

    fn follower(mut self: Box<Self>) -> Box<dyn Stage> {
        let then = self.then.take().expect("a session that says Done has a follower");
        then(self.session, self.backend)
    }
}

/// A connection to a [`Stage`], whose bytes arrive in pieces.
pub struct Pure {
    /// `None` only while one stage hands over to the next.
    stage: Option<Box<dyn Stage>>,
    piece: usize,
    pause: Pause,
    out: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
}

impl Pure {
    /// A connection; `piece` is how many bytes arrive at a time.
    #[must_use]
    pub fn new(stage: Box<dyn Stage>, piece: usize) -> Self {
        let mut pure = Self {
            stage: Some(stage),
            piece,
            pause: Pause::Read,
            out: Vec::new(),
            lines: VecDeque::new(),
        };
        pure.advance();
        pure
    }

    fn stage(&mut self) -> &mut dyn Stage {
        self.stage.as_deref_mut().expect("is put back at once")
    }

    fn advance(&mut self) {
        loop {
            let mut out = std::mem::take(&mut self.out);
            self.pause = self.stage().advance(&mut out);
            self.out = out;
            if self.pause != Pause::Done {
                break;
            }
            self.stage = self.stage.take().map(Stage::follower);
        }
        while let Some(end) = self.out.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.out.drain(..end + 2).take(end).collect();
            self.lines.push_back(line);
        }
    }
}

impl Connection for Pure {
    /// What comes after the session said `StartTls` never reaches it: it would have been part of
    /// the handshake.
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(self.piece) {
            if self.pause != Pause::Read {
                break;
            }
            self.stage().receive(piece);
            self.advance();
        }
        Ok(())
    }

    fn hear(&mut self) -> io::Result<Heard> {
        if self.lines.is_empty() && self.pause == Pause::Read && self.stage().wait() {
            self.advance();
        }
        if let Some(line) = self.lines.pop_front() {
            return Ok(Heard::Line(line));
        }
        if !self.out.is_empty() {
            return Ok(Heard::Line(std::mem::take(&mut self.out)));
        }
        Ok(if self.pause == Pause::Close { Heard::Closed } else { Heard::Silence })
    }

    fn start_tls(&mut self) -> io::Result<()> {
        if self.pause != Pause::StartTls {
            return Err(io::Error::other("the session does not want TLS"));
        }
        let secured =
            Secured { version: "TLSv1.3".into(), cipher: "TLS_AES_256_GCM_SHA384".into() };
        self.stage().secured(secured);
        self.advance();
        Ok(())
    }

    fn pass(&mut self, span: Duration) -> bool {
        if span >= self.stage().patience() {
            self.stage().end(Ended::Timeout);
            self.advance();
        }
        true
    }

    fn shut_down(&mut self) {
        self.stage().end(Ended::Shutdown);
        self.advance();
    }

    fn hang_up(&mut self) -> io::Result<Vec<Vec<u8>>> {
        Ok(self.lines.drain(..).collect())
    }
}
