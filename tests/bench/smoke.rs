//! The load generator against our own daemons: fifty messages each way, and all arrive. And what
//! it fills, which is as it should be.

use std::path::Path;
use std::process::Command;

use mail_tests::site::{DOMAIN, USERS};
use mail_tests::suite::Suite;

const MESSAGES: &str = "50";

/// A suite with the file of its users.
struct Loaded {
    suite: Suite,
}

#[test]
fn what_is_sent_over_smtp_arrives() {
    let loaded = Loaded::start();
    let to = loaded.suite.address("mx").to_string();
    loaded.load("smtp", &to, &["--pipelining", "--connections", "4", "--messages", MESSAGES]);
    loaded.hold(50);
}

#[test]
fn what_is_handed_over_by_lmtp_arrives() {
    let loaded = Loaded::start();
    let to = loaded.suite.socket_path("lmtp").display().to_string();
    let each_twice = ["--recipients", "2", "--between", "rset", "--messages", MESSAGES];
    let line = loaded.load("lmtp", &to, &each_twice);
    assert!(line.contains("\"copies\":100.0"), "{line}");
    loaded.hold(100);
}

#[test]
fn a_connection_for_each_message_will_do() {
    let loaded = Loaded::start();
    let to = loaded.suite.socket_path("lmtp").display().to_string();
    loaded.load("lmtp", &to, &["--between", "connection", "--messages", MESSAGES]);
    loaded.hold(50);
}

#[test]
fn what_is_appended_is_there() {
    let loaded = Loaded::start();
    let imap = loaded.suite.address("imap").to_string();
    let load = |words: &[&str]| loaded.load("imap", &imap, words);
    load(&["append", "--connections", "4", "--messages", MESSAGES]);
    let found = load(&["select", "--mailbox", "Appended", "--times", "2"]);
    assert!(found.contains("\"exists\":50.0"), "{found}");
    let fetched = load(&["command", "--mailbox", "Appended", "UID FETCH 1:* (UID FLAGS)"]);
    assert!(fetched.contains("\"octets\":"), "{fetched}");
    load(&["store-after-append", "--mailbox", "Appended", "--times", "3"]);
    load(&["login", "--times", "3"]);
    let open = load(&["memory", "--mailbox", "Appended", "--sessions", "2"]);
    assert!(open.contains("\"exists\":53.0"), "{open}");
}

#[test]
fn an_idle_client_hears_of_every_delivery() {
    let loaded = Loaded::start();
    let imap = loaded.suite.address("imap").to_string();
    let lmtp = loaded.suite.socket_path("lmtp").display().to_string();
    loaded.load("imap", &imap, &["idle", "--lmtp", &lmtp, "--times", "10"]);
}

#[test]
fn a_maildir_that_was_filled_can_be_opened_and_emptied() {
    let loaded = Loaded::start();
    let maildir = loaded.suite.site.maildir("ann");
    fill(&maildir, &["--messages", MESSAGES, "--uidlist"]);
    let user = format!("ann@{DOMAIN}");
    let to = loaded.suite.address("imap").to_string();
    let found = loaded.load("imap", &to, &["--user", &user, "select", "--times", "1"]);
    assert!(found.contains("\"exists\":50.0"), "{found}");
    let to = loaded.suite.address("pop3").to_string();
    let taken = loaded.load("pop3", &to, &["--user", &user, "--sessions", "1", "--empty"]);
    assert!(taken.contains("\"messages\":50.0"), "{taken}");
    loaded.hold(0);
}

#[test]
fn a_queue_that_was_filled_holds_messages_that_wait() {
    let directory = tempfile::tempdir().expect("is writable");
    let spool = directory.path().join("spool");
    let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
    let status = load.arg("queue").arg(&spool).args(["--messages", MESSAGES]).status();
    assert!(status.expect("was built with this test").success());
    let found = mail_spool::fsck(&spool, &mut |found| panic!("{found}")).expect("is a spool");
    assert_eq!((found.messages, found.records), (50, 100), "letters, and what became of each");
}

impl Loaded {
    fn start() -> Self {
        let suite = Suite::start();
        let users = USERS.map(|(user, password)| format!("{user}@{DOMAIN}:{password}\n"));
        std::fs::write(suite.site.path("users"), users.concat()).expect("the site is ours");
        Self { suite }
    }

    /// Runs a load; returns its line of JSON.
    fn load(&self, protocol: &str, to: &str, words: &[&str]) -> String {
        let users = self.suite.site.path("users");
        let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
        load.args([protocol, "--to", to, "--users"]).arg(users).args(words);
        let output = load.output().expect("was built with this test");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}\n{}", self.suite.logs());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until both INBOXes hold so many messages together.
    fn hold(&self, wanted: usize) {
        let site = &self.suite.site;
        let others = || site.inbox("bob").len();
        let anns = site.inbox_when("ann", |inbox| inbox.len() + others() == wanted);
        assert_eq!(anns.len() + others(), wanted, "{}", self.suite.logs());
    }
}

fn fill(maildir: &Path, words: &[&str]) {
    let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
    let status = load.arg("maildir").arg(maildir).args(words).status();
    assert!(status.expect("was built with this test").success());
}
