//! A protocol for tests: says every line again, and a few lines are orders.

use std::time::Duration;

use mail_common::serve::Backend;
use mail_proto::{Ended, Secured, Session, Step};

/// `tls`, `quit`, `done`, `listen`, `big N` (so many octets), `ask X` (the backend answers);
/// whatever else comes is said again.
#[derive(Debug)]
pub(crate) struct Echo {
    input: Vec<u8>,
    state: State,
    pub(crate) patience: Duration,
}

#[derive(Debug, PartialEq)]
enum State {
    Greeting,
    Talking,
    Asked,
    Handshake,
    Listening,
    Saying(&'static str),
    Ending,
}

impl Echo {
    pub(crate) fn new() -> Self {
        let patience = Duration::from_secs(60);
        Self { input: Vec::new(), state: State::Greeting, patience }
    }

    fn line(&mut self) -> Option<String> {
        let end = self.input.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.input.drain(..=end).collect();
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn obey(&mut self, line: &str, out: &mut Vec<u8>) -> Option<Step<String>> {
        self.state = State::Talking;
        match line.split_once(' ').unwrap_or((line, "")) {
            ("tls", "") => {
                self.state = State::Handshake;
                out.extend_from_slice(b"go\n");
                return Some(Step::StartTls);
            }
            ("quit", "") => self.state = State::Saying("bye\n"),
            ("done", "") => return Some(Step::Done),
            ("listen", "") => self.state = State::Listening,
            ("ask", question) => {
                self.state = State::Asked;
                return Some(Step::Ask(question.to_owned()));
            }
            ("big", size) => {
                out.resize(out.len() + size.parse::<usize>().expect("a number"), b'x');
                out.push(b'\n');
            }
            _ => out.extend_from_slice(format!("{line}\n").as_bytes()),
        }
        None
    }
}

impl Session for Echo {
    type Request = String;
    type Answer = String;

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    fn answer(&mut self, answer: String) {
        self.input.splice(0..0, format!("{answer}\n").into_bytes());
        if self.state == State::Asked {
            self.state = State::Talking;
        }
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Step<String> {
        loop {
            match self.state {
                State::Greeting => {
                    out.extend_from_slice(b"hello\n");
                    self.state = State::Talking;
                }
                State::Saying(words) => {
                    out.extend_from_slice(words.as_bytes());
                    self.state = State::Ending;
                }
                State::Ending => return Step::Close,
                State::Talking | State::Listening | State::Asked | State::Handshake => {
                    let listening = self.state == State::Listening;
                    let Some(line) = self.line() else {
                        return Step::Read;
                    };
                    if let Some(step) = self.obey(&line, out) {
                        return step;
                    }
                    if listening && self.state == State::Talking {
                        self.state = State::Listening;
                    }
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn listens(&self) -> bool {
        self.state == State::Listening
    }

    fn secured(&mut self, tls: Secured) {
        assert_eq!(self.state, State::Handshake);
        self.state = State::Talking;
        self.input = format!("{} {}\n", tls.version, tls.cipher).into_bytes();
    }

    fn end(&mut self, why: Ended) {
        self.state = State::Saying(match why {
            Ended::Timeout => "timeout\n",
            Ended::Shutdown => "shutdown\n",
        });
    }
}

/// Answers what it was asked; `panic` panics and `hang` never ends.
#[derive(Debug)]
pub(crate) struct Mirror;

impl Backend<Echo> for Mirror {
    async fn perform(&mut self, question: String) -> String {
        match question.as_str() {
            "panic" => panic!("as the test wants it"),
            "hang" => {
                tracing::info!("hangs");
                std::future::pending().await
            }
            _ => question.chars().rev().collect(),
        }
    }
}
