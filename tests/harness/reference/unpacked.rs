//! Finding the originals where `cargo verify` unpacked them, and running them from there.
//!
//! They know by heart where their parts are installed. So each runs in a mount namespace of its
//! own, where the unpacked files lie over `/usr`; nobody else sees them there.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::source::workspace;

/// The originals' files.
#[derive(Debug, Clone)]
pub struct Unpacked {
    usr: PathBuf,
}

impl Unpacked {
    /// The originals, if they are there and can be run.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn find() -> Result<Self, String> {
        let usr = workspace().join("target/peers/usr");
        for proof in ["sbin/dovecot", "lib/postfix/sbin/master"] {
            if !usr.join(proof).exists() {
                let what = usr.join(proof);
                return Err(format!("no {}: cargo xtask peers fetches it", what.display()));
            }
        }
        if !rustix::process::geteuid().is_root() {
            return Err("Postfix and Dovecot start as root only".to_owned());
        }
        let unpacked = Self { usr };
        let mut nothing = unpacked.command("true");
        let tried = nothing.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !tried.is_ok_and(|status| status.success()) {
            return Err("nothing may be mounted here, not even in a namespace".to_owned());
        }
        Ok(unpacked)
    }

    /// Runs a program where theirs are installed, as the leader of a process group: Postfix,
    /// told to end, ends its whole group.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", IN_PLACE]).arg(&self.usr).arg(program);
        command.process_group(0);
        command
    }
}

const IN_PLACE: &str = "mount -t overlay -o \"ro,lowerdir=$0:/usr\" overlay /usr && exec \"$@\"";
