//! `cargo xtask chats`: which commands and replies no chat shows.
//!
//! The protocols' own tables are read as text: every word in capitals of a command table must be
//! said by a client in some chat, every text of a `reply.rs` must be heard. Words that are known
//! only to be refused stand in an array (`const NOT_OFFERED: [&str; 8]`): one of them is enough.

use std::fs;
use std::path::Path;

use crate::step::{Failure, workspace};

/// A file of `crates/proto/src`, the folders of chats that must show it, and what it holds.
const TABLES: [(&str, &[&str], Kind); 6] = [
    ("smtp/command.rs", &["smtp", "submission", "inject", "lmtp"], Kind::Commands),
    ("smtp/reply.rs", &["smtp", "submission", "inject", "lmtp"], Kind::Replies),
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

/// Lists the gaps; fails if there is one.
pub(crate) fn find_gaps() -> Result<(), Failure> {
    let mut gaps = 0;
    for (table, folders, kind) in TABLES {
        let path = workspace().join("crates/proto/src").join(table);
        let text = read(&path)?;
        let mut chats = String::new();
        for folder in folders {
            chats += &lines_of(&workspace().join("tests/chats").join(folder), kind)?;
        }
        for mut words in alternatives(code(&text)) {
            words.retain(|word| kind.wants(word));
            if !words.is_empty() && !words.iter().any(|word| kind.is_shown(word, &chats)) {
                println!("{table}: {}", words.join(", "));
                gaps += 1;
            }
        }
    }
    if gaps > 0 {
        let what = format!("{gaps} commands and replies have no chat");
        return Err(Failure::new(what, "write it: tests/chats/README.md has the format"));
    }
    println!("every command and every reply has its chat");
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

/// The string literals of lines that are not comments; those of one array of words together.
fn alternatives(code: &str) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::new();
    let mut within_array = false;
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        if line.contains(": [&str; ") {
            within_array = true;
            all.push(Vec::new());
        }
        for literal in literals(line) {
            match all.last_mut() {
                Some(words) if within_array => words.push(literal),
                _ => all.push(vec![literal]),
            }
        }
        within_array &= !line.ends_with("];");
    }
    all
}

fn literals(line: &str) -> impl Iterator<Item = String> {
    let parts = line.split('"').enumerate();
    parts.filter(|(at, _)| at % 2 == 1).map(|(_, part)| part.to_owned())
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
        let code = "// \"NOT\"\nrow(\"NOOP\", \"ok\"),\nreply(250, \"2.0.0\", \"Ok {} now\")\n\
            const NOT_SMTP: [&str; 2] =\n    [\"GET\", \"PUT\"];\nrow(\"QUIT\")";
        let all: Vec<_> = alternatives(code).iter().map(|words| words.join("|")).collect();
        assert_eq!(all, ["NOOP", "ok", "2.0.0", "Ok {} now", "GET|PUT", "QUIT"]);
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
