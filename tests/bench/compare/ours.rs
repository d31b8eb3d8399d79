//! Our daemons, as a small site configures them.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mail_tests::suite::binary;

use crate::side::DOMAIN;

/// Starts these, with these settings besides those that all have.
pub(crate) fn start(root: &Path, daemons: &[&str], settings: &str) -> io::Result<Vec<Child>> {
    fs::write(root.join("posthorn.toml"), common(root) + settings)?;
    daemons.iter().map(|daemon| start_one(root, daemon)).collect()
}

fn start_one(root: &Path, daemon: &str) -> io::Result<Child> {
    let log = root.join("log").join(daemon);
    let log = File::options().create(true).append(true).open(log)?;
    Command::new(binary(daemon))
        .arg("--config")
        .arg(root.join("posthorn.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn common(root: &Path) -> String {
    let root = root.display();
    format!(
        "config_version = 1\n\
         hostname = \"mx.{DOMAIN}\"\n\
         [domains]\n\
         local = [\"{DOMAIN}\"]\n\
         [mail]\n\
         path = \"{root}/mail/%d/%n\"\n\
         [auth]\n\
         passwd = \"{root}/passwd\"\n\
         cleartext = \"loopback\"\n\
         [run]\n\
         directory = \"{root}/run\"\n\
         [mtad]\n\
         spool = \"{root}/spool\"\n\
         lmtp = \"{root}/run/lmtp\"\n\
         [lmtp-deliverd]\n\
         state = \"{root}/state\"\n\
         [[lmtp-deliverd.listen]]\n\
         address = \"{root}/run/lmtp\"\n"
    )
}
