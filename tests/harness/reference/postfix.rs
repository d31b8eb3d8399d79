//! Postfix: port 25 and submission, with Dovecot for passwords and mailboxes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use super::{HOST, Ports, Unpacked, own, setting};
use crate::site::Site;

/// Debian's user `daemon`: whose the queue is.
const OWNER: u32 = 1;

/// Folders of the queue; those that only Postfix enters.
const QUEUE: [&str; 13] = [
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
    "saved", "trace", "maildrop", "public",
];

/// Starts it in the foreground, below a directory that has a directory `log`, with these settings
/// and services besides those of any exchanger; in the settings `{site}` is the directory.
///
/// # Errors
/// Of the file system.
pub fn below(
    unpacked: &Unpacked,
    root: &Path,
    settings: &str,
    services: &str,
) -> io::Result<Child> {
    let base = root.join("postfix");
    for folder in ["", "etc", "queue", "queue/pid", "data"] {
        fs::create_dir(base.join(folder))?;
    }
    for folder in QUEUE {
        private(&base.join("queue").join(folder))?;
    }
    own(&base.join("data"), OWNER)?;
    let etc = base.join("etc");
    let site = root.to_string_lossy();
    let settings = [EVERYWHERE, settings].concat().replace("{site}", site.trim_end_matches('/'));
    fs::write(etc.join("main.cf"), settings)?;
    fs::write(etc.join("master.cf"), [services, SERVICES].concat())?;
    let mut master = unpacked.command("/usr/lib/postfix/sbin/master");
    master.args(["-d", "-c"]).arg(&etc);
    master
        .stdin(Stdio::null())
        .stdout(File::create(root.join("log/postfix.out"))?)
        .stderr(File::create(root.join("log/postfix.err"))?)
        .spawn()
}

/// Starts that of the originals.
pub(super) fn start(
    unpacked: &Unpacked,
    site: &Site,
    ports: Ports,
    config: &[String],
) -> io::Result<Child> {
    let Ports { smtp, submission, .. } = ports;
    let services = format!("{HOST}:{smtp} inet n - n - - smtpd\n{HOST}:{submission} {SUBMISSION}");
    below(unpacked, &site.path(""), &settings(ports, config), &services)
}

/// Whether nothing is on its way.
pub(super) fn is_idle(site: &Site) -> bool {
    ["incoming", "active"].iter().all(|folder| {
        fs::read_dir(site.path("postfix/queue").join(folder))
            .is_ok_and(|mut all| all.next().is_none())
    })
}

fn private(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    own(folder, OWNER)
}

fn settings(ports: Ports, config: &[String]) -> String {
    let mut text = SETTINGS.replace("{lmtp}", &format!("{HOST}:{}", ports.lmtp));
    for (ours, theirs, usual) in LIMITS {
        let value = setting(config, ours).unwrap_or(usual);
        writeln!(text, "{theirs} = {value}").expect("takes everything");
    }
    if setting(config, "auth.cleartext") == Some("\"never\"") {
        text += "smtpd_tls_auth_only = yes\n";
    }
    text
}

/// What a setting of ours is called there, and what it usually is.
const LIMITS: [(&str, &str, &str); 3] = [
    ("limits.message_size", "message_size_limit", "52428800"),
    ("limits.errors", "smtpd_hard_error_limit", "20"),
    ("limits.recipients", "smtpd_recipient_limit", "1000"),
];

/// Of any exchanger that listens on this machine alone.
const EVERYWHERE: &str = "\
compatibility_level = 3.6
queue_directory = {site}/postfix/queue
data_directory = {site}/postfix/data
config_directory = {site}/postfix/etc
meta_directory = {site}/postfix/etc
mail_owner = daemon
setgid_group = lp
maillog_file = {site}/log/postfix.log
maillog_file_prefixes = {site}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
smtpd_client_event_limit_exceptions = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
biff = no
";

const SETTINGS: &str = "\
myhostname = mx.example.org
myorigin = example.org
mynetworks =
local_header_rewrite_clients =
recipient_delimiter = +
virtual_mailbox_domains = example.org
virtual_mailbox_maps = inline:{ ann@example.org=ann, bob@example.org=bob }
virtual_alias_maps = inline:{ postmaster@example.org=ann@example.org }
virtual_transport = lmtp:inet:{lmtp}
default_transport = discard:
smtpd_banner = $myhostname ESMTP
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
submission_sender_restrictions = reject_authenticated_sender_login_mismatch,
  permit_sasl_authenticated, check_sender_access static:{ 530 5.7.0 Authentication required }
smtpd_sender_login_maps = inline:{ ann@example.org=ann@example.org, bob@example.org=bob@example.org }
smtpd_helo_required = yes
strict_rfc821_envelopes = yes
disable_vrfy_command = yes
smtpd_forbid_bare_newline = normalize
smtpd_error_sleep_time = 0
smtpd_sasl_type = dovecot
smtpd_sasl_path = {site}/dovecot/auth-postfix
smtpd_sasl_security_options = noanonymous
smtpd_tls_security_level = may
smtpd_tls_cert_file = {site}/tls/cert.pem
smtpd_tls_key_file = {site}/tls/key.pem
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtputf8_enable = no
";

const SUBMISSION: &str = "inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_delay_reject=no
  -o smtpd_sender_restrictions=$submission_sender_restrictions
";

const SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";
