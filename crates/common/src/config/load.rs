//! Reading the configuration, and telling every mistake in it at once.

use std::fmt;
use std::path::PathBuf;

use super::Site;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The site file; `conf.d/*.toml` beside it are read after it, in order of name.
    pub file: PathBuf,
    /// `--set key.path=value`, strongest last.
    pub flags: Vec<String>,
}

/// Everything that is wrong, in order of place.
#[derive(Debug)]
pub struct Mistakes(pub Vec<Mistake>);

/// One thing that is wrong. Shown as `posthorn.toml:3:1: unknown key 'hostnmae', did you mean
/// 'hostname'?`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, or `POSTHORN_X`, or `--set`.
    pub place: String,
    /// Line and column from 1, where the place is a file.
    pub at: Option<(usize, usize)>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Reads everything.
pub fn load(source: &Source) -> Result<Site, Mistakes> {
    todo!("{source:?}")
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}
