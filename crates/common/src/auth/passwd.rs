//! A passwd-file as Dovecot has it: `user:{SCHEME}hash:uid:gid:gecos:home:shell:extra`.
//!
//! Only the first two fields are read: mail lives where the site says, below one uid. A line that
//! is none is told and passed over, because one slip must not keep everybody out.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mail_proto::address::Address;
use tracing::{info, warn};

use super::AuthError;
use super::scheme::Stored;

/// One user's line.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) address: Address,
    pub(super) stored: Stored,
}

/// All users of a file.
#[derive(Debug, Default)]
pub(super) struct Users {
    entries: Vec<Entry>,
    /// Where in `entries` the user of this name is.
    names: HashMap<String, usize>,
}

/// A file that is read again when it changes.
#[derive(Debug)]
pub(super) struct Passwd {
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    look: Look,
    users: Arc<Users>,
}

/// What changes when somebody writes the file, or puts another in its place.
type Look = (i64, i64, u64, u64, u64);

/// Larger than a million users.
const LARGEST: u64 = 256 << 20;

/// Wrong lines that are told one by one.
const MOST_COMPLAINTS: usize = 20;

impl Passwd {
    pub(super) fn open(path: &Path) -> Result<Self, AuthError> {
        let held = Held::read(path).map_err(|error| unreadable(path, error))?;
        Ok(Self { path: path.to_owned(), held: Mutex::new(held) })
    }

    /// The users as the file has them now.
    pub(super) fn users(&self) -> Result<Arc<Users>, AuthError> {
        let look = look(&self.path).map_err(|error| unreadable(&self.path, error))?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.look != look {
            let new = Held::read(&self.path).map_err(|error| unreadable(&self.path, error))?;
            if new.users.entries.is_empty() && !held.users.entries.is_empty() {
                // Whoever writes it in place empties it first: nobody is bounced for that.
                return Err(unreadable(&self.path, io::Error::other("it has no users any more")));
            }
            *held = new;
            info!(path = %self.path.display(), users = held.users.entries.len(), "users read again");
        }
        Ok(Arc::clone(&held.users))
    }
}

impl Held {
    fn read(path: &Path) -> io::Result<Self> {
        // Looked at before it is read: what changes meanwhile is seen at the next look.
        let look = look(path)?;
        if fs::metadata(path)?.len() > LARGEST {
            return Err(io::Error::other("it is larger than 256 MiB"));
        }
        let users = Users::read(&fs::read(path)?, &path.display().to_string());
        Ok(Self { look, users: Arc::new(users) })
    }
}

impl Users {
    fn read(bytes: &[u8], file: &str) -> Self {
        let mut users = Self::default();
        let mut wrong = 0;
        for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if let Err(complaint) = users.read_line(line) {
                wrong += 1;
                if wrong <= MOST_COMPLAINTS {
                    warn!(place = format!("{file}:{}", number + 1), "{complaint}");
                }
            }
        }
        if wrong > MOST_COMPLAINTS {
            warn!(place = file, lines = wrong, "so many lines are passed over");
        }
        users
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default();
        let password = fields.next().ok_or("no password: write user@domain:{SCHEME}hash")?;
        let address: Address = name.parse().map_err(|_| "the user is no address: user@domain")?;
        if self.names.contains_key(&key(&address)) {
            return Err("the user stands above already, and that line counts");
        }
        let stored = Stored::read(password);
        self.names.insert(key(&address), self.entries.len());
        self.entries.push(Entry { address, stored });
        Ok(())
    }

    /// The user of this address, upper and lower case being one.
    pub(super) fn find(&self, address: &Address) -> Option<&Entry> {
        self.names.get(&key(address)).and_then(|&index| self.entries.get(index))
    }

    /// All of them, in the file's order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Some user, the same for the same number.
    pub(super) fn some(&self, number: u64) -> Option<&Entry> {
        let count = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        let index = number.checked_rem(count)?;
        self.entries.get(usize::try_from(index).unwrap_or_default())
    }
}

fn key(address: &Address) -> String {
    format!("{}@{}", address.local().to_lowercase(), address.domain())
}

fn look(path: &Path) -> io::Result<Look> {
    let found = fs::metadata(path)?;
    Ok((found.mtime(), found.mtime_nsec(), found.dev(), found.ino(), found.len()))
}

fn unreadable(path: &Path, error: io::Error) -> AuthError {
    AuthError::Unreadable { path: path.to_owned(), error }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let file = b"# people\n\nann@example.org:{PLAIN}apple:5000:5000::/srv/ann::quota=1\r\n\
                     Bob@Example.Org:{PLAIN}banana\nann@example.org:{PLAIN}other\n\
                     root:{PLAIN}x\nno-password@example.org\n\xff@example.org:x\nzoe@example.org:";
        let users = Users::read(file, "passwd");
        let names: Vec<_> = users.entries.iter().map(|entry| entry.address.to_string()).collect();
        assert_eq!(names, ["ann@example.org", "Bob@example.org", "zoe@example.org"]);
        let stored = |name: &str| users.find(&name.parse().unwrap()).map(|e| e.stored.clone());
        assert_eq!(stored("ANN@EXAMPLE.ORG"), Some(Stored::Plain("apple".into())));
        assert_eq!(stored("bob@example.org"), Some(Stored::Plain("banana".into())));
        assert_eq!(stored("zoe@example.org"), Some(Stored::Locked));
        assert_eq!(stored("root@example.org"), None);
    }

    #[test]
    fn decoys_come_from_the_file() {
        let users = Users::read(b"ann@a.b:{PLAIN}x\nbob@a.b:{PLAIN}y\n", "passwd");
        assert_eq!(users.some(7).unwrap().address.local(), "bob");
        assert!(Users::default().some(7).is_none());
    }
}
