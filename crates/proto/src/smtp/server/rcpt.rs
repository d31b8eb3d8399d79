//! RCPT (RFC 5321, 4.1.1.3).

use super::{Reply, Request, Server};
use crate::address::{Address, Domain, ForwardPath};
use crate::smtp::{Failure, Recipient};

impl Server {
    pub(super) fn rcpt(&mut self, path: ForwardPath, recipient: impl FnOnce(Address) -> Recipient) {
        let limit = self.setup.limits.recipients;
        let Some(transaction) = self.transaction() else {
            return self.reply(Reply::BAD_SEQUENCE);
        };
        if transaction.recipients.len() >= limit {
            return self.reply(Reply::TOO_MANY_RECIPIENTS);
        }
        let sender = transaction.sender.clone();
        let recipient = recipient(address(path, &self.setup.hostname));
        self.ask(Request::Route { client: self.client.clone(), sender, recipient });
    }

    pub(super) fn routed(&mut self, recipient: Recipient, outcome: Result<(), Failure>) {
        let Some(transaction) = self.transaction() else {
            return self.reply(Reply::BAD_SEQUENCE);
        };
        match outcome {
            Ok(()) => {
                transaction.recipients.push(recipient);
                self.reply(Reply::RECIPIENT_OK);
            }
            Err(failure) => self.reply(failure),
        }
    }
}

/// RFC 5321, 4.5.1: every host has a postmaster, and its address needs no domain.
fn address(path: ForwardPath, hostname: &Domain) -> Address {
    match path {
        ForwardPath::Address(address) => address,
        ForwardPath::Postmaster => {
            Address::new("postmaster", hostname.clone()).expect("it is a dot-string")
        }
    }
}
