//! Who answers: mtad over its control socket; or, while mtad is down, a thread of ours that has the
//! spool, its lock, and the rights of its owner. Both speak the same over a socket, so the commands
//! do not know which it is.

use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mail_common::config::Site;
use mail_spool::admin::protocol::{self, Answer, BLOCK, Block, Part, Request};
use mail_spool::admin::{Desk, UnderWay, serve};
use mail_spool::{Settings, Spool, SpoolError};
use rustix::process::getuid;

use super::Failure;
use crate::rights;

/// How long an answer may take to go on.
const PATIENCE: Duration = Duration::from_secs(600);

/// A connection to who has the queue.
pub(super) struct Connection {
    from: BufReader<UnixStream>,
    to: UnixStream,
    /// Who answers, if that is a thread of ours.
    own: Option<JoinHandle<()>>,
}

impl Connection {
    /// Finds who has the queue.
    pub(super) fn open(site: &Site) -> Result<Self, Failure> {
        let path = site.run.mtad_control();
        match UnixStream::connect(&path) {
            Ok(stream) => Self::new(stream, None),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    let (stream, own) = own_desk(&site.mtad.spool)?;
                    Self::new(stream, Some(own))
                }
                _ => Err(Failure::Temporary(format!(
                    "{}: {error}. Run this as root, or as mtad's user",
                    path.display()
                ))),
            },
        }
    }

    fn new(stream: UnixStream, own: Option<JoinHandle<()>>) -> Result<Self, Failure> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { from: BufReader::new(stream.try_clone()?), to: stream, own })
    }

    /// Asks, and shows each answer but the last; how many messages it was about.
    pub(super) fn ask(
        &mut self,
        request: &Request,
        see: impl FnMut(Answer) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        self.send(request)?;
        self.answers(see)
    }

    /// Asks that a message be taken, with the text behind it.
    pub(super) fn hand_in(
        &mut self,
        request: &Request,
        mut text: impl Read,
        see: impl FnMut(Answer) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let mut to = BufWriter::new(&self.to);
        protocol::write(&mut to, request)?;
        let mut sent = Ok(());
        loop {
            let mut block = vec![0; BLOCK];
            let count = text.read(&mut block)?;
            block.truncate(count);
            sent = sent.and_then(|()| protocol::write(&mut to, &Part { block: Block(block) }));
            if count == 0 || sent.is_err() {
                break;
            }
        }
        let sent = sent.and_then(|()| to.flush());
        drop(to);
        // Who refused it at its beginning may have hung up, and has said why.
        self.answers(see).or_else(|failure| sent.map_err(Failure::from).and(Err(failure)))
    }

    /// Says goodbye; returns once a desk of ours has given the spool back.
    pub(super) fn close(self) {
        let Self { from, to, own } = self;
        drop((from, to));
        if let Some(own) = own {
            own.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), Failure> {
        let mut to = BufWriter::new(&self.to);
        protocol::write(&mut to, request)?;
        Ok(to.flush()?)
    }

    fn answers(
        &mut self,
        mut see: impl FnMut(Answer) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        loop {
            match protocol::read(&mut self.from)? {
                Some(Answer::End { messages }) => return Ok(messages),
                Some(Answer::Error { why }) => return Err(Failure::Temporary(why)),
                Some(answer) => see(answer)?,
                None => return Err(Failure::hung_up()),
            }
        }
    }
}

/// Takes the spool of an mtad that is down.
fn own_desk(spool: &Path) -> Result<(UnixStream, JoinHandle<()>), Failure> {
    let found =
        fs::metadata(spool).and_then(|found| fs::metadata(spool.join("format")).map(|_| found));
    let found = found.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Usage(format!(
            "{}: no spool is there, and mtad does not run. `mtad.spool` in the configuration says \
             where it is",
            spool.display()
        )),
        _ => Failure::Temporary(format!("{}: {error}. Run this as root", spool.display())),
    })?;
    let (ours, theirs) = UnixStream::pair()?;
    let (told, ready) = sync_channel(1);
    let path = spool.to_owned();
    let (uid, gid) = (found.uid(), found.gid());
    let thread = thread::Builder::new().name("desk".to_owned());
    let own = thread.spawn(move || answer(&path, (uid, gid), &theirs, &told))?;
    match ready.recv() {
        Ok(Ok(())) => Ok((ours, own)),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(Failure::hung_up()),
    }
}

/// What the thread does: its rights are those of the spool's owner, and so are those of the
/// spool's own threads.
fn answer(
    path: &Path,
    (uid, gid): (u32, u32),
    stream: &UnixStream,
    told: &SyncSender<Result<(), Failure>>,
) {
    let opened = rights::become_user(uid, gid)
        .map_err(Failure::from)
        .and_then(|()| Ok(Spool::open(path, Settings::default())?));
    let (spool, recovered) = match opened {
        Ok(opened) => opened,
        Err(failure) => return drop(told.send(Err(failure))),
    };
    // Nothing is done to a message before the whole log was read.
    recovered.for_each(drop);
    if !spool.is_read() {
        let why = "the spool cannot be read: see the log above, and `posthorn spool fsck`";
        return drop(told.send(Err(Failure::Temporary(why.to_owned()))));
    }
    let desk = Desk::new(spool.clone(), UnderWay::default(), Arc::new(|_| {}));
    let _ = told.send(Ok(()));
    // The commands see by themselves that an answer broke off.
    let _ = serve(stream, getuid().as_raw(), &desk);
    drop(desk);
    spool.close();
}

impl Failure {
    fn hung_up() -> Self {
        Self::Temporary(
            "mtad hung up before its answer was whole: it may have been stopped. Try again"
                .to_owned(),
        )
    }
}

impl From<SpoolError> for Failure {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Taken(_) => Self::Temporary(format!(
                "{error}, and mtad does not answer: it starts or stops, or another `posthorn \
                 queue` is at work. Try again in a moment; `systemctl status mtad` says more"
            )),
            SpoolError::Format(_) => Self::Usage(format!("{error}. Use the release that made it")),
            SpoolError::Foreign { .. } => Self::Usage(format!("{error}. Name a spool's directory")),
            SpoolError::Disk(disk) if disk.kind() == io::ErrorKind::PermissionDenied => {
                Self::Temporary(format!("{disk}. Run this as root, or as mtad's user"))
            }
            other => Self::Temporary(other.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => Self::hung_up(),
            io::ErrorKind::WouldBlock => {
                Self::Temporary("mtad does not answer. Its log may say why".to_owned())
            }
            _ => Self::Temporary(error.to_string()),
        }
    }
}
