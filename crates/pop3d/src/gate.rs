//! What answers a session before its login.

use std::sync::Arc;

use mail_common::auth::User;
use mail_common::serve::Backend;
use mail_proto::pop3::{Login, Server, Setup};
use mail_proto::sasl::{Credentials, Verdict};
use tracing::{info, warn};

use crate::Parts;
use crate::maildrop::Maildrop;

/// Tells whose credentials are whose.
#[derive(Debug)]
pub struct Gate {
    parts: Arc<Parts>,
    setup: Setup,
    user: Option<User>,
}

impl Gate {
    pub(crate) fn new(parts: Arc<Parts>, setup: Setup) -> Self {
        Self { parts, setup, user: None }
    }

    /// After `Step::Done`: the session over the user's maildrop, and what answers that one.
    ///
    /// # Panics
    /// If nobody has logged in.
    #[must_use]
    pub fn admit(self, login: Login) -> (Server, Maildrop) {
        let user = self.user.expect("a login is done only once credentials were accepted");
        let patience = self.parts.site.limits.patience_logged_in.duration();
        let server = Server::new(Setup { patience, ..self.setup }, &login.into_unread());
        (server, Maildrop::new(self.parts, user))
    }
}

impl Backend<Login> for Gate {
    async fn perform(&mut self, credentials: Credentials) -> Verdict {
        let username = &credentials.username;
        match self.parts.auth.verify(&credentials).await {
            Ok(Some(user)) => {
                info!(user = %user.address(), "logged in");
                self.user = Some(user);
                Verdict::Accepted
            }
            Ok(None) => {
                info!(%username, "wrong user name or password");
                Verdict::Rejected
            }
            Err(error) => {
                warn!(%username, %error, "cannot verify a password");
                Verdict::Unavailable
            }
        }
    }
}
