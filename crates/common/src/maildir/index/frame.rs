//! What a transaction changed, as octets.
//!
//! A body is the modseq in 8 octets and then the changes: an octet for what it is, and what
//! belongs to it. Marks say which of their parts are as they were, so that a change of flags does
//! not repeat how everything looks.

use mail_proto::mailbox::{Flags, Uid};

use super::octets::{Damaged, Input, put_number, put_signed, put_text};
use super::{Change, Fact, Marks};
use crate::disk::{Kind, Stamp, Stat};
use crate::maildir::looks::{Look, Looks, Trust};
use crate::maildir::tail::Tail;

/// The longest name of a keyword, and the longest end of a file name, in octets.
pub(super) const TEXT: usize = 1024;

type Result<T> = std::result::Result<T, Damaged>;

const ADDED: u8 = 1;
const FLAGGED: u8 = 2;
const GONE: u8 = 3;
const KEYWORD: u8 = 4;
const NEXT: u8 = 5;
const RECENT: u8 = 6;
const RESERVED: u8 = 7;
const MARKS: u8 = 8;
const BOOT: u8 = 9;
const MODSEQS: u8 = 10;

/// The body of a frame; `marks` are those before the transaction.
pub(super) fn encode(modseq: u64, changes: &[Change], marks: &Marks) -> Vec<u8> {
    let mut out = modseq.to_le_bytes().to_vec();
    let mut before = marks;
    for change in changes {
        put_change(&mut out, change, before);
        if let Change::Marks(marks) = change {
            before = marks;
        }
    }
    out
}

/// The changes that the octets after the modseq tell of, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Changes<'a> {
    input: Input<'a>,
    marks: Marks,
}

impl<'a> Changes<'a> {
    /// The modseq of a body, and its changes; `marks` are those before the transaction.
    pub(super) fn of(body: &'a [u8], marks: &Marks) -> Result<(u64, Self)> {
        let mut input = Input::new(body);
        let modseq = input.fixed_u64()?;
        Ok((modseq, Self { input, marks: *marks }))
    }

    fn change(&mut self) -> Result<Change> {
        let input = &mut self.input;
        Ok(match input.octet()? {
            ADDED => {
                let (uid, flags) = (input.small()?, flags(input)?);
                Change::Added { uid, flags, fact: fact(input)?, tail: tail(input)? }
            }
            FLAGGED => {
                Change::Flagged { uid: input.small()?, flags: flags(input)?, tail: tail(input)? }
            }
            GONE => Change::Gone(input.small()?),
            KEYWORD => Change::Keyword(input.octet()?, input.text(TEXT)?.to_owned()),
            NEXT => Change::Next(input.small()?),
            RECENT => Change::Recent(input.small()?),
            RESERVED => Change::Reserved(input.small()?),
            MARKS => {
                self.marks = read_marks(input, &self.marks)?;
                Change::Marks(Box::new(self.marks))
            }
            BOOT => Change::Boot(input.array()?),
            MODSEQS => Change::Modseqs(input.number()?),
            _ => return Err(Damaged),
        })
    }
}

impl Iterator for Changes<'_> {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.input.is_empty() {
            return None;
        }
        Some(self.change().inspect_err(|_| self.input = Input::new(&[])))
    }
}

fn put_change(out: &mut Vec<u8>, change: &Change, marks: &Marks) {
    let mut put = |what: u8, number: Uid| {
        out.push(what);
        put_number(out, number.into());
    };
    match change {
        Change::Gone(uid) => put(GONE, *uid),
        Change::Next(uid) => put(NEXT, *uid),
        Change::Recent(uid) => put(RECENT, *uid),
        Change::Reserved(uid) => put(RESERVED, *uid),
        Change::Added { uid, flags, fact, tail } => {
            put(ADDED, *uid);
            put_flags(out, *flags);
            put_fact(out, fact);
            put_tail(out, tail);
        }
        Change::Flagged { uid, flags, tail } => {
            put(FLAGGED, *uid);
            put_flags(out, *flags);
            put_tail(out, tail);
        }
        Change::Keyword(bit, name) => {
            out.extend([KEYWORD, *bit]);
            put_text(out, name);
        }
        Change::Marks(now) => {
            out.push(MARKS);
            put_marks(out, now, marks);
        }
        Change::Boot(boot) => {
            out.push(BOOT);
            out.extend(boot);
        }
        Change::Modseqs(modseq) => {
            out.push(MODSEQS);
            put_number(out, *modseq);
        }
    }
}

fn put_flags(out: &mut Vec<u8>, flags: Flags) {
    out.push(flags.system);
    put_number(out, flags.keywords);
}

fn flags(input: &mut Input<'_>) -> Result<Flags> {
    Ok(Flags { system: input.octet()?, keywords: input.number()? })
}

fn put_fact(out: &mut Vec<u8>, fact: &Fact) {
    out.extend(fact.hash.to_le_bytes());
    put_signed(out, fact.date);
    put_number(out, fact.line.into());
    put_number(out, fact.size.into());
}

fn fact(input: &mut Input<'_>) -> Result<Fact> {
    let (hash, date) = (input.fixed_u64()?, input.signed()?);
    let mut fact = Fact::new(hash, input.small()?);
    (fact.date, fact.size) = (date, input.small()?);
    Ok(fact)
}

fn put_tail(out: &mut Vec<u8>, tail: &Tail) {
    match tail {
        Tail::New => out.push(0),
        Tail::Plain => out.push(1),
        Tail::Odd { in_new, text } => {
            out.push(2 + u8::from(*in_new));
            put_text(out, text);
        }
    }
}

fn tail(input: &mut Input<'_>) -> Result<Tail> {
    Ok(match input.octet()? {
        0 => Tail::New,
        1 => Tail::Plain,
        odd @ 2..=3 => Tail::Odd { in_new: odd == 3, text: input.text(TEXT)?.into() },
        _ => return Err(Damaged),
    })
}

const NONE: u16 = 0;
const SAME: u16 = 1;
const GIVEN: u16 = 2;

/// Two bits for each of `new`, `cur`, the UID list and both files of keywords; then those given.
pub(super) fn put_marks(out: &mut Vec<u8>, marks: &Marks, before: &Marks) {
    let (looks, looked) = (looks(marks), looks(before));
    let stats = [marks.list, marks.keywords, marks.more_keywords];
    let known = [before.list, before.keywords, before.more_keywords];
    let forms = looks.iter().zip(&looked).map(|(now, before)| form(now, before));
    let forms = forms.chain(stats.iter().zip(&known).map(|(now, before)| form(now, before)));
    let forms: u16 = forms.enumerate().map(|(part, form)| form << (2 * part)).sum();
    out.extend(forms.to_le_bytes());
    for (look, _) in looks.iter().zip(&looked).filter(|(now, before)| now != before) {
        if let Some(look) = look {
            out.push(trust_number(look.trust));
            put_stat(out, &look.stat);
        }
    }
    for (stat, _) in stats.iter().zip(&known).filter(|(now, before)| now != before) {
        if let Some(stat) = stat {
            put_stat(out, stat);
        }
    }
}

pub(super) fn read_marks(input: &mut Input<'_>, before: &Marks) -> Result<Marks> {
    let forms = input.array().map(u16::from_le_bytes)?;
    let form = |part: u16| (forms >> (2 * part)) & 3;
    let [new, cur] = looks(before);
    let new = part(form(0), new, || look(input))?;
    let cur = part(form(1), cur, || look(input))?;
    let looks = match (new, cur) {
        (Some(new), Some(cur)) => Some(Looks { new, cur }),
        (None, None) => None,
        _ => return Err(Damaged),
    };
    Ok(Marks {
        looks,
        list: part(form(2), before.list, || stat(input))?,
        keywords: part(form(3), before.keywords, || stat(input))?,
        more_keywords: part(form(4), before.more_keywords, || stat(input))?,
    })
}

fn looks(marks: &Marks) -> [Option<Look>; 2] {
    [marks.looks.map(|looks| looks.new), marks.looks.map(|looks| looks.cur)]
}

fn form<T: PartialEq>(now: &Option<T>, before: &Option<T>) -> u16 {
    match now {
        None => NONE,
        Some(_) if now == before => SAME,
        Some(_) => GIVEN,
    }
}

fn part<T>(form: u16, before: Option<T>, read: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    match form {
        NONE => Ok(None),
        SAME => before.ok_or(Damaged).map(Some),
        GIVEN => read().map(Some),
        _ => Err(Damaged),
    }
}

fn trust_number(trust: Trust) -> u8 {
    match trust {
        Trust::Proof => 0,
        Trust::Recent => 1,
        Trust::RecentByUs => 2,
    }
}

fn look(input: &mut Input<'_>) -> Result<Look> {
    let trust = match input.octet()? {
        0 => Trust::Proof,
        1 => Trust::Recent,
        2 => Trust::RecentByUs,
        _ => return Err(Damaged),
    };
    Ok(Look { stat: stat(input)?, trust })
}

fn put_stat(out: &mut Vec<u8>, stat: &Stat) {
    out.push(match stat.kind {
        Kind::File => 0,
        Kind::Directory => 1,
        Kind::Other => 2,
    });
    for number in [stat.size, stat.device, stat.inode] {
        put_number(out, number);
    }
    put_signed(out, stat.modified.seconds);
    put_number(out, stat.modified.nanoseconds.into());
    put_signed(out, stat.changed.seconds.wrapping_sub(stat.modified.seconds));
    put_number(out, stat.changed.nanoseconds.into());
}

fn stat(input: &mut Input<'_>) -> Result<Stat> {
    let kind = match input.octet()? {
        0 => Kind::File,
        1 => Kind::Directory,
        2 => Kind::Other,
        _ => return Err(Damaged),
    };
    let (size, device, inode) = (input.number()?, input.number()?, input.number()?);
    let modified = Stamp { seconds: input.signed()?, nanoseconds: input.small()? };
    let seconds = modified.seconds.wrapping_add(input.signed()?);
    let changed = Stamp { seconds, nanoseconds: input.small()? };
    Ok(Stat { kind, size, device, inode, modified, changed })
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(inode: u64) -> Look {
        let modified = Stamp { seconds: 100, nanoseconds: 7 };
        let changed = Stamp { seconds: 101, nanoseconds: 300 };
        let stat = Stat { kind: Kind::Directory, size: 9, device: 2, inode, modified, changed };
        Look { stat, trust: Trust::RecentByUs }
    }

    fn marks(new: u64, cur: u64, list: Option<u64>) -> Marks {
        let looks = Some(Looks { new: look(new), cur: look(cur) });
        let list = list.map(|inode| Stat { kind: Kind::File, ..look(inode).stat });
        Marks { looks, list, ..Marks::default() }
    }

    fn decoded(body: &[u8], marks: &Marks) -> Result<(u64, Vec<Change>)> {
        let (modseq, changes) = Changes::of(body, marks)?;
        Ok((modseq, changes.collect::<Result<_>>()?))
    }

    /// The octets are in files: they must stay what they are.
    #[test]
    fn what_is_written() {
        let mut fact = Fact::new(0x0102_0304_0506_0708, 300);
        let unknown = Change::Added { uid: 5, flags: Flags::default(), fact, tail: Tail::New };
        (fact.date, fact.size) = (-2, 5);
        let flags = Flags { system: 17, keywords: 1 << 7 };
        let odd = |in_new| Tail::Odd { in_new, text: ":2,P".into() };
        let before = marks(4, 5, Some(6));
        let given = [1, 9, 2, 3, 200, 1, 7, 2, 172, 2];
        let table: [(Change, &[u8]); 13] = [
            (
                Change::Added { uid: 130, flags, fact, tail: odd(false) },
                b"\x01\x82\x01\x11\x80\x01\x08\x07\x06\x05\x04\x03\x02\x01\x03\xac\x02\x05\x02\x04:2,P",
            ),
            (
                unknown,
                b"\x01\x05\x00\x00\x08\x07\x06\x05\x04\x03\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\
                  \xac\x02\xff\xff\xff\xff\x0f\x00",
            ),
            (Change::Flagged { uid: 1, flags, tail: Tail::Plain }, &[2, 1, 17, 128, 1, 1]),
            (
                Change::Flagged { uid: 1, flags, tail: odd(true) },
                &[2, 1, 17, 128, 1, 3, 4, b':', b'2', b',', b'P'],
            ),
            (Change::Gone(300), &[3, 172, 2]),
            (Change::Keyword(63, "$A".to_owned()), &[4, 63, 2, b'$', b'A']),
            (Change::Next(1), &[5, 1]),
            (Change::Recent(2), &[6, 2]),
            (Change::Reserved(3), &[7, 3]),
            (Change::Marks(Box::default()), &[8, 0, 0]),
            (Change::Marks(Box::new(before)), &[8, 0b01_01_01, 0]),
            (Change::Boot([9; 16]), &[9; 17]),
            (Change::Modseqs(300), &[10, 172, 2]),
        ];
        for (change, expected) in table {
            let body = encode(u64::MAX - 1, std::slice::from_ref(&change), &before);
            assert_eq!(body.get(..8).unwrap(), [254, 255, 255, 255, 255, 255, 255, 255]);
            assert_eq!(body.get(8..).unwrap(), expected, "{change:?}");
            assert_eq!(decoded(&body, &before), Ok((u64::MAX - 1, vec![change])));
        }
        let moved = [Change::Marks(Box::new(marks(4, 3, None)))];
        let body = encode(0, &moved, &before);
        assert_eq!(body.get(8..13).unwrap(), [8, 0b00_10_01, 0, 2, given[0]]);
        assert_eq!(body.get(12..).unwrap(), given);
        assert_eq!(decoded(&body, &before), Ok((0, moved.to_vec())));
        assert_eq!(decoded(&body, &Marks::default()), Err(Damaged), "as before, but nothing was");
    }

    #[test]
    fn what_says_nothing_is_refused() {
        let table: [&[u8]; 13] = [
            &[0],
            &[10],
            &[11],
            &[1, 5, 0, 0],
            &[2, 1, 17, 128, 1],
            &[2, 1, 17, 128, 1, 4],
            &[3],
            &[3, 255, 255, 255, 255, 31],
            &[4, 1, 3, b'a', b'b'],
            &[8, 1],
            &[8, 0b01_00_00, 0],
            &[8, 0b11, 0],
            &[9, 1, 2],
        ];
        for octets in table {
            let body = [&[0; 8], octets].concat();
            assert_eq!(decoded(&body, &Marks::default()), Err(Damaged), "{octets:?}");
        }
        assert_eq!(decoded(&[1, 2, 3], &Marks::default()), Err(Damaged));
    }

    proptest! {
        #[test]
        fn any_octets_say_something_or_nothing(
            kind in 0u8..13,
            rest in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let body = [&[0; 8], &[kind][..], &rest].concat();
            if let Ok((modseq, changes)) = decoded(&body, &marks(1, 2, None)) {
                let again = encode(modseq, &changes, &marks(1, 2, None));
                prop_assert_eq!(decoded(&again, &marks(1, 2, None)), Ok((modseq, changes)));
                prop_assert!(again.len() <= body.len());
            }
        }
    }
}
