//! `-t`: the recipients stand in To, Cc and Bcc, and Bcc goes no further.

use mail_proto::message::address_list::{self, Entry};
use mail_proto::message::header::{self, Field};

/// The addresses of To, Cc and Bcc, as text, in order.
pub(super) fn of_header(header: &[u8]) -> Vec<String> {
    header::fields(header)
        .filter(|field| field.is("To") || field.is("Cc") || is_bcc(field))
        .flat_map(|field| address_list::parse(&field.unfolded()))
        .filter_map(address)
        .collect()
}

/// The header without its Bcc fields.
pub(super) fn without_bcc(header: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(header.len());
    let mut fields_end = 0;
    for field in header::fields(header) {
        fields_end += field.raw.len();
        if !is_bcc(&field) {
            kept.extend_from_slice(field.raw);
        }
    }
    kept.extend_from_slice(header.get(fields_end..).unwrap_or_default());
    kept
}

fn is_bcc(field: &Field<'_>) -> bool {
    field.is("Bcc")
}

/// `None` for the beginning and the end of a group.
fn address(entry: Entry) -> Option<String> {
    let Entry::Mailbox(mailbox) = entry else { return None };
    let local = String::from_utf8_lossy(&mailbox.local).into_owned();
    let domain = String::from_utf8_lossy(&mailbox.domain).into_owned();
    Some(if domain.is_empty() { local } else { format!("{local}@{domain}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        b"To: Ann <ann@example.org>,\r\n bob@example.org\r\nBcc: eve@example.org,\r\n root\r\n\
        Subject: x\r\nCc: friends: carl@example.org;\r\n\r\n";

    #[test]
    fn recipients_are_those_of_to_cc_and_bcc() {
        let expected =
            ["ann@example.org", "bob@example.org", "eve@example.org", "root", "carl@example.org"];
        assert_eq!(of_header(HEADER), expected);
    }

    #[test]
    fn bcc_goes_no_further() {
        let kept = String::from_utf8(without_bcc(HEADER)).expect("is ASCII");
        let expected = "To: Ann <ann@example.org>,\r\n bob@example.org\r\nSubject: x\r\n\
            Cc: friends: carl@example.org;\r\n\r\n";
        assert_eq!(kept, expected);
    }
}
