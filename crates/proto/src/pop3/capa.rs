//! CAPA (RFC 2449, 5): the same list before and after the login, but for what a login needs.

use super::login::{self, Login};
use super::server::{self, Server};
use super::{MECHANISMS, Reply, without_argument};

/// Always there (RFC 2449, 6; RFC 3206, 4).
const ALWAYS: &[u8] = b"+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n";

impl Login {
    /// Shows USER and SASL only where a password would be taken: a client that believes the list
    /// sends none in clear.
    pub(super) fn capa(
        &mut self,
        argument: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<login::Next, Reply> {
        without_argument(argument)?;
        out.extend_from_slice(ALWAYS);
        if self.setup.starttls && !self.tls {
            out.extend_from_slice(b"STLS\r\n");
        }
        if self.password_allowed().is_ok() {
            write_logins(out);
        }
        out.extend_from_slice(b".\r\n");
        Ok(login::Next::Line)
    }
}

impl Server {
    /// RFC 2449, 6.2 and 6.3 announce USER and SASL in both states.
    pub(super) fn capa(
        &mut self,
        argument: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<server::Next, Reply> {
        without_argument(argument)?;
        out.extend_from_slice(ALWAYS);
        write_logins(out);
        out.extend_from_slice(b".\r\n");
        Ok(server::Next::Line)
    }
}

fn write_logins(out: &mut Vec<u8>) {
    out.extend_from_slice(b"USER\r\nSASL");
    for mechanism in MECHANISMS {
        out.push(b' ');
        out.extend_from_slice(mechanism.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
