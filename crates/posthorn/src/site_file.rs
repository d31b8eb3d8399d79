//! Which site a command is about.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use clap::Args;
use mail_common::config::{Mistakes, SITE_FILE, Site, Source, load};
use thiserror::Error;

/// What the command line says of it.
#[derive(Args)]
pub(crate) struct SiteFile {
    /// The site's configuration
    #[arg(long = "config", global = true, value_name = "FILE", default_value = SITE_FILE)]
    pub(crate) path: PathBuf,
}

/// No site is configured there.
#[derive(Debug, Error)]
pub(crate) enum NoSite {
    #[error("{}: no such file. --config names the site's configuration", .0.display())]
    Missing(PathBuf),
    #[error("{0}")]
    Wrong(Mistakes),
}

impl SiteFile {
    /// Reads it.
    pub(crate) fn load(&self) -> Result<Site, NoSite> {
        let file = self.path.clone();
        match fs::metadata(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(NoSite::Missing(file)),
            _ => load(&Source { file, flags: Vec::new() }).map_err(NoSite::Wrong),
        }
    }
}
