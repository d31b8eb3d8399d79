//! Batches whose mailboxes hang, and others.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mail_common::config::{self, Source};
use mail_common::daemon::Present;
use mail_common::log::Id;
use mail_common::maildir::NewMessage;
use mail_common::serve::Backend as _;
use mail_proto::address::ReversePath;
use mail_proto::smtp::{Accepted, Answer, Client, Recipient, Request};
use tempfile::TempDir;

use super::*;
use crate::Deliveries;
use crate::disks::{Disks, OnDisk};
use crate::journal::Journal;
use crate::one_file::OneFile;
use crate::turns::MOST;

/// Who delivers waits here until it is open, as if the disk hung.
#[derive(Default)]
struct Gate {
    open: OnceLock<()>,
    stuck: AtomicUsize,
}

/// One more than a user may take.
const THREADS: usize = MOST + 1;

/// Users besides Ann and Bob.
const MANY: usize = THREADS + 3;

/// So many INBOXes are kept open.
const KEPT: usize = 128;

fn user(number: usize) -> String {
    format!("user{number}")
}

struct Rig {
    directory: TempDir,
    parts: Arc<Parts>,
    shared: Arc<Shared>,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("mail")).unwrap();
        let many = (0..KEPT).map(user);
        let names = ["ann", "bob"].map(str::to_owned).into_iter().chain(many);
        let passwd: String = names.map(|name| format!("{name}@example.org:{{PLAIN}}x\n")).collect();
        fs::write(path("passwd"), passwd).unwrap();
        let text = format!(
            "config_version = 1\nhostname = \"mx.example.org\"\n\
             domains.local = [\"example.org\"]\n\
             mail.path = \"{0}/mail/%d/%n\"\nauth.passwd = \"{0}/passwd\"\n",
            directory.path().display()
        );
        fs::write(path("posthorn.toml"), text).unwrap();
        let source = Source { file: path("posthorn.toml"), flags: Vec::new() };
        let site = config::load(&source).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let threads = NonZeroUsize::new(THREADS).unwrap();
        let parts = Present::open(Arc::new(site), "test", threads).unwrap().parts();
        let journal = Journal::open(&path("state"), 1000, 0).unwrap();
        let shared = shared(&parts, journal);
        Self { directory, parts, shared }
    }

    /// A message that is stuck until the gate opens.
    async fn add(&self, batch: &mut Batch, to: &[(&str, &Id)], gate: &Arc<Gate>) {
        let id = |(number, (_, id)): (usize, &(_, &Id))| Some(format!("{id}.{number}"));
        let ids: Vec<_> = to.iter().enumerate().map(id).collect();
        let names: Vec<_> = to.iter().map(|(name, _)| *name).zip(ids).collect();
        self.add_transaction(batch, transaction(&names), gate).await;
    }

    /// The same of a peer that names no deliveries.
    async fn add_without_id(&self, batch: &mut Batch, to: &str, gate: &Arc<Gate>) {
        self.add_transaction(batch, transaction(&[(to, None)]), gate).await;
    }

    async fn add_transaction(&self, batch: &mut Batch, what: Transaction, gate: &Arc<Gate>) {
        let mut users = Vec::new();
        for recipient in &what.envelope.recipients {
            users.push(self.parts.auth.lookup(&recipient.address).await.unwrap());
        }
        let (site, shared) = (Arc::clone(&self.parts.site), Arc::clone(&self.shared));
        let gate = Arc::clone(gate);
        let read = move || {
            gate.stuck.fetch_add(1, Ordering::SeqCst);
            gate.open.wait();
            Incoming::whole(what, site, shared)
        };
        batch.add_letter(Box::new(read), users);
    }

    async fn batch(&self, to: &[(&str, &Id)], gate: &Arc<Gate>) -> Batch {
        let mut batch = Batch::default();
        self.add(&mut batch, to, gate).await;
        batch
    }

    fn deliver(&self, batch: Batch) -> tokio::task::JoinHandle<Outcomes> {
        let (parts, shared) = (Arc::clone(&self.parts), Arc::clone(&self.shared));
        let until = Instant::now() + PATIENCE;
        tokio::spawn(async move { batch.deliver(&parts, &shared, until).await })
    }

    fn deliver_in_order(&self, batch: Batch) -> tokio::task::JoinHandle<Outcomes> {
        let (parts, shared) = (Arc::clone(&self.parts), Arc::clone(&self.shared));
        let until = Instant::now() + PATIENCE;
        tokio::spawn(async move { batch.deliver_in_order(&parts, &shared, until).await })
    }

    /// Until the gate opens.
    async fn keep_all_threads_busy(&self, disk: &Disk, gate: &Arc<Gate>) {
        for _ in 0..THREADS {
            let gate = Arc::clone(gate);
            let work = move || {
                gate.stuck.fetch_add(1, Ordering::SeqCst);
                gate.open.wait();
            };
            disk.run(work);
        }
        gate.until_stuck(THREADS).await;
    }

    /// Has all but Ann and Bob on a disk of their own.
    fn put_many_elsewhere(&self) -> Arc<Disk> {
        let disk = self.shared.disks.of(u64::MAX);
        for number in 0..MANY {
            let address = format!("{}@example.org", user(number)).parse().unwrap();
            self.shared.turns.of(&address).is_on(&disk);
        }
        disk
    }

    /// Opens the INBOX of a user whose mail is there.
    async fn open_inbox(&self, name: &str, disk: &Arc<Disk>) {
        let address = format!("{name}@example.org").parse().unwrap();
        let user = self.parts.auth.lookup(&address).await.unwrap().unwrap();
        for place in ["cur", "new", "tmp"] {
            // To make it whole takes long.
            let home = self.directory.path().join("mail/example.org").join(name);
            fs::create_dir_all(home.join(place)).unwrap();
        }
        let on_disk = |inbox| OnDisk::new(inbox, disk);
        self.shared.inboxes.inbox(&user, &self.parts.site.mail, on_disk).unwrap();
    }

    /// A message under way.
    async fn begin(&self) -> Deliveries {
        let mut deliveries = Deliveries::new(Arc::clone(&self.parts), Arc::clone(&self.shared));
        let Transaction { client, envelope, .. } = transaction(&[("ann", None)]);
        deliveries.perform(Request::Begin { client, envelope }).await;
        deliveries
    }

    /// The same, with a file of its own.
    async fn large(&self) -> Deliveries {
        let mut deliveries = self.begin().await;
        let stored = deliveries.perform(Request::Store(vec![b'x'; (1 << 20) + 1])).await;
        assert!(matches!(stored, Answer::Stored(Ok(_))), "{stored:?}");
        deliveries
    }

    /// Lets all threads go on, until no file is open that has no name.
    async fn until_all_is_closed(&self, gate: &Gate) {
        gate.open.set(()).unwrap();
        let directory = self.directory.path().to_owned();
        until(move || nameless(&directory) == 0).await;
    }

    /// Until there are so many letters, and nobody works on more.
    async fn until_there_are(&self, name: &'static str, letters: usize) {
        let line = self.shared.turns.of(&format!("{name}@example.org").parse().unwrap());
        let new = self.directory.path().join("mail/example.org").join(name).join("new");
        let count = move || fs::read_dir(&new).map_or(0, Iterator::count);
        until(move || count() == letters && line.is_idle()).await;
    }
}

impl Gate {
    fn open() -> Arc<Self> {
        let gate = Arc::<Self>::default();
        gate.open.set(()).unwrap();
        gate
    }

    /// From now on the clock goes.
    fn set_open(&self) {
        self.open.set(()).unwrap();
        tokio::time::resume();
    }

    /// Until so many wait for it. The clock stands meanwhile.
    async fn until_stuck(self: &Arc<Self>, count: usize) {
        let gate = Arc::clone(self);
        until(move || gate.stuck.load(Ordering::SeqCst) == count).await;
    }
}

fn shared(parts: &Parts, journal: Journal) -> Arc<Shared> {
    let disks = Disks::new(NonZeroUsize::new(THREADS).unwrap(), parts.pool.clone());
    Arc::new(Shared::new(journal, disks))
}

fn transaction(to: &[(&str, Option<String>)]) -> Transaction {
    let recipient = |(name, id): &(&str, Option<String>)| Recipient {
        address: format!("{name}@example.org").parse().unwrap(),
        notify: None,
        original: None,
        delivery_id: id.clone(),
    };
    let envelope = Envelope {
        sender: ReversePath(None),
        recipients: to.iter().map(recipient).collect(),
        size: None,
        eight_bit: false,
        oldest: None,
        ret: None,
        envid: None,
    };
    let client = Client { hello: "mtad".to_owned(), extended: true, tls: None, username: None };
    Transaction { client, envelope, message: b"Subject: news\r\n\r\ntext\r\n".to_vec() }
}

/// Tries often enough for what it waits for. The clock stands meanwhile.
async fn until(is_so: impl Fn() -> bool + Send + 'static) {
    let work = move || {
        (0..60_000).any(|_| {
            thread::park_timeout(Duration::from_millis(1));
            is_so()
        })
    };
    assert!(tokio::task::spawn_blocking(work).await.unwrap(), "it takes too long");
}

/// How many files are open that have no name.
fn nameless(below: &Path) -> usize {
    let is_one =
        |link: &PathBuf| link.starts_with(below) && link.to_string_lossy().ends_with(" (deleted)");
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).filter(is_one).count()
}

fn is_sent(outcomes: &[Result<Accepted, Failure>]) -> bool {
    outcomes.iter().all(Result::is_ok)
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_hangs_holds_up_nobody_else() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    let ids: Vec<Id> = (0..MOST + 4).map(|_| Id::new()).collect();
    let mut under_way = Vec::new();
    for id in &ids {
        let mut batch = rig.batch(&[("ann", id)], &gate).await;
        if id == ids.last().unwrap() {
            rig.add(&mut batch, &[("bob", &Id::new())], &Gate::open()).await;
        }
        under_way.push(rig.deliver(batch));
    }
    // A thread is left for bob.
    gate.until_stuck(MOST).await;
    rig.until_there_are("bob", 1).await;
    for (number, outcomes) in under_way.into_iter().enumerate() {
        let outcomes = outcomes.await.unwrap();
        assert_eq!(outcomes[0], [Err(Failure::Unavailable)], "{number}");
        assert!(outcomes.get(1).is_none_or(|bob| is_sent(bob)));
    }
    // Nobody waits for the others that she gets.
    let started = Instant::now();
    let mut batch = rig.batch(&[("ann", &ids[0])], &Gate::open()).await;
    rig.add(&mut batch, &[("ann", &Id::new())], &Gate::open()).await;
    let unavailable = [vec![Err(Failure::Unavailable)], vec![Err(Failure::Unavailable)]];
    assert_eq!(rig.deliver(batch).await.unwrap(), unavailable);
    assert_eq!(started.elapsed(), Duration::ZERO, "by the test's clock, which stands");
    // What went on is known when it is repeated, and what had not begun never did.
    gate.set_open();
    rig.until_there_are("ann", MOST).await;
    for id in &ids {
        let batch = rig.batch(&[("ann", id)], &Gate::open()).await;
        assert!(is_sent(&rig.deliver(batch).await.unwrap()[0]));
    }
    rig.until_there_are("ann", ids.len()).await;
}

/// The power was cut after the letter lasted and before its record did; and the clock that came
/// back was behind.
#[tokio::test]
async fn the_repeat_for_one_of_two_is_known_where_the_clock_was_behind() {
    let mut rig = Rig::new();
    let (ann, bob) = (Id::new(), Id::new());
    let both = rig.batch(&[("ann", &ann), ("bob", &bob)], &Gate::open()).await;
    assert!(is_sent(&rig.deliver(both).await.unwrap()[0]));
    let journal = Journal::open(&rig.directory.path().join("other"), 1000, 0).unwrap();
    rig.shared = shared(&rig.parts, journal);
    let one = rig.batch(&[("ann", &ann)], &Gate::open()).await;
    assert!(is_sent(&rig.deliver(one).await.unwrap()[0]));
    rig.until_there_are("ann", 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_before_the_mailbox_hung_is_answered_for() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    let mut batch = Batch::default();
    rig.add_without_id(&mut batch, "ann", &Gate::open()).await;
    rig.add_without_id(&mut batch, "ann", &gate).await;
    rig.add_without_id(&mut batch, "ann", &Gate::open()).await;
    let outcomes = rig.deliver(batch);
    gate.until_stuck(1).await;
    let outcomes = outcomes.await.unwrap();
    assert!(is_sent(&outcomes[0]));
    assert_eq!(outcomes[1..], [[Err(Failure::Unavailable)], [Err(Failure::Unavailable)]]);
    gate.set_open();
    rig.until_there_are("ann", 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_put_off_and_has_no_id_is_not_delivered_behind_its_peers_back() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    let mut batch = Batch::default();
    rig.add_without_id(&mut batch, "ann", &gate).await;
    let outcomes = rig.deliver(batch);
    gate.until_stuck(1).await;
    assert_eq!(outcomes.await.unwrap(), [[Err(Failure::Unavailable)]]);
    gate.set_open();
    rig.until_there_are("ann", 0).await;
}

#[tokio::test(start_paused = true)]
async fn who_names_no_deliveries_is_kept_waiting_for_longer() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    rig.keep_all_threads_busy(rig.shared.disks.unknown(), &gate).await;
    let with_id = Some(format!("{}.0", Id::new()));
    let table = [(with_id, PATIENCE), (None, PATIENCE_WITHOUT_IDS)];
    for (number, (id, patience)) in table.into_iter().enumerate() {
        let mut deliveries = Deliveries::new(Arc::clone(&rig.parts), Arc::clone(&rig.shared));
        let to = ["ann", "bob"][number];
        let started = Instant::now();
        let answer = deliveries.perform(Request::Deliver(vec![transaction(&[(to, id)])])).await;
        let Answer::Delivered(outcomes) = answer else { panic!("{answer:?}") };
        assert_eq!(outcomes, [[Err(Failure::Unavailable)]]);
        assert_eq!(started.elapsed().as_secs(), patience.as_secs(), "the test's clock");
    }
    gate.set_open();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_those_who_hang_behind_their_answer() {
    let rig = Rig::new();
    let line = rig.shared.turns.of(&"ann@example.org".parse().unwrap());
    let disk = rig.shared.disks.of(u64::MAX);
    line.is_on(&disk);
    // They have answered, and tell of it.
    let mut telling: Vec<_> = (0..MOST).map(|_| line.try_take(&disk).unwrap()).collect();
    for patience in [PATIENCE, Duration::ZERO] {
        let started = Instant::now();
        let batch = rig.batch(&[("ann", &Id::new())], &Gate::open()).await;
        assert_eq!(rig.deliver(batch).await.unwrap(), [[Err(Failure::Unavailable)]]);
        assert_eq!(started.elapsed().as_secs(), patience.as_secs(), "the test's clock");
    }
    telling.pop();
    tokio::time::resume();
    let last = rig.batch(&[("ann", &Id::new())], &Gate::open()).await;
    assert!(is_sent(&rig.deliver(last).await.unwrap()[0]));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_reaches_who_is_behind_the_one_that_hangs() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    let mut stuck = Vec::new();
    for _ in 0..MOST {
        stuck.push(rig.deliver(rig.batch(&[("ann", &Id::new())], &gate).await));
    }
    gate.until_stuck(MOST).await;
    let (ann, bob) = (Id::new(), Id::new());
    let to = [("ann", &ann), ("bob", &bob)];
    let first = rig.deliver_in_order(rig.batch(&to, &Gate::open()).await);
    tokio::time::sleep(MOMENT + Duration::from_millis(1)).await;
    rig.until_there_are("bob", 1).await;
    let first = first.await.unwrap();
    assert_eq!(first[0][0], Err(Failure::Unavailable));
    assert!(first[0][1].is_ok());
    gate.set_open();
    for outcomes in stuck {
        outcomes.await.unwrap();
    }
    rig.until_there_are("ann", MOST).await;
    let last = rig.deliver_in_order(rig.batch(&to, &Gate::open()).await);
    assert!(is_sent(&last.await.unwrap()[0]));
    rig.until_there_are("ann", MOST + 1).await;
    rig.until_there_are("bob", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_up_no_other_however_many_have_mail_there() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    let disk = rig.put_many_elsewhere();
    let mut under_way = Vec::new();
    for number in 0..MANY - 1 {
        let batch = rig.batch(&[(&user(number), &Id::new())], &gate).await;
        under_way.push(rig.deliver(batch));
    }
    gate.until_stuck(THREADS).await;
    let bob = rig.deliver(rig.batch(&[("bob", &Id::new())], &Gate::open()).await);
    rig.until_there_are("bob", 1).await;
    assert!(is_sent(&bob.await.unwrap()[0]));
    for outcomes in under_way {
        assert_eq!(outcomes.await.unwrap(), [[Err(Failure::Unavailable)]]);
    }
    // Nobody waits for the next one there.
    let started = Instant::now();
    let last = user(MANY - 1);
    let next = rig.batch(&[(&last, &Id::new())], &Gate::open()).await;
    assert_eq!(rig.deliver(next).await.unwrap(), [[Err(Failure::Unavailable)]]);
    assert_eq!(started.elapsed(), Duration::ZERO, "by the test's clock, which stands");
    gate.set_open();
    until(move || !disk.hangs()).await;
    let next = rig.batch(&[(&last, &Id::new())], &Gate::open()).await;
    assert!(is_sent(&rig.deliver(next).await.unwrap()[0]));
}

#[tokio::test(start_paused = true)]
async fn few_users_do_not_take_all_threads_that_ask_where_mail_is() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    let unknown = rig.shared.disks.unknown();
    rig.keep_all_threads_busy(unknown, &gate).await;
    let mut under_way = Vec::new();
    for number in 0..2 * MOST {
        let name = ["ann", "bob"][number % 2];
        under_way.push(rig.deliver(rig.batch(&[(name, &Id::new())], &Gate::open()).await));
    }
    for outcomes in under_way {
        assert_eq!(outcomes.await.unwrap(), [[Err(Failure::Unavailable)]]);
    }
    assert!(!unknown.hangs());
    gate.set_open();
    let next = rig.batch(&[(&user(0), &Id::new())], &Gate::open()).await;
    assert!(is_sent(&rig.deliver(next).await.unwrap()[0]));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_where_large_messages_are_spooled() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    rig.keep_all_threads_busy(&rig.shared.disks.spool, &gate).await;
    for number in 0..=THREADS {
        let mut deliveries = rig.begin().await;
        // What stays in memory needs no thread of theirs.
        let stored = deliveries.perform(Request::Store(b"text".to_vec())).await;
        assert!(matches!(stored, Answer::Stored(Ok(_))), "{stored:?}");
        let started = Instant::now();
        let stored = deliveries.perform(Request::Store(vec![b'x'; 1 << 20])).await;
        assert!(matches!(stored, Answer::Stored(Err(Failure::Unavailable))), "{stored:?}");
        let patience = if number < THREADS { PATIENCE } else { Duration::ZERO };
        assert_eq!(started.elapsed().as_secs(), patience.as_secs(), "the test's clock");
    }
    let bob = rig.deliver(rig.batch(&[("bob", &Id::new())], &Gate::open()).await);
    rig.until_there_are("bob", 1).await;
    assert!(is_sent(&bob.await.unwrap()[0]));
    gate.set_open();
}

/// It would be beneath the mount later, with all the mail that came meanwhile.
#[tokio::test]
async fn a_large_message_does_not_make_the_directory_of_a_disk_that_is_not_mounted() {
    let rig = Rig::new();
    let mail = rig.directory.path().join("mail");
    fs::remove_dir(&mail).unwrap();
    for is_mounted in [false, true] {
        if is_mounted {
            fs::create_dir(&mail).unwrap();
        }
        let mut deliveries = rig.begin().await;
        let stored = deliveries.perform(Request::Store(vec![b'x'; (1 << 20) + 1])).await;
        let expected = if is_mounted { None } else { Some(Failure::Unavailable) };
        let Answer::Stored(stored) = stored else { panic!("{stored:?}") };
        assert_eq!(stored.err(), expected);
        assert_eq!(mail.exists(), is_mounted);
    }
}

/// As to close it may take until the disk goes on.
#[tokio::test]
async fn nobody_but_threads_of_its_disk_closes_a_large_message() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    let disk = Arc::clone(&rig.shared.disks.spool);
    let (mut discarded, mut stored, left) =
        (rig.large().await, rig.large().await, rig.large().await);
    assert_eq!(nameless(rig.directory.path()), 3);
    rig.keep_all_threads_busy(&disk, &gate).await;
    assert!(matches!(discarded.perform(Request::Discard).await, Answer::Discarded));
    drop(left);
    (0..THREADS).for_each(|_| disk.give_up());
    let block = stored.perform(Request::Store(b"text".to_vec())).await;
    assert!(matches!(block, Answer::Stored(Err(Failure::Unavailable))), "{block:?}");
    assert_eq!(nameless(rig.directory.path()), 3);
    rig.until_all_is_closed(&gate).await;
}

#[tokio::test]
async fn nobody_but_threads_of_its_disk_closes_the_file_of_a_message_for_several() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    let disk = rig.shared.disks.of(u64::MAX);
    let user = rig.parts.auth.lookup(&"ann@example.org".parse().unwrap()).await.unwrap().unwrap();
    let file = OneFile::new(&Arc::default()).unwrap();
    let on_disk = |inbox| OnDisk::new(inbox, &disk);
    let inbox = rig.shared.inboxes.inbox(&user, &rig.parts.site.mail, on_disk).unwrap();
    let write = || inbox.append(None, NewMessage::default())?.finish();
    let no_link = |_: &_| panic!("there is nothing to link");
    drop(file.take(&disk, no_link, write).unwrap());
    assert_eq!(nameless(rig.directory.path()), 1);
    rig.keep_all_threads_busy(&disk, &gate).await;
    drop(file);
    assert_eq!(nameless(rig.directory.path()), 1);
    rig.until_all_is_closed(&gate).await;
}

#[tokio::test]
async fn nobody_but_threads_of_its_disk_closes_an_inbox_that_makes_room() {
    let (rig, gate) = (Rig::new(), Arc::<Gate>::default());
    let (disk, other) = (rig.put_many_elsewhere(), rig.shared.disks.of(1));
    let first = rig.batch(&[(&user(0), &Id::new())], &Gate::open()).await;
    assert!(is_sent(&rig.deliver(first).await.unwrap()[0]));
    rig.until_there_are("user0", 1).await;
    let home = rig.directory.path().join("mail/example.org/user0");
    fs::remove_file(home.join("posthorn.cache")).unwrap();
    assert_eq!(nameless(rig.directory.path()), 1);
    rig.keep_all_threads_busy(&disk, &gate).await;
    for number in 1..KEPT {
        rig.open_inbox(&user(number), &other).await;
    }
    assert_eq!(nameless(rig.directory.path()), 1);
    let bob = rig.batch(&[("bob", &Id::new())], &Gate::open()).await;
    assert!(is_sent(&rig.deliver(bob).await.unwrap()[0]));
    assert_eq!(nameless(rig.directory.path()), 1);
    rig.until_all_is_closed(&gate).await;
}
