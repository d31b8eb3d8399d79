//! The server session.

use std::time::Duration;

use super::{Answer, Request, Setup};
use crate::{Ended, Secured, Session, Step};

/// One connection's server side.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
}

impl Server {
    /// A session that begins with its greeting.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { setup }
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
    fn secured(&mut self, _tls: Secured) {
        todo!()
    }
    fn end(&mut self, _why: Ended) {
        todo!()
    }
}
