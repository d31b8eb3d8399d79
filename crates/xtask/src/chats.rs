//! `cargo xtask chats`: which commands and replies no chat shows.
//!
//! The protocols' own tables are read as text: every word in capitals of a command table must be
//! said by a client in some chat, every text of a `reply.rs` must be heard.

use std::fs;
use std::path::Path;

use crate::step::{Failure, workspace};

/// A file of `crates/proto/src`, the folders of chats that must show it, and what it holds.
const TABLES: [(&str, &[&str], Kind); 6] = [
    ("smtp/command.rs", &["smtp", "submission", "lmtp"], Kind::Commands),
    ("smtp/reply.rs", &["smtp", "submission", "lmtp"], Kind::Replies),
    ("pop3/commands.rs", &["pop3"], Kind::Commands),
    ("pop3/reply.rs", &["pop3"], Kind::Replies),
    ("imap/syntax/table.rs", &["imap"], Kind::Commands),
    ("imap/reply.rs", &["imap"], Kind::Replies),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Commands,
    Replies,
}

/// Lists the gaps. What only a broken disk would say has no chat, so gaps are not a failure.
pub(crate) fn list_gaps() -> Result<(), Failure> {
    let mut gaps = 0;
    for (table, folders, kind) in TABLES {
        let path = workspace().join("crates/proto/src").join(table);
        let text = read(&path)?;
        let mut chats = String::new();
        for folder in folders {
            chats += &lines_of(&workspace().join("tests/chats").join(folder), kind)?;
        }
        for word in literals(code(&text)).filter(|literal| kind.wants(literal)) {
            if !kind.is_shown(&word, &chats) {
                println!("{table}: {word:?}");
                gaps += 1;
            }
        }
    }
    match gaps {
        0 => println!("every command and every reply has its chat"),
        _ => println!("{gaps} commands and replies have no chat"),
    }
    Ok(())
}

impl Kind {
    fn wants(self, literal: &str) -> bool {
        match self {
            Self::Commands => {
                literal.len() > 1
                    && literal.chars().all(|c| c.is_ascii_uppercase() || " 0123456789".contains(c))
            }
            // Enhanced status codes are shown with the text that they stand with.
            // A literal with a quote in it is cut in two here, and no line of a chat.
            Self::Replies => literal.contains(' ') && !literal.ends_with('\\'),
        }
    }

    /// What a reply has filled in is not compared.
    fn is_shown(self, word: &str, chats: &str) -> bool {
        match self {
            Self::Commands => chats
                .split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' '))
                .any(|said| format!(" {} ", said.trim()).contains(&format!(" {word} "))),
            Self::Replies => pieces(word).all(|piece| chats.contains(piece)),
        }
    }
}

/// The texts of a reply around its `{}` and line breaks.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .enumerate()
        .map(|(at, part)| match part.split_once('}') {
            Some((_, after)) if at > 0 => after,
            _ => part,
        })
        .flat_map(|part| part.split("\\r\\n"))
        .map(str::trim)
}

/// What clients say, or servers, in the chats of a folder; the client's in capitals.
fn lines_of(folder: &Path, kind: Kind) -> Result<String, Failure> {
    let mut lines = String::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(lines);
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let text = read(&path)?;
        for line in text.lines() {
            let wanted = if kind == Kind::Commands { 'C' } else { 'S' };
            if let Some((who, said)) =
                line.split_once([' ', ':']).filter(|_| line.starts_with(wanted))
                && who.len() <= 3
            {
                let said =
                    if kind == Kind::Commands { said.to_uppercase() } else { said.to_owned() };
                lines.push_str(&said);
                lines.push('\n');
            }
        }
    }
    Ok(lines)
}

fn code(text: &str) -> &str {
    text.split("\n#[cfg(test)]").next().unwrap_or(text)
}

/// The string literals of lines that are not comments.
fn literals(code: &str) -> impl Iterator<Item = String> {
    code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| {
        let parts = line.split('"').enumerate();
        parts.filter(|(at, _)| at % 2 == 1).map(|(_, part)| part.to_owned())
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("{}: {error}", path.display()), "see crates/xtask/src/chats.rs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_what_they_need() {
        let code = "// \"NOT\"\nrow(\"NOOP\", \"ok\"),\nreply(250, \"2.0.0\", \"Ok {} now\")";
        let all: Vec<_> = literals(code).collect();
        assert_eq!(all, ["NOOP", "ok", "2.0.0", "Ok {} now"]);
        assert!(Kind::Commands.wants("UID FETCH") && !Kind::Commands.wants("ok"));
        assert!(Kind::Replies.wants("Ok {} now") && !Kind::Replies.wants("2.0.0"));
    }

    #[test]
    fn what_is_shown_and_what_is_not() {
        assert!(Kind::Commands.is_shown("UID FETCH", "A1 UID FETCH 1 (FLAGS)\n"));
        assert!(!Kind::Commands.is_shown("NOOP", "A1 NOOPS\n"));
        assert!(Kind::Replies.is_shown("Ok {id} now", "250 Ok 17 now\n"));
        assert!(!Kind::Replies.is_shown("Ok {id} then", "250 Ok 17 now\n"));
    }
}
