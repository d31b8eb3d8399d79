//! Two processes of one site, in one: each has its own part in the news, and no inotify.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::interests::Notice;
use super::*;

struct Place {
    directory: TempDir,
    mailbox: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mailbox = directory.path().join("mailbox");
        std::fs::create_dir(&mailbox).unwrap();
        Self { directory, mailbox }
    }

    fn sockets(&self) -> PathBuf {
        self.directory.path().join("run/news")
    }

    fn process(&self, number: u32) -> Arc<News> {
        Arc::new(News::at(Some(self.sockets()), format!("{number}.sock")))
    }

    fn watch(&self, process: &Arc<News>) -> Watch {
        let notices = interests::notices();
        Watch::new(None, process.listen(&self.mailbox, &notices), &notices)
    }
}

/// Waits for so many changes, for as long as it takes.
async fn changes(watch: &mut Watch, count: u64) {
    watch.notices.wait_for(|changes| *changes == count).await.unwrap();
}

#[tokio::test]
async fn another_process_tells_whatever_it_calls_the_mailbox() {
    let place = Place::new();
    let (reader, writer) = (place.process(1), place.process(2));
    let (mut one, mut two) = (place.watch(&reader), place.watch(&reader));
    let link = place.directory.path().join("link");
    symlink(&place.mailbox, &link).unwrap();
    writer.tell(&link);
    changes(&mut one, 1).await;
    changes(&mut two, 1).await;
    drop(two);
    writer.tell(&place.directory.path().join("link/../mailbox/."));
    changes(&mut one, 2).await;
    writer.tell(&place.mailbox);
    one.changed().await;
    assert!(!place.sockets().join("2.sock").exists(), "nobody waits there");
}

#[tokio::test]
async fn other_mailboxes_are_none_of_our_business() {
    let place = Place::new();
    let (reader, writer) = (place.process(1), place.process(2));
    let mut watch = place.watch(&reader);
    writer.tell(place.directory.path());
    writer.tell(&place.directory.path().join("gone"));
    let stranger = UnixDatagram::unbound().unwrap();
    for length in [0, 1, 15, 17, 1000] {
        stranger.send_to(&vec![0; length], place.sockets().join("1.sock")).unwrap();
    }
    writer.tell(&place.mailbox);
    changes(&mut watch, 1).await;
}

#[tokio::test]
async fn a_process_tells_itself_without_sockets() {
    let place = Place::new();
    std::fs::write(place.directory.path().join("run"), "no directory").unwrap();
    for process in [place.process(1), Arc::new(News::at(None, "1.sock".to_owned()))] {
        let mut watch = place.watch(&process);
        process.tell(&place.mailbox);
        changes(&mut watch, 1).await;
    }
}

#[tokio::test]
async fn nobody_waits_for_the_dead_and_the_busy() {
    let place = Place::new();
    let (reader, writer) = (place.process(1), place.process(2));
    let mut watch = place.watch(&reader);
    let (dead, busy) = (place.sockets().join("7.sock"), place.sockets().join("8.sock"));
    drop(UnixDatagram::bind(&dead).unwrap());
    let full = UnixDatagram::bind(&busy).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"x", &busy).is_ok() {}
    std::fs::write(place.sockets().join("file.sock"), "no socket").unwrap();
    writer.tell(&place.mailbox);
    changes(&mut watch, 1).await;
    assert!(!dead.exists() && busy.exists() && place.sockets().join("file.sock").exists());
    drop(full);
}

#[tokio::test]
async fn who_comes_cleans_up() {
    let place = Place::new();
    std::fs::create_dir_all(place.sockets()).unwrap();
    for left in ["1.sock", "3.sock"] {
        drop(UnixDatagram::bind(place.sockets().join(left)).unwrap());
    }
    let mut watch = place.watch(&place.process(1));
    assert!(!place.sockets().join("3.sock").exists());
    place.process(2).tell(&place.mailbox);
    changes(&mut watch, 1).await;
}

#[tokio::test]
async fn a_whole_change_is_told_at_once_and_an_event_is_not() {
    let notices = interests::notices();
    let mut watch = Watch::new(None, None, &notices);
    let mut interests = interests::Interests::default();
    interests.add((), &notices);
    interests.tell(&(), Notice::Event);
    let heard = Instant::now();
    watch.take_notice();
    assert!(watch.due.unwrap() >= heard + GATHER);
    interests.tell(&(), Notice::Change);
    watch.take_notice();
    assert!(watch.due.unwrap() <= Instant::now());
    watch.changed().await;
    interests.tell(&(), Notice::Change);
    watch.take_notice();
    assert_eq!(watch.due, watch.told.map(|told| told + GATHER), "not more often than that");
}
