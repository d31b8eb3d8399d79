//! Real clients from Debian's packages, over TLS. A program that is missing fails its test:
//! `cargo verify` installs them all. Their configurations are in `clients/`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mail_tests::mail::Smtp;
use mail_tests::suite::Suite;
use tempfile::TempDir;

const LETTER: &str = "From: bob@example.org\r\nTo: ann@example.org\r\nSubject: by a real client\r\n\
    \r\n.One line.\r\n";

/// A suite, and a home directory for the client.
struct Bench {
    suite: Suite,
    home: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { suite: Suite::start(), home: tempfile::tempdir().expect("a temporary directory") }
    }

    /// With a letter in Ann's INBOX.
    fn with_letter() -> Self {
        let bench = Self::new();
        let mut smtp = Smtp::hello(bench.suite.connect("mx"), "EHLO").expect("is greeted");
        smtp.send("bob@example.net", &["ann@example.org"], LETTER.as_bytes()).expect("is taken");
        bench.arrives();
        bench
    }

    fn url(&self, scheme: &str, socket: &str) -> String {
        format!("{scheme}://localhost:{}", self.suite.address(socket).port())
    }

    fn ca(&self) -> PathBuf {
        self.suite.site.path("tls/ca.pem")
    }

    fn home(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    /// A client's configuration with the places of this site in it.
    fn configuration(&self, name: &str) -> PathBuf {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name);
        let mut text = fs::read_to_string(&template).expect("is a file of ours");
        for socket in ["submission", "submissions", "imap", "imaps", "pop3s"] {
            let port = self.suite.address(socket).port().to_string();
            text = text.replace(&format!("{{{socket}}}"), &port);
        }
        text = text.replace("{site}", &self.suite.site.path("").to_string_lossy());
        text = text.replace("{home}", &self.home.path().to_string_lossy());
        let path = self.home(name);
        fs::write(&path, text).expect("the directory is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        path
    }

    /// Runs a client to its end; returns what it wrote.
    fn run(&self, package: &str, command: &mut Command, input: &str) -> String {
        let mut child = command
            .env("HOME", self.home.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                let program = command.get_program().to_string_lossy();
                panic!("{program}: {error}: install Debian's package {package} (cargo verify does)")
            });
        child.stdin.take().expect("is piped").write_all(input.as_bytes()).expect("reads it");
        let output = child.wait_with_output().expect("is our child");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {}\n{said}\n{errors}", output.status);
        said
    }

    /// Ann's letter, once it is there.
    fn arrives(&self) -> String {
        let inbox = self.suite.site.inbox_when("ann", |inbox| !inbox.is_empty());
        let letter = inbox.first().unwrap_or_else(|| panic!("nothing came\n{}", self.suite.logs()));
        String::from_utf8_lossy(letter).into_owned()
    }

    fn arrives_over_tls(&self) {
        let letter = self.arrives();
        assert!(letter.contains("Subject: by a real client"), "{letter}");
        // RFC 3848: mail that was authenticated and came over TLS.
        assert!(letter.contains("with ESMTPSA"), "{letter}");
    }
}

#[test]
fn curl_sends_over_tls_from_the_first_word() {
    curl_sends("smtps", "submissions");
}

#[test]
fn curl_sends_with_starttls() {
    curl_sends("smtp", "submission");
}

fn curl_sends(scheme: &str, socket: &str) {
    let bench = Bench::new();
    let mut curl = curl(&bench, "bob@example.org:banana", &bench.url(scheme, socket));
    curl.args(["--mail-from", "bob@example.org", "--mail-rcpt", "ann@example.org"]);
    bench.run("curl", curl.args(["--upload-file", "-"]), LETTER);
    bench.arrives_over_tls();
}

#[test]
fn curl_reads_imap_and_pop3() {
    let bench = Bench::with_letter();
    let urls = [
        bench.url("imaps", "imaps") + "/INBOX;MAILINDEX=1",
        bench.url("imap", "imap") + "/INBOX;MAILINDEX=1",
        bench.url("pop3s", "pop3s") + "/1",
        bench.url("pop3", "pop3") + "/1",
    ];
    for url in urls {
        let read = bench.run("curl", &mut curl(&bench, "ann@example.org:apple", &url), "");
        assert!(read.ends_with("\r\n\r\n.One line.\r\n"), "{url}: {read:?}");
    }
}

#[test]
fn curl_is_refused_with_a_wrong_password() {
    let bench = Bench::new();
    for (scheme, socket) in [("imaps", "imaps"), ("pop3s", "pop3s")] {
        let url = bench.url(scheme, socket);
        let mut curl = curl(&bench, "ann@example.org:wrong", &url);
        let status = curl.stdout(Stdio::null()).stderr(Stdio::null()).status();
        // 67: CURLE_LOGIN_DENIED.
        assert_eq!(status.expect("curl is installed").code(), Some(67), "{url}");
    }
}

fn curl(bench: &Bench, user: &str, url: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--ssl-reqd", "--max-time", "30", "--cacert"]);
    curl.arg(bench.ca()).args(["--user", user, url]);
    curl
}

#[test]
fn swaks_sends_both_ways() {
    for (tls, socket) in [("--tls", "submission"), ("--tls-on-connect", "submissions")] {
        let bench = Bench::new();
        let port = bench.suite.address(socket).port().to_string();
        let mut swaks = Command::new("swaks");
        swaks.args(["--server", "127.0.0.1", "--port", &port, tls, "--tls-verify"]);
        swaks.arg("--tls-ca-path").arg(bench.ca());
        swaks.args(["--auth", "PLAIN", "--auth-user", "bob@example.org"]);
        swaks.args(["--auth-password", "banana", "--from", "bob@example.org"]);
        swaks.args(["--to", "ann@example.org", "--header", "Subject: by a real client"]);
        bench.run("swaks", &mut swaks, "");
        bench.arrives_over_tls();
    }
}

#[test]
fn msmtp_sends() {
    let bench = Bench::new();
    let configuration = bench.configuration("msmtprc");
    let mut msmtp = Command::new("msmtp");
    msmtp.arg("--file").arg(configuration).arg("ann@example.org");
    bench.run("msmtp", &mut msmtp, LETTER);
    bench.arrives_over_tls();
}

#[test]
fn mutt_sends_in_batch() {
    let bench = Bench::new();
    let configuration = bench.configuration("muttrc");
    let mut mutt = Command::new("mutt");
    mutt.arg("-n").arg("-F").arg(configuration);
    mutt.args(["-s", "by a real client", "--", "ann@example.org"]);
    bench.run("mutt", &mut mutt, "One line.\n");
    bench.arrives_over_tls();
}

#[test]
fn mbsync_copies_a_mailbox_and_brings_changes_back() {
    let bench = Bench::with_letter();
    let configuration = bench.configuration("mbsyncrc");
    fs::create_dir(bench.home("near")).expect("the directory is ours");
    let sync = || {
        let mut mbsync = Command::new("mbsync");
        mbsync.arg("--config").arg(&configuration).arg("--all");
        bench.run("isync", &mut mbsync, "");
    };
    sync();
    let copies = files(&bench.home("near/INBOX/new"));
    assert_eq!(copies.len(), 1);
    let copy = fs::read_to_string(&copies[0]).expect("is a letter");
    assert!(copy.ends_with("\n\n.One line.\n"), "{copy}");
    // Read here; and a letter written here.
    let name = copies[0].file_name().expect("is a file").to_string_lossy().into_owned();
    let unread = if name.contains(":2,") { name } else { name + ":2," };
    fs::rename(&copies[0], bench.home("near/INBOX/cur").join(unread + "S")).expect("is ours");
    let sent = bench.home("near/Sent");
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(sent.join(name)).expect("the directory is ours");
    }
    fs::write(sent.join("cur/1.draft.here:2,S"), LETTER.replace("\r\n", "\n")).expect("is ours");
    sync();
    let maildir = bench.suite.site.maildir("ann");
    let seen = files(&maildir.join("cur"));
    assert!(seen.iter().any(|path| path.to_string_lossy().ends_with('S')), "{seen:?}");
    let far = [files(&maildir.join(".Sent/cur")), files(&maildir.join(".Sent/new"))].concat();
    assert_eq!(far.len(), 1, "{far:?}\n{}", bench.suite.logs());
}

#[test]
fn fetchmail_empties_the_maildrop() {
    let bench = Bench::with_letter();
    let fetched = fetchmail(&bench, "fetchmailrc");
    assert!(fetched.contains("Subject: by a real client"), "{fetched}");
    assert!(bench.suite.site.inbox("ann").is_empty(), "it was to be deleted");
}

#[test]
fn fetchmail_reads_imap_with_starttls() {
    let bench = Bench::with_letter();
    let fetched = fetchmail(&bench, "fetchmailrc-imap");
    assert!(fetched.contains("Subject: by a real client"), "{fetched}");
    assert_eq!(bench.suite.site.inbox("ann").len(), 1, "it was to be kept");
}

fn fetchmail(bench: &Bench, name: &str) -> String {
    let configuration = bench.configuration(name);
    let mut fetchmail = Command::new("fetchmail");
    fetchmail.env("FETCHMAILHOME", bench.home.path()).arg("--fetchmailrc").arg(configuration);
    fetchmail.args(["--nodetach", "--nosyslog", "--pidfile"]).arg(bench.home("pid"));
    bench.run("fetchmail", &mut fetchmail, "");
    fs::read_to_string(bench.home("fetched")).expect("was fetched").replace("\r\n", "\n")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
