//! The authenticated and selected states: over a user's mailboxes.

use std::time::Duration;

use super::{Answer, Request, Setup};
use crate::{Ended, Secured, Session, Step};

/// A connection that has logged in.
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
        self.setup.limits.patience
    }
    fn listens(&self) -> bool {
        todo!()
    }
    fn secured(&mut self, _tls: Secured) {
        unreachable!("STARTTLS is refused after login")
    }
    fn end(&mut self, _why: Ended) {
        todo!()
    }
}
