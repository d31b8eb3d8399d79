//! What was expunged, for clients that come back (RFC 7162, 3.2.5.1).

use std::collections::VecDeque;

use mail_proto::mailbox::Uid;

use super::octets::{Damaged, Input, put_number};

/// What was expunged lately, and since when that is known completely.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::maildir) struct Vanished {
    /// Below this modseq, what went is not known any more.
    floor: u64,
    /// Modseq and UID, in order of modseq.
    gone: VecDeque<(u64, Uid)>,
}

/// How many are kept.
const KEPT: usize = 100_000;

impl Vanished {
    /// UIDs that went after a modseq, rising; `None`: that is not known, and every UID that does
    /// not exist may have gone since.
    pub(in crate::maildir) fn since(&self, modseq: u64) -> Option<Vec<Uid>> {
        if modseq < self.floor {
            return None;
        }
        let first = self.gone.partition_point(|(gone, _)| *gone <= modseq);
        let mut uids: Vec<Uid> = self.gone.range(first..).map(|(_, uid)| *uid).collect();
        uids.sort_unstable();
        Some(uids)
    }

    /// Nothing went since that modseq, and nobody knows what went before.
    pub(super) fn none_since(modseq: u64) -> Self {
        Self { floor: modseq, gone: VecDeque::new() }
    }

    /// One more; its modseq is not below the others'.
    pub(super) fn push(&mut self, modseq: u64, uid: Uid) {
        self.gone.push_back((modseq, uid));
        if self.gone.len() > KEPT
            && let Some((dropped, _)) = self.gone.pop_front()
        {
            self.floor = dropped;
        }
    }

    /// The modseq up to which this tells.
    pub(super) fn newest(&self) -> u64 {
        self.gone.back().map_or(self.floor, |(modseq, _)| *modseq)
    }

    /// The floor, and then for each modseq: by how much it is above the one before, how many
    /// went, and their UIDs.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + 5 * self.gone.len());
        put_number(&mut out, self.floor);
        put_number(&mut out, self.gone.len() as u64);
        let (mut last, mut rest) = (self.floor, self.gone.iter().peekable());
        while let Some((modseq, first)) = rest.next() {
            let mut uids = vec![*first];
            while let Some((_, uid)) = rest.next_if(|(next, _)| next == modseq) {
                uids.push(*uid);
            }
            put_number(&mut out, modseq - last);
            put_number(&mut out, uids.len() as u64);
            uids.iter().for_each(|uid| put_number(&mut out, (*uid).into()));
            last = *modseq;
        }
        out
    }

    pub(super) fn decode(octets: &[u8]) -> Result<Self, Damaged> {
        let mut input = Input::new(octets);
        let floor = input.number()?;
        let count = usize::try_from(input.number()?).map_err(|_| Damaged)?;
        if count > input.len() {
            return Err(Damaged);
        }
        let (mut gone, mut modseq) = (VecDeque::with_capacity(count), floor);
        while !input.is_empty() {
            modseq = modseq.checked_add(input.number()?).ok_or(Damaged)?;
            for _ in 0..input.number()? {
                gone.push_back((modseq, input.small()?));
            }
        }
        if gone.len() == count { Ok(Self { floor, gone }) } else { Err(Damaged) }
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_since() {
        let mut vanished = Vanished::none_since(10);
        for (modseq, uid) in [(11, 7), (11, 3), (12, 5), (20, 1)] {
            vanished.push(modseq, uid);
        }
        let table = [
            (0, None),
            (9, None),
            (10, Some(vec![1, 3, 5, 7])),
            (11, Some(vec![1, 5])),
            (19, Some(vec![1])),
            (20, Some(vec![])),
            (u64::MAX, Some(vec![])),
        ];
        for (modseq, expected) in table {
            assert_eq!(vanished.since(modseq), expected, "{modseq}");
        }
        assert_eq!(Vanished::decode(&vanished.encode()), Ok(vanished));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut vanished = Vanished::none_since(1);
        for uid in 1..=100_010 {
            vanished.push(u64::from(uid / 4) + 2, uid);
        }
        assert_eq!(vanished.gone.len(), KEPT);
        // 1 to 10 are forgotten, and 11 went together with 8, 9 and 10.
        assert_eq!(vanished.since(3), None);
        assert_eq!(vanished.since(4), Some((12..=100_010).collect()));
        assert_eq!(Vanished::decode(&vanished.encode()), Ok(vanished));
    }

    #[test]
    fn octets_that_are_none_are_refused() {
        let table: [&[u8]; 5] = [&[], &[1], &[1, 1], &[1, 1, 1, 2, 5, 6], &[1, 9, 1, 1, 5]];
        for octets in table {
            assert_eq!(Vanished::decode(octets), Err(Damaged), "{octets:?}");
        }
    }
}
