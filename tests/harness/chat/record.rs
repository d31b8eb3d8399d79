//! Writing a chat from what comes: the client's lines are given, the server's are heard.

use std::collections::BTreeSet;

use super::play::Player;
use super::{Act, Chat, Heard, Protocol, World, message, stuffed};

/// Says the client's lines to the world and writes down all that it answers. A line that the chat
/// has already keeps its `<names>`, and its `S*` or `S<`.
pub fn record(chat: &Chat, protocol: Protocol, world: &mut dyn World) -> String {
    let mut recorder =
        Recorder { chat, protocol, player: Player::new(protocol, world), begun: BTreeSet::new() };
    for act in &chat.acts {
        recorder.act(act);
    }
    recorder.player.end();
    recorder.player.body
}

struct Recorder<'a> {
    chat: &'a Chat,
    protocol: Protocol,
    player: Player<'a>,
    /// The connections that were greeted.
    begun: BTreeSet<usize>,
}

impl Recorder<'_> {
    fn act(&mut self, act: &Act) {
        let connection = match act {
            Act::Say { connection, .. }
            | Act::Hear { connection, .. }
            | Act::HearInAnyOrder { connection, .. }
            | Act::HearMail { connection, .. }
            | Act::Closed(connection)
            | Act::Gone(connection)
            | Act::Tls(connection)
            | Act::Pass { connection, .. } => *connection,
            Act::Remark(_) | Act::Delivered { .. } | Act::Befall(_) | Act::Shutdown => {
                let _ = self.player.act(act);
                return;
            }
        };
        if self.begun.insert(connection) {
            self.hear_all(connection);
        }
        match act {
            // What was to be heard was heard when it was said, but for news.
            Act::Hear { .. } | Act::HearInAnyOrder { .. } | Act::HearMail { .. } => {}
            Act::Closed(_) => return,
            spoken => drop(self.player.act(spoken)),
        }
        self.hear_all(connection);
    }

    /// Hears until there is silence.
    fn hear_all(&mut self, connection: usize) {
        let mut lines = Vec::new();
        let closed = loop {
            match self.player.hear(connection) {
                Ok(Heard::Line(line)) => lines.push(line),
                Ok(Heard::Closed) => break true,
                Ok(Heard::Silence) | Err(_) => break false,
            }
        };
        let mut left = lines.as_slice();
        while let Some(after) = self.note(connection, left) {
            left = after;
        }
        if closed {
            self.player.close(connection);
        }
    }

    /// Notes the first of these lines, or the message that they begin with; what is left.
    fn note<'l>(&mut self, connection: usize, lines: &'l [Vec<u8>]) -> Option<&'l [Vec<u8>]> {
        let (first, after) = lines.split_first()?;
        for act in &self.chat.acts {
            if let Act::HearMail { connection: on, name } = act
                && *on == connection
                && let Some(rest) = self.behind_mail(name, lines)
            {
                self.player.note_mail(connection, name);
                return Some(rest);
            }
        }
        self.player.note_heard(connection, first, &self.chat.acts);
        Some(after)
    }

    /// What is left of lines that begin with a message; `None` if they do not.
    fn behind_mail<'l>(&self, name: &str, lines: &'l [Vec<u8>]) -> Option<&'l [Vec<u8>]> {
        let mail = message(name);
        let mail = if self.protocol == Protocol::Imap { mail } else { stuffed(&mail) };
        let mail = mail.strip_suffix(b"\r\n").unwrap_or(&mail);
        let count = mail.windows(2).filter(|pair| pair == b"\r\n").count() + 1;
        let (first, rest) = lines.split_at_checked(count)?;
        (first.join(&b"\r\n"[..]) == mail).then_some(rest)
    }
}
