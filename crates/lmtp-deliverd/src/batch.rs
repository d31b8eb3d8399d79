//! Messages that came together: each delivery of them is a piece of work of its own, and all are
//! done at the same time, because each waits for the disk most of its time. Only what one user
//! gets is done in its order, which is the order of the mailbox.
//!
//! A message is read once, by whoever of its recipients comes first, kept once, in memory, and
//! written once, where that is possible ([`crate::one_file`]).
//!
//! A mailbox on a disk that hangs keeps nobody else's waiting for long: what is not done in time is a
//! temporary failure ([`crate::turns`]).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mail_common::auth::User;
use mail_common::daemon::Parts;
use mail_common::maildir::Inbox;
use mail_proto::address::Address;
use mail_proto::smtp::{Envelope, Failure, Transaction};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, Span, warn};

use crate::Shared;
use crate::board::{self, AtWork, Board, Outcomes, Place, Ticket};
use crate::disks::Disk;
use crate::incoming::{Delivered, Incoming};
use crate::turns::{Line, Turn};

/// So long a batch waits for its mailboxes: far longer than any delivery takes where the disk does
/// not hang, and far less than the 10 minutes that mtad and others (RFC 5321, 4.5.3.2.6) wait for
/// us.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The same where the peer names no deliveries: what is put off and done all the same would come
/// twice, for its repeat cannot be told from another message.
const PATIENCE_WITHOUT_IDS: Duration = Duration::from_mins(9);

/// So long the next user waits for the one before, where a message goes to one after another.
const MOMENT: Duration = Duration::from_secs(5);

/// Until when these are waited for.
pub(crate) fn deadline<'a>(envelopes: impl IntoIterator<Item = &'a Envelope>) -> Instant {
    let mut recipients = envelopes.into_iter().flat_map(|envelope| &envelope.recipients);
    let have_ids = recipients.all(|recipient| recipient.delivery_id.is_some());
    Instant::now() + if have_ids { PATIENCE } else { PATIENCE_WITHOUT_IDS }
}

/// A message that is read when it is first needed.
type Letter = LazyLock<Incoming, Box<dyn FnOnce() -> Incoming + Send>>;

/// Messages that came together. What is not known of them is a temporary failure.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    outcomes: Outcomes,
    shares: Vec<Share>,
    /// Where in `shares` a user's is.
    of_user: HashMap<Address, usize>,
}

/// What one user gets.
#[derive(Debug)]
struct Share {
    user: User,
    copies: Vec<Copy>,
}

/// A message for one of its recipients.
#[derive(Debug)]
struct Copy {
    letter: Arc<Letter>,
    place: Place,
}

/// Where what becomes of a share is told, and until when.
#[derive(Debug)]
struct Post {
    board: Arc<Board>,
    ticket: Ticket,
    until: Instant,
}

/// Where a share is worked on.
#[derive(Debug)]
struct Bench {
    parts: Arc<Parts>,
    shared: Arc<Shared>,
}

impl Batch {
    /// One message, for these users, in the envelope's order.
    pub(crate) fn of_one(incoming: Incoming, users: Vec<User>) -> Self {
        let mut batch = Self::default();
        batch.add_letter(Box::new(|| incoming), users.into_iter().map(Some).collect());
        batch
    }

    /// Adds a message. A recipient without a user will have a temporary failure.
    pub(crate) fn add(
        &mut self,
        transaction: Transaction,
        users: Vec<Option<User>>,
        parts: &Parts,
        shared: &Arc<Shared>,
    ) {
        let (site, shared) = (Arc::clone(&parts.site), Arc::clone(shared));
        self.add_letter(Box::new(move || Incoming::whole(transaction, site, shared)), users);
    }

    /// Delivers all of it at the same time.
    pub(crate) async fn deliver(
        self,
        parts: &Arc<Parts>,
        shared: &Arc<Shared>,
        until: Instant,
    ) -> Outcomes {
        let board = Board::new(self.outcomes);
        let (ticket, mut ending) = board::ticket();
        for share in self.shares {
            share.start(
                Post { board: Arc::clone(&board), ticket: Arc::clone(&ticket), until },
                parts,
                shared,
            );
        }
        drop(ticket);
        ending.reached(until).await;
        board.take_down()
    }

    /// Delivers it to one user after another: what is large is written once, and not by several
    /// who did not want to wait for each other. The next one waits for a moment, for the disk of the
    /// one before may hang.
    pub(crate) async fn deliver_in_order(
        self,
        parts: &Arc<Parts>,
        shared: &Arc<Shared>,
        until: Instant,
    ) -> Outcomes {
        let board = Board::new(self.outcomes);
        let mut slow = Vec::new();
        for share in self.shares {
            let (ticket, mut ending) = board::ticket();
            share.start(Post { board: Arc::clone(&board), ticket, until }, parts, shared);
            if !ending.reached(until.min(Instant::now() + MOMENT)).await {
                slow.push(ending);
            }
            if Instant::now() >= until {
                break;
            }
        }
        for mut ending in slow {
            ending.reached(until).await;
        }
        board.take_down()
    }

    fn add_letter(&mut self, read: Box<dyn FnOnce() -> Incoming + Send>, users: Vec<Option<User>>) {
        let message = self.outcomes.len();
        self.outcomes.push(vec![Err(Failure::Unavailable); users.len()]);
        let letter: Arc<Letter> = Arc::new(LazyLock::new(read));
        for (recipient, user) in users.into_iter().enumerate() {
            let Some(user) = user else { continue };
            let (letter, place) = (Arc::clone(&letter), Place { message, recipient });
            self.share(user).copies.push(Copy { letter, place });
        }
    }

    fn share(&mut self, user: User) -> &mut Share {
        let at = *self.of_user.entry(user.address().clone()).or_insert(self.shares.len());
        if at == self.shares.len() {
            self.shares.push(Share { user, copies: Vec::new() });
        }
        self.shares.get_mut(at).expect("it was there, or is now")
    }
}

impl Share {
    /// Begins to deliver it: now, if the user has a turn.
    fn start(self, post: Post, parts: &Arc<Parts>, shared: &Arc<Shared>) {
        let (line, unknown) = (shared.turns.of(self.user.address()), shared.disks.unknown());
        if line.hangs(unknown) {
            if line.is_to_be_told() {
                let user = self.user.address();
                warn!(%user, "mail is put off: earlier deliveries to this mailbox or its disk have not ended");
            }
            return;
        }
        let bench = Bench { parts: Arc::clone(parts), shared: Arc::clone(shared) };
        match line.try_take(unknown) {
            Some(turn) => self.work(turn, post, bench),
            None => self.wait(line, post, bench),
        }
    }

    fn wait(self, line: Arc<Line>, post: Post, bench: Bench) {
        let work = async move {
            let taken = timeout_at(post.until, line.take(bench.shared.disks.unknown())).await;
            if let Some(turn) = taken.ok().filter(|turn| !turn.disk().hangs()) {
                self.work(turn, post, bench);
            }
        };
        tokio::spawn(work.instrument(Span::current()));
    }

    fn work(self, turn: Turn, post: Post, bench: Bench) {
        let (line, disk) = (Arc::clone(turn.line()), Arc::clone(turn.disk()));
        let is_known = line.disk().is_some();
        let Some(mut at_work) = post.board.begin(turn, post.ticket) else { return };
        // It tells the board.
        if is_known {
            disk.run(move || self.deliver(at_work, &line, &bench));
            return;
        }
        disk.run(move || {
            let disk = bench.look(&self.user, &line);
            if !disk.hangs() && !at_work.is_given_up() {
                at_work.moves_to(&disk);
                disk.run(move || self.deliver(at_work, &line, &bench));
            }
        });
    }

    fn deliver(self, at_work: AtWork, line: &Line, bench: &Bench) {
        let Self { user, copies } = self;
        let last = deliver(copies, &user, &at_work);
        let turn = at_work.end();
        last.into_iter().for_each(Delivered::tell);
        if line.is_out_of_date() {
            bench.look(&user, line);
        }
        drop(turn);
    }
}

impl Bench {
    /// Sees where a user's mail is.
    fn look(&self, user: &User, line: &Line) -> Arc<Disk> {
        let disk = self.shared.disks.of(Inbox::device(user, &self.parts.site.mail));
        line.is_on(&disk);
        disk
    }
}

/// What nobody waits for any more is not begun. The last delivery that was made has yet to be
/// told of. Those before it are: not all of them at the end, because each holds a mailbox open.
fn deliver(copies: Vec<Copy>, user: &User, at_work: &AtWork) -> Option<Delivered> {
    let mut last: Option<Delivered> = None;
    for Copy { letter, place } in copies {
        if at_work.is_given_up() {
            break;
        }
        let delivery = letter.deliver_one(place.recipient, user, at_work);
        at_work.enter(place, delivery.as_ref().map(Delivered::accepted).map_err(Clone::clone));
        if let Ok(delivered) = delivery {
            last.replace(delivered).into_iter().for_each(Delivered::tell);
        }
    }
    last
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests;
