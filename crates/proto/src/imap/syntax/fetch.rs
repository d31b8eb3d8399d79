//! What FETCH asks for: fetch-att of RFC 3501, 9.

use super::Refusal;
use super::cursor::Cursor;
use crate::imap::fetch::{Item, Section, SectionText};
use crate::imap::write;

/// More items of a message than anybody asks for.
const ITEMS: usize = 256;

/// More header fields than anybody asks for by name.
const FIELDS: usize = 1024;

type Parsed<T> = Result<T, Refusal>;

/// A macro, an item, or items in parentheses.
pub(super) fn items(cursor: &mut Cursor<'_>) -> Parsed<Vec<Item>> {
    use Item::{Body, Envelope, Flags, InternalDate, Size};
    // RFC 3501, 6.4.5: a macro stands alone.
    if cursor.keyword("FAST") {
        return Ok(vec![Flags, InternalDate, Size]);
    }
    if cursor.keyword("ALL") {
        return Ok(vec![Flags, InternalDate, Size, Envelope]);
    }
    if cursor.keyword("FULL") {
        return Ok(vec![Flags, InternalDate, Size, Envelope, Body]);
    }
    if !cursor.take(b'(') {
        return item(cursor).map(|item| vec![item]);
    }
    let mut items = Vec::new();
    loop {
        items.push(item(cursor)?);
        if items.len() > ITEMS {
            return Err(Refusal::Bad("Too many items"));
        }
        if cursor.take(b')') {
            return Ok(items);
        }
        cursor.expect(b' ', "List of items does not end")?;
    }
}

/// Items that are nothing but their name.
const SIMPLE: [(&str, Item); 7] = [
    ("FLAGS", Item::Flags),
    ("UID", Item::Uid),
    ("INTERNALDATE", Item::InternalDate),
    ("RFC822.SIZE", Item::Size),
    ("ENVELOPE", Item::Envelope),
    ("BODYSTRUCTURE", Item::BodyStructure),
    ("BODY", Item::Body),
];

/// The old names of sections: the name, what the response calls it, what it is, and whether
/// `\Seen` stays as it is. RFC822.PEEK was dropped long ago, and Outlook still asks for it.
const OLD: [(&str, &str, SectionText, bool); 4] = [
    ("RFC822", "RFC822", SectionText::All, false),
    ("RFC822.PEEK", "RFC822", SectionText::All, true),
    ("RFC822.HEADER", "RFC822.HEADER", SectionText::Header, true),
    ("RFC822.TEXT", "RFC822.TEXT", SectionText::Text, false),
];

fn item(cursor: &mut Cursor<'_>) -> Parsed<Item> {
    let before = cursor.clone();
    let name = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
    if cursor.peek() == Some(b'[') && (is("BODY") || is("BODY.PEEK")) {
        return section(cursor, is("BODY.PEEK")).map(Item::Section);
    }
    if let Some((_, item)) = SIMPLE.iter().find(|(known, _)| is(known)) {
        return Ok(item.clone());
    }
    if let Some((_, name, text, peek)) = OLD.iter().find(|(known, ..)| is(known)) {
        return Ok(Item::Section(Section {
            name: (*name).to_owned(),
            part: Vec::new(),
            text: text.clone(),
            partial: None,
            peek: *peek,
        }));
    }
    *cursor = before;
    Err(Refusal::Bad("Unknown item"))
}

/// `[` section-spec `]`, and `<first.count>` where it stands.
fn section(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<Section> {
    const BAD: &str = "Invalid section";
    cursor.expect(b'[', BAD)?;
    let mut name = b"BODY[".to_vec();
    let part = part(cursor, &mut name)?;
    let text = if cursor.peek() == Some(b']') && !name.ends_with(b".") {
        SectionText::All
    } else {
        section_text(cursor, &part, &mut name)?
    };
    cursor.expect(b']', BAD)?;
    name.push(b']');
    let partial = partial(cursor, &mut name)?;
    let name = String::from_utf8(name).map_err(|_| Refusal::Bad(BAD))?;
    Ok(Section { name, part, text, partial, peek })
}

/// Numbers with dots between them, and the dot before a text specifier.
fn part(cursor: &mut Cursor<'_>, name: &mut Vec<u8>) -> Parsed<Vec<u32>> {
    let mut part = Vec::new();
    while cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        let number = cursor.number()?;
        if number == 0 || part.len() >= ITEMS {
            return Err(Refusal::Bad("Invalid section"));
        }
        part.push(number);
        write::number(name, u64::from(number));
        if !cursor.take(b'.') {
            break;
        }
        name.push(b'.');
    }
    Ok(part)
}

fn section_text(cursor: &mut Cursor<'_>, part: &[u32], name: &mut Vec<u8>) -> Parsed<SectionText> {
    const BAD: Refusal = Refusal::Bad("Invalid section");
    if !part.is_empty() && !name.ends_with(b".") {
        return Err(BAD);
    }
    let word = cursor.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'.');
    let word = word.to_ascii_uppercase();
    name.extend_from_slice(&word);
    match word.as_slice() {
        b"HEADER" => Ok(SectionText::Header),
        b"TEXT" => Ok(SectionText::Text),
        // RFC 3501, 6.4.5: MIME needs a part's number before it.
        b"MIME" if !part.is_empty() => Ok(SectionText::Mime),
        b"HEADER.FIELDS" => fields(cursor, name).map(SectionText::Fields),
        b"HEADER.FIELDS.NOT" => fields(cursor, name).map(SectionText::FieldsNot),
        _ => Err(BAD),
    }
}

/// A list of header field names.
fn fields(cursor: &mut Cursor<'_>, name: &mut Vec<u8>) -> Parsed<Vec<String>> {
    cursor.expect(b' ', "Missing header names")?;
    cursor.expect(b'(', "Missing header names")?;
    name.extend_from_slice(b" (");
    let mut fields = Vec::new();
    loop {
        let field = cursor.astring()?;
        // It comes back in the response's name, where only text can stand.
        let printable = field.iter().all(|byte| (0x20..0x7f).contains(byte));
        let field = std::str::from_utf8(&field).ok().filter(|_| printable);
        let field = field.ok_or(Refusal::Bad("Invalid header name"))?;
        write::astring(name, field.as_bytes());
        fields.push(field.to_owned());
        if fields.len() > FIELDS {
            return Err(Refusal::Bad("Too many header names"));
        }
        if cursor.take(b')') {
            name.push(b')');
            return Ok(fields);
        }
        cursor.expect(b' ', "List of header names does not end")?;
        name.push(b' ');
    }
}

/// RFC 3501, 6.4.5: the response names the first octet only.
fn partial(cursor: &mut Cursor<'_>, name: &mut Vec<u8>) -> Parsed<Option<(u64, u64)>> {
    const BAD: &str = "Invalid partial";
    if !cursor.take(b'<') {
        return Ok(None);
    }
    let first = cursor.number64()?;
    cursor.expect(b'.', BAD)?;
    let count = cursor.number64()?;
    cursor.expect(b'>', BAD)?;
    if count == 0 {
        return Err(Refusal::Bad(BAD));
    }
    name.push(b'<');
    write::number(name, first);
    name.push(b'>');
    Ok(Some((first, count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed<Vec<Item>> {
        let mut cursor = Cursor::new(text.as_bytes(), 9);
        let items = items(&mut cursor)?;
        cursor.end().map(|()| items)
    }

    #[test]
    fn items_and_macros() {
        use Item::*;
        let table: [(&str, &[Item]); 6] = [
            ("flags", &[Flags]),
            ("(UID RFC822.SIZE)", &[Uid, Size]),
            ("FAST", &[Flags, InternalDate, Size]),
            ("all", &[Flags, InternalDate, Size, Envelope]),
            ("FULL", &[Flags, InternalDate, Size, Envelope, Body]),
            ("(BODY BODYSTRUCTURE)", &[Body, BodyStructure]),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn sections() {
        use SectionText::*;
        let names = || vec!["From".to_owned(), "x y".to_owned()];
        let table = [
            ("BODY[]", "BODY[]", vec![], All, None, false),
            ("body.peek[]<0.10>", "BODY[]<0>", vec![], All, Some((0, 10)), true),
            ("BODY[1.2]", "BODY[1.2]", vec![1, 2], All, None, false),
            ("BODY[1.mime]", "BODY[1.MIME]", vec![1], Mime, None, false),
            ("BODY[text]", "BODY[TEXT]", vec![], Text, None, false),
            (
                "BODY.PEEK[2.HEADER.FIELDS (From \"x y\")]",
                "BODY[2.HEADER.FIELDS (From \"x y\")]",
                vec![2],
                Fields(names()),
                None,
                true,
            ),
            (
                "BODY[HEADER.FIELDS.NOT ({4}\r\nFrom {3}\r\nx y)]<5.1>",
                "BODY[HEADER.FIELDS.NOT (From \"x y\")]<5>",
                vec![],
                FieldsNot(names()),
                Some((5, 1)),
                false,
            ),
            ("RFC822", "RFC822", vec![], All, None, false),
            ("RFC822.PEEK", "RFC822", vec![], All, None, true),
            ("RFC822.HEADER", "RFC822.HEADER", vec![], Header, None, true),
            ("RFC822.TEXT", "RFC822.TEXT", vec![], Text, None, false),
        ];
        for (asked, name, part, text, partial, peek) in table {
            let section = Section { name: name.to_owned(), part, text, partial, peek };
            assert_eq!(parse(asked), Ok(vec![Item::Section(section)]), "{asked}");
        }
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            "()",
            "(FLAGS",
            "(FLAGS  UID)",
            "FLAGS UID",
            "(ALL)",
            "FOO",
            "BODY[",
            "BODY[0]",
            "BODY[1.]",
            "BODY[MIME]",
            "BODY[1TEXT]",
            "BODY[FOO]",
            "BODY[HEADER.FIELDS]",
            "BODY[HEADER.FIELDS ()]",
            "BODY[]<1>",
            "BODY[]<1.0>",
            "BODY.PEEK",
            "RFC822.FOO",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
