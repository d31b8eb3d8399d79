//! HELO, EHLO (RFC 5321, 4.1.1.1) and LHLO (RFC 2033, 4.1).

use std::borrow::Cow;

use super::{Reply, Server, Stage};
use crate::smtp::Dialect;

impl Server {
    pub(super) fn hello(&mut self, name: String) {
        self.begin(name, false);
        self.reply(Reply::hello(&self.setup.hostname, &[]));
    }

    pub(super) fn extended_hello(&mut self, name: String) {
        self.begin(name, true);
        self.reply(Reply::hello(&self.setup.hostname, &self.offers()));
    }

    pub(super) fn offers_starttls(&self) -> bool {
        self.setup.starttls && self.client.tls.is_none()
    }

    /// Passwords travel over TLS, or where the site says that the wire is safe.
    pub(super) fn allows_auth(&self) -> bool {
        self.client.tls.is_some() || self.setup.cleartext_auth
    }

    /// RFC 5321, 4.1.4: a hello in the middle of a transaction ends it, as RSET does.
    fn begin(&mut self, name: String, extended: bool) {
        self.client.hello = name;
        self.client.extended = extended;
        self.end_transaction();
        self.stage = Stage::Greeted;
    }

    /// Upper case and one a line: some clients read it no other way.
    fn offers(&self) -> Vec<Cow<'static, str>> {
        let size = format!("SIZE {}", self.setup.limits.message_size);
        let auth = self.setup.dialect == Dialect::Submission && self.allows_auth();
        let starttls = self.setup.dialect != Dialect::Inject && self.offers_starttls();
        let all = [
            (true, "PIPELINING".into()),
            (true, size.into()),
            (true, "8BITMIME".into()),
            (true, "DSN".into()),
            (true, "CHUNKING".into()),
            (true, "ENHANCEDSTATUSCODES".into()),
            (starttls, "STARTTLS".into()),
            (auth, "AUTH PLAIN LOGIN".into()),
            (self.setup.delivery_ids, "XDELIVERID".into()),
        ];
        all.into_iter().filter_map(|(offered, line)| offered.then_some(line)).collect()
    }
}
