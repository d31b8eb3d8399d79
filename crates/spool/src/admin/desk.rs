//! Answers what is asked of a queue.
//!
//! A search copies ids alone, sixteen octets a message, and reads the rest of each message when its
//! turn comes: a long answer holds up nobody, and shows each message as it is then.

mod change;
mod import;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;

use mail_common::log::Id;
use mail_common::time;

use import::Text;

use super::protocol::{Answer, BLOCK, Block, Part, Request};
use super::{Action, Changed, Counting, Filter, Item, Match, OutageOf, Refusal, Search, UnderWay};
use crate::{Body, Damage, Entry, Spool, SpoolError, Then};

/// Tells the scheduler; called before the message can be taken by anybody else.
pub type Tell = Arc<dyn Fn(Changed) + Send + Sync>;

/// Where answers go, one after the other. An error: nobody reads them any more.
pub type Say<'a> = &'a mut dyn FnMut(Answer) -> io::Result<()>;

/// Where the text of what is to be imported comes from.
pub type Parts<'a> = &'a mut dyn FnMut() -> io::Result<Part>;

/// Octets of a header that are shown.
const HEADER: usize = 1 << 20;

/// Answers what is asked of a queue.
#[derive(Clone)]
pub struct Desk {
    spool: Spool,
    under_way: UnderWay,
    tell: Tell,
    outage_of: OutageOf,
}

impl Desk {
    /// The desk of a spool, whose scheduler hears by `tell` what was changed.
    pub fn new(spool: Spool, under_way: UnderWay, tell: Tell) -> Self {
        Self { spool, under_way, tell, outage_of: Arc::new(|_| None) }
    }

    /// The same, but it shows which destinations are dead.
    #[must_use]
    pub fn with_outages(self, outage_of: OutageOf) -> Self {
        Self { outage_of, ..self }
    }

    /// Answers a request of the user of the system `who`. Plain blocking code.
    ///
    /// # Errors
    /// The answer could not be said. What was done is done.
    pub fn answer(
        &self,
        who: u32,
        request: Request,
        parts: Parts<'_>,
        say: Say<'_>,
    ) -> io::Result<()> {
        let answered = match request {
            Request::List { filter } => self.list(&filter, say),
            Request::Summary { filter } => self.summary(&filter, say),
            Request::Cat { id, headers } => self.cat(&id, headers, say),
            Request::Export { filter } => self.export(&filter, say),
            Request::Change { action, filter, dry_run: true } => {
                self.rehearse(&action, &filter, say)
            }
            Request::Change { action, filter, dry_run: false } => {
                self.change(who, &action, &filter, say)
            }
            Request::Import { message } => {
                let mut text = Text { parts, is_over: false };
                let imported = self.import(who, &message, &mut text, say);
                // What was refused is read to its end nevertheless: a request follows it.
                while !text.is_over {
                    text.next()?;
                }
                imported
            }
        };
        match answered {
            Ok(messages) => say(Answer::End { messages }),
            Err(Stop::Unsaid(error)) => Err(error),
            Err(Stop::Trouble(why)) => say(Answer::Error { why }),
        }
    }

    fn list(&self, filter: &Filter, say: Say<'_>) -> Result<u64, Stop> {
        self.each(filter, say, &mut |entry, say| Ok(say(self.message(entry))?))
    }

    fn summary(&self, filter: &Filter, say: Say<'_>) -> Result<u64, Stop> {
        let now = now();
        let mut counting = Counting::default();
        let name = |name| self.spool.name(name);
        let mut search = Search::new(filter, now, &name);
        let mut unknown = Vec::new();
        self.spool.rows(|row| match search.on_row(row) {
            Match::Yes => counting.see(row, now),
            Match::Unknown => unknown.push(row.id),
            Match::No => {}
        });
        for id in unknown {
            let Ok(Some(entry)) = self.spool.entry(id) else { continue };
            if filter.is_met(&entry.letter, &entry.progress, entry.size, now)
                && let Some(row) = self.spool.row(id)
            {
                counting.see(&row, now);
            }
        }
        let summary = counting.finish(name);
        let messages = summary.total.messages;
        say(Answer::Summary(Box::new(summary)))?;
        Ok(messages)
    }

    fn cat(&self, id: &str, headers: bool, say: Say<'_>) -> Result<u64, Stop> {
        let Some(&id) = self.present(&[id], say)?.first() else { return Ok(0) };
        let body = self.spool.body(id)?;
        match headers {
            true => say(Answer::Block(Block(body.header(HEADER).map_err(|e| damaged(id, &e))?)))?,
            false => text(id, body, say)?,
        }
        Ok(1)
    }

    fn export(&self, filter: &Filter, say: Say<'_>) -> Result<u64, Stop> {
        self.each(filter, say, &mut |entry, say| {
            let id = entry.letter.id;
            // It may be done with before its text is opened; opened, it can be read to its end.
            match self.spool.body(id) {
                Ok(body) => {
                    say(self.message(entry))?;
                    text(id, body, say)
                }
                Err(SpoolError::Unknown(_)) => Ok(()),
                Err(error) => Ok(say(refused(id, &Refusal::Trouble(error.to_string())))?),
            }
        })
    }

    fn message(&self, entry: &Entry) -> Answer {
        let Entry { letter, progress, size } = entry;
        let row = self.spool.row(letter.id);
        let mut waiting = progress.waiting().filter_map(|at| letter.recipients.get(at));
        Answer::Message(Box::new(Item {
            under_way: self.under_way.is_being_delivered(letter.id),
            outage: waiting.find_map(|recipient| (self.outage_of)(&recipient.address)),
            ..Item::new(letter, progress, *size, row.as_ref())
        }))
    }

    fn rehearse(&self, action: &Action, filter: &Filter, say: Say<'_>) -> Result<u64, Stop> {
        let is_named = filter.exact_ids().is_some();
        self.each(filter, say, &mut |entry, say| {
            let id = entry.letter.id;
            Ok(say(match action.plan(&entry.letter, &entry.progress, time::now_micros()) {
                Err(refusal) if refusal.is_idle() && !is_named => return Ok(()),
                Err(refusal) => refused(id, &refusal),
                Ok(_) if self.under_way.is_being_delivered(id) => {
                    refused(id, &Refusal::BeingDelivered)
                }
                Ok(_) => done(id, format!("would be {}", action.done())),
            })?)
        })
    }

    /// Calls `see` with each message that is meant, the oldest first; how many there were.
    fn each(
        &self,
        filter: &Filter,
        say: Say<'_>,
        see: &mut dyn FnMut(&Entry, Say<'_>) -> Result<(), Stop>,
    ) -> Result<u64, Stop> {
        let mut count = 0;
        for id in self.candidates(filter, say)? {
            match self.spool.entry(id) {
                Ok(Some(entry)) if is_met(filter, &entry) => {
                    count += 1;
                    see(&entry, say)?;
                }
                Ok(_) => {}
                Err(error) => say(refused(id, &Refusal::Trouble(error.to_string())))?,
            }
        }
        Ok(count)
    }

    /// Messages that may be meant, the oldest first.
    fn candidates(&self, filter: &Filter, say: Say<'_>) -> Result<Vec<Id>, Stop> {
        if let Some(exact) = filter.exact_ids() {
            return self.present(&exact, say);
        }
        let name = |name| self.spool.name(name);
        let mut search = Search::new(filter, now(), &name);
        let mut ids = Vec::new();
        self.spool.rows(|row| {
            if search.on_row(row) != Match::No {
                ids.push(row.id);
            }
        });
        ids.sort_unstable();
        Ok(ids)
    }

    fn present(&self, exact: &[&str], say: Say<'_>) -> Result<Vec<Id>, Stop> {
        let mut ids = Vec::new();
        for &text in exact {
            match Id::parse(text).filter(|id| self.spool.row(*id).is_some()) {
                Some(id) => ids.push(id),
                None => say(Answer::Refused { id: text.into(), why: Refusal::Gone.to_string() })?,
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

/// Why an answer ends before its end.
#[derive(Debug)]
enum Stop {
    /// Nobody reads it.
    Unsaid(io::Error),
    /// What its reader is told.
    Trouble(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unsaid(error)
    }
}

impl From<SpoolError> for Stop {
    fn from(error: SpoolError) -> Self {
        Self::Trouble(error.to_string())
    }
}

fn wait(ask: impl FnOnce(Then)) -> Result<(), SpoolError> {
    let (told, durable) = channel();
    ask(Box::new(move |result| drop(told.send(result))));
    durable.recv().unwrap_or(Err(SpoolError::Stopped))
}

fn text(id: Id, mut body: Body, say: Say<'_>) -> Result<(), Stop> {
    loop {
        let block = body.block().map_err(|damage| damaged(id, &damage))?;
        if block.is_empty() {
            return Ok(());
        }
        for part in block.chunks(BLOCK) {
            say(Answer::Block(Block(part.to_vec())))?;
        }
    }
}

fn damaged(id: Id, damage: &Damage) -> Stop {
    Stop::Trouble(format!("{id}: {damage}"))
}

fn done(id: Id, what: String) -> Answer {
    Answer::Done { id: id.to_string(), what }
}

fn refused(id: Id, why: &Refusal) -> Answer {
    Answer::Refused { id: id.to_string(), why: why.to_string() }
}

fn is_met(filter: &Filter, entry: &Entry) -> bool {
    filter.is_met(&entry.letter, &entry.progress, entry.size, now())
}

/// Seconds since 1970.
fn now() -> u64 {
    time::now_micros() / 1_000_000
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
