//! The authenticated and selected states: over a user's mailboxes.
//!
//! Each command has its file: one function that begins it, and one for each answer that it waits
//! for. [`Server::run`] and [`Server::resume`] list them all.

mod append;
mod capability;
mod close;
mod copy;
mod create;
mod delete;
mod expunge;
mod fetch;
mod idle;
mod list;
mod logout;
mod lsub;
mod namespace;
mod news;
mod noop;
mod pattern;
mod rename;
mod search;
mod select;
mod status;
mod store;
mod subscribe;
mod waiting;

use std::time::Duration;

use append::Appending;
use waiting::Waiting;

use super::reply::{self, Mistakes};
use super::syntax::framing::{Commands, Framed};
use super::syntax::{self, Command, List, Refusal, State, StatusItem};
use super::view::{Telling, View};
use super::{Answer, Failure, Progress, Request, Setup};
use crate::mailbox::{FlagChange, Snapshot};
use crate::{Ended, Secured, Session, Step};

/// A connection that has logged in.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    commands: Commands,
    mistakes: Mistakes,
    /// The selected mailbox.
    view: Option<Box<View>>,
    phase: Phase,
    answer: Option<Answer>,
}

#[derive(Debug)]
enum Phase {
    /// Commands are read.
    Commands,
    /// The message of an APPEND is read.
    Appending(Box<Appending>),
    /// DONE is awaited.
    Idling { tag: String },
    /// An answer is awaited, and this goes on with it.
    Waiting(Box<Waiting>),
    /// Goodbye must be said.
    Ending(Ended),
    /// All was said.
    Closed,
}

/// What comes next.
enum Turn {
    Ask(Request),
    Read,
    Again,
}

impl Server {
    /// Goes on where [`super::Login`] ended, with what the client sent besides.
    #[must_use]
    pub fn new(setup: Setup, unread: &[u8]) -> Self {
        Self {
            setup,
            commands: Commands::new(unread),
            mistakes: Mistakes::default(),
            view: None,
            phase: Phase::Commands,
            answer: None,
        }
    }

    fn turn(&mut self, out: &mut Vec<u8>) -> Turn {
        if let Some(answer) = self.answer.take() {
            return self.answered(answer, out);
        }
        match std::mem::replace(&mut self.phase, Phase::Commands) {
            Phase::Commands => self.command(out),
            Phase::Appending(appending) => self.append_octets(appending),
            Phase::Idling { tag } => self.idling(tag, out),
            phase @ (Phase::Waiting(_) | Phase::Ending(_) | Phase::Closed) => {
                self.phase = phase;
                Turn::Read
            }
        }
    }

    /// Reads one command.
    fn command(&mut self, out: &mut Vec<u8>) -> Turn {
        match self.commands.next(self.setup.limits.command) {
            Framed::Partial => Turn::Read,
            Framed::Announced(literal) => {
                if syntax::announces_message(self.commands.bytes()) {
                    return self.announced(literal);
                }
                let fits = self.commands.gather(literal, self.setup.limits.command);
                if fits && literal.synchronizing {
                    out.extend_from_slice(b"+ OK\r\n");
                }
                Turn::Again
            }
            Framed::Refused(refused) => {
                let turn = self.refuse(&refused.tag, refused.why, 0, out);
                self.mistakes.forgive(refused.unasked.min(self.setup.limits.message_size));
                turn
            }
            Framed::Command => {
                let octets = self.commands.bytes().len() + 2;
                let (tag, command) = self.parse();
                self.commands.done();
                match command {
                    Ok(command) => {
                        self.mistakes.end_row();
                        self.run(tag, command, out)
                    }
                    Err(refusal) => self.refuse(&tag, refusal, octets, out),
                }
            }
        }
    }

    fn parse(&self) -> syntax::Tagged {
        let state = match &self.view {
            Some(view) => State::Selected(&view.shown),
            None => State::Authenticated,
        };
        syntax::parse(self.commands.bytes(), state, &self.setup)
    }

    fn refuse(&mut self, tag: &str, why: Refusal, octets: usize, out: &mut Vec<u8>) -> Turn {
        reply::refusal(out, tag, why);
        if matches!(why, Refusal::Bad(_)) && self.mistakes.count(octets, self.setup.limits.errors) {
            return self.bye("BYE Too many errors", out);
        }
        Turn::Again
    }

    fn run(&mut self, tag: String, command: Command, out: &mut Vec<u8>) -> Turn {
        match command {
            Command::Capability => self.capability(tag, out),
            Command::Noop => self.noop(tag, "OK NOOP completed.", out),
            Command::Check => self.noop(tag, "OK Check completed.", out),
            Command::Logout => self.logout(&tag, out),
            Command::Id => {
                reply::id(out, &tag);
                Turn::Again
            }
            Command::Enable => {
                // RFC 5161, 3.1: nothing that we have needs to be enabled.
                reply::untagged(out, "ENABLED");
                self.finish(tag, "OK Enabled.", Telling::ALL, out)
            }
            Command::Namespace => self.namespace(tag, out),
            Command::Select { mailbox, read_only } => self.select(tag, mailbox, read_only),
            Command::Create(mailbox) => self.create(tag, mailbox),
            Command::Delete(mailbox) => self.delete(tag, mailbox),
            Command::Rename { from, to } => self.rename(tag, from, to),
            Command::Subscribe { mailbox, subscribed } => self.subscribe(tag, mailbox, subscribed),
            Command::List(list) => self.list(tag, list, out),
            Command::Lsub(list) => self.lsub(tag, list),
            Command::Status { mailbox, items } => self.status(tag, mailbox, items),
            Command::Idle => self.idle(tag, out),
            Command::Close => self.close(tag),
            Command::Unselect => self.unselect(tag),
            Command::Expunge(positions) => self.expunge(tag, positions.as_deref(), out),
            Command::Search { numbering, key } => self.search(tag, numbering, key),
            Command::Fetch { numbering, positions, items } => {
                self.fetch(tag, numbering, positions, items, out)
            }
            Command::Store { numbering, positions, change, silent } => {
                self.store(tag, numbering, positions, change, silent, out)
            }
            Command::Copy { positions, mailbox, moving } => {
                self.copy(tag, &positions, mailbox, moving, out)
            }
            // An APPEND without a literal never becomes a command, and the rest is Login's.
            Command::Append(_)
            | Command::StartTls
            | Command::Login(_)
            | Command::Authenticate { .. } => {
                self.refuse(&tag, Refusal::Bad("Not allowed now"), 0, out)
            }
        }
    }

    fn answered(&mut self, answer: Answer, out: &mut Vec<u8>) -> Turn {
        match std::mem::replace(&mut self.phase, Phase::Commands) {
            Phase::Waiting(waiting) => self.resume(*waiting, answer, out),
            Phase::Idling { tag } => self.ask(Waiting::Idle { tag }, Request::Listen),
            phase => {
                self.phase = phase;
                Turn::Again
            }
        }
    }

    fn ask(&mut self, waiting: Waiting, request: Request) -> Turn {
        self.phase = Phase::Waiting(Box::new(waiting));
        Turn::Ask(request)
    }

    /// To CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.
    fn changed(
        &mut self,
        tag: String,
        done: &'static str,
        result: Result<(), Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let done = result.map_or_else(reply::failure, |()| done);
        self.finish(tag, done, Telling::ALL, out)
    }

    fn bye(&mut self, text: &str, out: &mut Vec<u8>) -> Turn {
        reply::untagged(out, text);
        self.phase = Phase::Closed;
        Turn::Again
    }
}

impl Session for Server {
    type Request = Request;
    type Answer = Answer;

    fn receive(&mut self, bytes: &[u8]) {
        self.commands.receive(bytes);
    }

    fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Step<Request> {
        loop {
            match self.phase {
                Phase::Closed => return Step::Close,
                Phase::Ending(why) => {
                    reply::goodbye(out, why);
                    self.phase = Phase::Closed;
                    continue;
                }
                _ => {}
            }
            match self.turn(out) {
                Turn::Ask(request) => return Step::Ask(request),
                Turn::Again => {}
                Turn::Read => {
                    self.commands.compact();
                    return Step::Read;
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        self.setup.limits.patience
    }

    fn listens(&self) -> bool {
        self.view.is_some() && matches!(self.phase, Phase::Idling { .. })
    }

    fn secured(&mut self, _tls: Secured) {
        unreachable!("STARTTLS is refused after login")
    }

    fn end(&mut self, why: Ended) {
        self.phase = Phase::Ending(why);
    }
}
