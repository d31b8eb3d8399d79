//! Mailbox names, as arguments.

use super::cursor::Cursor;
use super::{Refusal, utf7};

const EIGHT_BIT: Refusal = Refusal::Bad("8-bit characters in a mailbox name");
const NO_UTF7: Refusal = Refusal::No("[CANNOT] Mailbox name is not valid modified UTF-7");

/// A mailbox: UTF-8, with INBOX spelt so.
pub(super) fn mailbox(cursor: &mut Cursor<'_>, separator: char) -> Result<String, Refusal> {
    let name = decode(&cursor.astring()?)?;
    if name.chars().any(char::is_control) {
        return Err(Refusal::No("[CANNOT] Mailbox name has control characters"));
    }
    Ok(canonical(name, separator))
}

/// A name, reference or pattern out of its modified UTF-7.
pub(super) fn decode(bytes: &[u8]) -> Result<String, Refusal> {
    if !bytes.is_ascii() {
        return Err(EIGHT_BIT);
    }
    utf7::decode(bytes).ok_or(NO_UTF7)
}

/// RFC 3501, 5.1: INBOX is one mailbox in whatever case, also where it is a path's first part
/// (clients showed two inboxes otherwise).
#[must_use]
pub fn canonical(mut name: String, separator: char) -> String {
    let first = name.split(separator).next().unwrap_or_default();
    if first.eq_ignore_ascii_case("INBOX") {
        name.replace_range(..first.len(), "INBOX");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table: [(&[u8], Result<&str, Refusal>); 8] = [
            (b"inbox", Ok("INBOX")),
            (b"Inbox/Work", Ok("INBOX/Work")),
            (b"Inboxes", Ok("Inboxes")),
            (b"Work/inbox", Ok("Work/inbox")),
            (b"\"Entw&APw-rfe 1\"", Ok("Entwürfe 1")),
            (b"{5}\r\nR&-D!", Ok("R&D!")),
            (b"\"caf\xc3\xa9\"", Err(EIGHT_BIT)),
            (b"R&D", Err(NO_UTF7)),
        ];
        for (bytes, expected) in table {
            let found = mailbox(&mut Cursor::new(bytes, 9), '/');
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{}", bytes.escape_ascii());
        }
        assert!(mailbox(&mut Cursor::new(b"a&AAE-", 9), '/').is_err());
    }
}
