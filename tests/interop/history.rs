//! A user's random history. The same seed makes the same choices.

use std::fs;
use std::path::Path;

use super::imap::Imap;

/// A user and what happened to their mailboxes.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) user: String,
    /// Everything so far, for who has to find out what went wrong.
    pub(crate) steps: Vec<String>,
    random: u64,
    letters: u32,
    under_way: bool,
}

/// If a step ends the test, what went before it is told.
impl Drop for History {
    fn drop(&mut self) {
        if self.under_way && std::thread::panicking() {
            eprintln!("{}: {:#?}", self.user, self.steps);
        }
    }
}

const MAILBOXES: [&str; 6] = ["INBOX", "Sent", "Lists", "Lists/rust", "Lists/rust/old", "Work"];
const FLAGS: [&str; 5] = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"];
const KEYWORDS: [&str; 6] = ["$Forwarded", "$Junk", "NonJunk", "work", "$label1", "MixedCase"];

impl History {
    pub(crate) fn new(user: String, seed: u64) -> Self {
        Self { user, steps: Vec::new(), random: seed.max(1), letters: 0, under_way: false }
    }

    /// Most of the mailboxes are made.
    pub(crate) fn begin(&mut self, client: &mut Imap) {
        // Dovecot makes INBOX when somebody asks for it.
        client.ok("STATUS INBOX (MESSAGES)");
        for mailbox in MAILBOXES.iter().skip(1) {
            if self.below(4) > 0 {
                self.say(client, &format!("CREATE \"{mailbox}\""));
            }
        }
    }

    /// Something happens, mostly to messages.
    pub(crate) fn step(&mut self, client: &mut Imap, maildir: &Path) {
        self.under_way = true;
        match self.below(24) {
            0 => self.folders(client, "CREATE"),
            1 => self.folders(client, "DELETE"),
            2 => self.folders(client, "SUBSCRIBE"),
            3 => self.folders(client, "UNSUBSCRIBE"),
            4 => self.rename(client),
            5..10 => self.append(client),
            10..12 => self.deliver(maildir),
            _ => self.within(client),
        }
        self.under_way = false;
    }

    fn folders(&mut self, client: &mut Imap, command: &str) {
        let mailbox = self.mailbox();
        if mailbox != "INBOX" {
            self.say(client, &format!("{command} \"{mailbox}\""));
        }
    }

    fn rename(&mut self, client: &mut Imap) {
        let (from, to) = (self.mailbox(), self.mailbox());
        if from != "INBOX" && to != "INBOX" && !to.starts_with(from) && !from.starts_with(to) {
            self.say(client, &format!("RENAME \"{from}\" \"{to}\""));
        }
    }

    fn append(&mut self, client: &mut Imap) {
        let (mailbox, flags) = (self.mailbox(), self.flags());
        let date = match self.below(3) {
            0 => String::new(),
            day => format!(" \"{:2}-Feb-2024 10:11:12 +0000\"", day * 7),
        };
        let letter = self.letter("\r\n");
        let command = format!("APPEND \"{mailbox}\" ({flags}){date}");
        let done = client.literal(&command, letter.as_bytes());
        self.steps.push(format!("{command} letter {}: {}", self.letters, done.status));
    }

    /// As another program would, without a word to the server.
    fn deliver(&mut self, maildir: &Path) {
        let letter = self.letter("\n");
        let name = format!("{}.M{}P77.other", 1_770_000_000 + self.letters, self.letters);
        fs::write(maildir.join("tmp").join(&name), letter).expect("there is a Maildir");
        let (from, to) = (maildir.join("tmp").join(&name), maildir.join("new").join(&name));
        fs::rename(from, to).expect("there is a Maildir");
        self.steps.push(format!("delivery of letter {}", self.letters));
    }

    /// A few commands with a mailbox selected.
    fn within(&mut self, client: &mut Imap) {
        let mailbox = self.mailbox();
        self.say(client, &format!("SELECT \"{mailbox}\""));
        for _ in 0..1 + self.below(3) {
            let set = self.set();
            match self.below(6) {
                0 => self.say(client, "EXPUNGE"),
                1 => {
                    let target = self.mailbox();
                    self.say(client, &format!("UID COPY {set} \"{target}\""));
                }
                2 => {
                    let target = self.mailbox();
                    self.say(client, &format!("UID MOVE {set} \"{target}\""));
                }
                how => {
                    let sign = ["", "+", "-"].get(how as usize % 3).copied().unwrap_or_default();
                    let flags = self.flags();
                    self.say(client, &format!("UID STORE {set} {sign}FLAGS ({flags})"));
                }
            }
        }
        self.say(client, "UNSELECT");
    }

    /// Much of this may be refused, and the next view shows what that came to.
    fn say(&mut self, client: &mut Imap, command: &str) {
        let done = client.command(command);
        self.steps.push(format!("{command}: {}", done.status));
    }

    fn letter(&mut self, end: &str) -> String {
        self.letters += 1;
        let number = self.letters;
        let body = "A line of text.".to_owned() + end;
        let lines = self.below(9) as usize;
        format!("Subject: letter {number}{end}From: a@example.org{end}{end}{}", body.repeat(lines))
    }

    fn mailbox(&mut self) -> &'static str {
        let at = self.below(MAILBOXES.len() as u64 + 3) as usize;
        MAILBOXES.get(at).copied().unwrap_or("INBOX")
    }

    fn flags(&mut self) -> String {
        let bits = self.below(1 << 11) & self.below(1 << 11);
        let all = FLAGS.iter().chain(&KEYWORDS).enumerate();
        let chosen = all.filter(|(at, _)| bits & (1 << at) != 0);
        chosen.map(|(_, flag)| *flag).collect::<Vec<_>>().join(" ")
    }

    /// UIDs: numbers that no message has would be mistakes, of which a client may make only some.
    fn set(&mut self) -> String {
        match self.below(4) {
            0 => "1:*".to_owned(),
            1 => "*".to_owned(),
            _ => {
                let first = 1 + self.below(30);
                format!("{first}:{}", first + self.below(9))
            }
        }
    }

    /// xorshift64*: as random as a history needs.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}
