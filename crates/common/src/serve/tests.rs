//! Conversations over a socket pair.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::*;
use crate::config::Tls;
use crate::echo::{Echo, Mirror};
use crate::tls::{Acceptor, Connector};

fn surroundings() -> Surroundings {
    Surroundings {
        tls: None,
        connect_tls: None,
        stop: CancellationToken::new(),
        write_patience: Duration::from_secs(5),
    }
}

/// Both ends: ours, and the peer's in lines.
fn pair() -> (Stream, BufReader<UnixStream>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Stream::accepted_unix(ours), BufReader::new(theirs))
}

async fn line(peer: &mut BufReader<impl AsyncRead + Unpin>) -> String {
    let mut line = String::new();
    peer.read_line(&mut line).await.unwrap();
    line.trim_end().to_owned()
}

/// Says all of `words`, and hears all until the end.
async fn whole(words: &str) -> (Outcome, String) {
    let (mut stream, mut peer) = pair();
    peer.write_all(words.as_bytes()).await.unwrap();
    peer.shutdown().await.unwrap();
    let (mut session, around) = (Echo::new(), surroundings());
    let conversation = async {
        let ended = converse(&mut session, &mut stream, &mut Mirror, &around).await;
        drop(stream);
        ended
    };
    let mut heard = String::new();
    let (ended, _) = tokio::join!(conversation, peer.read_to_string(&mut heard));
    (ended.unwrap(), heard)
}

#[tokio::test]
async fn conversations_end_as_they_should() {
    let table = [
        ("a\nb\nquit\nc\n", Outcome::Closed, "hello\na\nb\nbye\n"),
        ("ask abc\nquit\n", Outcome::Closed, "hello\ncba\nbye\n"),
        ("a\ndone\nb\n", Outcome::Done, "hello\na\n"),
        ("a\nhalf a li", Outcome::Vanished, "hello\na\n"),
        ("", Outcome::Vanished, "hello\n"),
    ];
    for (words, outcome, heard) in table {
        assert_eq!(whole(words).await, (outcome, heard.to_owned()), "{words:?}");
    }
}

#[tokio::test]
async fn a_peer_that_hangs_up_while_we_write_has_vanished() {
    let (mut stream, mut peer) = pair();
    peer.write_all(b"big 3000000\n").await.unwrap();
    let (mut session, mut mirror, around) = (Echo::new(), Mirror, surroundings());
    let conversation = converse(&mut session, &mut stream, &mut mirror, &around);
    let hang_up = async {
        line(&mut peer).await;
        drop(peer);
    };
    let (ended, ()) = tokio::join!(conversation, hang_up);
    assert_eq!(ended.unwrap(), Outcome::Vanished);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up() {
    let (mut stream, mut peer) = pair();
    peer.write_all(b"big 3000000\n").await.unwrap();
    let around = Surroundings { write_patience: Duration::from_millis(20), ..surroundings() };
    let ended = converse(&mut Echo::new(), &mut stream, &mut Mirror, &around).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn silence_ends_a_session() {
    let (mut stream, mut peer) = pair();
    let mut session = Echo::new();
    session.patience = Duration::from_millis(20);
    let around = surroundings();
    let hear = async {
        let heard = [line(&mut peer).await, line(&mut peer).await];
        drop(peer);
        heard
    };
    let mut mirror = Mirror;
    let conversation = converse(&mut session, &mut stream, &mut mirror, &around);
    let (ended, heard) = tokio::join!(conversation, hear);
    assert_eq!(ended.unwrap(), Outcome::Closed);
    assert_eq!(heard, ["hello", "timeout"]);
}

#[tokio::test]
async fn a_stop_comes_before_what_the_peer_says_next() {
    let (mut stream, mut peer) = pair();
    peer.write_all(b"a\nb\n").await.unwrap();
    let around = surroundings();
    around.stop.cancel();
    let mut heard = String::new();
    let mut session = Echo::new();
    let conversation = async {
        let ended = converse(&mut session, &mut stream, &mut Mirror, &around).await;
        drop(stream);
        ended
    };
    let hear = async {
        line(&mut peer).await;
        peer.get_mut().shutdown().await.unwrap();
        peer.read_to_string(&mut heard).await.unwrap();
    };
    let (ended, ()) = tokio::join!(conversation, hear);
    assert_eq!(ended.unwrap(), Outcome::Closed);
    assert_eq!(heard, "shutdown\n");
}

/// Has news whenever it is told so.
struct Teller(Arc<Notify>);

impl Backend<Echo> for Teller {
    async fn perform(&mut self, question: String) -> String {
        question
    }

    async fn news(&mut self) -> String {
        self.0.notified().await;
        "news".to_owned()
    }
}

#[tokio::test]
async fn news_come_only_to_those_who_listen() {
    let (mut stream, mut peer) = pair();
    let news = Arc::new(Notify::new());
    let mut teller = Teller(Arc::clone(&news));
    let talk = async {
        news.notify_one();
        peer.write_all(b"a\n").await.unwrap();
        let before = [line(&mut peer).await, line(&mut peer).await];
        peer.write_all(b"listen\n").await.unwrap();
        let during = line(&mut peer).await;
        peer.write_all(b"quit\n").await.unwrap();
        let after = line(&mut peer).await;
        drop(peer);
        (before, during, after)
    };
    let (mut session, around) = (Echo::new(), surroundings());
    let conversation = converse(&mut session, &mut stream, &mut teller, &around);
    let (ended, (before, during, after)) = tokio::join!(conversation, talk);
    assert_eq!(ended.unwrap(), Outcome::Closed);
    assert_eq!(before, ["hello", "a"]);
    assert_eq!((during.as_str(), after.as_str()), ("news", "bye"));
}

fn acceptor() -> Acceptor {
    let directory = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    Acceptor::open(&Tls { certificate, key }).unwrap()
}

/// One end accepts and the other connects, each by its own session.
#[tokio::test]
async fn starttls_from_both_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let mut client = Stream::connect_unix(&path).await.unwrap();
    let mut server = Stream::accepted_unix(listener.accept().await.unwrap().0);
    let around = Surroundings {
        tls: Some(acceptor()),
        connect_tls: Some(Connector::opportunistic()),
        ..surroundings()
    };
    let (mut session, mut mirror) = (Echo::new(), Mirror);
    let serve = converse(&mut session, &mut server, &mut mirror, &around);
    let talk = async {
        let mut peer = BufReader::new(&mut client);
        line(&mut peer).await;
        peer.write_all(b"tls\n").await.unwrap();
        assert_eq!(line(&mut peer).await, "go");
        drop(peer);
        client.connect_tls(around.connect_tls.as_ref().unwrap()).await.unwrap();
        assert_eq!(client.secured().unwrap().version, "TLSv1.3");
        let mut peer = BufReader::new(&mut client);
        // All in one record, larger than one read of ours: what TLS has decrypted must not be
        // left lying when nothing more comes from the socket.
        let words = format!("{}\nquit\n", "a".repeat(10_000));
        peer.write_all(words.as_bytes()).await.unwrap();
        peer.flush().await.unwrap();
        let heard = [line(&mut peer).await, line(&mut peer).await, line(&mut peer).await];
        peer.shutdown().await.unwrap();
        heard
    };
    let (ended, heard) = tokio::join!(serve, talk);
    assert_eq!(ended.unwrap(), Outcome::Closed);
    assert!(heard[0].starts_with("TLSv1.3 TLS_"), "{}", heard[0]);
    assert_eq!((heard[1].len(), heard[2].as_str()), (10_000, "bye"));
}

#[tokio::test]
async fn who_speaks_no_tls_is_an_error_and_the_session_is_left() {
    let (mut stream, mut peer) = pair();
    peer.write_all(b"tls\nno handshake at all\n").await.unwrap();
    let around = Surroundings { tls: Some(acceptor()), ..surroundings() };
    // "no handshake" came in the same read and belongs to the session; this goes to TLS.
    let talk = async {
        assert_eq!(
            (line(&mut peer).await.as_str(), line(&mut peer).await.as_str()),
            ("hello", "go")
        );
        peer.write_all(&[b'x'; 100]).await.unwrap();
    };
    let (mut session, mut mirror) = (Echo::new(), Mirror);
    let conversation = converse(&mut session, &mut stream, &mut mirror, &around);
    let (ended, ()) = tokio::join!(conversation, talk);
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::InvalidData);
    session.end(Ended::Shutdown);
    let mut out = Vec::new();
    assert!(matches!(session.step(&mut out), Step::Close));
}

/// What a sleeping session costs besides its own state.
#[tokio::test]
async fn a_parked_conversation_is_small() {
    let (mut stream, _peer) = pair();
    let (mut session, mut mirror, around) = (Echo::new(), Mirror, surroundings());
    let conversation = converse(&mut session, &mut stream, &mut mirror, &around);
    let size = size_of_val(&conversation);
    assert!(size <= 448, "{size}");
}
