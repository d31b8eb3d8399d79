//! The form of an export: a directory with a file for each message, as it is stored, and
//! `messages.jsonl`, which says of each what its file cannot.
//!
//! A line is a JSON object:
//!
//! ```text
//! {"line":"mailbox","mailbox":["Work","2026"],"exists":true,"subscribed":true}
//! {"line":"message","mailbox":["Work","2026"],"uid":17,"flags":["\\Seen"],"keywords":["$Work"],
//!  "date":1767225600,"file":"2/17.eml"}
//! ```
//!
//! A mailbox's name is a list of its levels. Dates (INTERNALDATE) are seconds since 1970. The list
//! gets its name when all else is on disk: without it an export is not whole.

use mail_proto::mailbox::{Flags, NamedFlags};
use serde::{Deserialize, Serialize};

/// The list.
pub(super) const LIST: &str = "messages.jsonl";

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
pub(super) enum Line {
    Mailbox(Mailbox),
    Message(Message),
}

/// A mailbox, or a name that is only subscribed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mailbox {
    pub(super) mailbox: Vec<String>,
    pub(super) exists: bool,
    pub(super) subscribed: bool,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) mailbox: Vec<String>,
    pub(super) uid: u32,
    pub(super) flags: Vec<String>,
    pub(super) keywords: Vec<String>,
    pub(super) date: i64,
    pub(super) file: String,
}

impl Message {
    /// Its flags; names that are none are passed over.
    pub(super) fn named_flags(&self) -> NamedFlags {
        let known = Flags::NAMES
            .iter()
            .filter(|(_, name)| self.flags.iter().any(|flag| flag.eq_ignore_ascii_case(name)));
        let system = known.fold(0, |system, (bit, _)| system | bit);
        NamedFlags { system, keywords: self.keywords.clone() }
    }
}

/// The names of system flags.
pub(super) fn flag_names(flags: Flags) -> Vec<String> {
    let set = Flags::NAMES.iter().filter(|(bit, _)| flags.has(*bit));
    set.map(|(_, name)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_what_they_are() {
        let text = r#"{"line":"message","mailbox":["A","ü"],"uid":7,"flags":["\\Seen","\\Draft"],"keywords":["$x"],"date":-1,"file":"1/7.eml"}"#;
        let Ok(Line::Message(message)) = serde_json::from_str(text) else { panic!("a message") };
        let flags = message.named_flags();
        assert_eq!((flags.system, flags.keywords.as_slice()), (17, &["$x".to_owned()][..]));
        assert_eq!(serde_json::to_string(&Line::Message(message)).ok().as_deref(), Some(text));
    }
}
