//! The mailbox as Dovecot's index has it, while the log's changes are made to it.
//!
//! Messages are never taken out before the end: an expunge marks them, so that a change finds its
//! messages by binary search and an expunge moves nothing. Keywords are bits in one vector beside
//! the messages, for there may be more of them than any integer has bits.

use super::Message;

/// What is wrong with what a file says.
pub(super) type What = &'static str;

const MOST_KEYWORDS: usize = 1024;
/// More extensions no index has: Dovecot has a handful.
pub(super) const MOST_EXTENSIONS: usize = 256;
/// So many words of keywords all messages have together, and one each where there are none: few
/// octets of a file ask for many. Ten million messages with 192 keywords fit; this is half a
/// gigabyte while they are widened.
const MOST_WORDS: usize = 1 << 25;
/// How many messages all changes together may touch: some of a file's few octets touch every
/// message. This is half a second's work, and 1,000 changes of all messages where there are 100,000.
const MOST_WORK: usize = 100_000_000;

/// The index.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) uid_validity: u32,
    pub(super) next_uid: u32,
    /// `None`: nobody asked for modseqs yet.
    pub(super) highest_modseq: Option<u64>,
    /// In the order in which the log counts them.
    pub(super) extensions: Vec<Extension>,
    keywords: Keywords,
    rows: Vec<Row>,
    work: usize,
}

/// What is kept of an extension: the log names it by its number, and speaks to it only if both
/// saw the same resets.
#[derive(Debug)]
pub(super) struct Extension {
    pub(super) name: Vec<u8>,
    pub(super) reset_id: u32,
}

/// A message.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) uid: u32,
    /// Dovecot's bits.
    pub(super) flags: u8,
    pub(super) state: State,
    /// 0: none yet.
    pub(super) modseq: u64,
}

/// Whether a message is there, and whether its file has heard of the latest change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Settled,
    /// A change was written to the log, and its file was not renamed yet.
    Waiting,
    Gone,
}

/// In [`Row::flags`]: they are not in the file's name.
const DIRTY: u8 = 0x80;

/// Which keywords there are, and which message has which.
#[derive(Debug, Default)]
struct Keywords {
    names: Vec<String>,
    /// So many words for each message.
    stride: usize,
    words: Vec<u64>,
}

impl Picture {
    /// One without messages.
    pub(super) fn new(uid_validity: u32, next_uid: u32) -> Self {
        Self { uid_validity, next_uid, ..Self::default() }
    }

    /// Adds a message behind all others.
    pub(super) fn push(&mut self, uid: u32, flags: u8, modseq: u64) -> Result<(), What> {
        if uid == 0 || self.rows.last().is_some_and(|last| last.uid >= uid) {
            return Err("UIDs do not rise");
        }
        self.keywords.check(self.rows.len() + 1)?;
        self.rows.push(Row { uid, flags, state: State::Settled, modseq });
        self.keywords.words.resize(self.rows.len() * self.keywords.stride, 0);
        Ok(())
    }

    /// Adds a message behind all others, with the keywords of a bitmap.
    pub(super) fn push_with(&mut self, row: (u32, u8, u64), bitmap: &[u8]) -> Result<(), What> {
        let (uid, flags, modseq) = row;
        self.push(uid, flags, modseq)?;
        self.keywords.set_last(bitmap);
        Ok(())
    }

    /// The number of a keyword, a new one if need be. Case does not count.
    pub(super) fn keyword(&mut self, name: &[u8]) -> Result<usize, What> {
        let number = self.keywords.number(name, self.rows.len())?;
        self.keywords.words.resize(self.rows.len() * self.keywords.stride, 0);
        Ok(number)
    }

    /// Makes room for so many messages at once.
    pub(super) fn reserve(&mut self, messages: usize) -> Result<(), What> {
        self.keywords.check(messages)?;
        self.rows.reserve_exact(messages);
        self.keywords.words.reserve_exact(messages * self.keywords.stride);
        Ok(())
    }

    /// Changes the messages of a range of UIDs.
    pub(super) fn change(
        &mut self,
        (first, last): (u32, u32),
        mut change: impl FnMut(&mut Row, Bits<'_>),
    ) -> Result<(), What> {
        let from = self.rows.partition_point(|row| row.uid < first);
        let stride = self.keywords.stride;
        let words = self.keywords.words.get_mut(from * stride..).unwrap_or_default();
        let mut words = words.chunks_mut(stride.max(1));
        for row in self.rows.iter_mut().skip(from).take_while(|row| row.uid <= last) {
            let bits = words.next().unwrap_or_default();
            self.work += 1;
            if row.state != State::Gone {
                change(row, Bits(bits));
            }
        }
        if self.work > MOST_WORK { Err("more changes than can be followed") } else { Ok(()) }
    }

    /// Modseqs are asked for from now on: what has none gets this one, which is also the highest.
    pub(super) fn track_modseqs(&mut self, highest: u64) -> Result<(), What> {
        self.highest_modseq = Some(self.highest_modseq.unwrap_or_default().max(highest));
        self.change((1, u32::MAX), |row, _| {
            if row.modseq == 0 {
                row.modseq = highest;
            }
        })
    }

    /// The number of an extension.
    pub(super) fn extension(&self, name: &[u8]) -> Option<usize> {
        self.extensions.iter().position(|known| known.name == name)
    }

    /// What it came to: the keywords' names, and the messages with their keywords as bits.
    pub(super) fn finish(self) -> (Vec<String>, Vec<Message>, Vec<u64>, usize) {
        let Keywords { names, stride, words } = self.keywords;
        let unknown = self.highest_modseq.unwrap_or_default();
        let mut kept = Vec::with_capacity(words.len());
        let mut messages = Vec::with_capacity(self.rows.len());
        for (position, row) in self.rows.iter().enumerate() {
            if row.state == State::Gone {
                continue;
            }
            let from = position * stride;
            kept.extend_from_slice(words.get(from..from + stride).unwrap_or_default());
            messages.push(Message {
                uid: row.uid,
                system: ours(row.flags),
                dirty: row.flags & DIRTY != 0 || row.state == State::Waiting,
                modseq: if row.modseq == 0 { unknown } else { row.modseq },
            });
        }
        (names, messages, kept, stride)
    }
}

impl Row {
    /// A change of this modseq.
    pub(super) fn raise(&mut self, modseq: u64) {
        self.modseq = self.modseq.max(modseq);
    }

    /// Its file hears of the change later, if it waits; if not, that says nothing of others.
    pub(super) fn wait(&mut self, state: State) {
        if state == State::Waiting {
            self.state = state;
        }
    }
}

/// The keyword bits of one message.
pub(super) struct Bits<'k>(&'k mut [u64]);

impl Bits<'_> {
    pub(super) fn put(&mut self, keyword: usize, has: bool) {
        let bit = 1 << (keyword % 64);
        if let Some(word) = self.0.get_mut(keyword / 64) {
            *word = if has { *word | bit } else { *word & !bit };
        }
    }

    pub(super) fn clear_all(&mut self) {
        self.0.fill(0);
    }
}

impl Keywords {
    /// Whether so many messages with so many keywords can be held.
    fn check(&self, messages: usize) -> Result<(), What> {
        let words = messages.saturating_mul(self.stride.max(1));
        if words > MOST_WORDS { Err("more messages and keywords than can be held") } else { Ok(()) }
    }

    /// The number of a keyword, where there are so many messages.
    fn number(&mut self, name: &[u8], messages: usize) -> Result<usize, What> {
        let same = |known: &String| known.as_bytes().eq_ignore_ascii_case(name);
        if let Some(known) = self.names.iter().position(same) {
            return Ok(known);
        }
        if name.is_empty() || name.contains(&0) {
            return Err("a keyword without a name");
        }
        if self.names.len() == MOST_KEYWORDS {
            return Err("more than 1,024 keywords");
        }
        self.names.push(String::from_utf8_lossy(name).into_owned());
        if self.names.len() > self.stride * 64 {
            self.widen(messages)?;
        }
        Ok(self.names.len() - 1)
    }

    /// Sets the keywords of the message that was pushed last, from a bitmap.
    fn set_last(&mut self, bitmap: &[u8]) {
        let Some(from) = self.words.len().checked_sub(self.stride) else { return };
        for (word, octets) in self.words.iter_mut().skip(from).zip(bitmap.chunks(8)) {
            let mut whole = [0; 8];
            whole.iter_mut().zip(octets).for_each(|(to, octet)| *to = *octet);
            *word = u64::from_le_bytes(whole);
        }
        // A keyword that comes later begins with no messages.
        let unnamed = self.stride * 64 - self.names.len();
        if let (Some(last), 1..64) = (self.words.last_mut(), unnamed) {
            *last &= u64::MAX >> unnamed;
        }
    }

    fn widen(&mut self, messages: usize) -> Result<(), What> {
        let old = self.stride;
        self.stride += 1;
        self.check(messages)?;
        if old == 0 {
            return Ok(());
        }
        let mut words = Vec::with_capacity(messages * self.stride);
        for bits in self.words.chunks(old) {
            words.extend_from_slice(bits);
            words.push(0);
        }
        self.words = words;
        Ok(())
    }
}

/// Dovecot's bits as ours: they are the same flags in another order.
fn ours(flags: u8) -> u8 {
    use mail_proto::mailbox::Flags;
    let pairs = [
        (0x01, Flags::ANSWERED),
        (0x02, Flags::FLAGGED),
        (0x04, Flags::DELETED),
        (0x08, Flags::SEEN),
        (0x10, Flags::DRAFT),
    ];
    let set = pairs.iter().filter(|(theirs, _)| flags & theirs != 0);
    set.fold(0, |ours, (_, bit)| ours | bit)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_has_a_limit() {
        let mut picture = Picture::new(1, 1);
        (1..=10).for_each(|uid| picture.push(uid, 0, 0).unwrap());
        picture.work = MOST_WORK - 15;
        let mut touched = 0;
        assert_eq!(picture.change((1, u32::MAX), |_, _| touched += 1), Ok(()));
        assert_eq!(picture.change((1, 5), |_, _| touched += 1), Ok(()));
        assert_eq!(touched, 15);
        assert!(picture.change((7, 7), |_, _| ()).is_err());
    }

    #[test]
    fn a_keyword_begins_with_no_messages() {
        let mut picture = Picture::new(1, 1);
        picture.keyword(b"one").unwrap();
        picture.push_with((1, 0, 0), &[0xff; 40]).unwrap();
        for number in 1..=130 {
            let name = format!("k{number}");
            assert_eq!(picture.keyword(name.as_bytes()), Ok(number));
        }
        let (names, messages, words, stride) = picture.finish();
        assert_eq!((names.len(), messages.len(), stride), (131, 1, 3));
        assert_eq!(words, [1, 0, 0]);
    }

    #[test]
    fn room_has_a_limit() {
        let mut picture = Picture::new(1, 1);
        let few = |messages| messages / 16;
        assert!(picture.reserve(MOST_WORDS + 1).is_err());
        (0..=960).for_each(|number| {
            picture.keyword(format!("k{number}").as_bytes()).unwrap();
        });
        assert!(picture.reserve(few(MOST_WORDS) + 1).is_err());
        assert!(picture.reserve(usize::MAX).is_err());
        assert_eq!(picture.keywords.words.capacity(), 0, "nothing was asked for");
        picture.reserve(10).unwrap();
        assert!(picture.keywords.check(few(MOST_WORDS)).is_ok());
        assert!(picture.keywords.widen(few(MOST_WORDS)).is_err());
    }
}
