//! SASL mechanisms, server side: PLAIN (RFC 4616) and LOGIN (an old draft that Outlook and many
//! devices still speak).
//!
//! The machines know no framing: SMTP, IMAP and POP3 each carry the base64 in their own lines.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a client offered to prove who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whose password it is: an address.
    pub username: String,
    /// The password, as sent.
    pub password: Vec<u8>,
}

/// Prints no password, whoever logs it.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, …)", self.username)
    }
}

/// What the world says of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are this user's.
    Accepted,
    /// Wrong, or no such user: the peer is not told which.
    Rejected,
    /// Not known now; the client may try the same again later.
    Unavailable,
}

/// A mechanism in the middle of its exchange.
#[derive(Debug)]
pub enum Exchange {
    /// PLAIN waits for its only message.
    Plain,
    /// LOGIN waits for the user name.
    LoginName,
    /// LOGIN waits for the password.
    LoginPassword(String),
}

/// What comes after a client's message.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this challenge, which is base64 already (and may be empty), and wait.
    Challenge(&'static str),
    /// The exchange is over.
    Offered(Credentials),
    /// The client gave up with `*`.
    Cancelled,
    /// Not base64, or not what the mechanism says.
    Malformed,
}

impl Exchange {
    /// The mechanism of this name, in any case; `None` if we have no such.
    #[must_use]
    pub fn begin(mechanism: &str) -> Option<Self> {
        match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => Some(Self::Plain),
            "LOGIN" => Some(Self::LoginName),
            _ => None,
        }
    }

    /// What the server says when the client sent no initial response.
    #[must_use]
    pub fn first_challenge(&self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::LoginName => "VXNlcm5hbWU6",
            Self::LoginPassword(_) => "UGFzc3dvcmQ6",
        }
    }

    /// Takes an initial response: as [`message`](Self::message), but `=` is an empty one
    /// (RFC 4954, 4; RFC 4959, 3).
    pub fn initial(&mut self, text: &[u8]) -> Next {
        if text == b"=" { self.message(b"") } else { self.message(text) }
    }

    /// Takes one line of the client, still in base64.
    pub fn message(&mut self, text: &[u8]) -> Next {
        if text == b"*" {
            return Next::Cancelled;
        }
        let Ok(bytes) = STANDARD.decode(text) else {
            return Next::Malformed;
        };
        match std::mem::replace(self, Self::Plain) {
            Self::Plain => plain(&bytes),
            Self::LoginName => match String::from_utf8(bytes) {
                Ok(name) if !name.is_empty() && !name.contains('\0') => {
                    *self = Self::LoginPassword(name);
                    Next::Challenge(self.first_challenge())
                }
                _ => Next::Malformed,
            },
            Self::LoginPassword(username) => offered(username, bytes),
        }
    }
}

/// RFC 4616, 2: `[authzid] NUL authcid NUL passwd`. Nobody acts for somebody else here, so an
/// authzid may only repeat the authcid.
fn plain(bytes: &[u8]) -> Next {
    let mut parts = bytes.split(|&b| b == 0);
    let (Some(authzid), Some(authcid), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Next::Malformed;
    };
    if !authzid.is_empty() && authzid != authcid {
        return Next::Malformed;
    }
    match std::str::from_utf8(authcid) {
        Ok(username) if !username.is_empty() => offered(username.to_owned(), password.to_vec()),
        _ => Next::Malformed,
    }
}

fn offered(username: String, password: Vec<u8>) -> Next {
    if password.is_empty() {
        return Next::Malformed;
    }
    Next::Offered(Credentials { username, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(username: &str, password: &str) -> Next {
        Next::Offered(Credentials { username: username.into(), password: password.into() })
    }

    #[test]
    fn plain_messages() {
        let table = [
            ("\0ann@example.org\0pw", credentials("ann@example.org", "pw")),
            ("ann\0ann\0p w", credentials("ann", "p w")),
            ("bob\0ann\0pw", Next::Malformed),
            ("\0ann\0", Next::Malformed),
            ("\0\0pw", Next::Malformed),
            ("ann\0pw", Next::Malformed),
            ("\0ann\0pw\0x", Next::Malformed),
        ];
        for (message, expected) in table {
            let text = STANDARD.encode(message);
            assert_eq!(Exchange::Plain.message(text.as_bytes()), expected, "{message:?}");
        }
    }

    #[test]
    fn login_asks_for_name_and_password() {
        let mut exchange = Exchange::begin("login").expect("LOGIN is known");
        assert_eq!(exchange.first_challenge(), "VXNlcm5hbWU6");
        assert_eq!(exchange.message(b"YW5u"), Next::Challenge("UGFzc3dvcmQ6"));
        assert_eq!(exchange.message(b"cHc="), credentials("ann", "pw"));
    }

    #[test]
    fn a_star_cancels_and_noise_is_malformed() {
        assert_eq!(Exchange::Plain.message(b"*"), Next::Cancelled);
        assert_eq!(Exchange::LoginName.message(b"%%%"), Next::Malformed);
        assert_eq!(Exchange::Plain.initial(b"="), Next::Malformed);
    }

    #[test]
    fn debug_hides_the_password() {
        let shown = format!("{:?}", Credentials { username: "ann".into(), password: b"pw".into() });
        assert!(!shown.contains("pw"), "{shown}");
    }
}
