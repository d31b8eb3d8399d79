//! Playing a chat.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::slice;

use super::pattern::{Names, written};
use super::{
    Act, Chat, Connection, Heard, Protocol, Said, Traced, World, is_delivered, travelling_lines,
};

/// Says the client's lines to the world and returns the conversation that came of it: the chat's
/// own body if all was as expected. It ends at the first line that did not come, with `-- silence`,
/// `-- closed` or `-- broken: why` in its place; what the world said besides follows.
pub fn play(chat: &Chat, protocol: Protocol, world: &mut dyn World) -> String {
    let mut player = Player::new(protocol, world);
    for act in &chat.acts {
        match player.act(act) {
            Ok(()) => {}
            Err(Stop::InTime) => break,
            Err(Stop::At(what)) => {
                player.note(&what);
                break;
            }
        }
    }
    player.end();
    player.body
}

/// Says what a client says, and writes down the conversation.
pub(super) struct Player<'a> {
    protocol: Protocol,
    world: &'a mut dyn World,
    /// `None` once it is closed.
    connections: BTreeMap<usize, Option<Box<dyn Connection>>>,
    names: Names,
    /// The conversation so far.
    pub(super) body: String,
}

/// Why a chat does not go on.
pub(super) enum Stop {
    /// Time would have to pass, and cannot be hurried here: not a failure.
    InTime,
    /// This came instead of what was expected.
    At(String),
}

impl<'a> Player<'a> {
    pub(super) fn new(protocol: Protocol, world: &'a mut dyn World) -> Self {
        let (connections, names) = (BTreeMap::new(), Names::default());
        Self { protocol, world, connections, names, body: String::new() }
    }

    pub(super) fn act(&mut self, act: &Act) -> Result<(), Stop> {
        match act {
            Act::Remark(text) => self.note(text),
            Act::Say { connection, said } => self.say(*connection, said)?,
            Act::Hear { connection, line } => {
                let heard = self.line(*connection)?;
                let as_expected = self.names.matches(line, &heard);
                let shown = if as_expected { line } else { &heard };
                self.note_line(&format!("S{}:", number(*connection)), shown);
            }
            Act::HearInAnyOrder { connection, lines } => self.any_order(*connection, lines)?,
            Act::HearMail { connection, name } => self.mail(*connection, name)?,
            Act::Closed(connection) => {
                match self.hear(*connection)? {
                    Heard::Closed => self.note("-- closed"),
                    Heard::Silence => return Err(Stop::At("-- silence".to_owned())),
                    Heard::Line(line) => {
                        return Err(Stop::At(format!(
                            "S{}: {}",
                            number(*connection),
                            written(&line)
                        )));
                    }
                }
                self.connections.insert(*connection, None);
            }
            Act::Gone(connection) => {
                self.note("-- gone");
                self.connections.insert(*connection, None);
            }
            Act::Tls(connection) => {
                self.connection(*connection)?.start_tls().map_err(broken)?;
                self.note("-- tls");
            }
            Act::Pass { connection, span, text } => {
                if !self.connection(*connection)?.pass(*span) {
                    return Err(Stop::InTime);
                }
                self.note(&format!("-- {text} pass"));
            }
            Act::Delivered { user, name, traced } => self.delivered(user, name, *traced),
            Act::Befall(trouble) => {
                self.world.befall(trouble);
                self.note(&format!("-- {trouble}"));
            }
            Act::Shutdown => {
                self.world.shut_down();
                for connection in self.connections.values_mut().flatten() {
                    connection.shut_down();
                }
                self.note("-- shutdown");
            }
        }
        Ok(())
    }

    fn say(&mut self, connection: usize, said: &[Said]) -> Result<(), Stop> {
        let mut bytes = Vec::new();
        for said in said {
            bytes.extend(said.octets(self.protocol, &self.names));
            match said {
                Said::Line(line) => self.note_line(&format!("C{}:", number(connection)), line),
                Said::Mail(name) => self.note_line(&format!("C{}<", number(connection)), name),
            }
        }
        self.connection(connection)?.say(&bytes).map_err(broken)
    }

    fn any_order(&mut self, connection: usize, lines: &[String]) -> Result<(), Stop> {
        let sign = format!("S{}*", number(connection));
        let mut missing: Vec<&String> = lines.iter().collect();
        let mut others = Vec::new();
        let mut stop = None;
        for _ in lines {
            match self.line(connection) {
                Ok(heard) => match missing.iter().position(|l| self.names.matches(l, &heard)) {
                    Some(at) => drop(missing.remove(at)),
                    None => others.push(heard),
                },
                Err(why) => {
                    stop = Some(why);
                    break;
                }
            }
        }
        for line in lines {
            if !missing.iter().any(|absent| std::ptr::eq(*absent, line)) {
                self.note_line(&sign, line.strip_prefix("* ").unwrap_or(line));
            }
        }
        for line in others {
            self.note_line(&format!("S{}:", number(connection)), &line);
        }
        stop.map_or(Ok(()), Err)
    }

    /// A message is heard line by line, so that a difference is shown where it is.
    fn mail(&mut self, connection: usize, name: &str) -> Result<(), Stop> {
        let mut heard = Vec::new();
        for expected in travelling_lines(name, self.protocol) {
            match self.hear(connection)? {
                Heard::Line(line) if line == expected => heard.push(line),
                other => {
                    for line in heard {
                        self.note_line(&format!("S{}:", number(connection)), &written(&line));
                    }
                    return Err(Stop::At(self.shown(connection, other)));
                }
            }
        }
        self.note_mail(connection, name);
        Ok(())
    }

    fn delivered(&mut self, user: &str, name: &str, traced: Traced) {
        let words = traced.words();
        let same = |stored: &Vec<u8>| is_delivered(stored, user, name, traced);
        match self.world.inbox(user, &mut |inbox| inbox.iter().any(same)) {
            Some(inbox) if !inbox.iter().any(same) => {
                self.note(&format!("-- not delivered to {user}{words}: {name}; INBOX has:"));
                for stored in inbox {
                    self.note(&written(&stored));
                }
            }
            Some(_) | None => self.note(&format!("-- delivered to {user}{words}: {name}")),
        }
    }

    /// The next line, as it would be written in a chat.
    fn line(&mut self, connection: usize) -> Result<String, Stop> {
        match self.hear(connection)? {
            Heard::Line(line) => Ok(written(&line)),
            other => Err(Stop::At(self.shown(connection, other))),
        }
    }

    fn shown(&mut self, connection: usize, heard: Heard) -> String {
        match heard {
            Heard::Line(line) => format!("S{}: {}", number(connection), written(&line)),
            Heard::Silence => "-- silence".to_owned(),
            Heard::Closed => {
                self.connections.insert(connection, None);
                "-- closed".to_owned()
            }
        }
    }

    pub(super) fn hear(&mut self, connection: usize) -> Result<Heard, Stop> {
        self.connection(connection)?.hear().map_err(broken)
    }

    fn connection(&mut self, number: usize) -> Result<&mut Box<dyn Connection>, Stop> {
        let world = &mut *self.world;
        let connection = self.connections.entry(number).or_insert_with(|| Some(world.connect()));
        connection.as_mut().ok_or_else(|| Stop::At("-- closed already".to_owned()))
    }

    /// Hears what is still said on open connections: nothing may be.
    pub(super) fn end(&mut self) {
        for (connection, open) in std::mem::take(&mut self.connections) {
            let Some(mut open) = open else { continue };
            match open.hang_up() {
                Ok(lines) => {
                    for line in lines {
                        self.note_line(&format!("S{}:", number(connection)), &written(&line));
                    }
                }
                Err(error) => self.note(&format!("-- broken: {error}")),
            }
        }
    }

    /// Notes a line that was heard, as one of these acts expects it if one does.
    pub(super) fn note_heard(&mut self, connection: usize, heard: &[u8], acts: &[Act]) {
        let heard = written(heard);
        for act in acts {
            let (sign, lines) = match act {
                Act::Hear { connection: on, line } if *on == connection => {
                    (':', slice::from_ref(line))
                }
                Act::HearInAnyOrder { connection: on, lines } if *on == connection => {
                    ('*', lines.as_slice())
                }
                _ => continue,
            };
            if let Some(line) = lines.iter().find(|line| self.names.matches(line, &heard)) {
                let line = if sign == '*' { line.strip_prefix("* ") } else { Some(&**line) };
                let sign = format!("S{}{sign}", number(connection));
                return self.note_line(&sign, line.unwrap_or_default());
            }
        }
        self.note_line(&format!("S{}:", number(connection)), &heard);
    }

    /// Notes that a message was heard.
    pub(super) fn note_mail(&mut self, connection: usize, name: &str) {
        self.note_line(&format!("S{}<", number(connection)), name);
    }

    /// Notes that the server hung up.
    pub(super) fn close(&mut self, connection: usize) {
        self.note("-- closed");
        self.connections.insert(connection, None);
    }

    fn note_line(&mut self, sign: &str, line: &str) {
        if line.is_empty() {
            self.note(sign);
        } else {
            self.note(&format!("{sign} {line}"));
        }
    }

    fn note(&mut self, line: &str) {
        writeln!(self.body, "{line}").expect("a string takes everything");
    }
}

fn number(connection: usize) -> String {
    if connection == 1 { String::new() } else { connection.to_string() }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn broken(error: std::io::Error) -> Stop {
    Stop::At(format!("-- broken: {error}"))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use mail_common::serve::Backend;
    use mail_proto::{Ended, Secured, Session, Step};

    use super::*;
    use crate::pure::{Joined, Pure};
    use crate::trouble::Trouble;

    /// Says every line again, in what `Upper` makes of it; knows `TLS`, `BOTH` and `QUIT`.
    #[derive(Default)]
    struct Echo {
        input: Vec<u8>,
        say: Vec<String>,
        greeted: bool,
        over: bool,
    }

    struct Upper;

    impl Backend<Echo> for Upper {
        async fn perform(&mut self, request: String) -> String {
            request.to_uppercase()
        }
    }

    impl Session for Echo {
        type Request = String;
        type Answer = String;

        fn receive(&mut self, bytes: &[u8]) {
            self.input.extend_from_slice(bytes);
        }
        fn answer(&mut self, answer: String) {
            match answer.as_str() {
                "BOTH" => self.say.extend(["* 1 A".to_owned(), "* 2 B".to_owned()]),
                "QUIT" => self.over = true,
                _ => {}
            }
            self.say.push(answer);
        }
        fn step(&mut self, out: &mut Vec<u8>) -> Step<String> {
            if !std::mem::replace(&mut self.greeted, true) {
                out.extend_from_slice(b"hello 17\r\n");
            }
            for line in self.say.drain(..) {
                out.extend_from_slice(format!("{line}\r\n").as_bytes());
            }
            if self.over {
                return Step::Close;
            }
            let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") else {
                return Step::Read;
            };
            let line: Vec<u8> = self.input.drain(..end + 2).take(end).collect();
            if line == b"tls" {
                self.input.clear();
                return Step::StartTls;
            }
            Step::Ask(String::from_utf8_lossy(&line).into_owned())
        }
        fn patience(&self) -> Duration {
            Duration::from_secs(60)
        }
        fn secured(&mut self, _tls: Secured) {
            self.say.push("secured".into());
        }
        fn end(&mut self, _why: Ended) {
            self.over = true;
            self.say.push("ended".into());
        }
    }

    struct Echoes(usize);

    impl World for Echoes {
        fn connect(&mut self) -> Box<dyn Connection> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let joined = Joined {
                session: Echo::default(),
                backend: Upper,
                runtime: Rc::new(runtime.expect("a runtime")),
                then: None,
            };
            Box::new(Pure::new(Box::new(joined), self.0))
        }

        fn inbox(
            &mut self,
            _user: &str,
            _enough: &mut dyn FnMut(&[Vec<u8>]) -> bool,
        ) -> Option<Vec<Vec<u8>>> {
            None
        }

        fn befall(&mut self, _trouble: &Trouble) {}

        fn shut_down(&mut self) {}
    }

    fn played(body: &str, piece: usize) -> String {
        let chat = Chat::parse(&format!("# A test.\n\n{body}")).expect("is a chat");
        play(&chat, Protocol::Smtp, &mut Echoes(piece))
    }

    #[test]
    fn what_is_as_written_comes_back_as_written() {
        let body = "S: hello <n>\nC: both\nC: n is <n>\nS* 2 B\nS* 1 A\nS: BOTH\nS: N IS <n>\n\n\
            # Another one.\nC2: a<3*b>\nS2: hello 17\nS2: ABBB\nC: tls\nC: lost\n-- tls\n\
            S: secured\n-- 1s pass\n-- 5m pass\nS: ended\n-- closed\n";
        for piece in [1, 7, usize::MAX] {
            assert_eq!(played(body, piece), body);
        }
    }

    #[test]
    fn all_connections_hear_of_a_shutdown() {
        let body = "S: hello <n>\nC2: x\nS2: hello <n>\nS2: X\n-- the passwd-file cannot be read\n\
            -- shutdown\nS: ended\n-- closed\nS2: ended\n-- closed\n";
        assert_eq!(played(body, 7), body);
    }

    #[test]
    fn what_differs_is_shown_where_it_is() {
        let table = [
            ("S: hi\nC: x\nS: X\n", "S: hello 17\nC: x\nS: X\n"),
            ("S: hello 17\nC: x\nC: y\nS: X\n", "S: hello 17\nC: x\nC: y\nS: X\nS: Y\n"),
            ("S: hello 17\nS: more\nC: x\n", "S: hello 17\n-- silence\n"),
            ("S: hello 17\nC: quit\nS: QUIT\nS: X\n", "S: hello 17\nC: quit\nS: QUIT\n-- closed\n"),
            ("S: hello 17\n-- closed\n", "S: hello 17\n-- silence\n"),
            (
                "S: hello 17\nC: both\nS* 3 C\nS* 1 A\nS: BOTH\n",
                "S: hello 17\nC: both\nS* 1 A\nS: * 2 B\nS: BOTH\n",
            ),
            ("S: hello 17\nC: x\nS* 1 A\n", "S: hello 17\nC: x\nS: X\n"),
        ];
        for (body, expected) in table {
            assert_eq!(played(body, 7), expected, "{body}");
        }
    }
}
