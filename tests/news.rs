//! News of mailboxes, from one daemon to another.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

use mail_tests::mail::{Imap, Smtp};
use mail_tests::patience::PATIENCE;
use mail_tests::site::Site;
use mail_tests::suite::Suite;

const LETTER: &[u8] = b"Subject: Lunch\r\n\r\nAt noon?\r\n";

fn suite(site: Site) -> Suite {
    Suite::of(site, &["lmtp-deliverd", "imapd"])
}

/// Sets up `run/news` as if daemons had been there before.
fn sockets(site: &Site) {
    fs::create_dir(site.path("run/news")).expect("is not there yet");
}

fn bind(site: &Site, name: &str) -> UnixDatagram {
    let socket = UnixDatagram::bind(site.path("run/news").join(name)).expect("is free");
    socket.set_read_timeout(Some(PATIENCE)).expect("is a socket");
    socket
}

fn deliver(suite: &Suite) -> io::Result<()> {
    let mut lmtp = Smtp::hello(suite.connect("lmtp"), "LHLO")?;
    lmtp.send("bob@example.org", &["ann@example.org"], LETTER).map(drop)
}

fn session(suite: &Suite) -> Imap {
    let mut imap = Imap::login(suite.connect("imap"), "ann").expect("may log in");
    imap.select().expect("has an INBOX");
    imap
}

/// Whether a client that idles is told of a delivery.
fn is_told(suite: &Suite) {
    let mut imap = session(suite);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| imap.wait(0, 1));
        deliver(suite).expect("is taken");
        waiting.join().expect("does not panic").expect("is told");
    });
}

#[test]
fn every_process_is_told_of_every_change_by_device_and_inode() {
    let site = Site::new(&[]);
    sockets(&site);
    let ears = bind(&site, "1.sock");
    let suite = suite(site);
    let mut imap = session(&suite);
    let maildir = suite.site.maildir("ann").metadata().expect("was made");
    let expected = [maildir.dev().to_be_bytes(), maildir.ino().to_be_bytes()].concat();
    let heard = |who: &str| {
        let mut datagram = [0; 100];
        let length = ears.recv(&mut datagram).unwrap_or_else(|error| panic!("{who}: {error}"));
        assert_eq!(datagram[..length], expected, "{who}");
    };
    deliver(&suite).expect("is taken");
    heard("lmtp-deliverd");
    imap.command("NOOP").expect("is told");
    ears.set_nonblocking(true).expect("is a socket");
    while ears.recv(&mut [0; 100]).is_ok() {}
    ears.set_nonblocking(false).expect("is a socket");
    imap.command("STORE 1 +FLAGS (\\Deleted)").expect("has a message");
    heard("imapd, of a flag");
    imap.command("EXPUNGE").expect("has a message");
    heard("imapd, of an expunge");
}

#[test]
fn who_waits_is_told_although_others_are_dead_or_busy() {
    let site = Site::new(&[]);
    sockets(&site);
    drop(bind(&site, "1.sock"));
    let busy = bind(&site, "2.sock");
    let filler = UnixDatagram::unbound().expect("a socket");
    filler.set_nonblocking(true).expect("is a socket");
    let full = loop {
        if let Err(error) = filler.send_to(b"x", site.path("run/news/2.sock")) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    let suite = suite(site);
    is_told(&suite);
    assert!(!suite.site.path("run/news/1.sock").exists(), "nobody reads it any more");
    drop(busy);
}

#[test]
fn who_waits_is_told_where_there_can_be_no_sockets() {
    let site = Site::new(&[]);
    fs::write(site.path("run/news"), "no directory").expect("is not there yet");
    let suite = suite(site);
    is_told(&suite);
    assert!(suite.log("imapd").contains("no news of other processes"), "{}", suite.logs());
}
