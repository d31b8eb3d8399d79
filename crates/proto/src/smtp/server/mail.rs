//! MAIL (RFC 5321, 4.1.1.2).

use super::{Envelope, Reply, Request, Server, Stage};
use crate::smtp::{Dialect, Failure};

impl Server {
    pub(super) fn mail(&mut self, envelope: Envelope) {
        if self.setup.dialect == Dialect::Submission && self.client.username.is_none() {
            return self.reply(self.what_is_missing());
        }
        // RFC 1870, 6.1: refused here, it need not travel.
        let limit = self.setup.limits.message_size;
        if envelope.size.is_some_and(|size| size > limit) {
            return self.reply(Reply::message_too_big(limit));
        }
        let (client, sender) = (self.client.clone(), envelope.sender.clone());
        self.stage = Stage::Transaction(Box::new(envelope));
        self.ask(Request::Sender { client, sender });
    }

    pub(super) fn sender_decided(&mut self, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => self.reply(Reply::SENDER_OK),
            Err(failure) => {
                self.stage = Stage::Greeted;
                self.reply(failure);
            }
        }
    }

    fn what_is_missing(&self) -> Reply {
        if self.allows_auth() { Reply::AUTHENTICATE_FIRST } else { Reply::ENCRYPT_FIRST }
    }
}
