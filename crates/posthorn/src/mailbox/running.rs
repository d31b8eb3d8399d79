//! Which daemons serve this site now, as far as the system shows it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use mail_common::config::SITE_FILE;

/// Those that open mailboxes.
const DAEMONS: [&str; 3] = ["imapd", "pop3d", "lmtp-deliverd"];

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Daemon {
    pub(super) name: &'static str,
    pub(super) process: String,
}

/// The daemons with this configuration.
pub(super) fn daemons(config: &Path) -> Vec<Daemon> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let daemon = |entry: fs::DirEntry| {
        let process = entry.file_name().into_string().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let (name, theirs) = command(&line)?;
        let same = fs::canonicalize(theirs).ok()? == fs::canonicalize(config).ok()?;
        same.then_some(Daemon { name, process })
    };
    processes.flatten().filter_map(daemon).collect()
}

/// Which daemon a command line is of, and its configuration.
fn command(line: &[u8]) -> Option<(&'static str, &Path)> {
    let mut words = line.split(|octet| *octet == 0).map(OsStr::from_bytes);
    let program = Path::new(words.next()?).file_name()?;
    let name = DAEMONS.into_iter().find(|name| program == *name)?;
    let mut config = Path::new(SITE_FILE);
    while let Some(word) = words.next() {
        if word == "--config" {
            config = Path::new(words.next()?);
        } else if let Some(file) = word.as_bytes().strip_prefix(b"--config=") {
            config = Path::new(OsStr::from_bytes(file));
        }
    }
    Some((name, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let daemon = |name, config| Some((name, Path::new(config)));
        assert_eq!(command(b"/usr/sbin/imapd\0"), daemon("imapd", SITE_FILE));
        assert_eq!(command(b"imapd\0--config\0/a/b.toml\0"), daemon("imapd", "/a/b.toml"));
        assert_eq!(command(b"pop3d\0--set\0x=y\0--config=/c\0"), daemon("pop3d", "/c"));
        assert_eq!(command(b"/usr/sbin/dovecot\0--config\0/c\0"), None);
        assert_eq!(command(b""), None);
    }
}
