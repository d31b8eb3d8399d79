//! AUTH (RFC 4954).

use super::{Reply, Request, Server, Turn};
use crate::sasl::{Exchange, Next, Verdict};

impl Server {
    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&str>) {
        if self.client.username.is_some() {
            return self.reply(Reply::AUTHENTICATED_ALREADY);
        }
        if !self.allows_auth() {
            return self.reply(Reply::ENCRYPTION_REQUIRED);
        }
        let Some(mut exchange) = Exchange::begin(mechanism) else {
            return self.reply(Reply::UNKNOWN_MECHANISM);
        };
        let next = match initial {
            Some(response) => exchange.initial(response.as_bytes()),
            None => Next::Challenge(exchange.first_challenge()),
        };
        self.turn = Turn::Credentials(exchange);
        self.exchanged(next);
    }

    pub(super) fn exchanged(&mut self, next: Next) {
        if !matches!(next, Next::Challenge(_)) {
            self.turn = Turn::Command;
        }
        match next {
            Next::Challenge(text) => self.reply(Reply::challenge(text)),
            Next::Offered(credentials) => self.ask(Request::Verify(credentials)),
            Next::Cancelled => self.reply(Reply::AUTH_CANCELLED),
            Next::Malformed => self.reply(Reply::AUTH_MALFORMED),
        }
    }

    pub(super) fn verified(&mut self, username: String, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => {
                self.client.username = Some(username);
                self.reply(Reply::AUTHENTICATED);
            }
            Verdict::Rejected => self.reply(Reply::AUTH_REJECTED),
            Verdict::Unavailable => self.reply(Reply::AUTH_UNAVAILABLE),
        }
    }
}
