//! Words about counts.

use std::fmt::Display;

/// A count with what it counts.
pub(crate) fn plural<Count: Copy + Display + From<u8> + PartialEq>(
    count: Count,
    what: &str,
) -> String {
    let end = match count == Count::from(1) {
        true => "",
        false if what.ends_with('x') => "es",
        false => "s",
    };
    format!("{count} {what}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_aloud() {
        assert_eq!(plural(1_usize, "mailbox"), "1 mailbox");
        assert_eq!(plural(6_usize, "mailbox"), "6 mailboxes");
        assert_eq!(plural(0_u64, "message"), "0 messages");
    }
}
