//! What a transaction changed, as octets.
//!
//! A body is the modseq in 8 octets and then the changes: an octet for what it is, and what
//! belongs to it. Marks say which of their parts are as they were, so that a change of flags does
//! not repeat how everything looks.

use mail_proto::mailbox::{Flags, Uid};

use super::octets::{Damaged, Input, put_number, put_signed, put_text};
use super::{Change, Fact, Marks, Tail};
use crate::disk::{Kind, Stamp, Stat};
use crate::maildir::known::Looks;
use crate::maildir::scan::{Look, Trust};

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
