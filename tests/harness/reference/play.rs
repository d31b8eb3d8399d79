//! Playing a chat to an original: it goes on after what differs, for as long as anything comes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use super::reply::{Expected, Lines, Reply};
use super::{Inbox, Originals};
use crate::chat::{
    Act, Chat, Connection, Heard, Names, Protocol, Said, Traced, is_delivered, travelling_lines,
    written,
};
use crate::client::Client;

/// What came of a chat.
#[derive(Debug)]
pub enum Outcome {
    /// The original does the same.
    Same,
    /// It does not: the conversation, with `-` before what was expected and `+` before what came.
    Differs(String),
}

/// Plays a chat. The originals' mailboxes are as it wants them.
///
/// # Errors
/// Of the connection.
pub fn compare(chat: &Chat, protocol: Protocol, originals: &Originals) -> io::Result<Outcome> {
    let mut player = Player {
        protocol,
        originals,
        connections: BTreeMap::new(),
        names: Names::default(),
        body: String::new(),
        differs: false,
    };
    let mut acts = chat.acts.as_slice();
    while let Some((act, rest)) = acts.split_first() {
        acts = match heard_on(act) {
            Some(connection) => {
                let run = acts.iter().take_while(|act| heard_on(act) == Some(connection)).count();
                let (heard, rest) = acts.split_at(run);
                if !player.hear_all(connection, heard)? {
                    break;
                }
                rest
            }
            None if !player.act(act)? => break,
            None => rest,
        };
    }
    player.end()?;
    Ok(if player.differs { Outcome::Differs(player.body) } else { Outcome::Same })
}

struct Player<'a> {
    protocol: Protocol,
    originals: &'a Originals,
    /// `None` once it is closed.
    connections: BTreeMap<usize, Option<Client>>,
    names: Names,
    body: String,
    differs: bool,
}

impl Player<'_> {
    /// `false` when the chat cannot go on.
    fn act(&mut self, act: &Act) -> io::Result<bool> {
        match act {
            Act::Say { connection, said } => self.say(*connection, said)?,
            Act::Closed(connection) => return self.closed(*connection),
            Act::Gone(connection) => {
                self.connections.insert(*connection, None);
                self.note(" ", "-- gone");
            }
            Act::Tls(connection) => {
                let Some(client) = self.connection(*connection)? else { return Ok(false) };
                client.start_tls()?;
                self.note(" ", "-- tls");
            }
            Act::Delivered { user, name, traced } => self.delivered(user, name, *traced),
            // Time cannot be hurried, and what we do to our own site is not done to theirs: the chat
            // ends here, and was right so far.
            Act::Pass { .. } | Act::Befall(_) | Act::Shutdown => return Ok(false),
            Act::Remark(_)
            | Act::Hear { .. }
            | Act::HearInAnyOrder { .. }
            | Act::HearMail { .. } => {}
        }
        Ok(true)
    }

    fn say(&mut self, connection: usize, said: &[Said]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for said in said {
            bytes.extend(said.octets(self.protocol, &self.names));
            match said {
                Said::Line(line) => self.note(" ", &format!("C: {line}")),
                Said::Mail(name) => self.note(" ", &format!("C< {name}")),
            }
        }
        match self.connection(connection)? {
            Some(client) => client.say(&bytes),
            None => Ok(()),
        }
    }

    fn hear_all(&mut self, connection: usize, acts: &[Act]) -> io::Result<bool> {
        let mut expected = self.expected(acts);
        while let Some(reply) = Reply::expected(self.protocol, &mut expected) {
            let protocol = self.protocol;
            let Some(client) = self.connection(connection)? else { return Ok(false) };
            let mut wire = Wire { client, end: None };
            let heard = reply.heard(protocol, &mut wire)?;
            let end = wire.end;
            if heard.whole && reply.is_like(&heard, protocol, &mut self.names) {
                self.notes(" S:", &heard.lines);
                continue;
            }
            self.notes("-S:", &reply.lines);
            self.notes("+S:", &heard.lines);
            self.differs = true;
            match end {
                None => {}
                Some(Heard::Closed) => {
                    self.connections.insert(connection, None);
                    self.note("+", "-- closed");
                    return Ok(false);
                }
                Some(_) => {
                    self.note("+", "-- silence");
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn expected(&self, acts: &[Act]) -> Expected {
        let mut lines = Expected::new();
        for act in acts {
            match act {
                Act::Hear { line, .. } => lines.push_back(line.clone()),
                Act::HearInAnyOrder { lines: any, .. } => lines.extend(any.iter().cloned()),
                Act::HearMail { name, .. } => {
                    let mail = travelling_lines(name, self.protocol);
                    lines.extend(mail.iter().map(|line| written(line)));
                }
                _ => {}
            }
        }
        lines
    }

    fn closed(&mut self, connection: usize) -> io::Result<bool> {
        let Some(client) = self.connection(connection)? else { return Ok(true) };
        let heard = client.hear()?;
        match heard {
            Heard::Closed => {
                self.note(" ", "-- closed");
                self.connections.insert(connection, None);
                return Ok(true);
            }
            Heard::Silence => self.note("+", "-- silence"),
            Heard::Line(line) => self.note("+", &format!("S: {}", written(&line))),
        }
        self.note("-", "-- closed");
        self.differs = true;
        Ok(false)
    }

    fn delivered(&mut self, user: &str, name: &str, traced: Traced) {
        let words = traced.words();
        let same = |stored: &Vec<u8>| is_delivered(stored, user, name, traced);
        let inbox: Inbox = self.originals.inbox_when(user, &mut |inbox| inbox.iter().any(same));
        let there = inbox.iter().any(same);
        self.note(if there { " " } else { "-" }, &format!("-- delivered to {user}{words}: {name}"));
        if !there {
            self.differs = true;
            self.note("+", &format!("-- {} others in {user}'s INBOX", inbox.len()));
            for stored in inbox {
                self.note("+", &written(&stored));
            }
        }
    }

    /// `None` if it is closed.
    fn connection(&mut self, number: usize) -> io::Result<Option<&mut Client>> {
        if !self.connections.contains_key(&number) {
            let client = self.originals.connect(self.protocol)?;
            self.connections.insert(number, Some(client));
        }
        Ok(self.connections.get_mut(&number).and_then(Option::as_mut))
    }

    /// What is still said on open connections should not be.
    fn end(&mut self) -> io::Result<()> {
        for (_, client) in std::mem::take(&mut self.connections) {
            let Some(mut client) = client else { continue };
            for line in client.hang_up()? {
                self.differs = true;
                self.note("+", &format!("S: {}", written(&line)));
            }
        }
        Ok(())
    }

    fn notes(&mut self, sign: &str, lines: &[String]) {
        for line in lines {
            self.note(sign, line);
        }
    }

    fn note(&mut self, sign: &str, line: &str) {
        let short: String = line.chars().take(300).collect();
        writeln!(self.body, "{sign} {short}").expect("a string takes everything");
    }
}

/// On which connection something is heard.
fn heard_on(act: &Act) -> Option<usize> {
    match act {
        Act::Hear { connection, .. }
        | Act::HearInAnyOrder { connection, .. }
        | Act::HearMail { connection, .. } => Some(*connection),
        _ => None,
    }
}

/// What Dovecot says before its greeting where it took ten seconds to start its processes: that is
/// about the machine.
const STARTING: &[u8] = b"* OK Waiting for authentication process to respond..";

/// Lines of a connection, and how they ended.
struct Wire<'a> {
    client: &'a mut Client,
    end: Option<Heard>,
}

impl Lines for Wire<'_> {
    fn next_line(&mut self) -> io::Result<Option<String>> {
        loop {
            match self.client.hear()? {
                Heard::Line(line) if line.starts_with(STARTING) => {}
                Heard::Line(line) => return Ok(Some(written(&line))),
                end => {
                    self.end = Some(end);
                    return Ok(None);
                }
            }
        }
    }
}
