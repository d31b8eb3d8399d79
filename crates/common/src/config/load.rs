//! Reading the configuration, and telling every mistake in it at once.

use std::fmt;
use std::path::PathBuf;

use super::layers::Layers;
use super::{Site, extract, rules};

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
///
/// # Errors
/// All mistakes, not only the first.
pub fn load(source: &Source) -> Result<Site, Mistakes> {
    let layers = Layers::read(source);
    let (site, mut mistakes) = extract::site(&layers);
    if let Some(site) = &site {
        mistakes.extend(rules::broken(site, &layers));
    }
    match site {
        Some(site) if mistakes.is_empty() => Ok(site),
        _ => Err(Mistakes(layers.in_order(mistakes))),
    }
}

/// One a line.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mistakes = self.0.iter();
        if let Some(first) = mistakes.next() {
            write!(f, "{first}")?;
        }
        mistakes.try_for_each(|mistake| write!(f, "\n{mistake}"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}
