//! What answers a session before its login.

use std::io;
use std::sync::Arc;

use mail_proto::Session;
use mail_proto::sasl::{Credentials, Verdict};
use tracing::info;

use super::User;
use crate::daemon::Parts;
use crate::serve::{Backend, Outcome, Stream, Surroundings, converse};

/// Tells whose credentials are whose, in any protocol whose login is a session of its own.
#[derive(Debug)]
pub struct Gate {
    parts: Arc<Parts>,
    user: Option<User>,
}

impl Gate {
    /// A gate that nobody has come through.
    #[must_use]
    pub fn new(parts: Arc<Parts>) -> Self {
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

/// Carries a login to its end. Who came through, and the session, which has the unread input;
/// `None`: the connection is over.
///
/// # Errors
/// Those of [`converse`].
pub async fn log_in<S: Session<Request = Credentials, Answer = Verdict>>(
    mut login: Box<S>,
    mut gate: Box<Gate>,
    stream: &mut Stream,
    surroundings: &Surroundings,
) -> io::Result<Option<(User, Box<S>)>> {
    if let Some(tls) = stream.secured() {
        login.secured(tls);
    }
    let outcome = converse(&mut *login, stream, &mut *gate, surroundings).await?;
    Ok((outcome == Outcome::Done).then(|| (gate.into_user(), login)))
}

impl<S: Session<Request = Credentials, Answer = Verdict>> Backend<S> for Gate {
    async fn perform(&mut self, credentials: Credentials) -> Verdict {
        match self.parts.auth.verify(&credentials).await {
            Ok(Some(user)) => {
                info!(user = %user.address(), "logged in");
                self.user = Some(user);
                Verdict::Accepted
            }
            // Why is in the log already.
            Ok(None) => Verdict::Rejected,
            Err(_) => Verdict::Unavailable,
        }
    }
}
