//! Filling a Maildir fast: set-up, not load, so nothing is synced one by one.
//!
//! Names, flags and times are as Dovecot leaves them, and the list of UIDs too where it is asked
//! for. Of a mailbox that is only opened and never read, the messages can be links to a few files.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;

use crate::letters::Letters;

/// How many names one file gets: ext4 allows 65,000.
const LINKS: u64 = 50_000;

/// When the first message came, in seconds since 1970, and how far they are apart.
const FIRST: u64 = 1_600_000_000;
const APART: u64 = 77;

/// What to put in.
#[derive(Debug, Args)]
pub(crate) struct Filling {
    /// The Maildir; made if it is not there
    path: PathBuf,
    /// How many
    #[arg(long)]
    messages: u64,
    /// The number of the first letter
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Write dovecot-uidlist too
    #[arg(long)]
    uidlist: bool,
    /// Links to a few files instead of a file each
    #[arg(long)]
    linked: bool,
    /// The uid and gid whose everything shall be
    #[arg(long)]
    owner: Option<u32>,
}

impl Filling {
    pub(crate) fn run(&self) -> io::Result<()> {
        for folder in ["", "cur", "new", "tmp"] {
            fs::create_dir_all(self.path.join(folder))?;
            self.own(&self.path.join(folder))?;
        }
        let letters = Letters::new();
        let mut list = format!(
            "3 V{FIRST} N{} G{:032x}\n",
            self.messages + 1,
            u128::from(FIRST) << 64 | u128::from(self.messages)
        );
        let mut original = None;
        for at in 0..self.messages {
            let number = self.first + at;
            if !self.linked || at % LINKS == 0 {
                original = Some(self.write(&letters, number)?);
            }
            let Some((path, sizes)) = &original else { continue };
            let base = base_name(number, sizes);
            writeln!(list, "{} :{base}", at + 1).expect("takes everything");
            let name = self.path.join("cur").join(base + ":2," + flags(number));
            if self.linked && (at + 1) % LINKS != 0 && at + 1 != self.messages {
                fs::hard_link(path, name)?;
            } else {
                fs::rename(path, name)?;
            }
        }
        if self.uidlist {
            let path = self.path.join("dovecot-uidlist");
            fs::write(&path, list)?;
            self.own(&path)?;
        }
        Ok(())
    }

    /// Writes a letter into `tmp/`; returns its path and its `,S=` and `,W=`.
    fn write(&self, letters: &Letters, number: u64) -> io::Result<(PathBuf, String)> {
        let letter = letters.stored(number);
        let lines = letter.bytes().filter(|&octet| octet == b'\n').count();
        let path = self.path.join("tmp").join(number.to_string());
        let mut file = File::create_new(&path)?;
        file.write_all(letter.as_bytes())?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(received(number)))?;
        self.own(&path)?;
        Ok((path, format!(",S={},W={}", letter.len(), letter.len() + lines)))
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, self.owner, self.owner)
    }
}

fn base_name(number: u64, sizes: &str) -> String {
    format!("{}.M{}P4711.mx{sizes}", received(number), number % 1_000_000)
}

fn received(number: u64) -> u64 {
    FIRST + number * APART
}

/// Most are seen, some answered, a few flagged.
fn flags(number: u64) -> &'static str {
    match number % 50 {
        7 => "FS",
        9 | 29 | 49 => "",
        n if n % 10 == 1 => "RS",
        _ => "S",
    }
}
