//! What a spool has promised.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{Queued, View};
use super::{Letter, Operation};
use crate::rig::promises::{Harm, Line, Promises, Said};

/// Everything that was promised. A power cut takes no more than a kill: all that a spool says is
/// durable.
#[derive(Debug, Clone)]
pub struct Ledger {
    letters: BTreeMap<Letter, Fate>,
    underway: Option<Operation>,
}

/// What is known of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// It is there, or may be, and is one of these.
    There(Sure, BTreeSet<Queued>),
    /// It is done with.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sure {
    Yes,
    Perhaps,
}

impl Promises for Ledger {
    type Operation = Operation;
    type Answer = ();
    type View = View;

    fn new(_: Harm) -> Self {
        Self { letters: BTreeMap::new(), underway: None }
    }

    fn take(&mut self, line: &Line<Operation, ()>) {
        match &line.said {
            Said::Begins(operation) => {
                self.begin(operation);
                self.underway = Some(operation.clone());
            }
            Said::Done(()) => {
                let operation = self.underway.take().expect("it began");
                self.finish(&operation);
            }
            Said::Refused(_) => self.underway = None,
        }
    }

    fn violations(&self, view: &View) -> Vec<String> {
        let mut broken = view.troubles.clone();
        for (letter, fate) in &self.letters {
            match (fate, view.letters.get(letter)) {
                (Fate::There(Sure::Yes, _), None) => {
                    broken.push(format!("letter {letter} is gone"));
                }
                (Fate::There(_, may), Some(found)) if !may.contains(found) => {
                    broken.push(format!("letter {letter} is {found:?}, and may be {may:?}"));
                }
                (Fate::Done, Some(_)) => broken.push(format!("letter {letter} is back")),
                _ => {}
            }
        }
        let unknown = view.letters.keys().filter(|letter| !self.letters.contains_key(letter));
        broken.extend(unknown.map(|letter| format!("letter {letter} was never taken")));
        broken
    }
}

impl Ledger {
    /// From here on it may be done or not, message by message.
    fn begin(&mut self, operation: &Operation) {
        match operation {
            Operation::Take(letters) => {
                for letter in letters {
                    let new = Fate::There(Sure::Perhaps, [Queued::default()].into());
                    self.letters.entry(*letter).or_insert(new);
                }
            }
            Operation::Defer(letter, attempts) => {
                self.may_be(*letter, |before| Queued { attempts: *attempts, ..before });
            }
            Operation::Change(letter) => {
                self.may_be(*letter, |before| Queued { changed: true, ..before });
            }
            Operation::Finish(letters) => {
                for letter in letters {
                    if let Some(Fate::There(sure, _)) = self.letters.get_mut(letter) {
                        *sure = Sure::Perhaps;
                    }
                }
            }
            Operation::Reopen => {}
        }
    }

    fn finish(&mut self, operation: &Operation) {
        match operation {
            Operation::Take(letters) => {
                for letter in letters {
                    if let Some(Fate::There(sure, _)) = self.letters.get_mut(letter) {
                        *sure = Sure::Yes;
                    }
                }
            }
            Operation::Defer(letter, attempts) => {
                self.must_be(*letter, |one| one.attempts == *attempts);
            }
            Operation::Change(letter) => self.must_be(*letter, |one| one.changed),
            Operation::Finish(letters) => {
                self.letters.extend(letters.iter().map(|letter| (*letter, Fate::Done)));
            }
            Operation::Reopen => {}
        }
    }

    fn may_be(&mut self, letter: Letter, after: impl Fn(Queued) -> Queued) {
        if let Some(Fate::There(_, may)) = self.letters.get_mut(&letter) {
            let more: Vec<Queued> = may.iter().map(|before| after(*before)).collect();
            may.extend(more);
        }
    }

    fn must_be(&mut self, letter: Letter, is: impl Fn(&Queued) -> bool) {
        if let Some(Fate::There(_, may)) = self.letters.get_mut(&letter) {
            may.retain(is);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: Vec<Said<Operation, ()>>) -> Ledger {
        let mut ledger = Ledger::new(Harm::PowerCut);
        for said in said {
            ledger.take(&Line { at: 0, said });
        }
        ledger
    }

    fn found(letters: &[(Letter, Queued)]) -> View {
        View { letters: letters.iter().copied().collect(), troubles: Vec::new() }
    }

    #[test]
    fn promises_are_held_against_what_is_found() {
        let plain = Queued::default();
        let tried = Queued { attempts: 3, ..plain };
        let take = || Said::Begins(Operation::Take(vec![1, 2]));
        let defer = || Said::Begins(Operation::Defer(1, 3));
        let finish = || Said::Begins(Operation::Finish(vec![1]));
        let table = [
            (vec![take()], vec![], true),
            (vec![take()], vec![(1, plain)], true),
            (vec![take()], vec![(1, tried)], false),
            (vec![take(), Said::Done(())], vec![(1, plain)], false),
            (vec![take(), Said::Done(())], vec![(1, plain), (2, plain)], true),
            (vec![take(), Said::Done(()), defer()], vec![(1, tried), (2, plain)], true),
            (vec![take(), Said::Done(()), defer()], vec![(1, plain), (2, plain)], true),
            (
                vec![take(), Said::Done(()), defer(), Said::Done(())],
                vec![(1, plain), (2, plain)],
                false,
            ),
            (vec![take(), Said::Done(()), finish()], vec![(2, plain)], true),
            (vec![take(), Said::Done(()), finish(), Said::Done(())], vec![(2, plain)], true),
            (
                vec![take(), Said::Done(()), finish(), Said::Done(())],
                vec![(1, plain), (2, plain)],
                false,
            ),
            (vec![], vec![(3, plain)], false),
        ];
        for (said, letters, holds) in table {
            let what = format!("{said:?}: {letters:?}");
            assert_eq!(told(said).violations(&found(&letters)).is_empty(), holds, "{what}");
        }
    }
}
