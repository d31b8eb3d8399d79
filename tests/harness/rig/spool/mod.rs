//! Histories of a spool: messages are taken, put off, held, changed and done with.
//!
//! The spool is made small: segments that are soon full, bodies that are soon too large for them,
//! checkpoints and cleaning all the time. So a short history comes by everything that it does.

mod driver;
mod ledger;
mod view;

use serde::{Deserialize, Serialize};

pub use driver::main;
pub use ledger::Ledger;
pub use view::{Queued, View, view};

use super::histories::Dice;

/// The number of a message. Each has its own text, of its own length.
pub type Letter = u32;

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Takes these, all at the same time.
    Take(Vec<Letter>),
    /// Records so many attempts; what was recorded before is replaced.
    Defer(Letter, u32),
    /// An admin gives it another recipient.
    Change(Letter),
    /// These are done with, all at the same time.
    Finish(Vec<Letter>),
    /// Gives the spool back and takes it again.
    Reopen,
}

/// Letters whose number ends so are larger than a segment takes.
const BIG: u32 = 7;

/// A message as it is taken.
#[must_use]
pub fn text(letter: Letter) -> Vec<u8> {
    let lines = if letter % 10 == BIG { 400 } else { letter.wrapping_mul(2_654_435_761) % 60 };
    let mut text = format!("Message-ID: <{letter}@history.example>\r\n\r\n").into_bytes();
    for line in 0..lines {
        text.extend(format!("{letter} has a line {line} that no other has\r\n").into_bytes());
    }
    text
}

/// A history in which so many messages come in, and about as many are done with. The same seed makes
/// the same.
#[must_use]
pub fn random(seed: u64, letters: Letter) -> Vec<Operation> {
    let (mut dice, mut operations, mut queued) = (Dice::new(seed), Vec::new(), Vec::new());
    let (mut next, mut attempts) = (0, 0);
    while next < letters {
        let some = |dice: &mut Dice, queued: &[Letter]| match queued {
            [] => None,
            queued => Some(dice.throw(queued.len())),
        };
        match (dice.throw(24), some(&mut dice, &queued)) {
            (0..=7, _) | (_, None) => {
                let end = next + 1 + dice.throw(6) as Letter;
                queued.extend(next..end);
                operations.push(Operation::Take((next..end).collect()));
                next = end;
            }
            (8..=13, Some(at)) => {
                attempts += 1;
                operations.push(Operation::Defer(queued[at], attempts));
            }
            (14..=15, Some(at)) => operations.push(Operation::Change(queued[at])),
            (16..=22, Some(at)) => {
                let end = queued.len().min(at + 1 + dice.throw(7));
                operations.push(Operation::Finish(queued.drain(at..end).collect()));
            }
            _ => operations.push(Operation::Reopen),
        }
    }
    operations
}
