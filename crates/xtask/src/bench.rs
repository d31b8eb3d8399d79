//! `cargo xtask long bench [PART…]`: our daemons, Postfix and Dovecot under the same loads.
//!
//! `tests/bench/compare` does the work. It is the first process of a PID namespace with mounts of
//! its own: when it ends, or this program does, servers, mounts and disk images go with it.

use std::fs;
use std::process::{Command, Stdio};

use crate::peers;
use crate::step::{Failure, cargo, output, run, target, workspace};

/// The document, and what stands around its tables: the first with the name of a chapter behind it,
/// as `compare` prints it before those of a chapter of which all parts were run.
const DOCUMENT: &str = "docs/performance.md";
const BEGIN: &str = "<!-- tables: ";
const NAMED: &str = " -->\n";
const END: &str = "<!-- end of tables -->\n";

/// Runs these parts, or all; returns the tables. Those of whole chapters go into the document too.
pub(crate) fn compare(parts: &[String], stamp: &str) -> Result<String, Failure> {
    peers::fetch()?;
    let build = ["build", "--ignore-rust-version", "--release", "--bins"];
    let packages =
        ["-p", "imapd", "-p", "lmtp-deliverd", "-p", "mtad", "-p", "posthorn", "-p", "mail-tests"];
    run(cargo(&build).args(packages), "mend what the compiler names above")?;
    let mut compare = Command::new("unshare");
    compare.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    compare.arg(target().join("release/compare")).args(parts).stdin(Stdio::null());
    let tables = output(&mut compare, "only root can mount the images; see what it says above")?;
    let mut chapters = tables.split(BEGIN);
    let mut all = chapters.next().unwrap_or_default().to_owned();
    for chapter in chapters {
        let (name, tables) = chapter.split_once(NAMED).unwrap_or_default();
        replace_tables(name, &format!("{stamp}\n\n{tables}"))?;
        all += tables;
    }
    Ok(all.trim_end().to_owned() + "\n")
}

fn replace_tables(chapter: &str, tables: &str) -> Result<(), Failure> {
    let path = workspace().join(DOCUMENT);
    let wrong = |error: &dyn std::fmt::Display| {
        let remedy = "each chapter has two comments, around its tables";
        Failure::new(format!("{DOCUMENT}: {error}"), remedy)
    };
    let text = fs::read_to_string(&path).map_err(|error| wrong(&error))?;
    let text = replaced(&text, chapter, tables).ok_or_else(|| wrong(&chapter))?;
    fs::write(&path, text).map_err(|error| wrong(&error))
}

/// A document with other tables in a chapter; `None`: the comments are not there.
fn replaced(text: &str, chapter: &str, tables: &str) -> Option<String> {
    let begin = [BEGIN, chapter, NAMED].concat();
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, &begin, "\n", tables.trim_end(), "\n\n", END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_take_the_place_of_those_of_their_chapter() {
        let document = |queue: &str| {
            format!(
                "# One\n\n<!-- tables: one -->\n\n1\n\n{END}\n# Two\n\n<!-- tables: two -->\n\n{queue}\n\n{END}"
            )
        };
        let new = replaced(&document("2"), "two", "3\n\n4\n\n");
        assert_eq!(new, Some(document("3\n\n4")));
        assert_eq!(replaced(&document("2"), "three", "3"), None);
    }
}
