//! The daemons' sessions, each joined with its daemon's own backend over a site.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use imapd::Imapd;
use lmtp_deliverd::{LmtpDeliverd, Peer};
use mail_common::auth::Gate;
use mail_common::config::Role;
use mail_common::daemon::Daemon;
use mail_proto::imap::Login;
use mail_proto::pop3;
use mail_tests::chat::Protocol;
use mail_tests::patience;
use mail_tests::pure::{Joined, Stage};
use mail_tests::site::Site;
use mtad::Mtad;
use pop3d::Pop3d;
use tokio::runtime::Runtime;

/// Makes the first stage of a connection.
pub(crate) type Open = Box<dyn Fn() -> Box<dyn Stage>>;

/// Connections of a protocol, to one daemon over this site.
pub(crate) fn over(site: &Site, protocol: Protocol) -> Open {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = Rc::new(runtime.expect("a runtime"));
    match protocol {
        Protocol::Smtp => mtad(site, runtime, Role::Mx),
        Protocol::Submission => mtad(site, runtime, Role::Submission),
        Protocol::Inject => mtad(site, runtime, Role::Inject),
        Protocol::Lmtp => lmtp_deliverd(site, runtime),
        Protocol::Pop3 => pop3d(site, runtime),
        Protocol::Imap => imapd(site, runtime),
    }
}

fn mtad(site: &Site, runtime: Rc<Runtime>, role: Role) -> Open {
    let daemon: Arc<Mtad> = Arc::new(start(site, &runtime));
    let (peer, uid) = match role {
        Role::Mx | Role::Submission => (Some(Ipv4Addr::LOCALHOST.into()), None),
        Role::Inject => (None, Some(0)),
    };
    let starttls = site.config().tls.is_some();
    Box::new(move || {
        let (session, backend) = daemon.session(role, peer, uid, starttls);
        Box::new(Joined { session, backend, runtime: Rc::clone(&runtime), then: None })
    })
}

fn lmtp_deliverd(site: &Site, runtime: Rc<Runtime>) -> Open {
    let daemon: LmtpDeliverd = start(site, &runtime);
    Box::new(move || {
        let (session, backend) = daemon.session(Peer::Local);
        Box::new(Joined { session, backend, runtime: Rc::clone(&runtime), then: None })
    })
}

fn pop3d(site: &Site, runtime: Rc<Runtime>) -> Open {
    let daemon: Rc<Pop3d> = Rc::new(start(site, &runtime));
    let starttls = site.config().tls.is_some();
    Box::new(move || {
        let (session, backend) = daemon.login(true, starttls);
        let (daemon, after) = (Rc::clone(&daemon), Rc::clone(&runtime));
        let then = move |login: pop3::Login, gate: Gate| -> Box<dyn Stage> {
            let unread = login.into_unread();
            let (session, backend) = daemon.maildrop(gate.into_user(), &unread);
            Box::new(Joined { session, backend, runtime: after, then: None })
        };
        let runtime = Rc::clone(&runtime);
        Box::new(Joined { session, backend, runtime, then: Some(Box::new(then)) })
    })
}

fn imapd(site: &Site, runtime: Rc<Runtime>) -> Open {
    let daemon: Rc<Imapd> = Rc::new(start(site, &runtime));
    let starttls = site.config().tls.is_some();
    Box::new(move || {
        let (session, backend) = daemon.login(true, starttls);
        let (daemon, after) = (Rc::clone(&daemon), Rc::clone(&runtime));
        let then = move |login: Login, gate: Gate| -> Box<dyn Stage> {
            let unread = login.into_unread();
            let (session, backend) = daemon.mailboxes(gate.into_user(), &unread);
            Box::new(Joined { session, backend, runtime: after, then: None })
        };
        let runtime = Rc::clone(&runtime);
        Box::new(Joined { session, backend, runtime, then: Some(Box::new(then)) })
    })
}

fn start<D: Daemon>(site: &Site, runtime: &Runtime) -> D {
    let _entered = runtime.enter();
    // One before it has its files until all is told that it has answered for.
    let mut refused = String::new();
    let started = patience::until(|| {
        let started = D::start(site.config());
        started.map_err(|error| refused = error.to_string()).ok()
    });
    started.unwrap_or_else(|| panic!("{refused}"))
}
