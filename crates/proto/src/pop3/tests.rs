//! Conversations of both sessions with a maildrop in memory, in any split of the client's bytes.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::sasl::{Credentials, Verdict};
use crate::{Ended, Secured, Session, Step};

const FIRST: &str = "Subject: one\r\n\r\n.dot\r\nlast\r\n";
const SECOND: &str = "Subject: two\r\n\r\nno end";

/// A maildrop, and what it was asked.
struct Maildrop {
    messages: Vec<(Uid, &'static str)>,
    /// Octets of a block.
    block: usize,
    opens: Result<(), Failure>,
    updates: Result<(), Failure>,
    /// From this octet on no message can be read.
    breaks: Option<(u64, Failure)>,
    updated: Vec<(Vec<Uid>, Vec<Uid>)>,
}

impl Default for Maildrop {
    fn default() -> Self {
        Self {
            messages: vec![(4, FIRST), (17, SECOND)],
            block: 5,
            opens: Ok(()),
            updates: Ok(()),
            breaks: None,
            updated: Vec::new(),
        }
    }
}

impl Maildrop {
    fn perform(&mut self, request: Request) -> Answer {
        match request {
            Request::Open => Answer::Opened(self.opens.map(|()| self.list())),
            Request::Load { uid, offset } => Answer::Loaded(self.load(uid, offset)),
            Request::Update { seen, deleted } => {
                self.updated.push((seen, deleted));
                Answer::Updated(self.updates)
            }
        }
    }

    fn list(&self) -> Vec<Message> {
        let message = |&(uid, text): &(Uid, &str)| Message {
            uid,
            size: text.len() as u64,
            uidl: format!("{uid:08x}000003e8"),
        };
        self.messages.iter().map(message).collect()
    }

    fn load(&self, uid: Uid, offset: u64) -> Result<Vec<u8>, Failure> {
        if let Some((from, failure)) = self.breaks
            && offset >= from
        {
            return Err(failure);
        }
        let (_, text) = self.messages.iter().find(|(u, _)| *u == uid).ok_or(Failure::Gone)?;
        Ok(text.bytes().skip(usize::try_from(offset).unwrap()).take(self.block).collect())
    }
}

fn setup() -> Setup {
    Setup {
        hostname: "mx.example.org".parse().unwrap(),
        starttls: true,
        cleartext_auth: true,
        errors: 4,
        patience: Duration::from_secs(600),
    }
}

fn verdict(credentials: &Credentials) -> Verdict {
    match (credentials.username.as_str(), credentials.password.as_slice()) {
        ("ann@example.org", b"apple" | b"an apple") => Verdict::Accepted,
        ("busy@example.org", _) => Verdict::Unavailable,
        _ => Verdict::Rejected,
    }
}

/// One connection. What happens besides bytes is written in the output: `-- tls`, `-- closed`.
struct Connection<'a> {
    setup: Setup,
    maildrop: &'a mut Maildrop,
    session: Either,
    out: Vec<u8>,
    open: bool,
}

enum Either {
    Login(Login),
    Server(Server),
}

impl<'a> Connection<'a> {
    fn new(setup: Setup, maildrop: &'a mut Maildrop) -> Self {
        let session = Either::Login(Login::new(setup.clone()));
        let mut connection = Self { setup, maildrop, session, out: Vec::new(), open: true };
        connection.run();
        connection
    }

    fn say(&mut self, bytes: &[u8]) {
        if !self.open {
            return;
        }
        match &mut self.session {
            Either::Login(login) => login.receive(bytes),
            Either::Server(server) => server.receive(bytes),
        }
        self.run();
    }

    fn end(&mut self, why: Ended) {
        match &mut self.session {
            Either::Login(login) => login.end(why),
            Either::Server(server) => server.end(why),
        }
        self.run();
    }

    fn run(&mut self) {
        loop {
            let stopped = match &mut self.session {
                Either::Login(login) => match login.step(&mut self.out) {
                    Step::Ask(credentials) => {
                        login.answer(verdict(&credentials));
                        continue;
                    }
                    Step::StartTls => {
                        self.out.extend_from_slice(b"-- tls\r\n");
                        login.secured(Secured { version: "1".into(), cipher: "x".into() });
                        continue;
                    }
                    Step::Done => {
                        let login = std::mem::replace(login, Login::new(self.setup.clone()));
                        let server = Server::new(self.setup.clone(), &login.into_unread());
                        self.session = Either::Server(server);
                        continue;
                    }
                    Step::Read => false,
                    Step::Close => true,
                },
                Either::Server(server) => match server.step(&mut self.out) {
                    Step::Ask(request) => {
                        server.answer(self.maildrop.perform(request));
                        continue;
                    }
                    Step::Read => false,
                    Step::Close => true,
                    step => panic!("not after the login: {step:?}"),
                },
            };
            if stopped {
                self.out.extend_from_slice(b"-- closed\r\n");
                self.open = false;
            }
            return;
        }
    }
}

fn play(setup: Setup, maildrop: &mut Maildrop, said: &[u8], piece: usize) -> String {
    let mut connection = Connection::new(setup, maildrop);
    for bytes in said.chunks(piece) {
        connection.say(bytes);
    }
    let heard = String::from_utf8_lossy(&connection.out).replace("\r\n", "\n");
    heard.strip_prefix("+OK mx.example.org ready\n").unwrap().to_owned()
}

const LOGIN: &str = "USER ann@example.org\nPASS apple\n";
const LOGGED_IN: &str = "+OK\n+OK Logged in\n";

/// Plays client lines, in pieces of 1, 7 and all bytes, against what the server should say.
fn check(setup: &Setup, maildrop: fn() -> Maildrop, said: &str, expected: &str) {
    let bytes = said.replace('\n', "\r\n");
    for piece in [1, 7, usize::MAX] {
        let heard = play(setup.clone(), &mut maildrop(), bytes.as_bytes(), piece);
        assert_eq!(heard, expected, "{said:?} in pieces of {piece}");
    }
}

fn check_logged_in(maildrop: fn() -> Maildrop, table: &[(&str, &str)]) {
    for (said, expected) in table {
        let (said, expected) = (format!("{LOGIN}{said}"), format!("{LOGGED_IN}{expected}"));
        check(&setup(), maildrop, &said, &expected);
    }
}

#[test]
fn logging_in() {
    let both = "QUIT\n";
    let bye = "+OK Bye\n-- closed\n";
    let table = [
        ("USER ann@example.org\nPASS an apple\n", LOGGED_IN),
        ("user ann@example.org\npass apple\n", LOGGED_IN),
        ("AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBhcHBsZQ==\n", "+OK Logged in\n"),
        ("AUTH PLAIN\nAGFubkBleGFtcGxlLm9yZwBhcHBsZQ==\n", "+ \n+OK Logged in\n"),
        (
            "AUTH LOGIN\nYW5uQGV4YW1wbGUub3Jn\nYXBwbGU=\n",
            "+ VXNlcm5hbWU6\n+ UGFzc3dvcmQ6\n+OK Logged in\n",
        ),
        ("AUTH login YW5uQGV4YW1wbGUub3Jn\nYXBwbGU=\n", "+ UGFzc3dvcmQ6\n+OK Logged in\n"),
        ("AUTH\n", "+OK\nPLAIN\nLOGIN\n.\n"),
        ("AUTH CRAM-MD5\n", "-ERR Unknown authentication mechanism\n"),
        (
            "AUTH PLAIN\n*\nNOOP\n",
            "+ \n-ERR Authentication cancelled\n-ERR Command not allowed in this state\n",
        ),
        ("AUTH PLAIN !\n", "-ERR Malformed authentication response\n"),
        (
            "AUTH PLAIN\nQUIT\nQUIT\n",
            "+ \n-ERR Malformed authentication response\n+OK Bye\n-- closed\n",
        ),
        (
            "USER ann@example.org\nPASS pear\nPASS apple\n",
            "+OK\n-ERR [AUTH] Authentication failed\n-ERR Say USER first\n",
        ),
        ("USER eve\nPASS apple\n", "+OK\n-ERR [AUTH] Authentication failed\n"),
        (
            "USER busy@example.org\nPASS x\n",
            "+OK\n-ERR [SYS/TEMP] Authentication is not possible now, try again later\n",
        ),
        ("USER\n", "-ERR USER needs a name\n"),
        ("USER ann@example.org\nPASS\n", "+OK\n-ERR PASS needs a password\n"),
        ("PASS apple\n", "-ERR Say USER first\n"),
        ("STAT\n", "-ERR Command not allowed in this state\n"),
        ("", ""),
        (
            "EHLO x\nGET / HTTP/1.1\n\n\0\n",
            "-ERR Unknown command\n-ERR Unknown command\n-ERR Unknown command\n-ERR Too many errors\n-- closed\n",
        ),
        ("QUIT now\nQUIT\n", "-ERR No argument allowed\n+OK Bye\n-- closed\n"),
    ];
    for (said, expected) in table {
        check(&setup(), Maildrop::default, said, expected);
    }
    check(&setup(), Maildrop::default, both, bye);
}

#[test]
fn capabilities() {
    let clear = Setup { cleartext_auth: false, ..setup() };
    let no_tls = Setup { starttls: false, ..setup() };
    let always = "+OK\nTOP\nUIDL\nRESP-CODES\nPIPELINING\nAUTH-RESP-CODE\n";
    let logins = "USER\nSASL PLAIN LOGIN\n.\n";
    check(&setup(), Maildrop::default, "CAPA\n", &format!("{always}STLS\n{logins}"));
    check(&no_tls, Maildrop::default, "CAPA\n", &format!("{always}{logins}"));
    check(&clear, Maildrop::default, "CAPA\n", &format!("{always}STLS\n.\n"));
    check(
        &setup(),
        Maildrop::default,
        &format!("{LOGIN}CAPA\n"),
        &format!("{LOGGED_IN}{always}{logins}"),
    );
}

#[test]
fn cleartext_passwords_need_tls() {
    let setup = Setup { cleartext_auth: false, errors: 10, ..setup() };
    let refusal = "-ERR [AUTH] Cleartext passwords need TLS: say STLS first\n";
    for said in ["USER ann@example.org\n", "PASS apple\n", "AUTH\n", "AUTH PLAIN =\n"] {
        check(&setup, Maildrop::default, said, refusal);
    }
}

#[test]
fn stls() {
    let table = [("STLS x\n", "-ERR No argument allowed\n"), ("STLS\n", "+OK Begin TLS\n-- tls\n")];
    for (said, expected) in table {
        check(&setup(), Maildrop::default, said, expected);
    }
    let no_tls = Setup { starttls: false, ..setup() };
    check(&no_tls, Maildrop::default, "STLS\n", "-ERR TLS is not available\n");
}

#[test]
fn stls_starts_anew() {
    let mut maildrop = Maildrop::default();
    let setup = Setup { cleartext_auth: false, ..setup() };
    let mut connection = Connection::new(setup, &mut maildrop);
    connection.say(b"STLS\r\n");
    for line in ["STLS\r\n", "PASS apple\r\n", "USER ann@example.org\r\n", "PASS apple\r\n"] {
        connection.say(line.as_bytes());
    }
    let expected = "+OK mx.example.org ready\r\n+OK Begin TLS\r\n-- tls\r\n\
        -ERR TLS holds already\r\n-ERR Say USER first\r\n+OK\r\n+OK Logged in\r\n";
    assert_eq!(String::from_utf8_lossy(&connection.out), expected);
}

#[test]
fn plaintext_after_stls_is_never_run() {
    let heard = play(setup(), &mut Maildrop::default(), b"STLS\r\nUSER ann\r\n", usize::MAX);
    assert_eq!(heard, "-ERR Plaintext after STLS\n-- closed\n");
}

#[test]
fn a_maildrop_that_does_not_open() {
    let table = [
        (Failure::InUse, "-ERR [IN-USE] Maildrop is locked by another session\n"),
        (Failure::Unavailable, "-ERR [SYS/TEMP] Maildrop is not available now\n"),
    ];
    for (failure, expected) in table {
        let mut maildrop = Maildrop { opens: Err(failure), ..Maildrop::default() };
        let said = LOGIN.replace('\n', "\r\n") + "STAT\r\n";
        let heard = play(setup(), &mut maildrop, said.as_bytes(), 1);
        assert_eq!(heard, format!("+OK\n{expected}-- closed\n"));
    }
}

#[test]
fn lists() {
    check_logged_in(
        Maildrop::default,
        &[
            ("STAT\n", "+OK 2 50\n"),
            ("STAT \n", "+OK 2 50\n"),
            ("STAT 1\n", "-ERR No argument allowed\n"),
            ("LIST\n", "+OK 2 messages\n1 28\n2 22\n.\n"),
            ("LIST 2\n", "+OK 2 22\n"),
            ("LIST 02 \n", "+OK 2 22\n"),
            ("UIDL\n", "+OK\n1 00000004000003e8\n2 00000011000003e8\n.\n"),
            ("UIDL 1\n", "+OK 1 00000004000003e8\n"),
            (
                "LIST 0\nLIST 3\nLIST -1\n",
                "-ERR No such message\n-ERR No such message\n-ERR Not a message number\n",
            ),
            (
                "LIST 99999999999999999999999\nUIDL +1\nUIDL 1 2\n",
                "-ERR No such message\n-ERR Not a message number\n-ERR Not a message number\n",
            ),
            (
                "DELE 1\nSTAT\nLIST\nUIDL\n",
                "+OK Message will be deleted at QUIT\n+OK 1 22\n+OK 1 messages\n2 22\n.\n+OK\n2 00000011000003e8\n.\n",
            ),
            (
                "DELE 1\nLIST 1\nUIDL 1\nDELE 1\n",
                "+OK Message will be deleted at QUIT\n-ERR Message is deleted\n-ERR Message is deleted\n-ERR Message is deleted\n",
            ),
            ("DELE 1\nRSET\nSTAT\n", "+OK Message will be deleted at QUIT\n+OK\n+OK 2 50\n"),
            ("NOOP\nUSER ann\n", "+OK\n-ERR Command not allowed in this state\n"),
        ],
    );
    check_logged_in(
        || Maildrop { messages: Vec::new(), ..Maildrop::default() },
        &[(
            "STAT\nLIST\nUIDL\nRETR 1\n",
            "+OK 0 0\n+OK 0 messages\n.\n+OK\n.\n-ERR No such message\n",
        )],
    );
}

#[test]
fn messages() {
    let table = [
        ("RETR 1\n", "+OK 28 octets\nSubject: one\n\n..dot\nlast\n.\n"),
        ("RETR 2\n", "+OK 22 octets\nSubject: two\n\nno end\n.\n"),
        ("TOP 1 0\n", "+OK\nSubject: one\n\n.\n"),
        ("TOP 1 1\n", "+OK\nSubject: one\n\n..dot\n.\n"),
        ("TOP 2 9\n", "+OK\nSubject: two\n\nno end\n.\n"),
        (
            "RETR\nRETR x\nRETR 9\n",
            "-ERR Not a message number\n-ERR Not a message number\n-ERR No such message\n",
        ),
        (
            "DELE 1\nRETR 1\nTOP 1 0\n",
            "+OK Message will be deleted at QUIT\n-ERR Message is deleted\n-ERR Message is deleted\n",
        ),
        (
            "TOP 1\nTOP 1 -1\nTOP 1 1 1\n",
            "-ERR TOP needs a message number and a number of lines\n-ERR TOP needs a message number and a number of lines\n-ERR TOP needs a message number and a number of lines\n",
        ),
    ];
    check_logged_in(Maildrop::default, &table);
    check_logged_in(|| Maildrop { block: 1, ..Maildrop::default() }, &table);
    check_logged_in(|| Maildrop { block: 1000, ..Maildrop::default() }, &table);
}

#[test]
fn messages_that_cannot_be_read() {
    let gone = || Maildrop { breaks: Some((0, Failure::Gone)), ..Maildrop::default() };
    check_logged_in(
        gone,
        &[("RETR 1\nNOOP\n", "-ERR Message was removed by another session\n+OK\n")],
    );
    let unreadable = || Maildrop { breaks: Some((0, Failure::Unavailable)), ..Maildrop::default() };
    check_logged_in(
        unreadable,
        &[("TOP 1 1\nNOOP\n", "-ERR [SYS/TEMP] Message cannot be read now\n+OK\n")],
    );
    let half = || Maildrop { breaks: Some((5, Failure::Gone)), ..Maildrop::default() };
    check_logged_in(half, &[("RETR 1\nNOOP\n", "+OK 28 octets\nSubje-- closed\n")]);
}

#[test]
fn only_quit_updates() {
    type Uids = &'static [Uid];
    let table: [(&str, Option<(Uids, Uids)>); 7] = [
        ("QUIT\n", Some((&[], &[]))),
        ("RETR 1\nDELE 2\nQUIT\n", Some((&[4], &[17]))),
        ("RETR 1\nDELE 1\nQUIT\n", Some((&[], &[4]))),
        ("RETR 1\nDELE 1\nRSET\nQUIT\n", Some((&[4], &[]))),
        ("TOP 1 99\nQUIT\n", Some((&[], &[]))),
        ("DELE 1\n", None),
        ("DELE 1\nX\nX\nX\nX\nQUIT\n", None),
    ];
    for (said, expected) in table {
        let said = format!("{LOGIN}{said}").replace('\n', "\r\n");
        let mut maildrop = Maildrop::default();
        play(setup(), &mut maildrop, said.as_bytes(), usize::MAX);
        let expected: Vec<_> = expected.iter().map(|(s, d)| (s.to_vec(), d.to_vec())).collect();
        assert_eq!(maildrop.updated, expected, "{said:?}");
    }
}

#[test]
fn the_end_of_a_session() {
    check_logged_in(
        Maildrop::default,
        &[("DELE 1\nQUIT\nNOOP\n", "+OK Message will be deleted at QUIT\n+OK Bye\n-- closed\n")],
    );
    check_logged_in(
        || Maildrop { updates: Err(Failure::Unavailable), ..Maildrop::default() },
        &[(
            "DELE 1\nQUIT\nNOOP\n",
            "+OK Message will be deleted at QUIT\n\
             -ERR [SYS/TEMP] Maildrop could not be changed, some messages were not deleted\n\
             -- closed\n",
        )],
    );
    check_logged_in(
        Maildrop::default,
        &[(
            "X\nX\nX\nX\nNOOP\n",
            "-ERR Unknown command\n-ERR Unknown command\n-ERR Unknown command\n-ERR Too many errors\n-- closed\n",
        )],
    );
}

#[test]
fn silence_and_shutdown() {
    let login = LOGIN.replace('\n', "\r\n");
    for said in ["", "USER ann@example.org\r\n", &login] {
        for (why, last) in [
            (Ended::Timeout, "-ERR Disconnected for inactivity\r\n-- closed\r\n"),
            (
                Ended::Shutdown,
                "-ERR [SYS/TEMP] Server is stopping, try again later\r\n-- closed\r\n",
            ),
        ] {
            let mut maildrop = Maildrop::default();
            let mut connection = Connection::new(setup(), &mut maildrop);
            connection.say(said.as_bytes());
            connection.end(why);
            let heard = String::from_utf8_lossy(&connection.out).into_owned();
            assert!(heard.ends_with(last), "{said:?} {why:?}: {heard:?}");
            assert_eq!(maildrop.updated, []);
        }
    }
}

#[test]
fn lines_that_are_none() {
    let long = "x".repeat(2000);
    for said in ["NOOP\n", "NO\rOP\r\n", "NO\0OP\r\n", &format!("{long}\r\n")] {
        for piece in [1, 7, usize::MAX] {
            let said = LOGIN.replace('\n', "\r\n") + said + "NOOP\r\n";
            let heard = play(setup(), &mut Maildrop::default(), said.as_bytes(), piece);
            assert!(heard.starts_with(&format!("{LOGGED_IN}-ERR ")), "{said:?}: {heard}");
            assert!(heard.ends_with("\n+OK\n"), "{said:?}: {heard}");
        }
    }
    // In the middle of a SASL exchange it ends the exchange.
    let said = format!("AUTH PLAIN\r\n{long}\r\nQUIT\r\n");
    let heard = play(setup(), &mut Maildrop::default(), said.as_bytes(), 7);
    assert_eq!(heard, "+ \n-ERR Line too long\n+OK Bye\n-- closed\n");
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_conversation(
        lines in prop::collection::vec(
            prop_oneof![
                Just("USER ann@example.org"), Just("PASS apple"), Just("PASS pear"),
                Just("AUTH PLAIN"), Just("AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBhcHBsZQ=="),
                Just("*"), Just("CAPA"), Just("STAT"), Just("LIST"), Just("UIDL 2"),
                Just("RETR 1"), Just("RETR 2"), Just("TOP 1 1"), Just("DELE 2"), Just("RSET"),
                Just("NOOP"), Just("nonsense\0"), Just("a\nb"), Just("QUIT"),
            ],
            0..25,
        ),
        logs_in: bool,
        cuts in prop::collection::vec(1usize..40, 1..30),
    ) {
        let mut said = if logs_in { LOGIN.replace('\n', "\r\n") } else { String::new() };
        for line in &lines {
            said.push_str(line);
            said.push_str("\r\n");
        }
        let setup = Setup { errors: 8, ..setup() };
        let mut whole = Maildrop::default();
        let expected = play(setup.clone(), &mut whole, said.as_bytes(), usize::MAX);

        let mut maildrop = Maildrop::default();
        let mut connection = Connection::new(setup, &mut maildrop);
        let mut rest = said.as_bytes();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            connection.say(piece);
            rest = after;
        }
        let heard = String::from_utf8_lossy(&connection.out).replace("\r\n", "\n");
        prop_assert_eq!(heard.strip_prefix("+OK mx.example.org ready\n"), Some(expected.as_str()));
        prop_assert_eq!(maildrop.updated, whole.updated);
    }

    #[test]
    fn no_bytes_make_it_panic_or_keep_much(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        logs_in: bool,
    ) {
        let mut maildrop = Maildrop::default();
        let mut connection = Connection::new(setup(), &mut maildrop);
        if logs_in {
            connection.say(LOGIN.replace('\n', "\r\n").as_bytes());
        }
        connection.say(&bytes);
        let kept = match &connection.session {
            Either::Login(login) => login.input.unread().len(),
            Either::Server(server) => server.input.unread().len(),
        };
        prop_assert!(!connection.open || kept <= commands::LINE);
    }
}
