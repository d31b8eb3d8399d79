//! What answers a session after its login: INBOX as a maildrop.

use std::fs::File;
use std::sync::Arc;

use mail_common::auth::User;
use mail_common::config::Mail;
use mail_common::daemon::Parts;
use mail_common::maildir::{self, Directory, Store, StoreError};
use mail_common::serve::Backend;
use mail_proto::mailbox::{Change, FlagChange, Flags, NamedFlags, Uid};
use mail_proto::message::wire::Cursor;
use mail_proto::pop3::{Answer, Failure, Message, Request, Server};
use tracing::{info, warn};

/// Octets that are read at a time; in wire form they can be twice as many.
const BLOCK: usize = 128 << 10;

/// A user's maildrop.
#[derive(Debug)]
pub struct Maildrop {
    parts: Arc<Parts>,
    user: User,
    /// `None` before [`Request::Open`], and after work on it has panicked.
    open: Option<Open>,
}

/// An open maildrop. All of it blocks.
#[derive(Debug)]
struct Open {
    inbox: Store,
    /// Nobody else has this maildrop while we hold it (RFC 1939, 4).
    _lock: File,
    reading: Option<Reading>,
}

/// A message being read: it is read to its end even if somebody removes it meanwhile.
#[derive(Debug)]
struct Reading {
    uid: Uid,
    /// `None` at its end: a session that waits for its client needs no open file.
    message: Option<maildir::Message>,
    /// How far it was read and sent.
    cursor: Cursor,
}

impl Maildrop {
    pub(crate) fn new(parts: Arc<Parts>, user: User) -> Self {
        Self { parts, user, open: None }
    }

    async fn open(&mut self) -> Result<Vec<Message>, Failure> {
        let (parts, user) = (Arc::clone(&self.parts), self.user.clone());
        let work = move || open(&user, &parts.site.mail);
        let opened = self.parts.pool.run(work).await.ok_or(Failure::Unavailable)?;
        let (open, messages) = opened.map_err(|refusal| self.refused(&refusal))?;
        self.open = Some(open);
        Ok(messages)
    }

    async fn load(&mut self, uid: Uid, offset: u64) -> Result<Vec<u8>, Failure> {
        let loaded = self.with_open(move |open| open.load(uid, offset)).await?;
        loaded.map_err(|error| self.failed(&error))
    }

    /// The maildrop is free for others before the reply: a client may come back at once.
    async fn update(&mut self, seen: Vec<Uid>, deleted: Vec<Uid>) -> Result<(), Failure> {
        let (read, removed) = (seen.len(), deleted.len());
        let open = self.open.take().ok_or(Failure::Unavailable)?;
        let work = move || open.update(&seen, &deleted);
        let updated = self.parts.pool.run(work).await.ok_or(Failure::Unavailable)?;
        updated.map_err(|error| self.failed(&error))?;
        info!(user = %self.user.address(), read, removed, "logged out");
        Ok(())
    }

    /// Does blocking work on the open maildrop.
    async fn with_open<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Open) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let mut open = self.open.take().ok_or(Failure::Unavailable)?;
        let work = move || {
            let result = work(&mut open);
            (open, result)
        };
        let (open, result) = self.parts.pool.run(work).await.ok_or(Failure::Unavailable)?;
        self.open = Some(open);
        Ok(result)
    }

    fn refused(&self, refusal: &Refusal) -> Failure {
        match refusal {
            Refusal::InUse => Failure::InUse,
            Refusal::Store(error) => self.failed(error),
        }
    }

    fn failed(&self, error: &StoreError) -> Failure {
        if matches!(error, StoreError::Gone(_) | StoreError::Replaced) {
            return Failure::Gone;
        }
        warn!(user = %self.user.address(), %error, "maildrop does not work");
        Failure::Unavailable
    }
}

impl Backend<Server> for Maildrop {
    async fn perform(&mut self, request: Request) -> Answer {
        match request {
            Request::Open => Answer::Opened(self.open().await),
            Request::Load { uid, offset } => Answer::Loaded(self.load(uid, offset).await),
            Request::Update { seen, deleted } => Answer::Updated(self.update(seen, deleted).await),
        }
    }
}

/// Why a maildrop does not open.
#[derive(Debug)]
enum Refusal {
    /// Another session has it.
    InUse,
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn open(user: &User, mail: &Mail) -> Result<(Open, Vec<Message>), Refusal> {
    let inbox = Directory::open(user, mail)?.mailbox("INBOX")?;
    let lock = inbox.lock_maildrop()?.ok_or(Refusal::InUse)?;
    let snapshot = inbox.sync()?;
    let inbox = inbox.pinned(snapshot.uid_validity);
    let mut messages = Vec::with_capacity(snapshot.messages.len());
    for entry in snapshot.messages.iter() {
        match inbox.size(entry.uid) {
            Ok(size) => {
                let uidl = uidl(entry.uid, snapshot.uid_validity);
                messages.push(Message { uid: entry.uid, size, uidl });
            }
            // An IMAP session removed it a moment ago.
            Err(StoreError::Gone(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((Open { inbox, _lock: lock, reading: None }, messages))
}

/// Dovecot's default `%08Xu%08Xv`: lower-case hexadecimal digits in spite of the `X`. Clients that
/// leave mail on the server know it by this.
fn uidl(uid: Uid, uid_validity: u32) -> String {
    format!("{uid:08x}{uid_validity:08x}")
}

impl Open {
    /// The block of a message at an offset in wire form: the next one, or the first.
    fn load(&mut self, uid: Uid, offset: u64) -> Result<Vec<u8>, StoreError> {
        let mut reading = match self.reading.take() {
            Some(reading) if reading.uid == uid && reading.cursor.at.wire == offset => reading,
            _ if offset == 0 => Reading::open(&self.inbox, uid)?,
            _ => return Err(StoreError::Gone(uid)),
        };
        let block = reading.block()?;
        self.reading = Some(reading);
        Ok(block)
    }

    /// Removes before it marks: what a client deleted is what it cares for.
    fn update(self, seen: &[Uid], deleted: &[Uid]) -> Result<(), StoreError> {
        if !deleted.is_empty() {
            self.inbox.expunge(deleted)?;
        }
        if !seen.is_empty() {
            let flags = NamedFlags { system: Flags::SEEN, ..NamedFlags::default() };
            self.inbox.store_flags(seen, &FlagChange { how: Change::Add, flags })?;
        }
        Ok(())
    }
}

impl Reading {
    fn open(inbox: &Store, uid: Uid) -> Result<Self, StoreError> {
        let message = Some(inbox.message(uid)?);
        Ok(Self { uid, message, cursor: Cursor::default() })
    }

    /// The next block in wire form; empty at the end.
    fn block(&mut self) -> Result<Vec<u8>, StoreError> {
        let Some(message) = &self.message else {
            return Ok(Vec::new());
        };
        let left = message.stored_size().saturating_sub(self.cursor.at.stored);
        let mut stored = vec![0; usize::try_from(left).unwrap_or(BLOCK).min(BLOCK)];
        let count = message.read_at(&mut stored, self.cursor.at.stored)?;
        if count == 0 && left > 0 {
            // Somebody cut the file: what was sent must not look like a whole message.
            return Err(StoreError::Gone(self.uid));
        }
        let mut block = Vec::with_capacity(count + count / 16);
        let stored = stored.get(..count).unwrap_or_default();
        self.cursor.advance(stored, u64::MAX, |text| block.extend_from_slice(text));
        if count == 0 || count as u64 == left {
            self.message = None;
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uidls_are_those_of_dovecot() {
        assert_eq!(uidl(1, 0x43ef_424e), "0000000143ef424e");
        assert_eq!(uidl(0xabcd_ef01, 10), "abcdef010000000a");
    }
}
