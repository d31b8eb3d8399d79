//! What changes messages: `hold`, `release`, `delete`, `requeue`, `flush`, `bounce`,
//! `edit-recipient`.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};

use mail_spool::admin::protocol::{Answer, Request};
use mail_spool::admin::{Action, Filter};

use super::connection::Connection;
use super::output::Output;
use super::show::exactly;
use super::{Failure, Outcome, plural};

/// How sure who asks for it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    /// Only shows what would be done.
    Rehearse,
    /// Is asked before much is taken away.
    Ask,
    /// Yes.
    Yes,
}

/// Messages that are named in one request.
const TOGETHER: usize = 1000;

/// Messages that are shown before it is asked.
const SHOWN: usize = 10;

pub(super) fn run(
    connection: &mut Connection,
    action: Action,
    filter: Filter,
    sure: Sure,
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    if sure == Sure::Ask && action.takes_mail_away() {
        let ids = would_change(connection, &action, &filter)?;
        if ids.len() > 1 {
            return match is_wanted(&action, &ids, out)? {
                true => change_these(connection, &action, &ids, json, out),
                false => Err(Failure::Usage("nothing was changed".to_owned())),
            };
        }
    }
    let request = Request::Change { action, filter, dry_run: sure == Sure::Rehearse };
    let mut outcome = Outcome::Done;
    let count = connection.ask(&request, |answer| outcome.note(&answer, json, out))?;
    if count == 0 {
        outcome.nothing(json, out)?;
    }
    Ok(outcome)
}

/// The messages that it would be done to. What is refused is said when it is done.
fn would_change(
    connection: &mut Connection,
    action: &Action,
    filter: &Filter,
) -> Result<Vec<String>, Failure> {
    let (action, filter) = (action.clone(), filter.clone());
    let mut ids = Vec::new();
    connection.ask(&Request::Change { action, filter, dry_run: true }, |answer| {
        if let Answer::Done { id, .. } = answer {
            ids.push(id);
        }
        Ok(())
    })?;
    Ok(ids)
}

/// Those that were shown, and no others that came meanwhile.
fn change_these(
    connection: &mut Connection,
    action: &Action,
    ids: &[String],
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Done;
    for ids in ids.chunks(TOGETHER) {
        let request =
            Request::Change { action: action.clone(), filter: exactly(ids), dry_run: false };
        connection.ask(&request, |answer| outcome.note(&answer, json, out))?;
    }
    Ok(outcome)
}

/// Asks who sits at the terminal; without one, only `--yes` is a yes.
fn is_wanted(action: &Action, ids: &[String], out: &mut Output) -> Result<bool, Failure> {
    let count = plural(ids.len() as u64, "message");
    let what = match action {
        Action::Bounce { .. } => format!("return {count} to the senders"),
        _ => format!("delete {count}"),
    };
    if !stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "this would {what}: say so with --yes, or look with --dry-run"
        )));
    }
    out.flush()?;
    let mut terminal = stderr().lock();
    for id in ids.iter().take(SHOWN) {
        let _ = writeln!(terminal, "  {id}");
    }
    if ids.len() > SHOWN {
        let _ = writeln!(terminal, "  and {} more", ids.len() - SHOWN);
    }
    let _ = write!(terminal, "posthorn queue: {what}? [y/N] ");
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
