//! LMTP: messages that come together are delivered together.
//!
//! A delivery waits for the disk most of its time, and many wait no longer than one. So a message
//! that comes whole, in one chunk of moderate size, is not begun and committed: it is kept, and
//! the next commands are read as long as there are any. Once the input has nothing more to do, or
//! enough is kept, the world is asked to deliver all of it at once.
//!
//! The peer notices nothing. Replies stand in the order of their commands (RFC 2920, 3.2): what
//! is said while messages are kept stands behind the place of their replies, and waits too. Nor
//! does it matter how the input was cut: nobody waits for input while a message is kept, errors
//! are counted in the order of the replies, and a message that comes in another way waits until
//! those before it are delivered.

use super::bdat::at_most;
use super::{Envelope, Reply, Request, Server, Turn};
use crate::smtp::body::Body;
use crate::smtp::{Accepted, Dialect, Failure, Transaction};

/// Messages that are kept.
const MESSAGES: usize = 64;

/// Octets of a message that is kept, and of all of them.
const OCTETS: u64 = 1 << 20;

/// Messages that are kept, and what was said since.
#[derive(Debug, Default)]
pub(super) struct Batch {
    transactions: Vec<Transaction>,
    octets: u64,
    /// One for each message.
    places: Vec<Place>,
    /// What was said behind the first message.
    said: Vec<u8>,
}

/// Where the replies of a message belong.
#[derive(Debug)]
struct Place {
    replies: usize,
    /// Where that ends which was said between this message and the next.
    end: usize,
    /// Replies of the 5xx kind in it.
    errors: u32,
}

/// A message that is coming in one chunk.
#[derive(Debug)]
pub(super) struct Whole {
    envelope: Envelope,
    body: Body,
    left: u64,
}

impl Batch {
    /// What is said behind the last message.
    pub(super) fn say(&mut self, reply: &Reply) {
        reply.write(&mut self.said);
        if let Some(place) = self.places.last_mut() {
            place.end = self.said.len();
            place.errors += u32::from(reply.is_error());
        }
    }

    /// Replies of the 5xx kind that wait.
    pub(super) fn errors(&self) -> u32 {
        self.places.iter().map(|place| place.errors).sum()
    }

    fn keep(&mut self, transaction: Transaction) {
        let replies = transaction.envelope.recipients.len();
        self.places.push(Place { replies, end: self.said.len(), errors: 0 });
        self.octets += transaction.message.len() as u64;
        self.transactions.push(transaction);
    }

    fn is_full(&self) -> bool {
        self.transactions.len() >= MESSAGES || self.octets >= OCTETS
    }
}

impl Server {
    /// Whether a message of which this is the only chunk is kept.
    pub(super) fn keeps(&self, envelope: &Envelope, size: u64, last: bool) -> bool {
        last && self.setup.dialect == Dialect::Lmtp
            && !envelope.recipients.is_empty()
            && size <= OCTETS.min(self.setup.limits.message_size)
    }

    pub(super) fn whole_message(&mut self, envelope: Envelope, size: u64) {
        if self.batch.as_ref().is_some_and(|batch| batch.octets + size > OCTETS) {
            self.question = self.delivery();
        }
        let body = Body::whole(self.setup.limits.message_size);
        self.turn = Turn::Whole(Box::new(Whole { envelope, body, left: size }));
    }

    /// Takes what has come of a message in one chunk.
    pub(super) fn whole(&mut self) -> bool {
        let Turn::Whole(whole) = &mut self.turn else {
            return false;
        };
        let (taken, _) = whole.body.receive_chunk(at_most(whole.left, self.input.unread()));
        self.input.consume(taken);
        whole.left -= taken as u64;
        if whole.left > 0 {
            return false;
        }
        if let Turn::Whole(whole) = std::mem::replace(&mut self.turn, Turn::Command) {
            self.keep(*whole);
        }
        true
    }

    fn keep(&mut self, whole: Whole) {
        let Whole { envelope, mut body, .. } = whole;
        let message = body.finish();
        if let Some(fault) = body.fault() {
            return self.tell_fault(envelope.recipients.len(), fault);
        }
        let batch = self.batch.get_or_insert_default();
        batch.keep(Transaction { client: self.client.clone(), envelope, message });
        if batch.is_full() {
            self.question = self.delivery();
        }
    }

    /// The question what becomes of the messages that are kept, if any are.
    pub(super) fn delivery(&mut self) -> Option<Request> {
        let transactions = std::mem::take(&mut self.batch.as_mut()?.transactions);
        Some(Request::Deliver(transactions))
    }

    /// Says what became of the messages, and what was said since.
    pub(super) fn delivered(&mut self, outcomes: Vec<Vec<Result<Accepted, Failure>>>) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        let mut outcomes = outcomes.into_iter();
        let mut begin = 0;
        for Place { replies, end, errors } in batch.places {
            self.tell(replies, &outcomes.next().unwrap_or_default());
            self.out.extend_from_slice(batch.said.get(begin..end).unwrap_or_default());
            self.errors += errors;
            begin = end;
        }
    }
}
