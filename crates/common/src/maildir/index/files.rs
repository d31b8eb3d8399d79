//! The index in memory and the two files: how one follows the others.

use std::io;

use super::apply::{Applying, Check, follows};
use super::frame::{self, Changes};
use super::log::{self, Frames, Log, Position};
use super::octets::Damaged;
use super::snapshot::{self, Snapshot, Trouble};
use super::{Change, FactsRead, Followed, Index, fact, modseqs, source};
use crate::disk::{self, Dir, DiskError, Lasting, Stat};
use crate::maildir::StoreError;

/// How what is in memory stands to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is the log up to a position.
    In,
    /// It has something that is not in the log, for it could not be written.
    Ahead,
    /// The log is damaged, or another one.
    Out,
}

/// Why the frames ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing follows.
    Whole,
    /// What follows is no frame, or not yet.
    Torn,
    /// A frame says what cannot be.
    Wrong,
}

/// Who asks what others did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::maildir) enum Reader {
    /// Somebody may be writing: a frame that is not whole is one that is being written.
    Free,
    /// It holds the mailbox's lock, so nobody is writing: such a frame is damage.
    Locked,
}

impl Index {
    /// Reads snapshot and log; `None` if there is none that is whole (what is damaged is logged).
    /// `boot` is which this is. Of the facts only what the log says is read now.
    ///
    /// A log that is damaged, or does not fit, is read as far as it goes: then this is how the
    /// mailbox was at some time, and [`follow`](Self::follow) answers [`Followed::Lost`]. Files of
    /// a newer version are an error.
    pub(in crate::maildir) fn open(dir: &Dir, boot: [u8; 16]) -> Result<Option<Self>, StoreError> {
        let mut last = None;
        loop {
            let Some(snapshot) = snapshot::read(dir)? else { return Ok(None) };
            let id = snapshot.identity.id;
            let mut index = Self::of(snapshot, boot);
            // A log that does not fit may follow a snapshot that was written meanwhile.
            if index.begin(dir)? || last == Some(id) {
                return Ok(Some(index));
            }
            last = Some(id);
        }
    }

    fn of(snapshot: Snapshot, boot: [u8; 16]) -> Self {
        Self {
            logged: snapshot.head.marks,
            modseqs_to: modseqs::reserved_by(snapshot.head.modseq),
            boot,
            this_boot: snapshot.head.boot == boot,
            head: snapshot.head,
            messages: snapshot.messages,
            facts: fact::Facts::on_disk(),
            vanished: snapshot.vanished,
            position: snapshot.position,
            step: Step::Out,
            looked: None,
            snapshot: snapshot.identity,
        }
    }

    /// Reads the log from where the snapshot ends; whether it fits.
    fn begin(&mut self, dir: &Dir) -> Result<bool, StoreError> {
        let Some(log) = Log::open(dir)? else { return Ok(false) };
        let Some(position) = log.after(self.position) else { return Ok(false) };
        self.position = position;
        self.step = Step::In;
        if self.read_on(dir, log)? == End::Wrong {
            self.step = Step::Out;
        }
        self.this_boot = self.head.boot == self.boot;
        Ok(true)
    }

    /// Reads and applies what others appended, or reads all anew where they wrote a new snapshot.
    /// Takes no lock.
    ///
    /// After [`Followed::Lost`], what is in memory is how the mailbox was at some time. Who holds
    /// the lock makes it fit the Maildir: the next [`write`](Self::write) begins with a new log.
    pub(in crate::maildir) fn follow(
        &mut self,
        dir: &Dir,
        reader: Reader,
    ) -> Result<Followed, StoreError> {
        let now = source::stat(dir, log::FILE)?;
        if self.has_all_of(now) {
            return Ok(Followed::Same);
        }
        if self.step == Step::In
            && let Some(log) = Log::open(dir)?
            && log.after(self.position) == Some(self.position)
        {
            return self.follow_log(dir, log, reader);
        }
        self.read_anew(dir, reader)
    }

    /// Whether a log that looks so has nothing new.
    fn has_all_of(&self, now: Option<Stat>) -> bool {
        let is_at_end = now.is_some_and(|now| now.size == self.position.offset);
        self.looked == now
            && match self.step {
                Step::In => is_at_end,
                Step::Ahead => true,
                Step::Out => false,
            }
    }

    fn follow_log(&mut self, dir: &Dir, log: Log, reader: Reader) -> Result<Followed, StoreError> {
        let (before, stat) = (self.position, log.stat);
        let end = if stat.size != before.offset {
            self.read_on(dir, log)?
        } else if self.looked.is_some_and(|looked| looked.modified == stat.modified) {
            // Linked, or made another's; or overwritten by somebody who put the time back.
            self.looked = Some(stat);
            check_all(log).map_err(|error| trouble(dir, error))?
        } else if reader == Reader::Free {
            // A write moves the time stamp first, and then the end. The lock tells.
            return Ok(Followed::Lost);
        } else {
            // It grew and was cut, or was overwritten: what stood there nobody knows.
            End::Wrong
        };
        match end {
            End::Whole => {}
            End::Torn if reader == Reader::Free && stat.size != before.offset => {}
            _ => {
                self.step = Step::Out;
                return Ok(Followed::Lost);
            }
        }
        Ok(if self.position == before { Followed::Same } else { Followed::Changed })
    }

    fn read_anew(&mut self, dir: &Dir, reader: Reader) -> Result<Followed, StoreError> {
        if let Some(new) = Self::open(dir, self.boot)?
            && new.succeeds(self, reader)
        {
            let this_boot = self.this_boot || new.this_boot;
            *self = Self { this_boot, ..new };
            return Ok(Followed::Changed);
        }
        if self.step == Step::In {
            self.step = Step::Out;
        }
        Ok(Followed::Lost)
    }

    /// Whether this, read from the disk, has all that a process knew.
    fn succeeds(&self, known: &Self, reader: Reader) -> bool {
        let is_at_end = self.looked.is_some_and(|looked| looked.size == self.position.offset);
        self.step == Step::In
            && (is_at_end || reader == Reader::Free)
            && self.head.uid_validity == known.head.uid_validity
            && self.head.uid_next >= known.head.uid_next
            && self.head.modseq >= known.head.modseq
    }

    /// Applies what the log has from the position on.
    fn read_on(&mut self, dir: &Dir, log: Log) -> Result<End, StoreError> {
        let (stat, mut frames) = (log.stat, log.frames(self.position.offset));
        let mut applying = Applying::to(self);
        let end = apply_all(&mut applying, &mut frames);
        applying.finish();
        self.position.offset = frames.offset();
        self.looked = Some(stat);
        end.map_err(|error| trouble(dir, error))
    }

    /// One transaction: gives it the next modseq, appends it to the log with one write, applies
    /// it. The caller holds the mailbox's lock and has followed the log to its end, or was told
    /// [`Followed::Lost`]: then, and after a write that failed, there is a
    /// [`checkpoint`](Self::checkpoint) instead of a write to the log.
    ///
    /// If it cannot be written, it is applied nevertheless, but for [`Change::Reserved`], and the
    /// error returned: then this process knows it, and others see that their marks are old and
    /// list the directories. Changes that cannot be (UIDs that do not rise) are an error, and
    /// none is applied.
    pub(in crate::maildir) fn write(
        &mut self,
        dir: &Dir,
        changes: Vec<Change>,
        lasting: Lasting,
    ) -> Result<(), StoreError> {
        let mut check = Check::new(&self.head);
        if changes.iter().any(|change| check.change(change).is_err()) {
            let what = "changes that cannot be were refused".to_owned();
            return Err(StoreError::Damaged { path: dir.path().join(log::FILE), what });
        }
        let reserving = self.reserve_modseqs(dir);
        let modseq = self.next_modseq();
        let reserved = self.head.reserved;
        let done = match reserving.and_then(|()| self.append(dir, modseq, &changes, lasting)) {
            Err(error) => {
                self.step = Step::Ahead;
                self.apply(modseq, changes);
                self.looked = source::stat(dir, log::FILE).unwrap_or_default();
                Err(error)
            }
            Ok(()) => {
                self.apply(modseq, changes);
                if self.step == Step::In { Ok(()) } else { self.checkpoint(dir) }
            }
        };
        if done.is_err() {
            // Nobody may rely on what a power cut can undo.
            self.head.reserved = reserved;
        }
        done
    }

    pub(super) fn apply(&mut self, modseq: u64, changes: Vec<Change>) {
        let mut applying = Applying::to(self);
        applying.transaction(modseq, changes.into_iter());
        applying.finish();
    }

    /// Appends a transaction, if the log is in step and still looks as it did; else it is out of
    /// step then.
    pub(super) fn append(
        &mut self,
        dir: &Dir,
        modseq: u64,
        changes: &[Change],
        lasting: Lasting,
    ) -> Result<(), StoreError> {
        if self.step != Step::In {
            return Ok(());
        }
        let body = frame::encode(modseq, changes, &self.logged);
        let Some(frame) = log::frame(self.position, &body) else {
            self.step = Step::Out;
            return Ok(());
        };
        let Some(mut file) = disk::found(dir.append_existing(log::FILE))? else {
            self.step = Step::Out;
            return Ok(());
        };
        if !self.has_all_of(Some(file.stat()?)) {
            self.step = Step::Out;
            return Ok(());
        }
        if let Err(not_added) = file.add(&frame, self.position.offset, lasting) {
            // Others must not take for written what may be lost, nor write behind half a frame.
            if let Err(error) = not_added.cut {
                tracing::error!(%error, "a transaction that was not written whole stays");
            }
            return Err(not_added.error.into());
        }
        self.position.offset += frame.len() as u64;
        self.looked = Some(file.stat()?);
        Ok(())
    }

    /// Writes the snapshot anew and begins a new log. The caller holds the mailbox's lock, and
    /// either followed the log to its end or made what is in memory fit the Maildir.
    pub(in crate::maildir) fn checkpoint(&mut self, dir: &Dir) -> Result<(), StoreError> {
        let were_read = self.facts.are_read();
        self.need_facts(dir)?;
        let now = source::stat(dir, log::FILE)?;
        // Who knows something else than the log must not say that it goes on from here.
        let is_in_step =
            self.step == Step::In && self.has_all_of(now) && self.logged == self.head.marks;
        let position = if is_in_step { self.position } else { Position::nowhere() };
        let saved = snapshot::write(dir, self, position).and_then(|identity| {
            self.snapshot = identity;
            Log::begin(dir, position)
        });
        let (position, looked) = match saved {
            Ok((position, looked)) => (position, Some(looked)),
            Err(error) => {
                if !is_in_step {
                    (self.step, self.looked) = (Step::Ahead, now);
                }
                return Err(error.into());
            }
        };
        (self.position, self.looked, self.step) = (position, looked, Step::In);
        self.logged = self.head.marks;
        self.modseqs_to = modseqs::reserved_by(self.head.modseq);
        if !were_read {
            self.facts.forget();
        }
        Ok(())
    }

    /// As [`read_facts`](Self::read_facts), for who cannot go on without them.
    pub(in crate::maildir) fn need_facts(&mut self, dir: &Dir) -> Result<(), StoreError> {
        let what = match self.read_facts(dir)? {
            FactsRead::Yes => return Ok(()),
            FactsRead::Replaced => "the snapshot was replaced",
            FactsRead::Damaged => "the snapshot is damaged or gone",
        };
        Err(StoreError::Damaged { path: dir.path().join(snapshot::FILE), what: what.to_owned() })
    }

    /// Reads the facts of all messages, if they were not read yet.
    pub(in crate::maildir) fn read_facts(&mut self, dir: &Dir) -> Result<FactsRead, StoreError> {
        if self.facts.are_read() {
            return Ok(FactsRead::Yes);
        }
        let Some(snapshot) = snapshot::read(dir)? else { return Ok(FactsRead::Damaged) };
        if snapshot.identity.id != self.snapshot.id {
            self.step = Step::Out;
            return Ok(FactsRead::Replaced);
        }
        let mut pieces = fact::Pieces::default();
        let messages = &self.messages;
        let mut there = messages.iter().peekable();
        let read = snapshot.read_facts(
            |tail| self.facts.tail_number(tail),
            |fact| {
                while there.next_if(|entry| entry.uid < fact.uid).is_some() {}
                if there.next_if(|entry| entry.uid == fact.uid).is_some() {
                    pieces.push(fact);
                }
            },
        );
        match read {
            Ok(()) if self.facts.take(pieces, messages) => Ok(FactsRead::Yes),
            Err(Trouble::System(error)) => {
                Err(DiskError::new(dir.path().join(snapshot::FILE), error).into())
            }
            _ => {
                snapshot::log_damage(dir);
                Ok(FactsRead::Damaged)
            }
        }
    }
}

fn apply_all(applying: &mut Applying<'_>, frames: &mut Frames) -> io::Result<End> {
    while let Some(body) = frames.next()? {
        let length = body.len();
        if apply_one(applying, body).is_err() {
            return Ok(End::Wrong);
        }
        frames.pass(length);
    }
    Ok(if frames.are_over() { End::Whole } else { End::Torn })
}

/// Applies a transaction, or nothing of it.
fn apply_one(applying: &mut Applying<'_>, body: &[u8]) -> Result<(), Damaged> {
    let (modseq, changes) = Changes::of(body, applying.marks())?;
    if !follows(modseq, applying.head().modseq) {
        return Err(Damaged);
    }
    let mut check = Check::new(applying.head());
    for change in changes.clone() {
        check.change(&change?)?;
    }
    applying.transaction(modseq, changes.filter_map(Result::ok));
    Ok(())
}

/// Whether all frames are whole.
fn check_all(log: Log) -> io::Result<End> {
    let mut frames = log.frames(log::HEADER);
    while let Some(body) = frames.next()? {
        let length = body.len();
        frames.pass(length);
    }
    Ok(if frames.are_over() { End::Whole } else { End::Torn })
}

fn trouble(dir: &Dir, error: io::Error) -> StoreError {
    DiskError::new(dir.path().join(log::FILE), error).into()
}
