//! What a server says, as far as two servers can be compared by it.
//!
//! - SMTP, LMTP: the code and the enhanced code of each reply; of 334 the challenge too.
//! - POP3: `+OK` or `-ERR` with its response code and the numbers that it begins with, and the
//!   lines of a listing or a message.
//! - IMAP: status and response code of each tagged reply, and the kinds of the untagged ones
//!   before it, in any order.

use std::collections::VecDeque;
use std::io;

use crate::chat::{Names, Protocol};

/// Where lines come from: a chat or a connection. `None` where there are no more.
pub(super) trait Lines {
    fn next_line(&mut self) -> io::Result<Option<String>>;
}

/// Lines that a chat expects.
pub(super) type Expected = VecDeque<String>;

impl Lines for Expected {
    fn next_line(&mut self) -> io::Result<Option<String>> {
        Ok(self.pop_front())
    }
}

/// A reply: for IMAP all responses up to a tagged one or a continuation request.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// Its lines; of an IMAP response with literals all in one.
    pub(super) lines: Vec<String>,
    /// It ended as its protocol says, not because no more came.
    pub(super) whole: bool,
}

impl Reply {
    /// The next reply that a chat expects; `None` at the end of what it expects here.
    pub(super) fn expected(protocol: Protocol, lines: &mut Expected) -> Option<Self> {
        if lines.is_empty() {
            return None;
        }
        let next_is_listing = protocol == Protocol::Pop3
            && lines.front().is_some_and(|line| line.starts_with("+OK"))
            && lines.get(1).is_some_and(|line| !is_pop3_reply(line));
        let mut reply = Self::default();
        let read = reply.read(protocol, lines, next_is_listing, usize::MAX);
        read.expect("a chat's lines cannot fail");
        Some(reply)
    }

    /// What comes where this reply is expected.
    pub(super) fn heard(&self, protocol: Protocol, lines: &mut dyn Lines) -> io::Result<Self> {
        let most = if self.ends_imap() { usize::MAX } else { self.lines.len() };
        let mut reply = Self::default();
        reply.read(protocol, lines, self.lines.len() > 1, most)?;
        Ok(reply)
    }

    fn read(
        &mut self,
        protocol: Protocol,
        lines: &mut dyn Lines,
        listing: bool,
        most: usize,
    ) -> io::Result<()> {
        while let Some(line) = lines.next_line()? {
            let first = self.lines.is_empty();
            let ends = match protocol {
                Protocol::Smtp | Protocol::Submission | Protocol::Inject | Protocol::Lmtp => {
                    line.as_bytes().get(3) != Some(&b'-')
                }
                Protocol::Pop3 if first => !(listing && line.starts_with("+OK")),
                Protocol::Pop3 => line == ".",
                Protocol::Imap => {
                    self.lines.push(with_literals(line, lines)?);
                    if self.ends_imap() || self.lines.len() == most {
                        self.whole = true;
                        return Ok(());
                    }
                    continue;
                }
            };
            self.lines.push(line);
            if ends {
                self.whole = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The last response is a tagged one or a continuation request.
    fn ends_imap(&self) -> bool {
        self.lines.last().is_some_and(|line| !line.starts_with("* "))
    }

    /// Whether what was heard is what this reply says, as far as they are compared. Names bind.
    pub(super) fn is_like(&self, heard: &Self, protocol: Protocol, names: &mut Names) -> bool {
        match protocol {
            Protocol::Smtp | Protocol::Submission | Protocol::Inject | Protocol::Lmtp => {
                bind(&self.lines, &heard.lines, names);
                smtp_codes(&self.lines) == smtp_codes(&heard.lines)
            }
            Protocol::Pop3 => {
                let same_lines = self.lines.len() == heard.lines.len()
                    && self
                        .lines
                        .iter()
                        .zip(&heard.lines)
                        .skip(1)
                        .all(|(e, h)| names.matches(e, h));
                let (expected, heard) = (first(&self.lines), first(&heard.lines));
                names.matches(expected, heard);
                let (numbers, theirs) = (numbers(expected), numbers(heard));
                same_lines
                    && pop3_status(expected) == pop3_status(heard)
                    && (numbers.is_empty() || numbers == theirs)
            }
            Protocol::Imap => imap_is_like(&self.lines, &heard.lines, names),
        }
    }
}

/// A response with its literals: `{176}` and so many octets of the lines after it.
fn with_literals(line: String, lines: &mut dyn Lines) -> io::Result<String> {
    let mut response = line;
    while let Some(octets) = literal(&response) {
        let begin = response.len();
        response.push_str("\r\n");
        while response.len() < begin + 2 + octets {
            let Some(line) = lines.next_line()? else { return Ok(response) };
            response.push_str(&line);
            response.push_str("\r\n");
        }
        // The line in which the literal ended; or the literal ended with a line.
        if response.len() == begin + 2 + octets {
            let Some(line) = lines.next_line()? else { return Ok(response) };
            response.push_str(&line);
        } else {
            response.truncate(response.len() - 2);
        }
    }
    Ok(response)
}

fn literal(response: &str) -> Option<usize> {
    let (_, octets) = response.strip_suffix('}')?.rsplit_once('{')?;
    octets.parse().ok()
}

fn is_pop3_reply(line: &str) -> bool {
    ["+OK", "-ERR", "+ "].iter().any(|status| line.starts_with(status))
}

fn first(lines: &[String]) -> &str {
    lines.first().map_or("", String::as_str)
}

fn bind(expected: &[String], heard: &[String], names: &mut Names) {
    for (expected, heard) in expected.iter().zip(heard) {
        names.matches(expected, heard);
    }
}

/// Code and enhanced code (RFC 3463), and the challenge of a 334.
fn smtp_codes(lines: &[String]) -> (String, Option<String>) {
    let last = lines.last().map_or("", String::as_str);
    let (code, text) = last.split_at_checked(3).unwrap_or((last, ""));
    let word = text.trim_start().split(' ').next().unwrap_or_default();
    let enhanced = word.split('.').count() == 3
        && word.split('.').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    (code.to_owned(), (enhanced || code == "334").then(|| word.to_owned()))
}

/// `+OK`, `-ERR [AUTH]`, or a whole challenge.
fn pop3_status(line: &str) -> &str {
    if line.starts_with("+ ") {
        return line;
    }
    let code = line.split_once(' ').is_some_and(|(_, text)| text.starts_with('['));
    let end = if code { line.find(']').map(|at| at + 1) } else { line.find(' ') };
    line.get(..end.unwrap_or(line.len())).unwrap_or(line)
}

fn numbers(line: &str) -> Vec<u64> {
    line.split(' ').skip(1).map_while(|word| word.parse().ok()).collect()
}

/// Every expected response has its like, and nothing is over that matters.
fn imap_is_like(expected: &[String], heard: &[String], names: &mut Names) -> bool {
    let mut others: Vec<&String> = heard.iter().collect();
    let mut all = true;
    for line in expected {
        let whole = others.iter().position(|heard| names.matches(line, heard));
        let found = whole.or_else(|| others.iter().position(|heard| kind(heard) == kind(line)));
        match found {
            Some(at) => {
                names.matches(up_to_code(line), up_to_code(others.remove(at)));
            }
            None if is_extra(line) => {}
            None => all = false,
        }
    }
    all && others.iter().all(|line| is_extra(line))
}

/// What a client that does not ask for it ignores. Few know what RECENT is about, and RFC 9051
/// has it no more.
fn is_extra(line: &str) -> bool {
    let recent = line.starts_with("* ") && line.ends_with(" RECENT");
    recent || ["* OK [HIGHESTMODSEQ", "* OK [NOMODSEQ"].iter().any(|extra| line.starts_with(extra))
}

fn up_to_code(line: &str) -> &str {
    line.find("] ").and_then(|at| line.get(..=at)).unwrap_or(line)
}

/// What kind of response this is: `A1 NO [NONEXISTENT]`, `* OK [UIDNEXT]`, `* 3 EXISTS`,
/// `* 1 FETCH FLAGS UID`, `* LIST name`, `* SEARCH 1 2`, `* NAMESPACE`, `+`.
fn kind(line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    let (tag, status, rest) =
        (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
    if tag == "+" {
        return "+".to_owned();
    }
    if ["OK", "NO", "BAD", "BYE", "PREAUTH"].contains(&status) {
        let code = rest
            .strip_prefix('[')
            .map(|code| code.split([' ', ']']).next().unwrap_or_default().to_owned());
        return match code {
            Some(code) => format!("{tag} {status} [{code}]"),
            None => format!("{tag} {status}"),
        };
    }
    match status {
        "SEARCH" => line.trim_end().to_owned(),
        "LIST" | "LSUB" => {
            let name = rest.split_once(" \"/\" ").map_or(rest, |(_, name)| name);
            format!("* {status} {}", name.trim_matches('"'))
        }
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => match rest.split_once(' ') {
            Some((what, items)) => format!("* {number} {what} {}", item_names(items).join(" ")),
            None => format!("* {number} {rest}"),
        },
        _ => format!("* {status}"),
    }
}

/// The names of the items of a FETCH response, sorted.
fn item_names(items: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = items.strip_prefix('(').unwrap_or(items);
    while let Some((name, after)) = item_name(rest) {
        names.push(name.to_ascii_uppercase());
        rest = after_value(after);
    }
    names.sort();
    names
}

/// `BODY[HEADER.FIELDS (TO)]` is one name.
fn item_name(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ');
    let bracket = text.find('[').filter(|&at| !text[..at].contains(' '));
    let end = match bracket {
        Some(at) => at + text[at..].find(']')? + text[at..].split_once(']')?.1.find(' ')? + 1,
        None => text.find(' ')?,
    };
    (end > 0).then(|| text.split_at(end))
}

/// What stands after a value: an atom, a string, a literal or a list.
fn after_value(text: &str) -> &str {
    let mut rest = text.trim_start_matches(' ');
    let mut depth = 0_usize;
    loop {
        let Some(first) = rest.chars().next() else { return "" };
        rest = match first {
            '"' => quoted_end(rest),
            '{' => literal_end(rest),
            '(' => {
                depth += 1;
                &rest[1..]
            }
            ')' if depth == 0 => return "",
            ')' => {
                depth -= 1;
                &rest[1..]
            }
            ' ' if depth == 0 => return rest,
            other => &rest[other.len_utf8()..],
        };
        if depth == 0 && (rest.starts_with(' ') || rest.is_empty()) {
            return rest;
        }
    }
}

fn quoted_end(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

fn literal_end(text: &str) -> &str {
    let after = text.split_once("}\r\n").and_then(|(octets, after)| {
        let octets: usize = octets.strip_prefix('{')?.parse().ok()?;
        after.get(octets..)
    });
    after.unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_end_where_their_protocol_says() {
        let table: [(Protocol, &[&str], &[usize]); 4] = [
            (Protocol::Smtp, &["250-a", "250 B", "250 2.0.0 Ok"], &[2, 1]),
            (Protocol::Pop3, &["+OK", "-ERR x", "+OK 1", "1 2", ".", "+OK"], &[1, 1, 3, 1]),
            (Protocol::Imap, &["* 1 EXISTS", "A1 OK x", "+ go", "* BYE x"], &[2, 1, 1]),
            (Protocol::Imap, &["* 1 FETCH (BODY[] {5}", "a", "b)", "A OK"], &[2]),
        ];
        for (protocol, lines, counts) in table {
            let mut lines: Expected = lines.iter().map(|&line| line.to_owned()).collect();
            let mut found = Vec::new();
            while let Some(reply) = Reply::expected(protocol, &mut lines) {
                found.push(reply.lines.len());
            }
            assert_eq!(found, counts, "{lines:?}");
        }
    }

    #[test]
    fn what_is_compared() {
        let table = [
            (Protocol::Smtp, "250 2.0.0 Ok: queued as <id>", "250 2.0.0 Fine", true),
            (Protocol::Smtp, "250 2.0.0 Ok", "250 2.1.0 Ok", false),
            (Protocol::Smtp, "334 abc", "334 abd", false),
            (Protocol::Pop3, "+OK 2 358", "+OK 2 358", true),
            (Protocol::Pop3, "+OK 2 messages", "+OK 3 messages", false),
            (Protocol::Pop3, "-ERR [AUTH] no", "-ERR [AUTH] never", true),
            (Protocol::Pop3, "-ERR [AUTH] no", "-ERR never", false),
            (Protocol::Imap, "A1 OK [READ-WRITE] yes", "A1 OK [READ-WRITE] fine", true),
            (Protocol::Imap, "A1 NO [NONEXISTENT] x", "A1 NO x", false),
            (
                Protocol::Imap,
                "* 1 FETCH (UID 3 FLAGS ())",
                "* 1 FETCH (FLAGS (\\Seen) UID 3)",
                true,
            ),
            (Protocol::Imap, "* 1 FETCH (UID 3)", "* 2 FETCH (UID 3)", false),
            (Protocol::Imap, "* 1 FETCH (UID 3)", "* 1 FETCH (FLAGS ())", false),
        ];
        for (protocol, expected, heard, like) in table {
            let reply = |line: &str| Reply { lines: vec![line.to_owned()], whole: true };
            let (ours, theirs) = (reply(expected), reply(heard));
            let found = ours.is_like(&theirs, protocol, &mut Names::default());
            assert_eq!(found, like, "{expected} and {heard}");
        }
    }

    #[test]
    fn items_of_a_fetch() {
        let items = "(ENVELOPE (\"a \\\" b\" NIL ((NIL NIL \"c\" \"d\"))) BODY[HEADER.FIELDS (TO)] \
            {4}\r\nx) y UID 7 RFC822.SIZE 1)";
        let expected = ["BODY[HEADER.FIELDS (TO)]", "ENVELOPE", "RFC822.SIZE", "UID"];
        assert_eq!(item_names(items), expected);
    }
}
