//! Dovecot: LMTP, POP3 and IMAP over Maildir, and passwords for Postfix.

use std::fs;
use std::io;
use std::process::Child;

use super::{HOST, Ports, Unpacked, setting};
use crate::dovecot::{MAIL, command};
use crate::site::{DOMAIN, Site, USERS};

/// Starts it in the foreground.
pub(super) fn start(
    unpacked: &Unpacked,
    site: &Site,
    ports: Ports,
    config: &[String],
) -> io::Result<Child> {
    fs::write(site.path("dovecot.passwd"), users(site))?;
    let never = setting(config, "auth.cleartext") == Some("\"never\"");
    let line = setting(config, "limits.imap_command").unwrap_or("65536");
    let fill = [
        ("{host}", HOST.to_string()),
        ("{never}", if never { "yes" } else { "no" }.to_owned()),
        ("{lmtp}", ports.lmtp.to_string()),
        ("{pop3}", ports.pop3.to_string()),
        ("{imap}", ports.imap.to_string()),
        ("{line}", line.to_owned()),
    ];
    command(unpacked, &site.path(""), SETTINGS, &fill)?.spawn()
}

fn users(site: &Site) -> String {
    let line = |(user, password): &(&str, &str)| {
        let home = site.path("homes").join(user);
        format!("{user}@{DOMAIN}:{{PLAIN}}{password}:{MAIL}:{MAIL}::{}\n", home.display())
    };
    USERS.iter().map(line).collect()
}

const SETTINGS: &str = "\
protocols = imap pop3 lmtp
listen = {host}
hostname = mx.example.org
postmaster_address = postmaster@example.org
ssl = yes
ssl_cert = <{site}/tls/cert.pem
ssl_key = <{site}/tls/key.pem
disable_plaintext_auth = {never}
auth_mechanisms = plain login
mail_location = maildir:~/Maildir
pop3_lock_session = yes
pop3_client_workarounds = oe-ns-eoh
pop3_uidl_format = %08Xu%08Xv
imap_max_line_length = {line}
imap_idle_notify_interval = 29 mins
recipient_delimiter = +
namespace inbox {
  inbox = yes
  separator = /
  mailbox INBOX {
    auto = subscribe
  }
  mailbox Drafts {
    special_use = \\Drafts
    auto = subscribe
  }
  mailbox Sent {
    special_use = \\Sent
    auto = subscribe
  }
  mailbox Junk {
    special_use = \\Junk
    auto = subscribe
  }
  mailbox Trash {
    special_use = \\Trash
    auto = subscribe
  }
  mailbox Archive {
    special_use = \\Archive
    auto = subscribe
  }
}
passdb {
  driver = passwd-file
  args = username_format=%Lu {site}/dovecot.passwd
}
userdb {
  driver = passwd-file
  args = username_format=%Lu {site}/dovecot.passwd
}
protocol lmtp {
  ssl = no
}
service pop3-login {
  inet_listener pop3 {
    port = {pop3}
  }
  inet_listener pop3s {
    port = 0
  }
}
service auth {
  unix_listener auth-postfix {
    mode = 0666
  }
}
";
