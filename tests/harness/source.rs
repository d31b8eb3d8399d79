//! The workspace's own files, for the house rules.

use std::fs;
use std::path::{Path, PathBuf};

/// What comes before tests.
const TESTS: &str = "\n#[cfg(test)]\n";

/// A file of the workspace.
#[derive(Debug, Clone)]
pub struct Source {
    /// Relative to the workspace.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// The workspace's directory.
///
/// # Panics
/// Never.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder of the workspace")
}

/// Every text file of the workspace but what is built, kept by git, or another's Cargo.lock.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn files() -> Vec<Source> {
    let mut paths = Vec::new();
    walk(workspace(), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let relative = path.strip_prefix(workspace()).expect("was found below it");
            let relative = relative.to_string_lossy().into_owned();
            Some(Source { path: relative, text: fs::read_to_string(&path).ok()? })
        })
        .collect()
}

/// Every Rust file below `crates/`.
#[must_use]
pub fn crates() -> Vec<Source> {
    let rust = |file: &Source| file.path.starts_with("crates/") && file.path.ends_with(".rs");
    files().into_iter().filter(rust).collect()
}

impl Source {
    /// The code: what stands before `#[cfg(test)] mod tests`, which is last in a file. A file of
    /// tests has none.
    #[must_use]
    pub fn code(&self) -> &str {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return "";
        }
        let mut from = 0;
        while let Some((before, after)) = self.text.get(from..).and_then(|t| t.split_once(TESTS)) {
            let item = after.lines().find(|line| !line.starts_with("#["));
            if item.is_some_and(|line| line.starts_with("mod ")) {
                return self.text.get(..from + before.len()).unwrap_or_default();
            }
            from += before.len() + TESTS.len();
        }
        &self.text
    }

    /// The lines of the code that are not comments, each with its number.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code()
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The functions of the code that have more lines than this, each with its place.
    #[must_use]
    pub fn functions_longer_than(&self, limit: usize) -> Vec<String> {
        let lines: Vec<&str> = self.code().lines().collect();
        let mut long = Vec::new();
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            if is_function(line) {
                let count = function_length(lines.get(at..).unwrap_or_default());
                if count > limit {
                    long.push(format!("{}:{}: {count} lines", self.path, at + 1));
                }
                at += count;
            } else {
                at += 1;
            }
        }
        long
    }
}

/// `name[0]`, `call()[..2]`; not types, attributes, macros or literals.
#[must_use]
pub fn indexes(line: &str) -> bool {
    let line = line.split("//").next().unwrap_or_default();
    if line.trim_start().starts_with('#') {
        return false;
    }
    let mut quoted = false;
    let mut last = ' ';
    for c in line.chars() {
        match c {
            '"' if last != '\\' && last != '\'' => quoted = !quoted,
            '[' if !quoted && (last.is_alphanumeric() || matches!(last, '_' | ')' | ']')) => {
                return true;
            }
            _ => {}
        }
        last = c;
    }
    false
}

/// The name that a line defines.
#[must_use]
pub fn defined_name(line: &str) -> Option<&str> {
    let mut words =
        line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty());
    let keywords = ["mod", "struct", "enum", "trait", "fn", "type"];
    let line = line.trim_start();
    let begins = ["pub", "mod", "struct", "enum", "trait", "fn", "type", "async", "const"];
    if !begins.iter().any(|word| line.starts_with(word)) {
        return None;
    }
    words.find(|word| keywords.contains(word))?;
    words.next()
}

/// `MailHandler` and `mail_handler` are both mail, handler.
#[must_use]
pub fn name_parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| c != '_') {
            part.extend(c.to_lowercase());
        }
    }
    parts
}

fn is_function(line: &str) -> bool {
    let mut line = line.trim_start();
    if let Some(rest) = line.strip_prefix("pub") {
        line = rest.strip_prefix('(').and_then(|r| r.split_once(')')).map_or(rest, |(_, r)| r);
        line = line.trim_start();
    }
    for word in ["const ", "async "] {
        line = line.strip_prefix(word).unwrap_or(line);
    }
    line.starts_with("fn ")
}

/// From its `fn` to the brace that closes it, or to the `;` of one without a body.
fn function_length(lines: &[&str]) -> usize {
    let mut depth = 0_i64;
    let mut seen = false;
    for (at, line) in lines.iter().enumerate() {
        let mut quoted = false;
        let mut last = ' ';
        for c in line.chars() {
            match c {
                '"' if last != '\\' && last != '\'' => quoted = !quoted,
                '{' | '}' if quoted || last == '\'' => {}
                '{' => (depth, seen) = (depth + 1, true),
                '}' => depth -= 1,
                _ => {}
            }
            last = c;
        }
        if (seen && depth <= 0) || (!seen && line.trim_end().ends_with(';')) {
            return at + 1;
        }
    }
    lines.len().max(1)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries.flatten() {
        let name = entry.file_name();
        let kind = entry.file_type().expect("was just listed");
        if kind.is_dir() && !["target", ".git", "var"].iter().any(|&skip| name == skip) {
            walk(&entry.path(), found);
        } else if kind.is_file() && name != ".git" && name != "Cargo.lock" {
            found.push(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_find_what_they_forbid() {
        for line in ["let x = bytes[0];", "f(a)[..2]", "&self.lines[i..]", "a[0][1]"] {
            assert!(indexes(line), "{line}");
        }
        for line in ["let x: [u8; 4];", "#[test]", "vec![1]", "&[1, 2]", "\"a[0]\"", "x // a[0]"] {
            assert!(!indexes(line), "{line}");
        }
        assert_eq!(defined_name("pub(crate) struct MailHandler {"), Some("MailHandler"));
        assert_eq!(defined_name("    pub async fn get_x(&self)"), Some("get_x"));
        assert_eq!(defined_name("    let helper = 1;"), None);
        assert_eq!(name_parts("MailHandler"), ["", "mail", "handler"]);
        assert_eq!(name_parts("mail_util"), ["mail", "util"]);
        let text = "//! A.\n\n#[cfg(test)]\nuse b;\nfn c() {}\n\n#[cfg(test)]\n#[allow(d)]\nmod tests {}\n";
        let file = |path: &str| Source { path: path.into(), text: text.into() };
        assert!(file("crates/x/src/a.rs").code().ends_with("fn c() {}\n"));
        assert_eq!(file("crates/x/src/tests.rs").code(), "");
        let body = "fn a() {\n    {\n    }\n    x(b'{', \"{\");\n}\nfn b();";
        assert_eq!(function_length(&body.lines().collect::<Vec<_>>()), 5);
        assert!(is_function("    pub(super) const fn a("));
        assert!(!is_function("    // fn a("));
    }
}
