//! The AUTHORIZATION state: until the user is known.

use std::time::Duration;

use super::Setup;
use crate::sasl::{Credentials, Verdict};
use crate::{Ended, Secured, Session, Step};

/// A connection that has not logged in. Asks for [`Credentials`] to be verified, and once they are
/// accepted says [`Step::Done`] without having replied: [`super::Server`] does.
#[derive(Debug)]
pub struct Login {
    setup: Setup,
}

impl Login {
    /// A session that begins with its greeting.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { setup }
    }

    /// After [`Step::Done`]: what the client sent besides.
    #[must_use]
    pub fn into_unread(self) -> Vec<u8> {
        todo!()
    }
}

impl Session for Login {
    type Request = Credentials;
    type Answer = Verdict;

    fn receive(&mut self, _bytes: &[u8]) {
        todo!()
    }
    fn answer(&mut self, _answer: Verdict) {
        todo!()
    }
    fn step(&mut self, _out: &mut Vec<u8>) -> Step<Credentials> {
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
