//! What we can do: one list, so that it is the same wherever it is told.

use super::Setup;

const CAPABILITIES: &str = "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE NAMESPACE UIDPLUS UNSELECT MOVE IDLE CHILDREN SPECIAL-USE";

/// After login.
pub(super) fn after_login() -> &'static str {
    CAPABILITIES
}

/// Before login; `tls`: whether it is in use already.
pub(super) fn before_login(setup: &Setup, tls: bool) -> String {
    let mut capabilities = CAPABILITIES.to_owned();
    if setup.starttls && !tls {
        capabilities.push_str(" STARTTLS");
    }
    // RFC 3501, 6.2.3: LOGINDISABLED where LOGIN would be refused.
    let passwords = tls || setup.cleartext_auth;
    capabilities.push_str(if passwords { " AUTH=PLAIN AUTH=LOGIN" } else { " LOGINDISABLED" });
    capabilities
}
