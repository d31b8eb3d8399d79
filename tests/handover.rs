//! The IMAP chats with the hand-over between login and mailboxes: the session after the login is
//! served on another stream, a socket pair, as if in another process. What the client sent behind
//! its login goes along as a value; all else is carried from one stream to the other.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use imapd::{Imapd, LoggedIn};
use mail_common::config;
use mail_common::daemon::Daemon;
use mail_common::serve::{Outcome, Stream, Surroundings, converse};
use mail_common::tls::Acceptor;
use mail_tests::chat::{Chat, Connection, Protocol, World, play};
use mail_tests::client::Client;
use mail_tests::patience::PATIENCE;
use mail_tests::site::Site;
use mail_tests::trouble::{Trouble, can_happen};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

#[test]
fn imap() {
    let runtime = Runtime::new().expect("a runtime");
    let mut failures = Vec::new();
    for path in Protocol::Imap.chats() {
        let chat = Chat::read(&path).unwrap_or_else(|mistake| panic!("{mistake}"));
        // Without TLS there is nothing to hand over that is not in another chat.
        if chat.heading.without_tls || !can_happen(&chat, &path) {
            continue;
        }
        let site = Site::of(&chat.heading);
        let stop = CancellationToken::new();
        let listening = listen(site.config(), stop.clone());
        let address = runtime.block_on(listening).expect("a free port");
        let came = play(&chat, Protocol::Imap, &mut Relayed { site, address, stop });
        let expected = chat.until_time_passes();
        if came != expected {
            let name = path.display();
            failures.push(format!("--- {name}, as written\n{expected}--- as it came\n{came}"));
        }
    }
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n"));
}

/// A site with imapd's two sessions at an address.
struct Relayed {
    site: Site,
    address: SocketAddr,
    /// Tells the sessions to end.
    stop: CancellationToken,
}

impl World for Relayed {
    fn connect(&mut self) -> Box<dyn Connection> {
        Box::new(Client::tcp(self.address, &self.site).expect("somebody listens"))
    }

    fn inbox(
        &mut self,
        user: &str,
        enough: &mut dyn FnMut(&[Vec<u8>]) -> bool,
    ) -> Option<Vec<Vec<u8>>> {
        Some(self.site.inbox_when(user, enough))
    }

    fn befall(&mut self, trouble: &Trouble) {
        trouble.befall(&self.site);
    }

    fn shut_down(&mut self) {
        self.stop.cancel();
    }
}

/// Listens, and serves whoever comes as long as the runtime lives.
async fn listen(config: Arc<config::Site>, stop: CancellationToken) -> io::Result<SocketAddr> {
    let tls = config.tls.as_ref().map(Acceptor::open);
    let surroundings = Surroundings {
        tls: Some(tls.expect("the site has a certificate").expect("it is readable")),
        connect_tls: None,
        stop,
        write_patience: PATIENCE,
    };
    let daemon = Arc::new(Imapd::start(config).unwrap_or_else(|error| panic!("{error}")));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(Arc::clone(&daemon), stream, surroundings.clone()));
        }
    });
    Ok(address)
}

async fn serve(daemon: Arc<Imapd>, tcp: TcpStream, surroundings: Surroundings) -> io::Result<()> {
    let mut stream = Stream::accepted_tcp(tcp);
    let (mut login, mut gate) = daemon.login(true, true);
    if converse(&mut login, &mut stream, &mut gate, &surroundings).await? != Outcome::Done {
        return Ok(());
    }
    let (mut near, far) = UnixStream::pair()?;
    let far = Stream::accepted_unix(far);
    let client = LoggedIn { user: gate.into_user(), unread: login.into_unread(), stream: far };
    let (carried, served) = tokio::join!(
        copy_bidirectional(&mut stream, &mut near),
        daemon.serve(client, &surroundings)
    );
    carried.map(drop).and(served)
}
