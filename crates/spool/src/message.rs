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
    place: Place,
    memory: Memory,
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

#[derive(Debug)]
enum Place {
    Memory,
    Big(Arriving),
}

impl Incoming {
    pub(crate) fn new(letter: Letter, small_body: u64, from: &Arc<Blocks>, big: &Big) -> Self {
        let memory = Memory { blocks: Vec::new(), from: Arc::clone(from) };
        let place = Place::Memory;
        Self { letter, size: 0, checksum: 0, small_body, place, memory, big: big.clone() }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.letter.id
    }

    /// Whether a block of so many octets, and the end behind it, can be taken without blocking.
    #[must_use]
    pub fn takes_at_once(&self, octets: usize) -> bool {
        let fits = self.size + octets as u64 <= self.small_body;
        fits && matches!(self.place, Place::Memory) && !self.memory.from.is_short()
    }

    /// Takes wire bytes, and returns an empty block to be filled with the next. Blocking, once it
    /// is too large for memory.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn write(&mut self, mut block: Vec<u8>) -> Result<Vec<u8>, SpoolError> {
        self.size += block.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, &block);
        if matches!(self.place, Place::Memory) && self.is_too_large() {
            self.spill()?;
        }
        match &mut self.place {
            Place::Memory => Ok(self.memory.add(block)),
            Place::Big(file) => {
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
        let Self { letter, size, checksum, place, memory, .. } = self;
        let text = letter.encode();
        if text.len() > record::TEXT_LIMIT as usize {
            return Err(SpoolError::TooLong(letter.id));
        }
        let content = match place {
            Place::Memory => Content::Blocks(memory),
            Place::Big(file) => Content::Big(file.finish()?),
        };
        Ok(Message { letter, size, checksum, text, content })
    }

    fn is_too_large(&self) -> bool {
        self.size > self.small_body || self.memory.from.is_short()
    }

    fn spill(&mut self) -> Result<(), SpoolError> {
        let mut file = self.big.begin(self.letter.id)?;
        for block in &self.memory.blocks {
            file.write(block)?;
        }
        self.memory.clear();
        self.place = Place::Big(file);
        Ok(())
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

    fn clear(&mut self) {
        self.from.give_back(std::mem::take(&mut self.blocks));
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.clear();
    }
}
