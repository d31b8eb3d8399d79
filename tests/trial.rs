//! `posthorn try`: what a person sees who tries Posthorn for the first time, and the second.

use std::time::{Duration, Instant};

use mail_tests::client::Client;
use mail_tests::mail::Imap;
use mail_tests::patience;
use mail_tests::site::Site;
use mail_tests::trial::Trial;

const USERS: [&str; 4] = ["--user", "ann@example.org:apple", "--user", "bob@example.org:banana"];

#[test]
fn once_shows_a_letter_s_way_and_ends() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut trial = Trial::start(directory.path(), &["--once"]);
    let status = trial.ended();
    let printed = &trial.printed;
    assert!(status.success(), "{status}\n{printed}");
    for step in ["submission with STARTTLS and AUTH", "Maildir", "IMAP FETCH", "POP3 over TLS"] {
        let line = printed.lines().find(|line| line.contains(step));
        assert!(line.is_some_and(|line| line.ends_with(" ms")), "no time for {step}\n{printed}");
    }
    let ready = printed.lines().find(|line| line.starts_with("ready: "));
    let ready = ready.unwrap_or_else(|| panic!("no line says ready:\n{printed}"));
    assert!(ready.contains(&format!("imaps={}", trial.address(993))), "{ready}");
}

#[test]
fn a_second_start_goes_on_with_the_same_mail() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut first = Trial::start(directory.path(), &USERS);
    first.wait_for("ready: ");
    let (validity, uids) = inbox(&first);
    assert!(!uids.is_empty(), "the first letter is there\n{}", first.printed);
    assert!(first.stop().success());

    // Accounts are kept too: no --user now.
    let mut second = Trial::start(directory.path(), &[]);
    second.wait_for("ready: ");
    let (validity_now, uids_now) = inbox(&second);
    assert_eq!(validity_now, validity);
    assert_eq!(uids_now.get(..uids.len()), Some(&uids[..]), "old mail keeps its UIDs");
    assert!(uids_now.len() > uids.len(), "another first letter came: {uids_now:?}");
    assert!(second.stop().success());
}

#[test]
fn a_daemon_that_dies_is_started_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut trial = Trial::start(directory.path(), &USERS);
    trial.wait_for("ready: ");
    let before = inbox(&trial);
    // What dies within its first seconds is not started again: that would not help.
    let ready = Instant::now();
    patience::until(|| (ready.elapsed() > Duration::from_secs(6)).then_some(()));
    trial.kill("imapd");
    let told = trial.wait_for("imapd died");
    assert!(told.ends_with("starting it again"), "{told}");
    assert_eq!(inbox(&trial), before);
    assert!(trial.stop().success());
}

/// UIDVALIDITY and UIDs of the INBOX in which the first letters arrive, as soon as imapd answers.
fn inbox(trial: &Trial) -> (String, Vec<String>) {
    let tls = Site::new(&[]).client_tls();
    let login = || Imap::login(Client::plain(trial.address(143), &tls).ok()?, "bob").ok();
    let mut imap = patience::until(login).expect("imapd answers");
    let selected = imap.command("SELECT INBOX").expect("is there");
    let validity = selected.into_iter().find(|line| line.contains("[UIDVALIDITY "));
    let found = imap.command("UID SEARCH ALL").expect("is selected");
    let uids = found.iter().find_map(|line| line.strip_prefix("* SEARCH"));
    let uids = uids.expect("SEARCH is answered").split_whitespace().map(str::to_owned).collect();
    (validity.expect("SELECT tells it"), uids)
}
