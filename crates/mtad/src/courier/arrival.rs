//! What the courier is told of the queue, and how the schedule hears of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mail_common::log::Id;
use mail_common::time;
use mail_proto::address::{Domain, ReversePath};
use mail_spool::row::{self, Row};
use tracing::error;

use super::Courier;
use crate::Mtad;
use crate::attempt::Again;
use crate::queue::Entry;
use crate::schedule::{self, Destination, Schedule, Standing, Waiting};

/// After this long a message is looked at again that could not be read.
const UNREAD: Duration = Duration::from_secs(60);

/// What the courier is told of the queue.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// This has just come.
    New(Entry),
    /// This is in the queue.
    Known(Entry, When),
    /// These are in the queue; for none more than one recipient waits, and its domain says where.
    Rows(Vec<Row>, When),
}

/// When a message is tried that is in the queue already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// When it is recorded to be due.
    Recorded,
    /// The same; but we have just started, and what fell due meanwhile is spread.
    Left,
    /// Now.
    Now,
    /// Now, and a dead destination is probed: an admin asked for it.
    Asked,
}

impl Mtad {
    /// Has the courier look at a message again that could not be read just now.
    pub(crate) fn tell_of_later(self: &Arc<Self>, id: Id) {
        tokio::spawn(Arc::clone(self).tell_of_it_later(id));
    }

    async fn tell_of_it_later(self: Arc<Self>, id: Id) {
        tokio::time::sleep(UNREAD).await;
        self.tell_of(id, When::Recorded);
    }

    /// Has the courier look at a message again.
    pub(crate) fn tell_of(self: &Arc<Self>, id: Id, when: When) {
        let mtad = Arc::clone(self);
        tokio::spawn(async move {
            let queue = mtad.queue.clone();
            match mtad.disk.run(move || queue.entry(id)).await {
                Some(Ok(Some(entry))) => {
                    let _ = mtad.arrivals.send(Arrival::Known(entry, when));
                }
                Some(Ok(None)) => {}
                None => mtad.tell_of_later(id),
                Some(Err(error)) => {
                    error!("{id}: cannot be read: {error}");
                    mtad.tell_of_later(id);
                }
            }
        });
    }

    /// Has the courier look at all messages again.
    pub(crate) fn tell_of_all(self: &Arc<Self>) {
        let mtad = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let mut rows = Vec::new();
            mtad.queue.spool().rows(|row| rows.push(*row));
            mtad.tell_of_rows(rows, When::Now);
        });
    }

    /// Tells the courier of rows. What more than one recipient waits for may have more than one
    /// destination, that of mail for our host name depends on whether it is for postmaster, and where
    /// there were no more names the domain is not known: all of these are read.
    pub(crate) fn tell_of_rows(self: &Arc<Self>, mut rows: Vec<Row>, when: When) {
        let runtime = tokio::runtime::Handle::current();
        let (routes, spool) = (self.routes(), self.queue.spool());
        let mixed = routes.mixed().map(Domain::as_str);
        let is_open = |row: &mut Row| {
            row.waiting > 1
                || row.destination == row::OTHERS
                || mixed.is_some_and(|mixed| spool.name(row.destination) == mixed)
        };
        let open: Vec<Id> = rows.extract_if(.., is_open).map(|row| row.id).collect();
        let _ = self.arrivals.send(Arrival::Rows(rows, when));
        for id in open {
            match self.queue.entry(id) {
                Ok(Some(entry)) => drop(self.arrivals.send(Arrival::Known(entry, when))),
                Ok(None) => {}
                Err(error) => {
                    error!("{id}: cannot be read: {error}");
                    runtime.spawn(Arc::clone(self).tell_of_it_later(id));
                }
            }
        }
    }
}

impl Courier {
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::New(entry) => self.plan_new(entry),
            Arrival::Known(entry, when) => self.plan_known(&entry, when),
            Arrival::Rows(rows, when) => rows.iter().for_each(|row| self.plan_row(row, when)),
        }
    }

    fn plan_new(&mut self, entry: Entry) {
        // A reload may have told of it before. Asked first: what comes of that is in the row then.
        if self.is_being_delivered(entry.id) {
            return;
        }
        match self.mtad.queue.spool().row(entry.id) {
            // An admin was faster.
            None => {}
            Some(row) if row.progress.is_some() => self.mtad.tell_of(entry.id, When::Recorded),
            Some(_) => {
                self.plan(&entry, None, entry.progress.due, Schedule::add);
                self.memory.keep(entry);
            }
        }
    }

    fn plan_known(&mut self, entry: &Entry, when: When) {
        let Some(standing) = standing(row::Standing::of(&entry.progress)) else { return };
        // One that is being delivered comes back when that ends.
        if self.is_being_delivered(entry.id) {
            return;
        }
        if when == When::Asked {
            // Other news of it, as it was before, may have been faster.
            self.schedule.remove(entry.id, time::now_micros());
        }
        self.plan(entry, None, when.or(entry.progress.due), when.addition());
        // Whoever is given up needs nobody to answer.
        if when == When::Asked && standing != Standing::GivenUp {
            for recipient in entry.waiting() {
                let destination = self.lanes.destination(&recipient.address);
                self.schedule.ask_again(destination, time::now_micros());
            }
        }
    }

    /// Has the schedule know a message that one recipient waits for, or none.
    fn plan_row(&mut self, row: &Row, when: When) {
        let domain = self.mtad.queue.spool().name(row.destination);
        let destination = self.lanes.destination_of(&domain);
        let Some(standing) = standing(row.standing) else { return };
        if self.schedule.knows(row.id, destination) || self.is_being_delivered(row.id) {
            return;
        }
        let waiting = Waiting {
            id: row.id,
            destination,
            due: schedule::seconds(when.or(u64::from(row.due) * 1_000_000)),
            arrived: row.id.micros().map_or(row.due, schedule::seconds),
            sender: row.sender,
            size: row.size,
            attempts: row.attempts.into(),
            standing,
            told: false,
        };
        when.addition()(&mut self.schedule, waiting, time::now_micros());
    }

    /// Has the schedule know each destination that recipients of this message wait for. `again`:
    /// what an attempt that just ended says of its own; the others are due as told, in
    /// microseconds since 1970.
    pub(super) fn plan(
        &mut self,
        entry: &Entry,
        again: Option<(Destination, Again)>,
        due: u64,
        add: fn(&mut Schedule, Waiting, u64),
    ) {
        if self.is_under_way_elsewhere(entry.id) {
            return;
        }
        let Some(standing) = standing(row::Standing::of(&entry.progress)) else { return };
        let waiting = entry.waiting();
        let mut destinations: BTreeSet<_> =
            waiting.iter().map(|one| self.lanes.destination(&one.address)).collect();
        if destinations.is_empty() {
            // All have it. Somebody has to remove it.
            destinations.insert(again.map_or(Destination::LOCAL, |(destination, _)| destination));
        }
        let now = time::now_micros();
        for destination in destinations {
            let (due, attempts) = match again.filter(|(tried, _)| *tried == destination) {
                Some((_, Again { due, attempts })) => (due, attempts),
                None if self.schedule.knows(entry.id, destination) => continue,
                None => (due, entry.progress.attempts),
            };
            // What is due now shall not wait for the next second.
            let due = if due > now { schedule::seconds_after(due) } else { schedule::seconds(due) };
            let waiting = waiting_at(entry, standing, destination, due, attempts);
            add(&mut self.schedule, waiting, now);
        }
    }

    /// Whether attempts are about a message, or what they ended with is not yet recorded.
    fn is_being_delivered(&self, id: Id) -> bool {
        self.mtad.under_way.is_being_delivered(id)
    }

    /// Whether a message is being tried as the configuration before a reload had it. Then its
    /// recipients may be at another destination than they are now: nobody shall have it from both.
    /// It is planned again when that attempt ends.
    fn is_under_way_elsewhere(&self, id: Id) -> bool {
        let mut begun = self.under_way.values();
        begun.any(|(turn, lanes)| turn.id == id && !Arc::ptr_eq(lanes, &self.lanes))
    }
}

impl When {
    /// The time, in microseconds since 1970, of what is recorded to be due then.
    fn or(self, recorded: u64) -> u64 {
        match self {
            Self::Recorded | Self::Left => recorded,
            Self::Now | Self::Asked => time::now_micros().min(recorded),
        }
    }

    fn addition(self) -> fn(&mut Schedule, Waiting, u64) {
        match self {
            Self::Recorded | Self::Now | Self::Asked => Schedule::add,
            Self::Left => Schedule::add_left,
        }
    }
}

/// As the schedule has it; `None`: it is held, and none of the schedule's.
fn standing(standing: row::Standing) -> Option<Standing> {
    match standing {
        row::Standing::New => Some(Standing::New),
        row::Standing::Deferred => Some(Standing::Deferred),
        row::Standing::GivenUp => Some(Standing::GivenUp),
        row::Standing::Held => None,
    }
}

fn waiting_at(
    entry: &Entry,
    standing: Standing,
    destination: Destination,
    due: u32,
    attempts: u32,
) -> Waiting {
    Waiting {
        id: entry.id,
        destination,
        due,
        arrived: schedule::seconds(entry.letter.arrived),
        sender: hash_of(&entry.letter.sender),
        size: u32::try_from(entry.size).unwrap_or(u32::MAX),
        attempts,
        standing,
        told: entry.progress.delay_told || entry.letter.sender.0.is_none(),
    }
}

fn hash_of(sender: &ReversePath) -> u32 {
    crc32c::crc32c(sender.to_string().as_bytes())
}
