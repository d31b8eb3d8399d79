//! The control socket with a real spool behind it.

use std::fs::{Permissions, set_permissions};
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use mail_spool::admin::protocol::{self, Answer};
use mail_spool::admin::{Desk, UnderWay};
use mail_spool::{Settings, Spool};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;
use tempfile::TempDir;

use super::*;

/// A control socket that is answered.
struct Scene {
    _directory: TempDir,
    path: PathBuf,
    stop: CancellationToken,
    thread: thread::JoinHandle<()>,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let path = directory.path().join("run/control.sock");
        let (spool, recovered) =
            Spool::open(&directory.path().join("spool"), Settings::default()).unwrap();
        recovered.for_each(drop);
        let desk = Desk::new(spool, UnderWay::default(), Arc::new(|_| {}));
        let control = Control::bind(&path).unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(control.run(desk, stopped));
        });
        Self { _directory: directory, path, stop, thread }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).unwrap()
    }

    /// Ends; all that were connected are cut off.
    fn end(self) {
        self.stop.cancel();
        self.thread.join().unwrap();
    }
}

fn ask(mut stream: &UnixStream, line: &str) -> Option<Answer> {
    stream.write_all(line.as_bytes()).unwrap();
    protocol::read(&mut BufReader::new(stream)).unwrap()
}

#[test]
fn a_connection_may_ask_more_than_once() {
    let scene = Scene::new();
    let stream = scene.connect();
    for _ in 0..3 {
        assert_eq!(ask(&stream, "{\"do\":\"list\"}\n"), Some(Answer::End { messages: 0 }));
    }
    scene.end();
    assert_eq!((&stream).read(&mut [0]).unwrap(), 0, "cut off");
}

#[test]
fn what_is_no_request_ends_the_connection() {
    let scene = Scene::new();
    for line in ["\n", "EHLO x\n", "{\"do\":\"list\",\"filter\":7}\n", "\u{0}\u{1}\n"] {
        let stream = scene.connect();
        let answer = ask(&stream, line);
        assert!(matches!(answer, Some(Answer::Error { .. })), "{line:?}: {answer:?}");
        assert_eq!((&stream).read(&mut [0]).unwrap(), 0, "{line:?}");
    }
    scene.end();
}

#[test]
fn there_is_a_limit_to_connections() {
    let scene = Scene::new();
    let streams: Vec<_> = (0..CONNECTIONS).map(|_| scene.connect()).collect();
    for stream in &streams {
        assert_eq!(ask(stream, "{\"do\":\"list\"}\n"), Some(Answer::End { messages: 0 }));
    }
    assert_eq!(scene.connect().read(&mut [0]).unwrap(), 0, "one too many");
    drop(streams);
    scene.end();
}

/// Whatever the modes of socket and directory have become.
#[test]
fn other_users_are_not_admitted() {
    if !geteuid().is_root() {
        return;
    }
    let scene = Scene::new();
    let directory = scene.path.parent().unwrap().to_owned();
    let path = scene.path.clone();
    let nobody = move || {
        let nobody = Uid::from_raw(65_534);
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
        UnixStream::connect(path)
    };
    let refused = thread::spawn(nobody.clone()).join().unwrap();
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    set_permissions(&scene.path, Permissions::from_mode(0o666)).unwrap();
    let mut stranger = thread::spawn(nobody).join().unwrap().unwrap();
    assert_eq!(stranger.read(&mut [0]).unwrap(), 0);
    scene.end();
}
