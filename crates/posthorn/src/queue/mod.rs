//! `posthorn queue`: what is in the queue, and what an admin does with it. `mailq` too.
//!
//! mtad answers, over its control socket; while it is down, the same code does the same here.

mod change;
mod connection;
mod form;
mod list;
mod output;
mod selection;
mod show;
mod summary;
mod trace;
mod transfer;

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use mail_common::config::{Level, Site};
use mail_common::log;
use mail_spool::admin::protocol::Answer;
use mail_spool::admin::{Action, Filter, Glob};

use crate::failure::Failure;
use crate::site_file::SiteFile;
use crate::words::plural;
use change::Sure;
use connection::Connection;
use output::Output;
use selection::Selection;

/// What `posthorn queue` can be told.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteFile,
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show messages, the oldest first, each on a line
    List(Selection),
    /// Show how many messages wait, for whom, why, and for how many minutes
    Summary {
        #[command(flatten)]
        which: Selection,
        /// So many destinations, reasons and senders
        #[arg(long, value_name = "COUNT", default_value_t = 10)]
        top: usize,
    },
    /// Show all that is known of messages
    Show {
        /// Messages with these ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Show the text of a message
    Cat {
        /// The message with this id
        #[arg(value_name = "ID")]
        id: String,
        /// Only its header
        #[arg(long)]
        headers: bool,
    },
    /// Say where a message is and what became of it, from the queue and the log
    Trace(trace::Arguments),
    /// Keep messages from being tried until they are released
    Hold {
        #[command(flatten)]
        which: Change,
        /// Why; whoever looks at the queue reads it
        #[arg(long, value_name = "TEXT", default_value = "by an admin")]
        because: String,
    },
    /// Let messages go that were held; they are tried now
    Release(Change),
    /// Forget messages; nobody is told
    Delete(Change),
    /// Have messages begin anew: tried now, attempts not counted, held or not
    Requeue(Change),
    /// Try messages now; without a condition, all
    Flush(Change),
    /// Return messages to their senders, now
    Bounce {
        #[command(flatten)]
        which: Change,
        /// What the sender reads
        #[arg(long, value_name = "TEXT", default_value = "given up by the postmaster")]
        because: String,
    },
    /// Give messages for one address to another, where they still wait; they are tried now
    EditRecipient {
        /// The address that waits
        #[arg(value_name = "OLD")]
        old: String,
        /// The address that gets it instead
        #[arg(value_name = "NEW")]
        new: String,
        #[command(flatten)]
        which: Change,
    },
    /// Write messages into a new directory: ID.eml and ID.json
    Export {
        #[command(flatten)]
        which: Selection,
        /// The directory; it must be empty, or not be there yet
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Take messages back from a directory that `export` wrote
    Import {
        /// The directory
        #[arg(value_name = "DIR")]
        from: PathBuf,
    },
}

/// To which messages something is done, and how sure that is.
#[derive(Args)]
struct Change {
    #[command(flatten)]
    which: Selection,
    /// All messages that are in the queue
    #[arg(long)]
    all: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// How a command ended that went to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All was done.
    Done,
    /// Something was not; it was said what and why.
    Refused,
}

impl Outcome {
    /// Says that there was nothing to be shown, unless it was said why.
    fn nothing(self, json: bool, out: &mut Output) -> Result<(), Failure> {
        if self == Self::Refused || json {
            return Ok(());
        }
        out.line("no message matches")
    }

    /// Shows what became of a message; to a person who asked, on standard error what was not done.
    fn note(&mut self, answer: &Answer, json: bool, out: &mut Output) -> Result<(), Failure> {
        if matches!(answer, Answer::Refused { .. }) {
            *self = Self::Refused;
        }
        match answer {
            _ if json => out.json(answer),
            Answer::Done { id, what } => out.line(format_args!("{id}: {what}")),
            Answer::Refused { id, why } => {
                // What was said before it is to be seen before it.
                out.flush()?;
                complain(&format_args!("{id}: {why}"));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn main(arguments: Arguments) -> ExitCode {
    match run(arguments) {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(Failure::Unread) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.code())
        }
    }
}

/// `mailq`, `sendmail -bp`.
pub(crate) fn mailq(site: &Site) -> Result<(), Failure> {
    log::start("posthorn", Level::Warn);
    match with_queue(site, list::mailq) {
        Ok(_) | Err(Failure::Unread) => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn run(Arguments { site, json, command }: Arguments) -> Result<Outcome, Failure> {
    let site = site.load()?;
    log::start("posthorn", Level::Warn);
    if let Command::Trace(arguments) = command {
        return trace::run(&site, &arguments, json);
    }
    with_queue(&site, |connection, out| dispatch(connection, command, json, out))
}

fn dispatch(
    connection: &mut Connection,
    command: Command,
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let (action, which) = match command {
        Command::List(which) => return list::run(connection, which.filter(), json, out),
        Command::Summary { which, top } => {
            return summary::run(connection, which.filter(), top, json, out);
        }
        Command::Show { ids } => {
            return show::run(connection, show::exactly(&ids), json, out);
        }
        Command::Cat { id, headers } => return show::cat(connection, id, headers, out),
        Command::Export { which, to } => {
            return transfer::export(connection, which.filter(), &to, json, out);
        }
        Command::Import { from } => return transfer::import(connection, &from, json, out),
        // It asks for a queue of its own.
        Command::Trace(_) => return Ok(Outcome::Done),
        Command::Hold { which, because } => (Action::Hold { reason: because }, which),
        Command::Release(which) => (Action::Release, which),
        Command::Delete(which) => (Action::Delete, which),
        Command::Requeue(which) => (Action::Requeue, which),
        Command::Flush(which) => (Action::Flush, which),
        Command::Bounce { which, because } => (Action::Bounce { reason: because }, which),
        Command::EditRecipient { old, new, which } => (Action::EditRecipient { old, new }, which),
    };
    let (filter, sure) = which.meant(&action)?;
    change::run(connection, action, filter, sure, json, out)
}

impl Change {
    /// Nothing is done to all messages because a condition was forgotten; but trying all now does
    /// no harm, and an address is a condition.
    fn meant(self, action: &Action) -> Result<(Filter, Sure), Failure> {
        let mut filter = self.which.filter();
        if let Action::EditRecipient { old, .. } = action {
            filter.recipients.push(Glob::new(old.as_str()));
        }
        if filter.is_empty() && !self.all && *action != Action::Flush {
            return Err(Failure::Usage(
                "to which messages? Name ids or conditions, or say --all".to_owned(),
            ));
        }
        let sure = match (self.dry_run, self.yes) {
            (true, _) => Sure::Rehearse,
            (false, true) => Sure::Yes,
            (false, false) => Sure::Ask,
        };
        Ok((filter, sure))
    }
}

/// Does work with the queue, and waits until it was given back.
fn with_queue(
    site: &Site,
    work: impl FnOnce(&mut Connection, &mut Output) -> Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    let mut connection = Connection::open(site)?;
    let mut out = Output::new();
    let outcome = work(&mut connection, &mut out);
    connection.close();
    out.flush()?;
    outcome
}

fn complain(text: &dyn fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "posthorn queue: {text}");
}

#[cfg(test)]
mod tests {
    use clap::{Arg, CommandFactory as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn meant(line: &str) -> Option<Result<(Filter, Sure), Failure>> {
        let line = Line::try_parse_from(std::iter::once("queue").chain(line.split(' '))).ok()?;
        match line.arguments.command {
            Command::Delete(which) => Some(which.meant(&Action::Delete)),
            Command::Flush(which) => Some(which.meant(&Action::Flush)),
            Command::EditRecipient { old, new, which } => {
                Some(which.meant(&Action::EditRecipient { old, new }))
            }
            _ => None,
        }
    }

    #[test]
    fn nothing_is_done_to_all_by_oversight() {
        let all = Filter::default();
        let recipient = Filter { recipients: vec![Glob::new("a@b")], ..Filter::default() };
        let table = [
            ("flush", Some((all.clone(), Sure::Ask))),
            ("delete", None),
            ("delete --yes", None),
            ("delete --all --yes", Some((all.clone(), Sure::Yes))),
            ("delete --all --yes --dry-run", Some((all, Sure::Rehearse))),
            ("edit-recipient a@b c@d", Some((recipient, Sure::Ask))),
        ];
        for (line, expected) in table {
            assert_eq!(meant(line).and_then(Result::ok), expected, "{line}");
        }
    }

    #[test]
    fn the_manual_page_has_every_command_and_option() {
        let page = include_str!("../../../../docs/man/posthorn-queue.8");
        let words: Vec<&str> = page.split_whitespace().collect();
        let items = page.lines().filter_map(|line| line.strip_prefix(".It Cm "));
        let commands: Vec<&str> = items.flat_map(|line| line.split(" , ")).collect();
        for command in Line::command().get_subcommands() {
            let name = command.get_name();
            assert!(commands.contains(&name), "{name}");
            for option in command.get_arguments().filter_map(Arg::get_long) {
                assert!(words.contains(&&*format!("-{option}")), "{name} --{option}");
            }
        }
    }

    #[test]
    fn command_lines_are_as_the_document_shows_them() {
        for line in [
            "list --json --destination example.org",
            "summary --older 1h --top 3",
            "show 0abc 0abd",
            "cat 0abc --headers",
            "trace ann@example.org --since 2d",
            "hold --sender *@example.net --because spam?",
            "release 0abc",
            "requeue --held",
            "bounce 0abc --because gone",
            "export --all --to x",
            "export --held --to x",
            "import x",
        ] {
            let words = std::iter::once("queue").chain(line.split(' '));
            let parsed = Line::try_parse_from(words).is_ok();
            assert_eq!(parsed, line != "export --all --to x", "{line}");
        }
    }
}
