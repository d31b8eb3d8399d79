//! Dovecot: LMTP, POP3 and IMAP over Maildir, and passwords for Postfix.

use std::fs::{self, File};
use std::io;
use std::process::{Child, Stdio};

use super::{HOST, MAIL, Ports, Unpacked, setting};
use crate::site::{DOMAIN, Site, USERS};

/// Starts it in the foreground.
pub(super) fn start(
    unpacked: &Unpacked,
    site: &Site,
    ports: Ports,
    config: &[String],
) -> io::Result<Child> {
    let base = site.path("dovecot");
    fs::create_dir(&base)?;
    let file = site.path("dovecot.conf");
    fs::write(&file, settings(site, ports, config))?;
    fs::write(site.path("dovecot.passwd"), users(site))?;
    let mut dovecot = unpacked.command("/usr/sbin/dovecot");
    dovecot.args(["-F", "-c"]).arg(&file);
    dovecot
        .stdin(Stdio::null())
        .stdout(File::create(site.path("log/dovecot.out"))?)
        .stderr(File::create(site.path("log/dovecot.err"))?)
        .spawn()
}

fn settings(site: &Site, ports: Ports, config: &[String]) -> String {
    let never = setting(config, "auth.cleartext") == Some("\"never\"");
    let line = setting(config, "limits.imap_command").unwrap_or("65536");
    let fill = [
        ("{site}", site.path("").to_string_lossy().trim_end_matches('/').to_owned()),
        ("{host}", HOST.to_string()),
        ("{never}", if never { "yes" } else { "no" }.to_owned()),
        ("{lmtp}", ports.lmtp.to_string()),
        ("{pop3}", ports.pop3.to_string()),
        ("{imap}", ports.imap.to_string()),
        ("{mail}", MAIL.to_string()),
        ("{line}", line.to_owned()),
    ];
    fill.iter().fold(SETTINGS.to_owned(), |text, (name, value)| text.replace(name, value))
}

fn users(site: &Site) -> String {
    let line = |(user, password): &(&str, &str)| {
        let home = site.path("homes").join(user);
        format!("{user}@{DOMAIN}:{{PLAIN}}{password}:{MAIL}:{MAIL}::{}\n", home.display())
    };
    USERS.iter().map(line).collect()
}

const SETTINGS: &str = "\
base_dir = {site}/dovecot
state_dir = {site}/dovecot
log_path = {site}/log/dovecot.log
default_internal_user = daemon
default_internal_group = daemon
default_login_user = nobody
protocols = imap pop3 lmtp
listen = {host}
hostname = mx.example.org
postmaster_address = postmaster@example.org
ssl = yes
ssl_cert = <{site}/tls/cert.pem
ssl_key = <{site}/tls/key.pem
disable_plaintext_auth = {never}
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:~/Maildir
first_valid_uid = {mail}
mail_max_userip_connections = 0
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
service imap-login {
  inet_listener imap {
    port = {imap}
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  inet_listener pop3 {
    port = {pop3}
  }
  inet_listener pop3s {
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
service auth {
  unix_listener auth-postfix {
    mode = 0666
  }
}
";
