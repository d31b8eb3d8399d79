//! Which service listens where: the well-known port and a base.

use super::TrialError;

/// The base of all ports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports(u16);

/// A service that people and programs connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Service {
    /// As admins call it.
    pub(super) name: &'static str,
    /// Its well-known port.
    well_known: u16,
}

pub(super) const SMTP: Service = Service { name: "smtp", well_known: 25 };
pub(super) const SUBMISSION: Service = Service { name: "submission", well_known: 587 };
pub(super) const SUBMISSIONS: Service = Service { name: "submissions", well_known: 465 };
pub(super) const IMAP: Service = Service { name: "imap", well_known: 143 };
pub(super) const IMAPS: Service = Service { name: "imaps", well_known: 993 };
pub(super) const POP3: Service = Service { name: "pop3", well_known: 110 };
pub(super) const POP3S: Service = Service { name: "pop3s", well_known: 995 };

/// All that is built, in the order in which it is shown.
pub(super) const ALL: [Service; 7] = [SMTP, SUBMISSION, SUBMISSIONS, IMAP, IMAPS, POP3, POP3S];

impl Ports {
    pub(super) fn new(base: u16) -> Result<Self, TrialError> {
        let highest = ALL.iter().map(|service| service.well_known).max().unwrap_or_default();
        base.checked_add(highest).map(|_| Self(base)).ok_or(TrialError::Ports(base))
    }

    pub(super) fn of(self, service: Service) -> u16 {
        self.0 + service.well_known
    }
}
