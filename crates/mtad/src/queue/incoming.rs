//! A message on its way into the queue.

use mail_common::disk::{Dir, NewFile};
use mail_common::log::Id;

use super::{Entry, Letter, Progress, QueueError, format};

/// A message on its way in. Dropped without [`commit`](Self::commit) it leaves no trace.
#[derive(Debug)]
pub(crate) struct Incoming {
    file: NewFile,
    messages: Dir,
    letter: Letter,
    size: u64,
    checksum: u32,
}

impl Incoming {
    pub(super) fn begin(
        incoming: &Dir,
        messages: &Dir,
        letter: Letter,
    ) -> Result<Self, QueueError> {
        let mut file = incoming.create_new(letter.id.as_str())?;
        file.write(&format::encode_letter(&letter))?;
        Ok(Self { file, messages: messages.clone(), letter, size: 0, checksum: 0 })
    }

    /// Its id.
    #[must_use]
    pub(crate) fn id(&self) -> &Id {
        &self.letter.id
    }

    /// Takes wire bytes.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), QueueError> {
        self.file.write(bytes)?;
        self.size += bytes.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
        Ok(())
    }

    /// Puts it into the queue. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// The disk is full or broken; then it is not in the queue.
    pub(crate) fn commit(mut self) -> Result<Entry, QueueError> {
        self.file.write(&format::encode_end(self.size, self.checksum))?;
        self.file.sync()?;
        let id = self.letter.id;
        self.file.move_to(&self.messages, id.as_str())?;
        if let Err(error) = self.messages.sync() {
            // Nobody is promised anything. If it comes back all the same, it is a second copy.
            let _ = self.messages.unlink(id.as_str());
            return Err(error.into());
        }
        let progress = Progress::new(&self.letter);
        Ok(Entry { id, letter: self.letter, size: self.size, progress })
    }
}
