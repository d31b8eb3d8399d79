//! Address lists of header fields, for ENVELOPE (RFC 5322, 3.4 and 4.4).
//!
//! A list is read in one pass that never fails: what senders write has long left the grammar, and
//! a reader must see something for every letter. Names stay as they were sent (encoded words and
//! 8-bit octets too), without quotes and comments.

/// Entries beyond these are not read: a field has to be shown on one screen, not fill a disk.
pub const ENTRIES: usize = 10_000;

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A mailbox.
    Mailbox(Mailbox),
    /// A group begins: its name.
    GroupStart(Vec<u8>),
    /// The group ends.
    GroupEnd,
}

/// A mailbox of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mailbox {
    /// The display name, or a comment behind an address without one.
    pub name: Option<Vec<u8>>,
    /// The source route (RFC 5322, 4.4), `@a,@b`.
    pub route: Option<Vec<u8>>,
    /// What stands before the `@`, without quotes.
    pub local: Vec<u8>,
    /// What stands behind it; empty where there is no `@`.
    pub domain: Vec<u8>,
}

/// Reads a list, folded or not.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<Entry> {
    let mut list = List { rest: text, ..List::default() };
    while list.entries.len() < ENTRIES && list.token() {}
    list.end_mailbox();
    if list.in_group {
        list.entries.push(Entry::GroupEnd);
    }
    list.entries
}

#[derive(Debug, Default)]
struct List<'a> {
    rest: &'a [u8],
    entries: Vec<Entry>,
    in_group: bool,
    /// Words that are a display name, or a local part if `@` follows.
    words: Words,
    comment: Option<Vec<u8>>,
    /// The mailbox being read, once it is known to be one.
    mailbox: Option<Mailbox>,
}

/// Words, as a phrase (with spaces between them) and as a local part (without).
#[derive(Debug, Default)]
struct Words {
    phrase: Vec<u8>,
    local: Vec<u8>,
    /// White space came since the last word.
    spaced: bool,
}

impl Words {
    fn push(&mut self, word: &[u8]) {
        if self.spaced && !self.phrase.is_empty() {
            self.phrase.push(b' ');
        }
        self.spaced = false;
        self.phrase.extend_from_slice(word);
        self.local.extend_from_slice(word);
    }

    fn is_empty(&self) -> bool {
        self.local.is_empty()
    }
}

impl List<'_> {
    /// Reads one token. Whether there was one.
    fn token(&mut self) -> bool {
        let Some((&octet, rest)) = self.rest.split_first() else { return false };
        self.rest = rest;
        match octet {
            b' ' | b'\t' | b'\r' | b'\n' => self.words.spaced = true,
            b'(' => self.comment(),
            b'"' => {
                let quoted = self.quoted();
                self.words.push(&quoted);
            }
            b'<' => self.angle(),
            b'@' => self.domain(),
            b',' => self.end_mailbox(),
            b':' if self.mailbox.is_none() && !self.in_group => self.begin_group(),
            b';' => self.end_group(),
            _ => {
                let more = self.rest.iter().take_while(|octet| is_word(**octet)).count();
                let (more, rest) = self.rest.split_at(more);
                self.rest = rest;
                self.words.push(&[&[octet], more].concat());
            }
        }
        true
    }

    /// A comment, whose `(` was read. The last one names a mailbox that has no other name.
    fn comment(&mut self) {
        let mut depth = 1;
        let mut text = Vec::new();
        while let Some(octet) = self.next() {
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => {
                    text.extend(self.next());
                    continue;
                }
                b'\r' | b'\n' => continue,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            text.push(octet);
        }
        self.words.spaced = true;
        let text = text.trim_ascii();
        if !text.is_empty() {
            self.comment = Some(text.to_vec());
        }
    }

    /// A quoted string, whose first quote was read.
    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some(octet) = self.next() {
            match octet {
                b'"' => break,
                b'\\' => text.extend(self.next()),
                b'\r' | b'\n' => {}
                _ => text.push(octet),
            }
        }
        text
    }

    /// `<route:local@domain>`, whose `<` was read.
    fn angle(&mut self) {
        if self.mailbox.is_some() {
            self.end_mailbox();
        }
        let name = std::mem::take(&mut self.words).phrase;
        let mut mailbox = Mailbox {
            name: Some(name).filter(|name| !name.is_empty()),
            route: self.route(),
            ..Mailbox::default()
        };
        while let Some(octet) = self.next() {
            match octet {
                b'>' => break,
                b'"' => mailbox.local.extend(self.quoted()),
                b'@' => {
                    mailbox.domain = self.domain_text(b">");
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'(' => self.comment(),
                _ => mailbox.local.push(octet),
            }
        }
        self.mailbox = Some(mailbox);
    }

    /// RFC 5322, 4.4: obs-route. It begins with `@` and ends with `:` before the `>`.
    fn route(&mut self) -> Option<Vec<u8>> {
        let rest = self.rest.trim_ascii_start();
        if !rest.starts_with(b"@") {
            return None;
        }
        let end = rest.iter().position(|octet| matches!(octet, b':' | b'>'))?;
        let (route, behind) = rest.split_at(end);
        self.rest = behind.strip_prefix(b":")?;
        Some(route.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect())
    }

    /// The domain of an address without angle brackets, whose `@` was read.
    fn domain(&mut self) {
        let domain = self.domain_text(b",;:<>");
        if self.mailbox.is_some() {
            return;
        }
        let local = std::mem::take(&mut self.words).local;
        self.mailbox = Some(Mailbox { local, domain, ..Mailbox::default() });
    }

    /// A domain or a domain literal, up to an octet that ends it.
    fn domain_text(&mut self, ends: &[u8]) -> Vec<u8> {
        let mut domain = Vec::new();
        let mut in_literal = false;
        while let Some(&octet) = self.rest.first() {
            if !in_literal && ends.contains(&octet) {
                break;
            }
            self.next();
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'(' if !in_literal => self.comment(),
                _ => {
                    in_literal = octet == b'[' || (in_literal && octet != b']');
                    domain.push(octet);
                }
            }
        }
        domain
    }

    fn begin_group(&mut self) {
        self.in_group = true;
        self.comment = None;
        let name = std::mem::take(&mut self.words).phrase;
        self.entries.push(Entry::GroupStart(name));
    }

    fn end_group(&mut self) {
        self.end_mailbox();
        if std::mem::take(&mut self.in_group) {
            self.entries.push(Entry::GroupEnd);
        }
    }

    /// What was read so far is a mailbox, if it is anything.
    fn end_mailbox(&mut self) {
        let words = std::mem::take(&mut self.words);
        let comment = self.comment.take();
        let mailbox = match self.mailbox.take() {
            Some(mailbox) => mailbox,
            None if words.is_empty() => return,
            None => Mailbox { local: words.local, ..Mailbox::default() },
        };
        let name = mailbox.name.or(comment);
        self.entries.push(Entry::Mailbox(Mailbox { name, ..mailbox }));
    }

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }
}

/// Octets that go on with a word.
fn is_word(octet: u8) -> bool {
    !octet.is_ascii_whitespace() && !matches!(octet, b'(' | b'"' | b'<' | b'@' | b',' | b':' | b';')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `name|route|local|domain`, `name:` and `;`.
    fn shown(text: &[u8]) -> String {
        let show = |text: &[u8]| text.escape_ascii().to_string();
        let option = |text: &Option<Vec<u8>>| text.as_deref().map_or("-".to_owned(), show);
        let entries: Vec<_> = parse(text)
            .iter()
            .map(|entry| match entry {
                Entry::Mailbox(Mailbox { name, route, local, domain }) => {
                    format!("{}|{}|{}|{}", option(name), option(route), show(local), show(domain))
                }
                Entry::GroupStart(name) => format!("{}:", show(name)),
                Entry::GroupEnd => ";".to_owned(),
            })
            .collect();
        entries.join(" ")
    }

    #[test]
    fn lists_are_read_as_sent() {
        let table: [(&str, &str); 31] = [
            ("", ""),
            (" , ,", ""),
            ("a@b", "-|-|a|b"),
            ("<a@b>", "-|-|a|b"),
            ("Ann Lee <a@b>", "Ann Lee|-|a|b"),
            ("Ann  Lee<a@b>", "Ann Lee|-|a|b"),
            ("\"Lee, Ann\" <a@b>", "Lee, Ann|-|a|b"),
            ("\"a \\\"b\\\\\" <a@b>", "a \\\"b\\\\|-|a|b"),
            ("a@b, c@d", "-|-|a|b -|-|c|d"),
            ("a@b (Ann Lee)", "Ann Lee|-|a|b"),
            ("Ann (x) <a@b> (y)", "Ann|-|a|b"),
            ("(nested (comment) \\) here) a@b", "nested (comment) ) here|-|a|b"),
            ("=?utf-8?q?Ann?= <a@b>", "=?utf-8?q?Ann?=|-|a|b"),
            ("J. R. Smith <a@b>", "J. R. Smith|-|a|b"),
            ("<@x,@y:a@b>", "-|@x,@y|a|b"),
            ("<\"a b\"@c>", "-|-|a b|c"),
            ("\"a b\"@c", "-|-|a b|c"),
            ("a . b @ c . d", "-|-|a.b|c.d"),
            ("a@[1.2.3.4]", "-|-|a|[1.2.3.4]"),
            ("a@[IPv6:::1], b@c", "-|-|a|[IPv6:::1] -|-|b|c"),
            ("undisclosed-recipients:;", "undisclosed-recipients: ;"),
            ("A Group: a@b, Ann <c@d>;, e@f", "A Group: -|-|a|b Ann|-|c|d ; -|-|e|f"),
            ("Open: a@b", "Open: -|-|a|b ;"),
            ("ann", "-|-|ann|"),
            ("<ann>", "-|-|ann|"),
            ("<>", "-|-||"),
            ("<@x>", "-|-||x"),
            ("Ann <a@b", "Ann|-|a|b"),
            ("\"open", "-|-|open|"),
            ("a@b c@d", "-|-|a|bc@d"),
            ("Ann\r\n Lee <a@b>,\r\n\tc@d", "Ann Lee|-|a|b -|-|c|d"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(shown(b"J\xf6rg <a@b>"), "J\\xf6rg|-|a|b");
    }

    #[test]
    fn lists_have_a_limit() {
        assert_eq!(parse(&b"a@b,".repeat(ENTRIES + 5)).len(), ENTRIES);
    }

    proptest! {
        #[test]
        fn any_octets_can_be_read(text in "[a@<>():;,\" \\\\\\[\\].]{0,60}") {
            let entries = parse(text.as_bytes());
            prop_assert!(entries.len() <= text.len() + 1);
        }
    }
}
