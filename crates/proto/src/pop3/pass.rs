//! PASS (RFC 1939, 7).

use super::Reply;
use super::login::{Login, Next, State};
use super::reply::{NO_PASSWORD, USER_FIRST};
use crate::sasl::Credentials;

impl Login {
    /// The whole rest of the line is the password, spaces included.
    pub(super) fn pass(&mut self, password: &[u8], _out: &mut Vec<u8>) -> Result<Next, Reply> {
        self.password_allowed()?;
        let State::Named(username) = std::mem::replace(&mut self.state, State::Ready) else {
            return Err(USER_FIRST);
        };
        if password.is_empty() {
            return Err(NO_PASSWORD);
        }
        Ok(Next::Verify(Credentials { username, password: password.to_vec() }))
    }
}
