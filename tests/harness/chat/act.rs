//! What can happen in a chat.

use std::time::Duration;

use super::mail::travelling;
use super::pattern::Names;
use super::{Protocol, Traced};
use crate::trouble::Trouble;

/// One thing that happens. `connection` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// An empty line or a remark between the lines.
    Remark(String),
    /// `C:` and `C<` lines that stand together: sent together.
    Say {
        /// On which connection.
        connection: usize,
        /// What is said.
        said: Vec<Said>,
    },
    /// `S:`: exactly this line.
    Hear {
        /// On which connection.
        connection: usize,
        /// The line, with its `<names>`.
        line: String,
    },
    /// `S*` lines that stand together: these untagged replies in any order, none besides.
    HearInAnyOrder {
        /// On which connection.
        connection: usize,
        /// The lines, with their `* `.
        lines: Vec<String>,
    },
    /// `S<`: this message, as it travels.
    HearMail {
        /// On which connection.
        connection: usize,
        /// The message's name.
        name: String,
    },
    /// `-- closed`: the server has hung up.
    Closed(usize),
    /// `-- gone`: the client hangs up, in the middle of whatever it was saying.
    Gone(usize),
    /// `-- tls`: TLS is negotiated.
    Tls(usize),
    /// `-- 30m pass`: nobody speaks for so long.
    Pass {
        /// On which connection.
        connection: usize,
        /// How long.
        span: Duration,
        /// As written.
        text: String,
    },
    /// `-- delivered to ann: plain`, `-- delivered to ann alone: plain`.
    Delivered {
        /// To whom.
        user: String,
        /// What.
        name: String,
        /// What its trace says of that.
        traced: Traced,
    },
    /// `-- the disk is full`: the world goes wrong around the server.
    Befall(Trouble),
    /// `-- shutdown`: the server is told to stop, as by SIGTERM.
    Shutdown,
}

/// One thing a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// `C:`: a line.
    Line(String),
    /// `C<`: a message, dot-stuffed with its final dot, or as a literal and the end of its command.
    Mail(String),
}

impl Said {
    /// What goes over the connection.
    pub(crate) fn octets(&self, protocol: Protocol, names: &Names) -> Vec<u8> {
        match self {
            Self::Line(line) => [names.fill(line).as_slice(), b"\r\n"].concat(),
            Self::Mail(name) if protocol == Protocol::Imap => {
                [travelling(name, protocol).as_slice(), b"\r\n"].concat()
            }
            Self::Mail(name) => travelling(name, protocol),
        }
    }
}
