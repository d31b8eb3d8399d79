//! STLS (RFC 2595, 4).

use super::login::{Login, Next};
use super::reply::{BEGIN_TLS, NO_TLS, PLAINTEXT_AFTER_STLS, TLS_HOLDS};
use super::{Reply, without_argument};

impl Login {
    /// What follows STLS in clear was put there by somebody else, or by a client that will not
    /// wait: neither gets TLS.
    pub(super) fn stls(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Next, Reply> {
        without_argument(argument)?;
        if self.tls {
            return Err(TLS_HOLDS);
        }
        if !self.setup.starttls {
            return Err(NO_TLS);
        }
        if !self.input.is_empty() {
            PLAINTEXT_AFTER_STLS.write(out);
            return Ok(Next::Close);
        }
        BEGIN_TLS.write(out);
        Ok(Next::StartTls)
    }
}
