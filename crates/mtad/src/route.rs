//! Where mail for an address goes, and whether it is taken at all.
//!
//! Postmaster is special (RFC 5321, 4.5.1): mail for it is always taken, for every local domain
//! and for our host name. It goes to the mailbox of that address where there is one; else to
//! `mtad.postmaster`; else to the postmaster mailbox of the first local domain that has one. Where
//! there is none at all it waits in the queue, with a reason that says what to configure, and
//! goes back to its sender when its lifetime is over: nothing is dropped in silence. `MAILER-DAEMON`
//! is postmaster too: notifications come from there, and people answer them.
//!
//! The first question is asked at RCPT, the second at each attempt, so that a change of the
//! configuration reaches mail that already waits.

use std::sync::Arc;

use mail_common::auth::{Auth, AuthError};
use mail_common::config::{NextHop, Site};
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
pub(crate) enum Route {
    /// To a mailbox here, by this address.
    Local(Address),
    /// To another server; it waits where none is configured.
    Foreign { to: Address, next_hop: Option<NextHop> },
    /// To postmaster, but nobody reads its mail.
    NoPostmaster,
}

/// Who asks for mail to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Anybody.
    Stranger,
    /// A user who logged in, or a program on this machine.
    Trusted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Local,
    Postmaster,
    /// Of a domain whose mail we take and pass on.
    Relay,
    Foreign,
    /// A literal, or a name without a dot, that is not ours.
    Nowhere,
}

impl Routes {
    /// Whether mail for this recipient is taken.
    pub(crate) async fn accepts(&self, to: &Address, from: Trust) -> Result<(), Failure> {
        match (self.class(to), from) {
            (Class::Postmaster | Class::Relay, _) | (Class::Foreign, Trust::Trusted) => Ok(()),
            (Class::Foreign | Class::Nowhere, Trust::Stranger) => Err(Failure::RelayDenied),
            (Class::Nowhere, Trust::Trusted) => Err(Failure::BadDomain),
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
    pub(crate) async fn find(&self, to: &Address) -> Result<Route, AuthError> {
        if let Some(foreign) = self.foreign(to) {
            return Ok(foreign);
        }
        match self.class(to) {
            Class::Postmaster => self.postmaster(to).await,
            // Whoever has no mailbox any more is told so by lmtp-deliverd.
            _ => Ok(Route::Local(to.clone())),
        }
    }

    /// Where mail for this recipient goes, if it is for another server; `None` if it is for a
    /// mailbox here, or for postmaster.
    pub(crate) fn foreign(&self, to: &Address) -> Option<Route> {
        let site = &self.site;
        let next_hop = match self.class(to) {
            Class::Local | Class::Postmaster => return None,
            Class::Foreign | Class::Nowhere => site.mtad.next_hop.clone(),
            Class::Relay => {
                let relay = site.domains.relay.get(to.domain());
                relay.map(|relay| relay.next_hop.clone())
            }
        };
        Some(Route::Foreign { to: to.clone(), next_hop })
    }

    /// The domain of which only postmaster is ours, if there is one: our host name.
    pub(crate) fn mixed(&self) -> Option<&Domain> {
        let hostname = &self.site.hostname;
        (!self.site.domains.local.contains(hostname)).then_some(hostname)
    }

    async fn postmaster(&self, to: &Address) -> Result<Route, AuthError> {
        let configured = self.site.mtad.postmaster.as_ref();
        let others = self.site.domains.local.iter();
        let others = others.filter_map(|domain| Address::new("postmaster", domain.clone()).ok());
        let candidates = std::iter::once(to.clone()).chain(configured.cloned()).chain(others);
        for candidate in candidates {
            if let Some(foreign) = self.foreign(&candidate) {
                return Ok(foreign);
            }
            if self.auth.lookup(&candidate).await?.is_some() {
                return Ok(Route::Local(candidate));
            }
        }
        Ok(Route::NoPostmaster)
    }

    fn class(&self, address: &Address) -> Class {
        let domain = address.domain();
        let local = self.site.domains.local.contains(domain);
        let named = |name| address.local().eq_ignore_ascii_case(name);
        if (named("postmaster") || named("mailer-daemon"))
            && (local || *domain == self.site.hostname)
        {
            return Class::Postmaster;
        }
        match local {
            true => Class::Local,
            false if self.site.domains.relay.contains_key(domain) => Class::Relay,
            false if is_nowhere(domain) => Class::Nowhere,
            false => Class::Foreign,
        }
    }
}

fn is_nowhere(domain: &Domain) -> bool {
    domain.is_literal() || !domain.as_str().contains('.')
}
