//! Reading a chat.

use std::time::Duration;

use super::{Act, Chat, Heading, Said, Traced};
use crate::trouble::Trouble;

impl Chat {
    /// Reads a chat.
    ///
    /// # Errors
    /// `3: what is wrong`, with the number of the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (head, body) = text.split_once("\n\n").ok_or("1: no empty line after the heading")?;
        let mut heading = Heading::default();
        for (number, line) in head.lines().enumerate() {
            heading.take(line).map_err(|what| format!("{}: {what}", number + 1))?;
        }
        if heading.about.is_empty() {
            return Err("1: no `# ...` says what this proves".to_owned());
        }
        let first = head.lines().count() + 2;
        let mut acts = Acts { acts: Vec::new(), connection: 1 };
        for (number, line) in body.lines().enumerate() {
            acts.take(line).map_err(|what| format!("{}: {what}", first + number))?;
        }
        // An empty line said or heard is written without the space that nobody sees.
        let trimmed = |line: &str| match line.strip_suffix(": ") {
            Some(sign) if sign.len() <= 3 => format!("{sign}:\n"),
            _ => format!("{line}\n"),
        };
        if acts.acts.contains(&Act::Befall(Trouble::DiskFull)) && !heading.small_disk {
            return Err("1: `-- the disk is full` needs the heading `disk: small`".to_owned());
        }
        Ok(Self { heading, body: body.lines().map(trimmed).collect(), acts: acts.acts })
    }
}

impl Heading {
    fn take(&mut self, line: &str) -> Result<(), String> {
        if let Some(about) = line.strip_prefix('#') {
            self.about.push(about.trim().to_owned());
            return Ok(());
        }
        let (key, value) = line.split_once(": ").ok_or("neither `# ...` nor `key: value`")?;
        match key {
            "with" => {
                let (user, names) =
                    value.split_once(" has ").ok_or("write `with: ann has plain, 8bit`")?;
                let names = names.split(',').map(|name| name.trim().to_owned()).collect();
                self.with.push((user.to_owned(), names));
            }
            "config" => self.config.push(value.to_owned()),
            "needs" => self.needs.extend(value.split_whitespace().map(str::to_owned)),
            "pieces" if value == "all" => self.one_piece = true,
            "disk" if value == "small" => self.small_disk = true,
            "without" if value == "tls" => self.without_tls = true,
            "pieces" | "disk" | "without" => {
                return Err(format!(
                    "{key:?} can only be `pieces: all`, `disk: small`, `without: tls`"
                ));
            }
            "reference" if value == "same" || value.starts_with("differs, because ") => {
                self.reference = Some(value.to_owned());
            }
            "reference" => return Err("write `reference: differs, because ...`".to_owned()),
            _ => return Err(format!("no heading is called {key:?}")),
        }
        Ok(())
    }
}

struct Acts {
    acts: Vec<Act>,
    /// The connection last spoken of: what is not a line is about that one.
    connection: usize,
}

impl Acts {
    fn take(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            self.acts.push(Act::Remark(line.to_owned()));
            return Ok(());
        }
        if let Some(event) = line.strip_prefix("-- ") {
            let act = self.event(event)?;
            self.acts.push(act);
            return Ok(());
        }
        let wrong = || format!("neither a line said or heard nor an event: {line:?}");
        let who = line.chars().next().ok_or_else(wrong)?;
        let rest = line.get(who.len_utf8()..).ok_or_else(wrong)?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (digits, rest) = rest.split_at(digits);
        self.connection =
            if digits.is_empty() { 1 } else { digits.parse().map_err(|_| wrong())? };
        let how = rest.chars().next().ok_or_else(wrong)?;
        let text = rest.get(how.len_utf8()..).ok_or_else(wrong)?;
        let text = text.strip_prefix(' ').unwrap_or(text).to_owned();
        match (who, how) {
            ('C', ':') => self.say(Said::Line(text)),
            ('C', '<') => self.say(Said::Mail(text)),
            ('S', ':') => self.acts.push(Act::Hear { connection: self.connection, line: text }),
            ('S', '<') => self.acts.push(Act::HearMail { connection: self.connection, name: text }),
            ('S', '*') => self.hear_in_any_order(format!("* {text}")),
            _ => return Err(wrong()),
        }
        Ok(())
    }

    fn say(&mut self, what: Said) {
        match self.acts.last_mut() {
            Some(Act::Say { connection, said }) if *connection == self.connection => {
                said.push(what);
            }
            _ => self.acts.push(Act::Say { connection: self.connection, said: vec![what] }),
        }
    }

    fn hear_in_any_order(&mut self, line: String) {
        match self.acts.last_mut() {
            Some(Act::HearInAnyOrder { connection, lines }) if *connection == self.connection => {
                lines.push(line);
            }
            _ => {
                let lines = vec![line];
                self.acts.push(Act::HearInAnyOrder { connection: self.connection, lines });
            }
        }
    }

    fn event(&self, event: &str) -> Result<Act, String> {
        let connection = self.connection;
        if let Some(delivered) = event.strip_prefix("delivered to ") {
            let (user, name) =
                delivered.split_once(": ").ok_or("write `-- delivered to ann: plain`")?;
            let with = |(words, traced)| user.strip_suffix(words).map(|user| (user, traced));
            let (user, traced) =
                Traced::WORDS.into_iter().find_map(with).unwrap_or((user, Traced::Somehow));
            return Ok(Act::Delivered { user: user.to_owned(), name: name.to_owned(), traced });
        }
        if let Some(text) = event.strip_suffix(" pass") {
            let span = span(text).ok_or_else(|| format!("{text:?} is no span: 30s, 5m, 2h"))?;
            return Ok(Act::Pass { connection, span, text: text.to_owned() });
        }
        match event {
            "closed" => Ok(Act::Closed(connection)),
            "gone" => Ok(Act::Gone(connection)),
            "tls" => Ok(Act::Tls(connection)),
            "shutdown" => Ok(Act::Shutdown),
            _ => Trouble::called(event)
                .map(Act::Befall)
                .ok_or_else(|| format!("no such event: {event:?}")),
        }
    }
}

fn span(text: &str) -> Option<Duration> {
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some(Duration::from_secs(count.parse::<u64>().ok()? * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_read() {
        let delivered =
            |traced| Act::Delivered { user: "ann".into(), name: "plain".into(), traced };
        let chat = Chat::parse(
            "# One.\n# Two.\nwith: ann has plain, 8bit\nconfig: limits.recipients = 2\n\n\
             C: a NOOP\nC< plain\nC2: b NOOP\nS* 1 EXISTS\nS* 0 RECENT\nS2: b OK\n-- closed\n\
             -- 30m pass\n-- delivered to ann: plain\n-- delivered to ann alone: plain\n\
             -- bob's messages are gone\n-- shutdown\n",
        )
        .expect("is a chat");
        assert!(chat.body.starts_with("C: a NOOP\n"));
        assert_eq!(chat.heading.about, ["One.", "Two."]);
        assert_eq!(chat.heading.with, [("ann".into(), vec!["plain".into(), "8bit".into()])]);
        assert_eq!(
            chat.acts,
            [
                Act::Say {
                    connection: 1,
                    said: vec![Said::Line("a NOOP".into()), Said::Mail("plain".into())]
                },
                Act::Say { connection: 2, said: vec![Said::Line("b NOOP".into())] },
                Act::HearInAnyOrder {
                    connection: 1,
                    lines: vec!["* 1 EXISTS".into(), "* 0 RECENT".into()]
                },
                Act::Hear { connection: 2, line: "b OK".into() },
                Act::Closed(2),
                Act::Pass { connection: 2, span: Duration::from_secs(1800), text: "30m".into() },
                delivered(Traced::Somehow),
                delivered(Traced::Alone),
                Act::Befall(Trouble::MessagesGone("bob".into())),
                Act::Shutdown,
            ]
        );
    }

    #[test]
    fn mistakes_name_their_line() {
        let table = [
            ("# A.\nC: x\n", "1: no empty line"),
            ("with: ann has x\n\nC: x\n", "1: no `# ...`"),
            ("# A.\nwith: ann\n\nC: x\n", "2: write `with:"),
            ("# A.\nreference: other\n\nC: x\n", "2: write `reference:"),
            ("# A.\n\nC: x\nX: y\n", "4: neither"),
            ("# A.\n\n-- exploded\n", "3: no such event"),
            ("# A.\n\n-- the disk is full\n", "1: `-- the disk is full` needs"),
            ("# A.\ndisk: large\n\nC: x\n", "2: \"disk\" can only be"),
            ("# A.\n\n-- 5 pass\n", "3: \"5\" is no span"),
        ];
        for (text, expected) in table {
            let error = Chat::parse(text).expect_err(text);
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }
}
