//! Operations at random, such as a user's clients and correspondents do. The same seed makes the
//! same history.

use std::collections::BTreeMap;

use mail_proto::mailbox::Flags;

use super::operation::{Letter, Marks, Operation};

/// Numbers that look as if there were no rule to them (xorshift, Marsaglia 2003).
#[derive(Debug, Clone)]
pub struct Dice(u64);

/// Makes a history.
#[derive(Debug)]
struct Author {
    dice: Dice,
    /// What is in the mailboxes if all goes well.
    letters: BTreeMap<String, Vec<Letter>>,
    operations: Vec<Operation>,
    next: Letter,
}

const KEYWORDS: [&str; 5] = ["$Forwarded", "Work", "later", "$MDNSent", "NonJunk"];

/// A history in which so many letters come in.
#[must_use]
pub fn random(seed: u64, letters: Letter) -> Vec<Operation> {
    let names = ["INBOX", "Archive", "Sent", "Trash"];
    let mut author = Author {
        dice: Dice::new(seed),
        letters: names.map(|name| (name.to_owned(), Vec::new())).into(),
        operations: Vec::new(),
        next: 0,
    };
    while author.next < letters {
        author.go_on();
    }
    let last = author.letters.keys().cloned();
    let looks: Vec<Operation> = last.map(|mailbox| Operation::Look { mailbox }).collect();
    author.operations.extend(looks);
    author.operations
}

impl Dice {
    /// The same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// One of 0 to `sides` - 1.
    pub fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 20) % sides.max(1) as u64).unwrap_or_default()
    }
}

impl Author {
    fn go_on(&mut self) {
        let mailbox = self.some_mailbox();
        match self.dice.throw(20) {
            0..=5 => self.deliver(),
            6..=8 => self.append(mailbox),
            9..=11 => self.operations.push(Operation::Look { mailbox }),
            12..=13 => self.mark(mailbox),
            14..=15 => self.expunge(mailbox),
            16..=17 => self.take_elsewhere(mailbox),
            18 => self.operations.push(Operation::Claim { mailbox }),
            _ => self.rearrange(),
        }
    }

    fn deliver(&mut self) {
        let letter = self.letter("INBOX");
        let mailbox = "INBOX".to_owned();
        self.operations.push(match self.dice.throw(4) {
            0 => Operation::Deliver { mailbox, letter, identified: false },
            1 => {
                self.letters.entry("Archive".to_owned()).or_default().push(letter);
                let mailboxes = [mailbox, "Archive".to_owned()];
                Operation::DeliverToBoth { mailboxes, letter }
            }
            _ => Operation::Deliver { mailbox, letter, identified: true },
        });
    }

    fn append(&mut self, mailbox: String) {
        let letter = self.letter(&mailbox);
        let marks = self.marks();
        self.operations.push(Operation::Append { mailbox, letter, marks });
    }

    fn mark(&mut self, mailbox: String) {
        let letters = self.some(&mailbox);
        let marks = self.marks();
        self.after_look(mailbox.clone(), Operation::Mark { mailbox, letters, marks });
    }

    fn expunge(&mut self, mailbox: String) {
        let letters = self.some(&mailbox);
        self.forget(&mailbox, &letters);
        self.after_look(mailbox.clone(), Operation::Expunge { mailbox, letters });
    }

    /// COPY, or MOVE.
    fn take_elsewhere(&mut self, from: String) {
        let to = self.some_mailbox();
        let mut letters = self.some(&from);
        let there = self.letters.get(&to).cloned().unwrap_or_default();
        letters.retain(|letter| !there.contains(letter));
        if from == to || letters.is_empty() {
            return;
        }
        self.letters.entry(to.clone()).or_default().extend(&letters);
        if self.dice.throw(2) > 0 {
            self.after_look(from.clone(), Operation::Copy { from, to, letters });
            return;
        }
        self.forget(&from, &letters);
        self.after_look(from.clone(), Operation::Move { from, to, letters });
    }

    /// Mailboxes come, get other names, and go.
    fn rearrange(&mut self) {
        let others: Vec<String> =
            self.letters.keys().filter(|name| name.starts_with("Lists")).cloned().collect();
        let new = format!("Lists{}", self.operations.len());
        let old = others.get(self.dice.throw(others.len())).cloned();
        match (self.dice.throw(4), old) {
            (0, Some(from)) => {
                let letters = self.letters.remove(&from).unwrap_or_default();
                self.letters.insert(new.clone(), letters);
                self.operations.push(Operation::Rename { from, to: new });
            }
            (1, Some(mailbox)) => {
                self.letters.remove(&mailbox);
                self.operations.push(Operation::Delete { mailbox });
            }
            (2, Some(mailbox)) => {
                let subscribed = self.dice.throw(3) > 0;
                self.operations.push(Operation::Subscribe { mailbox, subscribed });
            }
            _ => {
                self.letters.insert(new.clone(), Vec::new());
                self.operations.push(Operation::Create { mailbox: new });
            }
        }
    }

    /// A client names the UIDs that it was shown.
    fn after_look(&mut self, mailbox: String, operation: Operation) {
        self.operations.extend([Operation::Look { mailbox }, operation]);
    }

    fn letter(&mut self, mailbox: &str) -> Letter {
        self.next += 1;
        self.letters.entry(mailbox.to_owned()).or_default().push(self.next);
        self.next
    }

    fn forget(&mut self, mailbox: &str, letters: &[Letter]) {
        if let Some(there) = self.letters.get_mut(mailbox) {
            there.retain(|letter| !letters.contains(letter));
        }
    }

    fn some_mailbox(&mut self) -> String {
        let at = self.dice.throw(self.letters.len());
        self.letters.keys().nth(at).cloned().unwrap_or_default()
    }

    /// A few letters of a mailbox, or none.
    fn some(&mut self, mailbox: &str) -> Vec<Letter> {
        let there = self.letters.get(mailbox).cloned().unwrap_or_default();
        let from = self.dice.throw(there.len());
        let count = 1 + self.dice.throw(4);
        there.into_iter().skip(from).take(count).collect()
    }

    fn marks(&mut self) -> Marks {
        let system = [0, Flags::SEEN, Flags::SEEN | Flags::ANSWERED, Flags::FLAGGED];
        let mut keywords = Vec::new();
        if self.dice.throw(3) == 0 {
            keywords.push(KEYWORDS[self.dice.throw(KEYWORDS.len())].to_owned());
        }
        Marks { system: system[self.dice.throw(system.len())], keywords }
    }
}
