//! Flags, as arguments of STORE and APPEND.

use super::Refusal;
use super::cursor::Cursor;
use crate::mailbox::{Flags, NamedFlags};

/// The longest keyword: it must stand in a line of a file and in many responses.
const KEYWORD: usize = 255;

/// More flags than a mailbox can know.
const FLAGS: usize = 256;

/// RFC 3501, 9: flag-list, in parentheses; may be empty.
pub(super) fn list(cursor: &mut Cursor<'_>) -> Result<NamedFlags, Refusal> {
    cursor.expect(b'(', "Expected a list of flags")?;
    if cursor.take(b')') {
        return Ok(NamedFlags::default());
    }
    let flags = bare(cursor)?;
    cursor.expect(b')', "List of flags does not end")?;
    Ok(flags)
}

/// Flags without parentheses, which STORE takes too.
pub(super) fn bare(cursor: &mut Cursor<'_>) -> Result<NamedFlags, Refusal> {
    let mut flags = NamedFlags::default();
    loop {
        flag(cursor, &mut flags)?;
        if !cursor.take(b' ') {
            return Ok(flags);
        }
    }
}

fn flag(cursor: &mut Cursor<'_>, flags: &mut NamedFlags) -> Result<(), Refusal> {
    if cursor.take(b'\\') {
        let name = cursor.atom()?;
        let system = Flags::NAMES.iter().find(|(_, known)| {
            known.strip_prefix('\\').is_some_and(|known| known.eq_ignore_ascii_case(name))
        });
        // RFC 3501, 2.3.2: `\Recent` cannot be altered by the client.
        flags.system |= system.ok_or(Refusal::Bad("Invalid system flag"))?.0;
        return Ok(());
    }
    let keyword = cursor.atom()?;
    if flags.keywords.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
        return Ok(());
    }
    if keyword.len() > KEYWORD || flags.keywords.len() >= FLAGS {
        return Err(Refusal::No("[LIMIT] Too many keywords, or one too long"));
    }
    flags.keywords.push(keyword.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let table = [
            ("()", Some((0, ""))),
            ("(\\Seen)", Some((Flags::SEEN, ""))),
            (
                "(\\sEEN $Label1 \\Draft Work work)",
                Some((Flags::SEEN | Flags::DRAFT, "$Label1 Work")),
            ),
            ("(\\Recent)", None),
            ("(\\Seen", None),
            ("(\\Seen )", None),
            ("(\\*)", None),
            ("\\Seen", None),
        ];
        for (text, expected) in table {
            let parsed = list(&mut Cursor::new(text.as_bytes(), 9)).ok();
            let parsed = parsed.map(|flags| (flags.system, flags.keywords.join(" ")));
            assert_eq!(
                parsed,
                expected.map(|(system, words)| (system, words.to_owned())),
                "{text}"
            );
        }
    }
}
