//! The wildcards of LIST and LSUB (RFC 3501, 6.3.8).

/// Whether a pattern names a mailbox: `*` stands for anything, `%` for anything but the
/// separator. INBOX is named in any case.
pub(super) fn matches(pattern: &str, name: &str, separator: char) -> bool {
    matches_exactly(pattern, name, separator)
        || (name == "INBOX" && matches_exactly(&pattern.to_ascii_uppercase(), name, separator))
}

/// Keeps for every prefix of the name whether the pattern so far matches it: time grows with the
/// product of the lengths, whatever the wildcards.
fn matches_exactly(pattern: &str, name: &str, separator: char) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for wanted in pattern.chars() {
        let mut before = false;
        for (at, here) in reached.iter_mut().enumerate() {
            let last = at.checked_sub(1).and_then(|at| name.get(at)).copied();
            let was = *here;
            *here = match wanted {
                '*' => was || before,
                '%' => was || (before && last != Some(separator)),
                _ => before && last == Some(wanted),
            };
            // For a wildcard the prefix one shorter counts as it is now, else as it was.
            before = if matches!(wanted, '*' | '%') { *here } else { was };
        }
    }
    reached.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("*", "Work/2026", true),
            ("%", "Work", true),
            ("%", "Work/2026", false),
            ("%/%", "Work/2026", true),
            ("Work/%", "Work/2026", true),
            ("Work/%", "Work/", true),
            ("Work/%", "Work", false),
            ("Work%", "Work", true),
            ("W*6", "Work/2026", true),
            ("W%6", "Work/2026", false),
            ("*/2026", "Work/2026", true),
            ("work", "Work", false),
            ("Work", "Work", true),
            ("", "Work", false),
            ("inb%", "INBOX", true),
            ("inbox", "INBOX", true),
            ("Entw%fe", "Entwürfe", true),
            ("%%%*%", "a/b", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name, '/'), expected, "{pattern} {name}");
        }
        let slow = "*a".repeat(500);
        assert!(!matches(&slow, &"a".repeat(499), '/'));
    }
}
