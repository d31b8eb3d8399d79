//! The TRANSACTION and UPDATE states: over an open maildrop.

use std::time::Duration;

use super::{Answer, Request, Setup};
use crate::{Ended, Secured, Session, Step};

/// A connection that has logged in. Begins by asking for the maildrop, and replies to the PASS or
/// AUTH that came before.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
}

impl Server {
    /// Goes on where [`super::Login`] ended, with what the client sent besides.
    #[must_use]
    pub fn new(setup: Setup, unread: &[u8]) -> Self {
        todo!("{setup:?} {unread:?}")
    }
}

impl Session for Server {
    type Request = Request;
    type Answer = Answer;

    fn receive(&mut self, _bytes: &[u8]) {
        todo!()
    }
    fn answer(&mut self, _answer: Answer) {
        todo!()
    }
    fn step(&mut self, _out: &mut Vec<u8>) -> Step<Request> {
        todo!()
    }
    fn patience(&self) -> Duration {
        self.setup.patience
    }
    fn secured(&mut self, _tls: Secured) {
        todo!()
    }
    fn end(&mut self, _why: Ended) {
        todo!()
    }
}
