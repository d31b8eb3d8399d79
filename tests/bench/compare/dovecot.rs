//! Dovecot, tuned as its documentation advises for load: login processes that serve many, mail
//! processes that are reused and wait ready, answers about users cached. Mail is synced as it is
//! by default, which is every delivery and every APPEND.

use std::fs::{self, File};
use std::io;
use std::process::{Child, Stdio};

use mail_tests::reference::Unpacked;

use crate::side::{MAIL, Place};

/// Starts it in the foreground.
pub(crate) fn start(unpacked: &Unpacked, place: &Place) -> io::Result<Vec<Child>> {
    let file = place.root.join("dovecot.conf");
    let fill = [
        ("{root}", place.root.display().to_string()),
        ("{imap}", place.imap.to_string()),
        ("{mail}", MAIL.to_string()),
    ];
    let text = fill.iter().fold(SETTINGS.to_owned(), |text, (key, value)| text.replace(key, value));
    fs::write(&file, text)?;
    let mut dovecot = unpacked.command("/usr/sbin/dovecot");
    dovecot.args(["-F", "-c"]).arg(&file);
    let child = dovecot
        .stdin(Stdio::null())
        .stdout(File::create(place.root.join("log/out"))?)
        .stderr(File::create(place.root.join("log/err"))?)
        .spawn()?;
    Ok(vec![child])
}

const SETTINGS: &str = "\
base_dir = {root}/run
state_dir = {root}/run
log_path = {root}/log/dovecot
default_internal_user = daemon
default_internal_group = daemon
default_login_user = nobody
default_client_limit = 15000
default_process_limit = 4000
default_vsz_limit = 1G
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 10M
auth_failure_delay = 0
first_valid_uid = {mail}
mail_location = maildir:{root}/mail/%d/%n
mail_max_userip_connections = 0
passdb {
  driver = passwd-file
  args = username_format=%u {root}/passwd
}
userdb {
  driver = static
  args = uid={mail} gid={mail} home={root}/mail/%d/%n
}
service imap-login {
  inet_listener imap {
    port = {imap}
  }
  inet_listener imaps {
    port = 0
  }
  service_count = 0
  process_min_avail = 2
  process_limit = 2
}
service imap {
  process_min_avail = 8
  service_count = 200
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
  process_min_avail = 8
  process_limit = 64
}
";
