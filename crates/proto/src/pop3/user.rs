//! USER (RFC 1939, 7).

use super::Reply;
use super::login::{Login, Next, State};
use super::reply::{NO_USER_NAME, OK};

impl Login {
    /// Says OK to every name: nobody learns here which ones exist.
    pub(super) fn user(&mut self, name: &[u8], out: &mut Vec<u8>) -> Result<Next, Reply> {
        self.password_allowed()?;
        let name = str::from_utf8(name).map_err(|_| NO_USER_NAME)?.trim();
        if name.is_empty() {
            return Err(NO_USER_NAME);
        }
        self.state = State::Named(name.to_owned());
        OK.write(out);
        Ok(Next::Line)
    }
}
