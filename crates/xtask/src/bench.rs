//! `cargo xtask long bench [PART…]`: our daemons, Postfix and Dovecot under the same loads.
//!
//! `tests/bench/compare` does the work. It is the first process of a PID namespace with mounts of
//! its own: when it ends, or this program does, servers, mounts and disk images go with it.

use std::fs;
use std::process::{Command, Stdio};

use crate::peers;
use crate::step::{Failure, cargo, output, run, target, workspace};

/// The document, and what stands around its table.
const DOCUMENT: &str = "docs/performance.md";
const BEGIN: &str = "<!-- the table of cargo xtask long bench -->\n";
const END: &str = "<!-- its end -->\n";

/// Runs these parts, or all; returns the table. That of a whole run goes into the document too.
pub(crate) fn compare(parts: &[String], stamp: &str) -> Result<String, Failure> {
    peers::fetch()?;
    let build = ["build", "--ignore-rust-version", "--release", "--bins"];
    let packages = ["-p", "imapd", "-p", "lmtp-deliverd", "-p", "mtad", "-p", "mail-tests"];
    run(cargo(&build).args(packages), "mend what the compiler names above")?;
    let mut compare = Command::new("unshare");
    compare.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    compare.arg(target().join("release/compare")).args(parts).stdin(Stdio::null());
    let table = output(&mut compare, "only root can mount the images; see what it says above")?;
    if parts.is_empty() {
        replace_table(&format!("{stamp}\n\n{table}"))?;
    }
    Ok(table)
}

fn replace_table(table: &str) -> Result<(), Failure> {
    let path = workspace().join(DOCUMENT);
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(format!("{DOCUMENT}: {error}"), "it has two comments, around the table")
    };
    let text = fs::read_to_string(&path).map_err(|error| wrong(&error))?;
    let (before, rest) = text.split_once(BEGIN).ok_or_else(|| wrong(&"no first comment"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| wrong(&"no second comment"))?;
    let text = [before, BEGIN, "\n", table, "\n", END, after].concat();
    fs::write(&path, text).map_err(|error| wrong(&error))
}
