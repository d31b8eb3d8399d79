//! Debian's Dovecot alone, over the mailboxes of a site: to hand Maildirs to it and take them
//! back. Its users are those of the site's passwd-file, and all mail belongs to Debian's user
//! `mail`.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{Gid, Uid, chown};
use rustix::process::{Pid, Signal, kill_process};

use crate::patience;
use crate::reference::Unpacked;
use crate::site::Site;

/// Whose the mailboxes are: Debian's user and group `mail`.
pub const MAIL: u32 = 8;

/// It, running. Stopped when dropped.
#[derive(Debug)]
pub struct Dovecot {
    child: Child,
    imap: SocketAddr,
    lmtp: SocketAddr,
    log: PathBuf,
}

impl Dovecot {
    /// Starts it with these settings besides; `mail_location` is to be among them, and `{site}`
    /// in them is the site's directory. Everything below the site's `mail` is given to it.
    ///
    /// # Panics
    /// If it does not come up, with its log.
    #[must_use]
    pub fn start(unpacked: &Unpacked, site: &Site, settings: &str) -> Self {
        let root = site.path("");
        // Its processes, which are not root, must reach what is below.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))
            .and_then(|()| give(&site.path("mail")))
            .and_then(|()| Self::below(unpacked, &root, settings))
            .unwrap_or_else(|error| {
                let log = fs::read_to_string(log(&root)).unwrap_or_default();
                panic!("Dovecot: {error}\n{log}")
            })
    }

    /// The same over any directory that has a `passwd`, a directory `log` and a directory `mail`,
    /// which is its own already; `{site}` in the settings is that directory.
    ///
    /// # Errors
    /// It does not come up.
    pub fn below(unpacked: &Unpacked, root: &Path, settings: &str) -> io::Result<Self> {
        let (imap, lmtp) = (free()?, free()?);
        let settings = [SETTINGS, settings].concat();
        let ports = [("{imap}", imap.port().to_string()), ("{lmtp}", lmtp.port().to_string())];
        let child = command(unpacked, root, &settings, &ports)?.env("TZ", "UTC").spawn()?;
        let dovecot = Self { child, imap, lmtp, log: log(root) };
        for address in [imap, lmtp] {
            patience::until(|| TcpStream::connect(address).ok())
                .ok_or_else(|| io::Error::other(format!("{address} is dead")))?;
        }
        Ok(dovecot)
    }

    /// Where it speaks IMAP, in clear.
    #[must_use]
    pub fn imap(&self) -> SocketAddr {
        self.imap
    }

    /// Where it speaks LMTP.
    #[must_use]
    pub fn lmtp(&self) -> SocketAddr {
        self.lmtp
    }

    /// The process that started all others.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if patience::until(|| self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("=== Dovecot\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// The command that runs it in the foreground, below a directory that has a directory `log`. These
/// settings come to those of [`EVERYWHERE`]; in both, `{site}` is the directory and `{mail}` is
/// [`MAIL`]. What else is in braces is given, the ports `{imap}` and `{lmtp}` among it.
pub(crate) fn command(
    unpacked: &Unpacked,
    root: &Path,
    settings: &str,
    fill: &[(&str, String)],
) -> io::Result<Command> {
    fs::create_dir_all(root.join("dovecot"))?;
    let text = [EVERYWHERE, settings]
        .concat()
        .replace("{site}", root.to_string_lossy().trim_end_matches('/'))
        .replace("{mail}", &MAIL.to_string());
    let text = fill.iter().fold(text, |text, (name, value)| text.replace(name, value));
    let file = root.join("dovecot.conf");
    fs::write(&file, text)?;
    let mut dovecot = unpacked.command("/usr/sbin/dovecot");
    dovecot
        .args(["-F", "-c"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(File::create(root.join("log/dovecot.out"))?)
        .stderr(File::create(root.join("log/dovecot.err"))?);
    Ok(dovecot)
}

/// Gives a directory and all that is in it to [`MAIL`].
///
/// # Errors
/// Of the file system.
pub fn give(path: &Path) -> io::Result<()> {
    chown(path, Some(Uid::from_raw(MAIL)), Some(Gid::from_raw(MAIL)))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give(&entry.path())?;
        } else {
            chown(entry.path(), Some(Uid::from_raw(MAIL)), Some(Gid::from_raw(MAIL)))?;
        }
    }
    Ok(())
}

fn log(root: &Path) -> PathBuf {
    root.join("log/dovecot.log")
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// What every Dovecot of the tests is told.
const EVERYWHERE: &str = "\
base_dir = {site}/dovecot
state_dir = {site}/dovecot
log_path = {site}/log/dovecot.log
default_internal_user = daemon
default_internal_group = daemon
default_login_user = nobody
auth_failure_delay = 0
first_valid_uid = {mail}
mail_max_userip_connections = 0
service imap-login {
  inet_listener imap {
    port = {imap}
  }
  inet_listener imaps {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    port = {lmtp}
  }
}
service anvil {
  # No penalty for those who log in after a wrong password.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
";

/// What it is told besides when it is alone.
const SETTINGS: &str = "\
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
passdb {
  driver = passwd-file
  args = username_format=%Lu {site}/passwd
}
userdb {
  driver = static
  args = uid={mail} gid={mail} home={site}/mail/%d/%n
}
";
