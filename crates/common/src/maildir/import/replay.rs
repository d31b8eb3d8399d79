//! What Dovecot's log says happened, done to what its index says was there.
//!
//! Each record has a modseq: that of the one before, or one more if a client could see the change.
//! A change of flags or keywords that a client asked for goes to the log first and to the file's
//! name second. How far the second has come the log says too (its tail): a message that was
//! changed behind that has flags that its file's name may not show.

use super::dovecot_index::Index;
use super::dovecot_log::{self as log, Log, Origin, Record, extension_updates, header_updates};
use super::fields::{aligned, part, ranges, short_at, u8_at, u32_at, u64_at};
use super::picture::{Extension, MOST_EXTENSIONS, Picture, State, What};

/// Where the index's header has them.
const UID_VALIDITY: usize = 24;
const NEXT_UID: usize = 28;
/// In the flags of an update: flags that a client sees.
const SEEN_BY_CLIENTS: u8 = 0x1f;

/// An index being brought up to date.
#[derive(Debug)]
pub(super) struct Replay {
    picture: Picture,
    /// Of the last record.
    modseq: u64,
    /// Whom the records about an extension mean.
    subject: Subject,
    mailbox: Mailbox,
}

/// Whom the records about an extension mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Nobody,
    Extension(usize),
    /// This one, as it was before a reset.
    Former(usize),
}

/// Whether the log says that the mailbox was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mailbox {
    Exists,
    Deleted,
}

/// Where a log's changes begin that were not made yet, in octets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// To the index.
    pub(super) head: usize,
    /// To the files.
    pub(super) tail: usize,
}

impl Replay {
    /// Begins with an index.
    pub(super) fn of(index: Index) -> Self {
        Self::with(index.picture)
    }

    /// Begins with nothing.
    pub(super) fn new() -> Self {
        Self::with(Picture::new(0, 1))
    }

    fn with(picture: Picture) -> Self {
        Self { picture, modseq: 0, subject: Subject::Nobody, mailbox: Mailbox::Exists }
    }

    /// Makes a log's changes; on errors, says what is wrong and where.
    pub(super) fn follow(&mut self, log: &Log<'_>, limits: Limits) -> Result<(), (usize, What)> {
        self.modseq = self.modseq.max(log.modseq);
        let head = limits.head.max(log.begin);
        let mut end = log.begin;
        for record in log.records() {
            let record = record?;
            end = record.at + 8 + record.body.len();
            if record.at < head && head < end {
                return Err((head, "the index ends within a record"));
            }
            self.count(&record, log.hides_internal);
            if record.at >= head {
                let state = match record.origin {
                    Origin::Client if record.at >= limits.tail => State::Waiting,
                    _ => State::Settled,
                };
                self.apply(&record, state).map_err(|what| (record.at, what))?;
            }
        }
        if head > end { Err((head, "the index goes past the end")) } else { Ok(()) }
    }

    /// What it came to: the highest modseq, and the mailbox.
    pub(super) fn finish(self) -> Result<(u64, Picture), What> {
        if self.mailbox == Mailbox::Deleted {
            return Err("the mailbox was deleted");
        }
        let highest = self.picture.highest_modseq.unwrap_or_default().max(self.modseq);
        Ok((highest, self.picture))
    }

    /// Counts modseqs as Dovecot does.
    fn count(&mut self, record: &Record<'_>, hides_internal: bool) {
        if self.modseq == 0 {
            let asked = record.kind == log::EXT_INTRO && short_at(record.body, 18) == Some(6);
            if asked && part(record.body, 20, 6) == Some(b"modseq".as_slice()) {
                self.modseq = 1;
            }
            return;
        }
        let step = match record.kind {
            log::EXPUNGE | log::EXPUNGE_GUID => record.origin == Origin::Files,
            log::APPEND | log::KEYWORD_UPDATE | log::KEYWORD_RESET | log::ATTRIBUTE_UPDATE => true,
            log::FLAG_UPDATE => !hides_internal || record.body.chunks(12).any(clients_see),
            log::MODSEQ_UPDATE => {
                let modseqs = record.body.chunks(12).filter_map(|update| u64_at(update, 4));
                self.modseq = modseqs.fold(self.modseq, u64::max);
                false
            }
            _ => false,
        };
        self.modseq = self.modseq.saturating_add(u64::from(step));
    }

    fn apply(&mut self, record: &Record<'_>, state: State) -> Result<(), What> {
        let body = record.body;
        match record.kind {
            log::APPEND => self.append(body),
            log::EXPUNGE => self.expunge(record.origin, body),
            log::EXPUNGE_GUID => self.expunge_by_guid(record.origin, body),
            log::FLAG_UPDATE => self.update_flags(body, state),
            log::KEYWORD_UPDATE => self.update_keyword(body, state),
            log::KEYWORD_RESET => self.reset_keywords(body, state),
            log::HEADER_UPDATE => self.update_header(body),
            log::EXT_INTRO => self.introduce(body),
            log::EXT_RESET => self.reset_extension(body),
            log::EXT_HDR_UPDATE => self.update_extension(body, false),
            log::EXT_HDR_UPDATE32 => self.update_extension(body, true),
            log::MODSEQ_UPDATE => self.update_modseqs(body),
            log::INDEX_DELETED if record.origin == Origin::Files => {
                self.mailbox = Mailbox::Deleted;
                Ok(())
            }
            log::INDEX_UNDELETED => {
                self.mailbox = Mailbox::Exists;
                Ok(())
            }
            // What they change is not kept.
            log::INDEX_DELETED
            | log::EXT_REC_UPDATE
            | log::EXT_ATOMIC_INC
            | log::BOUNDARY
            | log::ATTRIBUTE_UPDATE => Ok(()),
            _ => Err("a record of a type that we do not know"),
        }
    }

    /// The modseq that a changed message gets.
    fn stamp(&mut self) -> u64 {
        match &mut self.picture.highest_modseq {
            Some(highest) => {
                *highest = self.modseq.max(*highest);
                self.modseq
            }
            None => 0,
        }
    }

    fn append(&mut self, body: &[u8]) -> Result<(), What> {
        let modseq = self.stamp();
        for message in body.chunks(8) {
            let uid = u32_at(message, 0).unwrap_or_default();
            let flags = u8_at(message, 4).filter(|_| message.len() == 8);
            if uid < self.picture.next_uid {
                return Err("a UID that was given before");
            }
            self.picture.next_uid = uid.checked_add(1).ok_or("the highest UID")?;
            self.picture.push(uid, flags.ok_or("half a message")?, modseq)?;
        }
        Ok(())
    }

    fn expunge(&mut self, origin: Origin, body: &[u8]) -> Result<(), What> {
        // Of a client, it is only a wish.
        if origin == Origin::Client {
            return Ok(());
        }
        self.stamp();
        for range in ranges(body, 8) {
            let (first, last, _) = range.ok_or("a wrong range of UIDs")?;
            self.picture.change((first, last), |row, _| row.state = State::Gone)?;
        }
        Ok(())
    }

    fn expunge_by_guid(&mut self, origin: Origin, body: &[u8]) -> Result<(), What> {
        if origin == Origin::Client {
            return Ok(());
        }
        self.stamp();
        for message in body.chunks(20) {
            let uid = u32_at(message, 0).filter(|uid| *uid > 0 && message.len() == 20);
            let uid = uid.ok_or("half a UID")?;
            self.picture.change((uid, uid), |row, _| row.state = State::Gone)?;
        }
        Ok(())
    }

    fn update_flags(&mut self, body: &[u8], state: State) -> Result<(), What> {
        for range in ranges(body, 12) {
            let (first, last, update) = range.ok_or("a wrong range of UIDs")?;
            let (add, remove) = (u8_at(update, 8), u8_at(update, 9));
            let (add, remove) = (add.unwrap_or_default(), remove.unwrap_or_default());
            let modseq = if clients_see(update) { self.stamp() } else { 0 };
            self.picture.change((first, last), |row, _| {
                row.flags = row.flags & !remove | add;
                row.raise(modseq);
                if (add | remove) & SEEN_BY_CLIENTS != 0 {
                    row.wait(state);
                }
            })?;
        }
        Ok(())
    }

    fn update_keyword(&mut self, body: &[u8], state: State) -> Result<(), What> {
        let name = short_at(body, 2).and_then(|length| part(body, 4, length));
        let name = name.ok_or("a keyword without an end")?;
        let adds = match u8_at(body, 0) {
            Some(0) => true,
            Some(1) => false,
            _ => return Err("a change of keywords of a kind that we do not know"),
        };
        let uids = body.get(aligned(4 + name.len(), 4)..).unwrap_or_default();
        let keyword = self.picture.keyword(name)?;
        // Dovecot makes this extension by itself, and it counts.
        if self.picture.extension(b"keywords").is_none() {
            self.picture.extensions.push(Extension { name: b"keywords".to_vec(), reset_id: 0 });
        }
        let modseq = self.stamp();
        for range in ranges(uids, 8) {
            let (first, last, _) = range.ok_or("a wrong range of UIDs")?;
            self.picture.change((first, last), |row, mut bits| {
                bits.put(keyword, adds);
                row.raise(modseq);
                row.wait(state);
            })?;
        }
        Ok(())
    }

    fn reset_keywords(&mut self, body: &[u8], state: State) -> Result<(), What> {
        let modseq = self.stamp();
        for range in ranges(body, 8) {
            let (first, last, _) = range.ok_or("a wrong range of UIDs")?;
            self.picture.change((first, last), |row, mut bits| {
                bits.clear_all();
                row.raise(modseq);
                row.wait(state);
            })?;
        }
        Ok(())
    }

    fn update_header(&mut self, body: &[u8]) -> Result<(), What> {
        for update in header_updates(body) {
            let (at, to) = update.ok_or("an update of the header without an end")?;
            patch(&mut self.picture.uid_validity, UID_VALIDITY, at, to);
            let mut next = self.picture.next_uid;
            patch(&mut next, NEXT_UID, at, to);
            self.picture.next_uid = next.max(self.picture.next_uid);
        }
        Ok(())
    }

    /// Says whom the next records mean.
    fn introduce(&mut self, body: &[u8]) -> Result<(), What> {
        let mut at = 0;
        // Less than an introduction at the end is padding.
        while let Some(flags_and_length) = part(body, at + 16, 4) {
            let length = short_at(flags_and_length, 2).unwrap_or_default();
            let name = part(body, at + 20, length).ok_or("an extension's name without an end")?;
            let id = u32_at(body, at).unwrap_or_default();
            let reset_id = u32_at(body, at + 4).unwrap_or_default();
            self.subject = self.subject_of(id, name, reset_id)?;
            at = aligned(at + 20 + length, 4);
        }
        Ok(())
    }

    fn subject_of(&mut self, id: u32, name: &[u8], reset_id: u32) -> Result<Subject, What> {
        let known = if id == u32::MAX {
            self.picture.extension(name)
        } else {
            let id = usize::try_from(id).unwrap_or(usize::MAX);
            let known = Some(id).filter(|id| *id < self.picture.extensions.len());
            Some(known.ok_or("an extension that nobody introduced")?)
        };
        if let Some(known) = known {
            let same = self.picture.extensions.get(known).is_some_and(|e| e.reset_id == reset_id);
            return Ok(if same { Subject::Extension(known) } else { Subject::Former(known) });
        }
        if name.is_empty() || self.picture.extensions.len() >= MOST_EXTENSIONS {
            return Err("an extension too many");
        }
        self.picture.extensions.push(Extension { name: name.to_vec(), reset_id });
        if name == b"modseq" {
            self.picture.highest_modseq = Some(0);
        }
        Ok(Subject::Extension(self.picture.extensions.len() - 1))
    }

    fn reset_extension(&mut self, body: &[u8]) -> Result<(), What> {
        let reset_id = u32_at(body, 0).ok_or("half a reset")?;
        let number = match self.subject {
            Subject::Nobody => return Err("an extension that nobody introduced"),
            Subject::Extension(number) | Subject::Former(number) => number,
        };
        if let Some(extension) = self.picture.extensions.get_mut(number) {
            extension.reset_id = reset_id;
        }
        Ok(())
    }

    fn update_extension(&mut self, body: &[u8], wide: bool) -> Result<(), What> {
        let number = match self.subject {
            Subject::Nobody => return Err("an extension that nobody introduced"),
            Subject::Former(_) => return Ok(()),
            Subject::Extension(number) => number,
        };
        let modseqs = self.picture.extensions.get(number).is_some_and(|e| e.name == b"modseq");
        for update in extension_updates(body, wide) {
            let (at, to) = update.ok_or("an update of a header without an end")?;
            if let (true, 0, Some(highest)) = (modseqs, at, u64_at(to, 0)) {
                self.picture.track_modseqs(highest)?;
            }
        }
        Ok(())
    }

    fn update_modseqs(&mut self, body: &[u8]) -> Result<(), What> {
        self.stamp();
        for update in body.chunks(12) {
            let uid = u32_at(update, 0).unwrap_or_default();
            let modseq = u64_at(update, 4).ok_or("half a modseq")?;
            if uid > 0 {
                self.picture.change((uid, uid), |row, _| row.raise(modseq))?;
            }
        }
        Ok(())
    }
}

/// Whether an update of flags is one that clients see.
fn clients_see(update: &[u8]) -> bool {
    let octet = |at| u8_at(update, at).unwrap_or_default();
    (octet(8) | octet(9)) & SEEN_BY_CLIENTS != 0 || octet(10) != 0
}

/// Writes what of an update falls on a number in the header.
fn patch(number: &mut u32, place: usize, at: usize, to: &[u8]) {
    let mut octets = number.to_le_bytes();
    for (offset, octet) in octets.iter_mut().enumerate() {
        let new = (place + offset).checked_sub(at).and_then(|from| to.get(from));
        *octet = new.copied().unwrap_or(*octet);
    }
    *number = u32::from_le_bytes(octets);
}
