//! The chats, played to the sessions with the daemons' own backends: no sockets, no clock, and in
//! pieces of 1, 7 and all bytes.

use std::net::Ipv4Addr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use imapd::Imapd;
use lmtp_deliverd::LmtpDeliverd;
use mail_common::auth::Gate;
use mail_common::config::{self, Role};
use mail_common::daemon::Daemon;
use mail_proto::imap::Login;
use mail_proto::pop3;
use mail_tests::chat::{self, Chat, Connection, Protocol, World, play};
use mail_tests::pure::{Joined, Pure, Stage};
use mail_tests::site::Site;
use mtad::Mtad;
use pop3d::Pop3d;
use tokio::runtime::Runtime;

#[test]
fn every_chat_can_be_played() {
    let mut mistakes = Vec::new();
    for path in Protocol::ALL.into_iter().flat_map(Protocol::chats) {
        match Chat::read(&path) {
            Ok(chat) => match Site::new(&chat.heading.config).try_config() {
                Ok(_) => {}
                Err(wrong) => mistakes.push(format!("{}: {wrong}", path.display())),
            },
            Err(mistake) => mistakes.push(mistake),
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn smtp() {
    play_all(Protocol::Smtp, |site, runtime| mtad(site, runtime, Role::Mx));
}

#[test]
fn submission() {
    play_all(Protocol::Submission, |site, runtime| mtad(site, runtime, Role::Submission));
}

fn mtad(site: Arc<config::Site>, runtime: Rc<Runtime>, role: Role) -> Open {
    let daemon: Arc<Mtad> = Arc::new(start(site, &runtime));
    let peer = Some(Ipv4Addr::LOCALHOST.into());
    Box::new(move || {
        let (session, backend) = daemon.session(role, peer, None, true);
        Box::new(Joined { session, backend, runtime: Rc::clone(&runtime), then: None })
    })
}

#[test]
fn lmtp() {
    play_all(Protocol::Lmtp, |site, runtime| {
        let daemon: LmtpDeliverd = start(site, &runtime);
        Box::new(move || {
            let (session, backend) = daemon.session(true, false);
            Box::new(Joined { session, backend, runtime: Rc::clone(&runtime), then: None })
        })
    });
}

#[test]
fn imap() {
    play_all(Protocol::Imap, |site, runtime| {
        let daemon: Rc<Imapd> = Rc::new(start(site, &runtime));
        Box::new(move || {
            let (session, backend) = daemon.login(true, true);
            let (daemon, after) = (Rc::clone(&daemon), Rc::clone(&runtime));
            let then = move |login: Login, gate: Gate| -> Box<dyn Stage> {
                let unread = login.into_unread();
                let (session, backend) = daemon.mailboxes(gate.into_user(), &unread);
                Box::new(Joined { session, backend, runtime: after, then: None })
            };
            let runtime = Rc::clone(&runtime);
            Box::new(Joined { session, backend, runtime, then: Some(Box::new(then)) })
        })
    });
}

#[test]
fn pop3() {
    play_all(Protocol::Pop3, |site, runtime| {
        let daemon: Rc<Pop3d> = Rc::new(start(site, &runtime));
        Box::new(move || {
            let (session, backend) = daemon.login(true, true);
            let (daemon, after) = (Rc::clone(&daemon), Rc::clone(&runtime));
            let then = move |login: pop3::Login, gate: Gate| -> Box<dyn Stage> {
                let unread = login.into_unread();
                let (session, backend) = daemon.maildrop(gate.into_user(), &unread);
                Box::new(Joined { session, backend, runtime: after, then: None })
            };
            let runtime = Rc::clone(&runtime);
            Box::new(Joined { session, backend, runtime, then: Some(Box::new(then)) })
        })
    });
}

/// Makes the first stage of a connection.
type Open = Box<dyn Fn() -> Box<dyn Stage>>;

/// A site with one daemon's sessions over it.
struct Sessions {
    site: Site,
    protocol: Protocol,
    piece: usize,
    open: Open,
}

impl World for Sessions {
    fn connect(&mut self) -> Box<dyn Connection> {
        Box::new(Pure::new((self.open)(), self.piece))
    }

    /// Behind mtad's sessions is only its queue.
    fn inbox(
        &mut self,
        user: &str,
        enough: &mut dyn FnMut(&[Vec<u8>]) -> bool,
    ) -> Option<Vec<Vec<u8>>> {
        let has_mailboxes = !matches!(self.protocol, Protocol::Smtp | Protocol::Submission);
        has_mailboxes.then(|| self.site.inbox_when(user, enough))
    }
}

fn start<D: Daemon>(site: Arc<config::Site>, runtime: &Runtime) -> D {
    let _entered = runtime.enter();
    D::start(site).unwrap_or_else(|error| panic!("{error}"))
}

fn play_all(protocol: Protocol, begin: impl Fn(Arc<config::Site>, Rc<Runtime>) -> Open) {
    let paths = protocol.chats();
    assert!(!paths.is_empty(), "no chats in tests/chats/{}", protocol.folder());
    let mut failures = Vec::new();
    for path in &paths {
        let chat = Chat::read(path).unwrap_or_else(|mistake| panic!("{mistake}"));
        if let Err(mistakes) = Site::new(&chat.heading.config).try_config() {
            failures.push(format!("--- {}: {mistakes}", path.display()));
            continue;
        }
        for piece in [1, 7, usize::MAX] {
            let site = Site::of(&chat.heading);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let open = begin(site.config(), Rc::new(runtime.expect("a runtime")));
            let came = play(&chat, protocol, &mut Sessions { site, protocol, piece, open });
            if came != chat.body {
                failures.push(differs(path, piece, &chat.body, &came));
                break;
            }
        }
    }
    let (failed, all) = (failures.len(), paths.len());
    assert!(failures.is_empty(), "{failed} of {all} failed\n{}", failures.join("\n"));
}

fn differs(path: &Path, piece: usize, written: &str, came: &str) -> String {
    let name = path.strip_prefix(chat::folder()).unwrap_or(path).display();
    let pieces = if piece == usize::MAX { "all".to_owned() } else { piece.to_string() };
    format!("--- {name} in pieces of {pieces}, as written\n{written}--- as it came\n{came}")
}
