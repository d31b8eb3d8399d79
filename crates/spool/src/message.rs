//! A message on its way in.

use std::sync::Arc;

use mail_common::log::Id;

use crate::big::{Arrived, Arriving, Big};
use crate::blocks::Blocks;
use crate::{Body, Damage, Letter, SpoolError, record};

/// A message on its way in. Dropped before [`finish`](Self::finish) it leaves no trace.
#[derive(Debug)]
pub struct Incoming {
    letter: Letter,
    size: u64,
    checksum: u32,
    small_body: u64,
    store: Store,
    big: Big,
}

/// A whole message, not yet promised to anybody, and until it is dropped to be read without the
/// disk.
#[derive(Debug)]
pub struct Message {
    /// As it was taken.
    pub letter: Letter,
    size: u64,
    checksum: u32,
    /// The letter, as its record has it.
    text: Vec<u8>,
    content: Content,
}

/// Where a body is.
#[derive(Debug)]
pub(crate) enum Content {
    Blocks(Memory),
    Big(Arrived),
}

/// Blocks that are counted, and given back.
#[derive(Debug)]
pub(crate) struct Memory {
    blocks: Vec<Vec<u8>>,
    from: Arc<Blocks>,
}

/// Where a body goes.
#[derive(Debug)]
enum Store {
    Memory(Memory),
    Big(Arriving),
}

impl Incoming {
    pub(crate) fn new(letter: Letter, small_body: u64, from: &Arc<Blocks>, big: &Big) -> Self {
        let store = Store::Memory(Memory { blocks: Vec::new(), from: Arc::clone(from) });
        Self { letter, size: 0, checksum: 0, small_body, store, big: big.clone() }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.letter.id
    }

    /// Whether a block of so many octets, and the end behind it, can be taken without blocking.
    #[must_use]
    pub fn takes_at_once(&self, octets: usize) -> bool {
        let Store::Memory(memory) = &self.store else { return false };
        self.size + octets as u64 <= self.small_body && !memory.from.is_short()
    }

    /// Takes wire bytes, and returns an empty block to be filled with the next. Blocking, once it
    /// is too large for memory.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn write(&mut self, mut block: Vec<u8>) -> Result<Vec<u8>, SpoolError> {
        self.size += block.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, &block);
        if let Store::Memory(memory) = &self.store
            && (self.size > self.small_body || memory.from.is_short())
        {
            self.store = Store::Big(memory.spill(&self.big, self.letter.id)?);
        }
        match &mut self.store {
            Store::Memory(memory) => Ok(memory.add(block)),
            Store::Big(file) => {
                file.write(&block)?;
                block.clear();
                Ok(block)
            }
        }
    }

    /// All of it was written. Blocking where it went to the disk: its body is durable then, the
    /// message is not.
    ///
    /// # Errors
    /// The disk is full or broken; or the envelope is too long.
    pub fn finish(self) -> Result<Message, SpoolError> {
        let Self { letter, size, checksum, store, .. } = self;
        let text = letter.encode();
        if text.len() > record::TEXT_LIMIT as usize {
            return Err(SpoolError::TooLong(letter.id));
        }
        let content = match store {
            Store::Memory(memory) => Content::Blocks(memory),
            Store::Big(file) => Content::Big(file.finish()?),
        };
        Ok(Message { letter, size, checksum, text, content })
    }
}

impl Message {
    /// Octets of the body as it travels.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether [`body`](Self::body) can be read without blocking.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        matches!(self.content, Content::Blocks(_))
    }

    /// The body, from its beginning.
    ///
    /// # Errors
    /// It is in a file, which cannot be opened.
    pub fn body(self: &Arc<Self>) -> Result<Body, Damage> {
        Body::of_message(self)
    }

    /// CRC32C of the body.
    pub(crate) fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The letter, as its record has it.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// As its record says it.
    pub(crate) fn body_field(&self) -> record::Body {
        match &self.content {
            Content::Blocks(_) => record::Body::Here(self.size, self.checksum),
            Content::Big(_) => record::Body::Big(self.size, self.checksum),
        }
    }
}

impl Memory {
    pub(crate) fn blocks(&self) -> &[Vec<u8>] {
        &self.blocks
    }

    fn add(&mut self, block: Vec<u8>) -> Vec<u8> {
        if block.is_empty() {
            return block;
        }
        self.from.hold(&block);
        self.blocks.push(block);
        self.from.take()
    }

    /// Writes what there is to the disk, so that the memory can go.
    fn spill(&self, big: &Big, id: Id) -> Result<Arriving, SpoolError> {
        let mut file = big.begin(id)?;
        for block in &self.blocks {
            file.write(block)?;
        }
        Ok(file)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.from.give_back(std::mem::take(&mut self.blocks));
    }
}
