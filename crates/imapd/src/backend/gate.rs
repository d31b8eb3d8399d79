//! What answers a session before its login.

use std::sync::Arc;

use mail_common::auth::User;
use mail_common::serve::Backend;
use mail_proto::imap::Login;
use mail_proto::sasl::{Credentials, Verdict};
use tracing::{info, warn};

use crate::Parts;

/// Tells whose credentials are whose.
#[derive(Debug)]
pub struct Gate {
    parts: Arc<Parts>,
    user: Option<User>,
}

impl Gate {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        Self { parts, user: None }
    }

    /// After `Step::Done`: who has logged in.
    ///
    /// # Panics
    /// If nobody has.
    #[must_use]
    pub fn into_user(self) -> User {
        self.user.expect("a login is done only once credentials were accepted")
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
