//! What follows 354: the message, up to the line that holds a dot alone; and what follows BDAT:
//! so many octets of it (RFC 3030).
//!
//! SMTP smuggling (CVE-2023-51764 and its kin) lives on two servers that disagree where a message
//! ends: one passes on what the other takes for the end and for new commands. So here only
//! CRLF "." CRLF ends a message (RFC 5321, 4.1.1.4), whatever else it holds; and a message with a
//! bare CR or a bare LF (2.3.8) is never taken, because the next server might see an end in it.
//! It is swallowed up to its true end first: nothing of it is ever read as a command.
//!
//! A chunk has no end to look for, and a dot in it is a dot; a line may go on in the next chunk. But
//! what was taken in chunks goes on with DATA where the next server has no BDAT, so a bare CR or
//! LF is refused in it just so, and a last line without its CRLF gets one.
//!
//! The message is gathered in blocks that are moved to the world and come back empty. A line may
//! have any length, and NUL is a byte like others.

use super::Failure;

/// Octets of a block.
pub(super) const BLOCK: usize = 64 * 1024;

/// Octets that a message may go on after it was found too big before the peer is hung up on: it
/// shall hear its reply, but not hold the line for ever.
pub(super) const SWALLOWED: u64 = 1 << 30;

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Body {
    block: Vec<u8>,
    place: Place,
    /// Octets that fill the block.
    full: usize,
    size: u64,
    limit: u64,
    fault: Option<Fault>,
}

/// Why a message will be refused at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has a CR without LF, or a LF without CR.
    BareLineEnd,
    /// It is bigger than the limit.
    TooBig,
    /// The world could not store it.
    Failed(Failure),
}

/// How far some bytes brought the message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on.
    More,
    /// A block is full: store it, then give it [`Body::refill`].
    Full(Vec<u8>),
    /// This was its end; here is the last block. Commit it if there is no [`Body::fault`].
    End(Vec<u8>),
    /// It is too big and does not end.
    Endless,
}

/// Where the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning of a line: a CRLF was before.
    LineStart,
    /// After the dot that began a line, and that is kept back.
    Dot,
    /// After that dot and a CR, which is kept back too.
    DotReturn,
    /// In a line.
    Line,
    /// After a CR in a line.
    Return,
}

impl Body {
    /// A message of at most `limit` octets, counted as they are stored.
    pub(super) fn new(limit: u64) -> Self {
        let (block, place) = (Vec::new(), Place::LineStart);
        Self { block, place, full: BLOCK, size: 0, limit, fault: None }
    }

    /// The same in one block, whatever its size.
    pub(super) fn whole(limit: u64) -> Self {
        Self { full: usize::MAX, ..Self::new(limit) }
    }

    /// Takes bytes up to what it reports; returns how many it took.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> (usize, Progress) {
        let mut rest = bytes;
        self.make_room(bytes.len());
        loop {
            if self.block.len() >= self.full {
                return (bytes.len() - rest.len(), Progress::Full(std::mem::take(&mut self.block)));
            }
            if self.size > self.limit.saturating_add(SWALLOWED) {
                return (bytes.len() - rest.len(), Progress::Endless);
            }
            let Some((&byte, after)) = rest.split_first() else {
                return (bytes.len(), Progress::More);
            };
            if self.place == Place::DotReturn && byte == b'\n' {
                return (bytes.len() - after.len(), Progress::End(std::mem::take(&mut self.block)));
            }
            rest = if self.place == Place::Line { self.line(rest) } else { self.byte(byte, after) };
        }
    }

    /// Takes bytes of a chunk; returns how many it took, and the block if it is full: store it,
    /// then give it [`Body::refill`].
    pub(super) fn receive_chunk(&mut self, bytes: &[u8]) -> (usize, Option<Vec<u8>>) {
        let mut rest = bytes;
        self.make_room(bytes.len());
        loop {
            if self.block.len() >= self.full {
                return (bytes.len() - rest.len(), Some(std::mem::take(&mut self.block)));
            }
            let Some((&byte, after)) = rest.split_first() else {
                return (bytes.len(), None);
            };
            if self.place == Place::Return {
                rest = self.byte(byte, after);
            } else {
                // No dot counts at the beginning of this line.
                self.place = Place::Line;
                rest = self.line(rest);
            }
        }
    }

    /// The last chunk is there: ends the last line, and gives the last block. Commit it if there
    /// is no [`Body::fault`].
    pub(super) fn finish(&mut self) -> Vec<u8> {
        match self.place {
            Place::LineStart => {}
            Place::Return => self.refuse(Fault::BareLineEnd),
            Place::Line | Place::Dot | Place::DotReturn => self.keep(b"\r\n"),
        }
        std::mem::take(&mut self.block)
    }

    /// Whether the message would be too big with so many octets more.
    pub(super) fn exceeds_with(&self, more: u64) -> bool {
        self.size.saturating_add(more) > self.limit
    }

    /// Takes back a block that was stored, to fill it again.
    pub(super) fn refill(&mut self, mut block: Vec<u8>) {
        block.clear();
        self.block = block;
    }

    /// Refuses the message at its end. The first reason stays, but a bare line end outranks all:
    /// after it the peer is not listened to any more.
    pub(super) fn refuse(&mut self, fault: Fault) {
        self.block = Vec::new();
        if self.fault.is_none() || fault == Fault::BareLineEnd {
            self.fault = Some(fault);
        }
    }

    /// Why the message will be refused, if it will.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Octets that the block has room for, what is in it included.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.block.capacity()
    }

    fn make_room(&mut self, size: usize) {
        if self.fault.is_none() {
            self.block.reserve(size.min(self.full.saturating_sub(self.block.len())));
        }
    }

    /// Takes what can be taken at once: up to the next CR or LF, or to the end of the block.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = bytes.len().min(self.full - self.block.len());
        let window = bytes.get(..room).unwrap_or(bytes);
        let length = window.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(room);
        if length == 0 {
            return match bytes.split_first() {
                Some((&byte, after)) => self.byte(byte, after),
                None => bytes,
            };
        }
        let (plain, after) = bytes.split_at(length);
        self.keep(plain);
        after
    }

    /// Takes one byte that may change the place.
    fn byte<'a>(&mut self, byte: u8, after: &'a [u8]) -> &'a [u8] {
        let place = self.place;
        if place == Place::DotReturn {
            // The CR that was kept back had no LF after it.
            self.refuse(Fault::BareLineEnd);
        }
        self.place = match (place, byte) {
            (Place::LineStart, b'.') => {
                self.place = Place::Dot;
                return after;
            }
            (Place::Dot, b'\r') => {
                self.place = Place::DotReturn;
                return after;
            }
            (Place::Return, b'\n') => Place::LineStart,
            (_, b'\r') => Place::Return,
            _ => Place::Line,
        };
        let bare_return = place == Place::Return && byte != b'\n';
        let bare_feed = place != Place::Return && byte == b'\n';
        if bare_return || bare_feed {
            self.refuse(Fault::BareLineEnd);
        }
        self.keep(&[byte]);
        after
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.limit {
            self.refuse(Fault::TooBig);
        }
        if self.fault.is_none() {
            self.block.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Carries bytes into a body piece by piece; returns the message or its fault, and how many
    /// bytes came after its end. `None`: it has not ended.
    fn carry(bytes: &[u8], piece: usize, limit: u64) -> Option<(Result<Vec<u8>, Fault>, usize)> {
        let mut body = Body::new(limit);
        let mut message = Vec::new();
        let mut done = 0;
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                let (taken, progress) = body.receive(piece);
                assert!(body.block.len() <= BLOCK, "a block stays within its limit");
                piece = &piece[taken..];
                done += taken;
                match progress {
                    Progress::More => assert!(piece.is_empty()),
                    Progress::Full(block) => {
                        assert_eq!(block.len(), BLOCK);
                        message.extend_from_slice(&block);
                        body.refill(block);
                    }
                    Progress::End(block) => {
                        message.extend_from_slice(&block);
                        let outcome = body.fault().map_or(Ok(message), Err);
                        return Some((outcome, bytes.len() - done));
                    }
                    Progress::Endless => unreachable!("tests are shorter"),
                }
            }
        }
        None
    }

    /// Carries chunks into a body, each piece by piece; returns the message or its fault.
    fn carry_chunks(chunks: &[&[u8]], piece: usize, limit: u64) -> Result<Vec<u8>, Fault> {
        let mut body = Body::new(limit);
        let mut message = Vec::new();
        for mut piece in chunks.iter().flat_map(|chunk| chunk.chunks(piece)) {
            while !piece.is_empty() {
                let (taken, full) = body.receive_chunk(piece);
                piece = &piece[taken..];
                let Some(block) = full else {
                    assert!(piece.is_empty());
                    continue;
                };
                assert_eq!(block.len(), BLOCK);
                message.extend_from_slice(&block);
                body.refill(block);
            }
        }
        message.extend_from_slice(&body.finish());
        body.fault().map_or(Ok(message), Err)
    }

    fn stuff(message: &[u8]) -> Vec<u8> {
        let mut stuffed = Vec::new();
        for line in message.split_inclusive(|&b| b == b'\n') {
            if line.starts_with(b".") {
                stuffed.push(b'.');
            }
            stuffed.extend_from_slice(line);
        }
        stuffed.extend_from_slice(b".\r\n");
        stuffed
    }

    #[test]
    fn messages_and_their_ends() {
        let table: [(&[u8], &[u8]); 12] = [
            (b".\r\n", b""),
            (b"\r\n.\r\n", b"\r\n"),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b"..a\r\n.\r\n", b".a\r\n"),
            (b".a\r\n.\r\n", b"a\r\n"),
            (b"a\r\n...\r\n.\r\n", b"a\r\n..\r\n"),
            (b"a.\r\n.\r\n", b"a.\r\n"),
            (b"a\r\n. \r\n.\r\n", b"a\r\n \r\n"),
            (b"\r\n\0.\r\n.\r\n", b"\r\n\0.\r\n"),
            (b"\0\xff\x80\r\n.\r\n", b"\0\xff\x80\r\n"),
            (b"\r\n\r\n\r\n.\r\n", b"\r\n\r\n\r\n"),
        ];
        for (bytes, expected) in table {
            for piece in [1, 2, 3, usize::MAX] {
                let bytes = [bytes, b"QUIT\r\n"].concat();
                let found = carry(&bytes, piece, 1000);
                assert_eq!(found, Some((Ok(expected.to_vec()), 6)), "{bytes:?} by {piece}");
            }
        }
    }

    #[test]
    fn nothing_else_ends_a_message() {
        let ends: [&[u8]; 15] = [
            b"\n.\n",
            b"\n.\r",
            b"\r.\n",
            b"\r.\r",
            b"\n.\r\n",
            b"\r.\r\n",
            b"\r\n.\r\r\n",
            b"\r\r\n.\r\r\n",
            b"\r\n.\n",
            b"\r\n.\r",
            b"\n\n.\r\n",
            b"\r\n.\n\r\n",
            b"\n\r.\r\n",
            b"\r\n.\r\0\n",
            b"\r\n.\r.\r\n",
        ];
        for end in ends {
            for piece in [1, 2, 3, 5, usize::MAX] {
                let bytes = [b"a", end, b"MAIL FROM:<b@c.d>\r\n.\r\n"].concat();
                let found = carry(&bytes, piece, 1000);
                assert_eq!(found, Some((Err(Fault::BareLineEnd), 0)), "{bytes:?} by {piece}");
            }
        }
    }

    #[test]
    fn chunks_and_the_messages_that_they_make() {
        type Row<'a> = (&'a [&'a [u8]], Result<&'a [u8], Fault>);
        let bare = Err(Fault::BareLineEnd);
        let table: [Row<'_>; 15] = [
            (&[], Ok(b"")),
            (&[b""], Ok(b"")),
            (&[b"\r\n"], Ok(b"\r\n")),
            (&[b"a"], Ok(b"a\r\n")),
            (&[b"a\r\n"], Ok(b"a\r\n")),
            (&[b"a\r", b"\nb"], Ok(b"a\r\nb\r\n")),
            (&[b"a\r", b"", b"\n"], Ok(b"a\r\n")),
            (&[b".\r\n", b"..\r\n.\r\n"], Ok(b".\r\n..\r\n.\r\n")),
            (&[b"a\r\n", b"."], Ok(b"a\r\n.\r\n")),
            (&[b"\0\xff"], Ok(b"\0\xff\r\n")),
            (&[b"a\r"], bare),
            (&[b"a\r", b"b\r\n"], bare),
            (&[b"a", b"\nb\r\n"], bare),
            (&[b"\n"], bare),
            (&[b"a\r\n\r", b"\r\n"], bare),
        ];
        for (chunks, expected) in table {
            for piece in [1, 2, usize::MAX] {
                let found = carry_chunks(chunks, piece, 1000);
                assert_eq!(found, expected.map(<[u8]>::to_vec), "{chunks:?} by {piece}");
            }
        }
        assert_eq!(carry_chunks(&[b"abc", b"def"], 9, 8), Ok(b"abcdef\r\n".to_vec()));
        assert_eq!(carry_chunks(&[b"abc", b"def"], 9, 7), Err(Fault::TooBig));
    }

    #[test]
    fn a_message_too_big_is_swallowed_to_its_end() {
        let bytes = b"12345678\r\n.\r\nQUIT\r\n";
        assert_eq!(carry(bytes, 3, 10), Some((Ok(b"12345678\r\n".to_vec()), 6)));
        assert_eq!(carry(bytes, 3, 9), Some((Err(Fault::TooBig), 6)));
        let broken = b"12345678\r\n1\n.\r\n\r\n.\r\nQUIT\r\n";
        assert_eq!(carry(broken, 3, 9), Some((Err(Fault::BareLineEnd), 6)));
    }

    #[test]
    fn a_message_without_end_is_given_up() {
        let mut body = Body::new(10);
        body.receive(b"more than ten bytes");
        body.size = 10 + SWALLOWED;
        assert_eq!(body.receive(b""), (0, Progress::More));
        assert_eq!(body.receive(b"xy\r\n.\r\n"), (2, Progress::Endless));
        assert_eq!(body.block.capacity(), 0);
    }

    #[test]
    fn the_first_fault_stays() {
        let mut body = Body::new(100);
        body.refuse(Fault::Failed(Failure::DiskFull));
        body.refuse(Fault::TooBig);
        assert_eq!(body.fault(), Some(Fault::Failed(Failure::DiskFull)));
    }

    #[test]
    fn blocks_are_full_and_lines_have_any_length() {
        let message = [&vec![b'x'; 3 * BLOCK - 1], b"\r\n.y\r\n".as_slice()].concat();
        for piece in [1000, BLOCK, BLOCK + 1, usize::MAX] {
            let found = carry(&stuff(&message), piece, 1 << 20);
            assert_eq!(found, Some((Ok(message.clone()), 0)), "by {piece}");
            assert_eq!(carry_chunks(&[&message], piece, 1 << 20), Ok(message.clone()));
        }
        let mut whole = Body::whole(1 << 20);
        assert_eq!(whole.receive_chunk(&message), (message.len(), None));
        assert_eq!(whole.finish(), message);
    }

    proptest! {
        #[test]
        fn a_chunk_is_what_data_is_without_its_dots(
            bytes in prop::collection::vec(prop::sample::select(b"\r\n.\0a".as_slice()), 0..40),
            cuts in prop::collection::vec(0_usize..40, 0..4),
            piece in 1_usize..20,
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let found = carry_chunks(&chunks, piece, 1000);
            let ended = bytes.is_empty() || bytes.ends_with(b"\r\n");
            let end: &[u8] = if ended { b"" } else { b"\r\n" };
            let all = [bytes.as_slice(), end].concat();
            match carry(&stuff(&all), usize::MAX, 1000) {
                Some((expected, 0)) => prop_assert_eq!(found, expected),
                // Broken, and so the stuffing was.
                _ => prop_assert_eq!(found, Err(Fault::BareLineEnd)),
            }
        }

        #[test]
        fn what_was_stuffed_comes_out_again(
            lines in prop::collection::vec("\\.{0,3}[^\r\n]{0,4}", 0..20),
            piece in 1_usize..20,
        ) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let found = carry(&stuff(message.as_bytes()), piece, 10_000);
            prop_assert_eq!(found, Some((Ok(message.into_bytes()), 0)));
        }

        #[test]
        fn any_split_is_the_same(
            bytes in prop::collection::vec(prop::sample::select(b"\r\n.\0a".as_slice()), 0..60),
            piece in 1_usize..20,
        ) {
            prop_assert_eq!(carry(&bytes, piece, 40), carry(&bytes, usize::MAX, 40));
        }

        #[test]
        fn an_end_is_crlf_dot_crlf_and_nothing_else(
            bytes in prop::collection::vec(prop::sample::select(b"\r\n.a".as_slice()), 0..60),
        ) {
            let from_start = [b"\r\n".as_slice(), &bytes].concat();
            let end = from_start.windows(5).position(|w| w == b"\r\n.\r\n");
            let expected = end.map(|at| from_start.len() - at - 5);
            prop_assert_eq!(carry(&bytes, 7, 1000).map(|(_, after)| after), expected);
        }
    }
}
