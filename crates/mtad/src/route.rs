//! Where mail for an address goes, and whether it is taken at all.
//!
//! Postmaster is special (RFC 5321, 4.5.1): mail for it is always taken, for every local domain
//! and for our host name. It goes to the mailbox of that address where there is one; else to
//! `mtad.postmaster`; else to the postmaster mailbox of the first local domain that has one. Where
//! there is none at all it waits in the queue, with a reason that says what to configure, and
//! goes back to its sender when its lifetime is over: nothing is dropped in silence.
//!
//! The first question is asked at RCPT, the second at each attempt, so that a change of the
//! configuration reaches mail that already waits.

use std::sync::Arc;

use mail_common::auth::{Auth, AuthError};
use mail_common::config::Site;
use mail_proto::address::{Address, Domain};
use mail_proto::smtp::Failure;
use tracing::warn;

/// The site's domains and users.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) site: Arc<Site>,
    pub(crate) auth: Auth,
}

/// Where mail for an address goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To a mailbox here, by this address.
    Local(Address),
    /// To the next hop.
    Foreign(Address),
    /// To postmaster, but nobody reads its mail.
    NoPostmaster,
}

/// Who asks for mail to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Anybody.
    Stranger,
    /// A user who logged in, or a program on this machine.
    Trusted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Local,
    Postmaster,
    Foreign,
    /// A literal, or a name without a dot, that is not ours.
    Nowhere,
}

impl Routes {
    /// Whether mail for this recipient is taken.
    pub(crate) async fn accepts(&self, to: &Address, from: Standing) -> Result<(), Failure> {
        match (self.class(to), from) {
            (Class::Postmaster, _) | (Class::Foreign, Standing::Trusted) => Ok(()),
            (Class::Foreign | Class::Nowhere, Standing::Stranger) => Err(Failure::RelayDenied),
            (Class::Nowhere, Standing::Trusted) => Err(Failure::BadDomain),
            (Class::Local, _) => match self.auth.lookup(to).await {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err(Failure::NoSuchUser),
                Err(error) => {
                    warn!("to=<{to}>, cannot be looked up: {error}");
                    Err(Failure::Unavailable)
                }
            },
        }
    }

    /// Where mail for this recipient goes now.
    ///
    /// # Errors
    /// The user database does not answer.
    pub(crate) async fn find(&self, to: &Address) -> Result<Destination, AuthError> {
        match self.class(to) {
            // Whoever has no mailbox any more is told so by lmtp-deliverd.
            Class::Local => Ok(Destination::Local(to.clone())),
            Class::Foreign | Class::Nowhere => Ok(Destination::Foreign(to.clone())),
            Class::Postmaster => self.postmaster(to).await,
        }
    }

    async fn postmaster(&self, to: &Address) -> Result<Destination, AuthError> {
        let configured = self.site.mtad.postmaster.as_ref();
        let others = self.site.domains.local.iter();
        let others = others.filter_map(|domain| Address::new("postmaster", domain.clone()).ok());
        let candidates = std::iter::once(to.clone()).chain(configured.cloned()).chain(others);
        for candidate in candidates {
            if matches!(self.class(&candidate), Class::Foreign | Class::Nowhere) {
                return Ok(Destination::Foreign(candidate));
            }
            if self.auth.lookup(&candidate).await?.is_some() {
                return Ok(Destination::Local(candidate));
            }
        }
        Ok(Destination::NoPostmaster)
    }

    fn class(&self, address: &Address) -> Class {
        let domain = address.domain();
        let local = self.site.domains.local.contains(domain);
        if address.local().eq_ignore_ascii_case("postmaster")
            && (local || *domain == self.site.hostname)
        {
            return Class::Postmaster;
        }
        match local {
            true => Class::Local,
            false if is_nowhere(domain) => Class::Nowhere,
            false => Class::Foreign,
        }
    }
}

fn is_nowhere(domain: &Domain) -> bool {
    domain.is_literal() || !domain.as_str().contains('.')
}
