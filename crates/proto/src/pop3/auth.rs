//! AUTH (RFC 5034).

use super::login::{Login, Next};
use super::reply::{OK, UNKNOWN_MECHANISM};
use super::{MECHANISMS, Reply};
use crate::sasl::Exchange;

impl Login {
    /// Without an argument, lists the mechanisms: older clients ask so.
    pub(super) fn auth(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Next, Reply> {
        self.password_allowed()?;
        let argument = str::from_utf8(argument).map_err(|_| UNKNOWN_MECHANISM)?.trim();
        if argument.is_empty() {
            OK.write(out);
            for mechanism in MECHANISMS {
                out.extend_from_slice(mechanism.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b".\r\n");
            return Ok(Next::Line);
        }
        let (mechanism, initial) = match argument.split_once(' ') {
            Some((mechanism, initial)) => (mechanism, Some(initial)),
            None => (argument, None),
        };
        let exchange = Exchange::begin(mechanism).ok_or(UNKNOWN_MECHANISM)?;
        if let Some(initial) = initial {
            return self.proceed(exchange, |e| e.initial(initial.as_bytes()), out);
        }
        let challenge = exchange.first_challenge();
        self.challenge(exchange, challenge, out);
        Ok(Next::Line)
    }
}
