//! Our daemons, as a small site configures them.

use std::fs::{self, File};
use std::io;
use std::process::{Child, Command, Stdio};

use mail_tests::suite::binary;

use crate::side::{DOMAIN, Place};

const DAEMONS: [&str; 2] = ["imapd", "lmtp-deliverd"];

/// Starts those that the loads need.
pub(crate) fn start(place: &Place) -> io::Result<Vec<Child>> {
    let config = place.root.join("posthorn.toml");
    fs::write(&config, settings(place))?;
    DAEMONS.map(|daemon| start_one(place, daemon)).into_iter().collect()
}

fn start_one(place: &Place, daemon: &str) -> io::Result<Child> {
    let log = place.root.join("log").join(daemon);
    let log = File::options().create(true).append(true).open(log)?;
    Command::new(binary(daemon))
        .arg("--config")
        .arg(place.root.join("posthorn.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn settings(place: &Place) -> String {
    let (root, imap) = (place.root.display(), place.imap);
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
         [[imapd.listen]]\n\
         address = \"127.0.0.1:{imap}\"\n\
         [[lmtp-deliverd.listen]]\n\
         address = \"{root}/run/lmtp\"\n"
    )
}
