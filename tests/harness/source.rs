//! The workspace's own files, for the house rules.

use std::fs;
use std::path::{Path, PathBuf};

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
    /// The code: what stands before `#[cfg(test)] mod tests`, which is last in a file.
    #[must_use]
    pub fn code(&self) -> &str {
        let end = self.text.find("\n#[cfg(test)]\nmod ");
        end.and_then(|end| self.text.get(..end)).unwrap_or(&self.text)
    }

    /// The lines of the code that are not comments, each with its number.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code()
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
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
