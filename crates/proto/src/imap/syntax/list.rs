//! LIST, with the selection and return options of RFC 6154, 5 and 3.

use super::cursor::Cursor;
use super::{List, Refusal, mailbox};

/// Options that change nothing: what they ask for is always told.
const ALWAYS: [&str; 2] = ["SPECIAL-USE", "CHILDREN"];

/// A longer pattern names nothing, and every mailbox is held against it.
const PATTERN: usize = 1024;

/// `[options] reference pattern [RETURN options]`
pub(super) fn list(cursor: &mut Cursor<'_>) -> Result<List, Refusal> {
    let special_only = cursor.peek() == Some(b'(') && !options(cursor, &["SPECIAL-USE"])?;
    if special_only || cursor.peek() == Some(b' ') {
        cursor.space()?;
    }
    let mut list = plain(cursor)?;
    list.special_only = special_only;
    if cursor.take(b' ') {
        if !cursor.keyword("RETURN") {
            return Err(Refusal::Bad("Unexpected argument"));
        }
        cursor.space()?;
        options(cursor, &ALWAYS)?;
    }
    Ok(list)
}

/// `reference pattern`
pub(super) fn plain(cursor: &mut Cursor<'_>) -> Result<List, Refusal> {
    let reference = mailbox::decode(&cursor.astring()?)?;
    cursor.space()?;
    let pattern = mailbox::decode(&cursor.list_mailbox()?)?;
    if reference.len() + pattern.len() > PATTERN {
        return Err(Refusal::Bad("Mailbox pattern too long"));
    }
    Ok(List { reference, pattern, special_only: false })
}

/// Options in parentheses, all of them known; whether there were none.
fn options(cursor: &mut Cursor<'_>, known: &[&str]) -> Result<bool, Refusal> {
    cursor.expect(b'(', "Expected a list of options")?;
    if cursor.take(b')') {
        return Ok(true);
    }
    loop {
        if !known.iter().any(|option| cursor.keyword(option)) {
            return Err(Refusal::Bad("Unknown LIST option"));
        }
        if cursor.take(b')') {
            return Ok(false);
        }
        cursor.space()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let table = [
            ("\"\" *", Some(("", "*", false))),
            ("\"\" \"\"", Some(("", "", false))),
            ("Work/ %", Some(("Work/", "%", false))),
            ("\"\" Entw&APw-%", Some(("", "Entwü%", false))),
            ("(SPECIAL-USE) \"\" \"*\"", Some(("", "*", true))),
            ("() \"\" *", Some(("", "*", false))),
            ("\"\" \"*\" RETURN (SPECIAL-USE)", Some(("", "*", false))),
            ("\"\" * return (children special-use)", Some(("", "*", false))),
            ("\"\" * RETURN (STATUS (MESSAGES))", None),
            ("(SUBSCRIBED) \"\" *", None),
            ("\"\"", None),
            ("\"\" * x", None),
        ];
        for (text, expected) in table {
            let mut cursor = Cursor::new(text.as_bytes(), 9);
            let found = list(&mut cursor).and_then(|list| cursor.end().map(|()| list)).ok();
            let expected = expected.map(|(reference, pattern, special_only)| List {
                reference: reference.to_owned(),
                pattern: pattern.to_owned(),
                special_only,
            });
            assert_eq!(found, expected, "{text}");
        }
    }
}
