//! STARTTLS (RFC 3207).

use super::{Client, Reply, Server, Stage, Turn};
use crate::Secured;
use crate::line::Input;

impl Server {
    pub(super) fn starttls(&mut self) {
        if self.client.tls.is_some() {
            return self.reply(Reply::TLS_ACTIVE);
        }
        if !self.offers_starttls() {
            return self.reply(Reply::NOT_OFFERED);
        }
        // What came along in the clear may be another's, put in front of what the client says
        // over TLS (CVE-2011-0411). It is no accident: the connection ends.
        if !self.input.is_empty() {
            return self.hang_up(Reply::STARTTLS_NOT_LAST);
        }
        self.end_transaction();
        self.reply(Reply::START_TLS);
        self.turn = Turn::Tls;
    }

    /// TLS holds: after STARTTLS, or since before the greeting. RFC 3207, 4.2: all that was said
    /// before is forgotten, the hello too.
    pub(super) fn begin_again(&mut self, tls: Secured) {
        self.client = Client { tls: Some(tls), ..Client::default() };
        self.stage = Stage::New;
        self.input = Input::default();
        if let Turn::Tls = self.turn {
            self.turn = Turn::Command;
        }
    }
}
