//! How the spool is taken and given back.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use mail_common::disk::{self, Dir, DiskError};
use mail_common::lock;

use crate::ahead::{Ahead, Lost, Supply};
use crate::alarm::{Alarm, Guard};
use crate::big::Big;
use crate::blocks::Blocks;
use crate::checkpoint::{self, BadCheckpoint};
use crate::index::{Index, Recovered};
use crate::recovery::{self, Directories, Survey};
use crate::scan::{Patience, Patient};
use crate::segment::Segments;
use crate::spool::Shared;
use crate::upkeep::{Call, Upkeep};
use crate::work::Queue;
use crate::writer::{Counts, Writer};
use crate::{Settings, Spool, SpoolError};

/// Held by the process that has the spool.
pub(crate) const LOCK: &str = "lock";

/// What `format` holds.
pub(crate) const FORMAT: &[u8] = b"posthorn spool 1\n";

/// What a spool has, and what a disk of its own has.
const OWN: [&str; 8] = [
    LOCK,
    "format",
    "segments",
    "big",
    "corrupt",
    checkpoint::NEWER,
    checkpoint::OLDER,
    "lost+found",
];

/// Who has the spool: when it goes, what was asked for is made durable, the threads end, and with
/// the last of them the lock is given back.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    others: Mutex<Vec<JoinHandle<()>>>,
}

impl Spool {
    /// Takes the spool; it is made if it is missing. Returns before its log was read: new mail can
    /// be taken at once, and what is asked about older messages waits.
    ///
    /// # Errors
    /// Another process has it, it is of another version, or the directory cannot be used.
    pub fn open(path: &Path, settings: Settings) -> Result<(Self, Recovered), SpoolError> {
        let (shared, directories, survey) = take(path, settings)?;
        let index = Arc::clone(&shared.index);
        let owner = Owner::start(shared, directories, survey)?;
        Ok((Self::new(owner), Recovered::new(index)))
    }

    /// Makes everything durable that was asked for, writes a checkpoint and gives the spool back.
    /// What is asked for later is refused.
    pub fn close(self) {
        self.owner().stop(Call::Close);
        drop(lock(&self.owner().shared.lock).take());
    }
}

impl Owner {
    fn start(
        shared: Arc<Shared>,
        directories: Directories,
        survey: Survey,
    ) -> Result<Self, SpoolError> {
        let (writer, others) = (Mutex::default(), Mutex::default());
        let owner = Self { shared, writer, others };
        let writer = owner.spawn("spool-write", |shared| Writer::new(Arc::clone(shared)).run())?;
        *lock(&owner.writer) = Some(writer);
        let ahead = owner.spawn("spool-ahead", |shared| {
            let Shared { segments, index, lost, ahead, .. } = &**shared;
            ahead.run(Supply::new(segments, index, lost));
        })?;
        lock(&owner.others).push(ahead);
        let upkeep = owner.spawn("spool-upkeep", move |shared| {
            shared.upkeep.run(shared, &directories, &survey);
        })?;
        lock(&owner.others).push(upkeep);
        Ok(owner)
    }

    fn spawn(
        &self,
        name: &str,
        run: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> Result<JoinHandle<()>, SpoolError> {
        let guard = Guard(Arc::clone(&self.shared));
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || run(&guard.0));
        spawned.map_err(|error| DiskError::new(name.into(), error).into())
    }

    fn stop(&self, call: Call) {
        self.shared.queue.close();
        let writer = lock(&self.writer).take();
        writer.into_iter().for_each(join);
        self.shared.ahead.stop();
        // What a thread that panicked left half done belongs into no checkpoint.
        self.shared.upkeep.call(if self.shared.alarm.is_raised() { Call::End } else { call });
        let others = std::mem::take(&mut *lock(&self.others));
        others.into_iter().for_each(join);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.stop(Call::End);
    }
}

/// Takes the spool, and finds its segments: no thread has begun.
pub(crate) fn take(
    path: &Path,
    settings: Settings,
) -> Result<(Arc<Shared>, Directories, Survey), SpoolError> {
    let dir = Dir::open_or_create(path)?;
    let lock = dir.lock(LOCK)?.ok_or_else(|| SpoolError::Taken(path.to_owned()))?;
    prepare(&dir)?;
    let directories = Directories::open(dir)?;
    remove_unfinished(&directories)?;
    let survey = recovery::survey(&directories)?;
    let index = Arc::new(survey.index());
    rise_above_checkpoints(&directories, &index)?;
    let shared = Arc::new(Shared {
        blocks: Arc::new(Blocks::new(settings.receive_memory)),
        settings,
        segments: Segments::new(directories.segments.clone()),
        index,
        queue: Queue::default(),
        ahead: Ahead::default(),
        lost: Lost::default(),
        upkeep: Upkeep::default(),
        big: Big::new(directories.big.clone()),
        counts: Counts::default(),
        alarm: Alarm::default(),
        lock: Mutex::new(Some(lock)),
    });
    Ok((shared, directories, survey))
}

/// Makes what is missing of a spool.
fn prepare(dir: &Dir) -> Result<(), SpoolError> {
    if is_spool(dir)? {
        return Ok(());
    }
    for name in ["segments", "big", "corrupt"] {
        dir.create_dir(name)?;
    }
    // Last: where it is, all is there.
    Ok(dir.replace("format", FORMAT)?)
}

/// Whether it is a spool; if not, there is nothing in it that would be overlooked if it became one.
pub(crate) fn is_spool(dir: &Dir) -> Result<bool, SpoolError> {
    match disk::found(dir.read("format", 100))? {
        Some(format) if format == FORMAT => Ok(true),
        Some(_) => Err(SpoolError::Format(dir.path().to_owned())),
        None => match strangers(dir)?.into_iter().next() {
            Some(name) => Err(SpoolError::Foreign { path: dir.path().to_owned(), name }),
            None => Ok(false),
        },
    }
}

/// What is beside a spool's own files: mail in a format that came before it, another program's.
pub(crate) fn strangers(dir: &Dir) -> Result<Vec<String>, SpoolError> {
    let mut names = Vec::new();
    for found in dir.entries()? {
        let name = found?.name.to_string_lossy().into_owned();
        if !OWN.contains(&name.as_str()) && !name.ends_with(Dir::TEMPORARY) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes what a dead process had not finished: nothing of it was promised.
fn remove_unfinished(directories: &Directories) -> Result<(), DiskError> {
    for dir in [&directories.root, &directories.big, &directories.corrupt] {
        for found in dir.entries()? {
            let name = found?.name;
            if name.as_bytes().ends_with(Dir::TEMPORARY.as_bytes()) {
                dir.unlink(&name)?;
            }
        }
    }
    Ok(())
}

/// The segment with the highest generation may have been lost since, with nothing in it that counts;
/// but what is written now must come after what the checkpoints hold. The older begins before the
/// newer.
fn rise_above_checkpoints(directories: &Directories, index: &Index) -> Result<(), DiskError> {
    for name in [checkpoint::NEWER, checkpoint::OLDER] {
        let Some(file) = disk::found(directories.root.file(name))? else { continue };
        let patience = Patience::default();
        match checkpoint::position(&Patient::new(&file, &patience)) {
            Ok(position) => {
                index.rise_above(position.generation);
                break;
            }
            // Nobody will ever go by it.
            Err(BadCheckpoint::Damaged(_)) => {}
            Err(BadCheckpoint::Unreadable(error)) => {
                return Err(DiskError::new(directories.root.path().join(name), error));
            }
        }
    }
    Ok(())
}

/// Unless it is this thread: it may be the last to have known the spool.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != thread::current().id() {
        // It told why it ended, if it was not told to.
        let _ = thread.join();
    }
}
