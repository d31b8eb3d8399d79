//! Histories of a spool, with crashes and damage, against a model of what was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use mail_common::disk::Dir;
use mail_common::time::now_seconds;
use mail_proto::address::ReversePath;
use mail_proto::smtp::Recipient;
use proptest::prelude::*;
use proptest::sample::Index as Pick;

use super::*;
use crate::checkpoint;
use crate::cleaner::{self, Spared, Task};
use crate::fsck::fsck;
use crate::index::{Effect, Phase, summarise};
use crate::record::{Body, Header, SegmentHeader, UNIT};
use crate::recovery::{name, recover, survey};

/// Longer bodies are a file in `big/`.
const SMALL: usize = 8000;
/// Octets of a segment: small, so that histories go through many.
const SEGMENT: u64 = 64 << 10;

/// What was promised of a message.
#[derive(Debug, Clone, PartialEq)]
struct Promise {
    letter: Letter,
    body: Vec<u8>,
    progress: Option<Progress>,
}

/// A record that was made durable.
#[derive(Debug, Clone, Copy)]
struct Written {
    id: Id,
    kind: Kind,
    place: Place,
    generation: u64,
}

struct Current {
    slot: u32,
    generation: u64,
    offset: u64,
    commit: u64,
}

/// What a commit has for one record.
struct Draft {
    id: Id,
    kind: Kind,
    text: Vec<u8>,
    body: Vec<u8>,
    /// Of a moved record.
    from: Option<Place>,
    /// As it is once this is durable; `None`: done.
    after: Option<Promise>,
}

/// A spool as the writer would leave it, and what it promised.
struct Model {
    root: tempfile::TempDir,
    directories: Directories,
    index: Index,
    current: Option<Current>,
    promised: BTreeMap<Id, Promise>,
    done: BTreeSet<Id>,
    written: Vec<Written>,
    count: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Change>),
    NextSegment,
    /// With so many changes between its position and its rows.
    Checkpoint(Vec<Change>),
    Clean,
    Restart,
    /// The power goes while this is written; of each 512 octets, so much arrives.
    PowerCut(Vec<Change>, Vec<bool>),
}

#[derive(Debug, Clone)]
enum Change {
    Take { size: usize, recipients: usize },
    Try(Pick),
    Finish(Pick),
    Edit(Pick),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        4 => (0..SMALL + 1000, 1..4usize)
            .prop_map(|(size, recipients)| Change::Take { size, recipients }),
        3 => any::<Pick>().prop_map(Change::Try),
        3 => any::<Pick>().prop_map(Change::Finish),
        1 => any::<Pick>().prop_map(Change::Edit),
    ];
    prop::collection::vec(change, 1..8)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => changes().prop_map(Step::Commit),
        2 => Just(Step::NextSegment),
        3 => changes().prop_map(Step::Checkpoint),
        2 => Just(Step::Clean),
        1 => Just(Step::Restart),
        2 => (changes(), prop::collection::vec(any::<bool>(), 1..200))
            .prop_map(|(changes, arrived)| Step::PowerCut(changes, arrived)),
    ]
}

fn letter(id: Id, recipients: usize) -> Letter {
    let to = |number| format!("user@domain{number}.example").parse().unwrap();
    let recipients = (0..recipients).map(|number| Recipient::new(to(number))).collect();
    let sender = ReversePath(Some("ann@example.net".parse().unwrap()));
    Letter::new(id, 1_795_363_200_000_000, sender, recipients)
}

impl Draft {
    /// The body, if it goes into the segment.
    fn here(&self) -> &[u8] {
        if self.body.len() > SMALL { &[] } else { &self.body }
    }
}

impl Model {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["segments", "big", "corrupt"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("format"), crate::open::FORMAT).unwrap();
        let directories = Directories::open(Dir::open(root.path()).unwrap()).unwrap();
        let index = Index::default();
        index.complete(Table::default(), 0, Phase::Complete);
        Self {
            root,
            directories,
            index,
            current: None,
            promised: BTreeMap::new(),
            done: BTreeSet::new(),
            written: Vec::new(),
            count: 0,
        }
    }

    fn path(&self, slot: u32) -> PathBuf {
        self.root.path().join("segments").join(name(slot))
    }

    fn big(&self, id: Id) -> PathBuf {
        self.root.path().join("big").join(id.as_str())
    }

    fn pick(&self, pick: &Pick) -> Option<Id> {
        let ids: Vec<_> = self.promised.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[pick.index(ids.len())])
    }

    /// No message twice in one commit, as nobody changes one before he has heard of the last
    /// change.
    fn drafts(&mut self, changes: &[Change]) -> Vec<Draft> {
        let mut drafts: Vec<Draft> = Vec::new();
        for change in changes {
            let Some(draft) = self.draft(change) else { continue };
            if drafts.iter().all(|known| known.id != draft.id) {
                drafts.push(draft);
            }
        }
        drafts
    }

    fn draft(&mut self, change: &Change) -> Option<Draft> {
        match change {
            Change::Take { size, recipients } => {
                self.count += 1;
                let id = Id::parse(&format!("{:09}", self.count)).unwrap();
                let (letter, body) = (letter(id, *recipients), vec![self.count as u8; *size]);
                let after = Promise { letter, body: body.clone(), progress: None };
                let text = after.letter.encode();
                Some(Draft { id, kind: Kind::Letter, text, body, from: None, after: Some(after) })
            }
            Change::Try(pick) => {
                let id = self.pick(pick)?;
                let mut after = self.promised[&id].clone();
                let progress = after.progress.get_or_insert_with(|| Progress::new(&after.letter));
                progress.attempts += 1;
                progress.due += 300_000_000;
                progress.set(progress.attempts as usize % 4, State::Delivered);
                let text = progress.encode();
                let (kind, body) = (Kind::Progress, Vec::new());
                Some(Draft { id, kind, text, body, from: None, after: Some(after) })
            }
            Change::Finish(pick) => {
                let (text, body) = (Vec::new(), Vec::new());
                let id = self.pick(pick)?;
                Some(Draft { id, kind: Kind::Done, text, body, from: None, after: None })
            }
            Change::Edit(pick) => {
                let id = self.pick(pick)?;
                let mut after = self.promised[&id].clone();
                for recipient in &mut after.letter.recipients {
                    recipient.address = format!("x{}", recipient.address).parse().unwrap();
                }
                let (text, body) = (after.letter.encode(), after.body.clone());
                let kind = Kind::MovedLetter;
                Some(Draft { id, kind, text, body, from: None, after: Some(after) })
            }
        }
    }

    fn next_segment(&mut self) {
        let slot = self.index.take_free_slot().unwrap_or_else(|| self.index.take_new_slot());
        let generation = self.index.next_generation();
        self.index.begin_segment(slot, generation);
        self.current = Some(Current { slot, generation, offset: 0, commit: 0 });
        let file = self.file(slot);
        if file.metadata().unwrap().len() < SEGMENT {
            file.set_len(SEGMENT).unwrap();
        }
    }

    fn file(&self, slot: u32) -> File {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).open(self.path(slot)).unwrap()
    }

    /// The octets of a commit, and what it changes.
    fn encode(&mut self, drafts: &[Draft]) -> (Vec<u8>, Vec<(Written, Effect)>) {
        let octets = drafts
            .iter()
            .map(|draft| (64 + draft.text.len() + draft.body.len()).next_multiple_of(64) as u64);
        let octets = octets.sum::<u64>() + 2 * BLOCK;
        if self.current.as_ref().is_none_or(|current| current.offset + octets > SEGMENT) {
            self.next_segment();
        }
        let current = self.current.as_ref().unwrap();
        let mut buffer = Vec::new();
        if current.offset == 0 {
            let Current { generation, slot, .. } = *current;
            buffer.extend(SegmentHeader { generation, slot }.encode());
            buffer.resize(BLOCK as usize, 0);
        }
        let mut written = Vec::new();
        for draft in drafts {
            let checksum = crc32c::crc32c(&draft.body);
            let body = match draft.body.len() {
                0 => Body::NONE,
                length if length > SMALL => Body::Big(length as u64, checksum),
                length => Body::Here(length as u64, checksum),
            };
            if draft.kind == Kind::Letter && draft.here().len() < draft.body.len() {
                fs::write(self.big(draft.id), &draft.body).unwrap();
            }
            let header = Header {
                kind: draft.kind,
                generation: current.generation,
                commit: current.commit + 1,
                id: Some(draft.id),
                text: draft.text.len() as u32,
                body,
            };
            let offset = current.offset + buffer.len() as u64;
            let place = index::place(current.slot, offset, &header).unwrap();
            buffer.extend(header.encode(&draft.text));
            buffer.extend(&draft.text);
            buffer.extend(draft.here());
            buffer.resize(buffer.len().next_multiple_of(UNIT as usize), 0);
            let generation = current.generation;
            let one = Written { id: draft.id, kind: draft.kind, place, generation };
            written.push((one, self.effect(draft, place, body)));
        }
        buffer.resize(buffer.len().next_multiple_of(BLOCK as usize), 0);
        (buffer, written)
    }

    fn effect(&self, draft: &Draft, place: Place, body: Body) -> Effect {
        let Some(after) = &draft.after else { return Effect::Done(None) };
        let summary = summarise(&after.letter, after.progress.as_ref(), &self.index);
        let row = index::row(&after.letter, place, body, &summary);
        match (draft.kind, draft.from) {
            (Kind::Letter, _) => Effect::Letter(row),
            (Kind::Progress, _) => Effect::Progress(None, summary),
            (Kind::MovedLetter, from) => Effect::MovedLetter(from, row),
            (_, from) => Effect::MovedProgress(from.unwrap()),
        }
    }

    fn commit(&mut self, drafts: Vec<Draft>) {
        if drafts.is_empty() {
            return;
        }
        let (buffer, changes) = self.encode(&drafts);
        let current = self.current.as_mut().unwrap();
        let (slot, offset) = (current.slot, current.offset);
        current.offset += buffer.len() as u64;
        current.commit += 1;
        let end = current.offset;
        self.file(slot).write_all_at(&buffer, offset).unwrap();
        self.written.extend(changes.iter().map(|(written, _)| *written));
        let effects = changes.into_iter().map(|(one, effect)| (one.id, one.place, effect));
        let freed = self.index.apply(effects.collect());
        self.index.reached(end);
        // Every other time the process dies before it comes to that.
        for id in freed.big.into_iter().filter(|_| self.written.len().is_multiple_of(2)) {
            fs::remove_file(self.big(id)).unwrap();
        }
        for draft in drafts {
            match draft.after {
                Some(after) => drop(self.promised.insert(draft.id, after)),
                None => {
                    self.promised.remove(&draft.id);
                    self.done.insert(draft.id);
                }
            }
        }
    }

    fn clean(&mut self) {
        let Some(slot) = cleaner::choose(&self.index, now_seconds(), &Spared::default()) else {
            return;
        };
        for task in self.tasks(slot) {
            let Task::Copy { id, part, from, text, body, octets } = task else {
                panic!("nothing is damaged")
            };
            let octets = match body {
                Body::Here(..) => octets,
                Body::Big(..) => fs::read(self.big(id)).unwrap(),
            };
            let kind = match part {
                Part::Letter => Kind::MovedLetter,
                Part::Progress => Kind::MovedProgress,
            };
            let after = self.promised.get(&id).cloned();
            self.commit(vec![Draft { id, kind, text, body: octets, from: Some(from), after }]);
        }
        assert_eq!(self.live(slot), 0, "it is empty now");
    }

    /// What is to be done to empty a segment.
    fn tasks(&self, slot: u32) -> Vec<Task> {
        let mut tasks = Vec::new();
        let done = cleaner::empty(&self.directories, &self.index, slot, &mut |task| {
            tasks.push(task);
            Ok(())
        });
        done.unwrap();
        tasks
    }

    fn live(&self, slot: u32) -> u32 {
        let mut records = 0;
        self.index.each_slot(|number, _, live| {
            if number == slot {
                records = live.records;
            }
        });
        records
    }

    fn checkpoint(&mut self, changes: &[Change]) {
        let (position, grown) = self.index.position();
        let drafts = self.drafts(changes);
        self.commit(drafts);
        let root = &self.directories.root;
        checkpoint::write_from(root, &self.index, position, grown).unwrap();
    }

    fn restart(&mut self) {
        let survey = survey(&self.directories).unwrap();
        self.index = survey.index();
        recover(&self.directories, &survey, &self.index, |slot| self.index.seal(slot)).unwrap();
        self.current = None;
    }

    fn power_cut(&mut self, changes: &[Change], arrived: &[bool]) {
        let drafts = self.drafts(changes);
        if drafts.is_empty() {
            return self.restart();
        }
        let (buffer, _) = self.encode(&drafts);
        let Current { slot, offset, .. } = *self.current.as_ref().unwrap();
        for (number, sector) in buffer.chunks(512).enumerate() {
            if arrived[number % arrived.len()] {
                self.file(slot).write_all_at(sector, offset + number as u64 * 512).unwrap();
            }
        }
        self.restart();
        for draft in drafts {
            // Nothing was promised of this: it is as before or as after.
            let found = self.read(draft.id);
            let before = self.promised.get(&draft.id).cloned();
            assert!(found == before || found == draft.after, "{}: {found:?}", draft.id);
            match found {
                Some(found) => drop(self.promised.insert(draft.id, found)),
                None => {
                    self.promised.remove(&draft.id);
                    self.done.insert(draft.id);
                }
            }
        }
    }

    /// A message as the rows say it is; `None`: there is none, or it cannot be read.
    fn read(&self, id: Id) -> Option<Promise> {
        let row = self.index.find(id)?;
        let record = |place: Place, part| {
            let generation = self.index.slot(place.slot)?.generation;
            let file = File::open(self.path(place.slot)).unwrap();
            let record = scan::stored(&file, generation, (id, part), place).ok()?;
            let body = scan::body(&file, &record).unwrap()?;
            Some((record, body))
        };
        let (record_of_letter, body) = record(row.letter, Part::Letter)?;
        let letter = Letter::decode(id, &record_of_letter.text).unwrap();
        let progress = row.progress.and_then(|place| record(place, Part::Progress));
        let progress = progress.map(|(found, _)| Progress::decode(&found.text, &letter).unwrap());
        let mut expected = row;
        expected.summarise(&summarise(&letter, progress.as_ref(), &self.index));
        assert_eq!(row, expected, "the row says what the records say");
        let body = if row.big { fs::read(self.big(id)).unwrap() } else { body };
        Some(Promise { letter, body, progress })
    }

    /// All is as it was promised, but for these messages.
    fn check(&self, excepted: &[Id]) {
        for (&id, promise) in self.promised.iter().filter(|(id, _)| !excepted.contains(id)) {
            assert_eq!(self.read(id).as_ref(), Some(promise), "{id}");
        }
        for id in self.done.iter().filter(|id| !excepted.contains(id)) {
            assert_eq!(self.index.find(*id), None, "{id} was done with");
        }
        if excepted.is_empty() {
            assert_eq!(self.index.len(), self.promised.len());
        }
    }

    /// No body is missing, none is left over.
    fn check_big(&self) {
        let files = fs::read_dir(self.root.path().join("big")).unwrap();
        let names: BTreeSet<_> = files.map(|file| file.unwrap().file_name()).collect();
        let big = self.promised.values().filter(|promise| promise.body.len() > SMALL);
        let ids: BTreeSet<_> = big.map(|promise| promise.letter.id.as_str().into()).collect();
        assert_eq!(names, ids);
    }

    /// Takes one message in a commit of its own.
    fn take(&mut self, size: usize) -> Id {
        self.run(&[Step::Commit(vec![Change::Take { size, recipients: 3 }])]);
        *self.promised.keys().next_back().unwrap()
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        fsck(self.root.path(), &mut |finding| findings.push(finding)).unwrap();
        findings
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Commit(changes) => {
                    let drafts = self.drafts(changes);
                    self.commit(drafts);
                }
                Step::NextSegment => self.current = None,
                Step::Checkpoint(changes) => self.checkpoint(changes),
                Step::Clean => self.clean(),
                Step::Restart => {
                    self.restart();
                    self.check_big();
                }
                Step::PowerCut(changes, arrived) => self.power_cut(changes, arrived),
            }
            self.check(&[]);
        }
    }

    /// All rows, with their names.
    fn rows(&self) -> BTreeMap<Id, (Row, [String; 3])> {
        let mut rows = BTreeMap::new();
        self.index.each(|row| {
            let names = [row.destination, row.reason, row.sender].map(|name| self.index.name(name));
            let row = Row { destination: 0, reason: 0, sender: 0, ..*row };
            rows.insert(row.id, (row, names));
        });
        rows
    }

    fn damage(&self, file: PathBuf, offset: u64, octets: &[u8]) {
        OpenOptions::new().write(true).open(file).unwrap().write_all_at(octets, offset).unwrap();
    }

    fn corrupt(&self) -> usize {
        fs::read_dir(self.root.path().join("corrupt")).unwrap().count()
    }
}

#[test]
fn damage_is_kept_and_named() {
    let mut model = Model::new();
    let ids = [100, 200, 300].map(|size| model.take(size));
    let place = model.written[1].place;
    let next = model.written[2].place.offset();
    model.damage(model.path(0), place.offset() + 60, b"xx");
    let stretch =
        Stretch { slot: 0, generation: model.written[0].generation, range: place.offset()..next };
    let letter = format!("{} from ann@example.net to user@domain0.example and 2 more", ids[1]);
    let damage = Finding::Damage { stretch: stretch.clone(), letter: Some(letter) };
    assert_eq!(model.findings(), [damage]);
    for _ in 0..2 {
        model.restart();
        model.check(&ids[1..2]);
        assert_eq!(model.index.find(ids[1]), None);
        let kept: Vec<_> = fs::read_dir(model.root.path().join("corrupt")).unwrap().collect();
        let [Ok(kept)] = &kept[..] else { panic!("{kept:?}") };
        let octets = fs::read(model.path(0)).unwrap();
        let range = place.offset() as usize..next as usize;
        assert_eq!(fs::read(kept.path()).unwrap(), octets[range]);
    }
    // Once the log before a checkpoint is not read any more, only what is needed is damage.
    model.checkpoint(&[]);
    assert_eq!(model.findings(), []);
    let place = model.written[2].place;
    model.damage(model.path(0), place.end() - 70, b"xx");
    assert_eq!(model.findings(), [Finding::Body { id: ids[2] }]);
    model.damage(model.path(0), place.offset(), b"xx");
    assert_eq!(model.findings(), [Finding::Lost { id: ids[2] }]);
}

/// Rows of a checkpoint that are newer than its position need their record, which is behind it.
#[test]
fn rows_that_no_record_confirms_are_lost() {
    let mut model = Model::new();
    let known = model.take(100);
    let (position, grown) = model.index.position();
    // The log goes on in the next segment while the rows are written.
    model.current = None;
    let lost = model.take(200);
    let after = Promise { progress: None, ..model.promised[&known].clone() };
    let progress = Progress::new(&after.letter);
    let (text, body) = (progress.encode(), Vec::new());
    let after = Some(Promise { progress: Some(progress), ..after });
    let kind = Kind::Progress;
    model.commit(vec![Draft { id: known, kind, text, body, from: None, after }]);
    model.take(300);
    checkpoint::write_from(&model.directories.root, &model.index, position, grown).unwrap();
    model.restart();
    model.check(&[]);
    let [letter, progress] = [1, 2].map(|number: usize| model.written[number]);
    assert_eq!([letter.id, progress.id], [lost, known]);
    for hit in [letter, progress] {
        model.damage(model.path(hit.place.slot), hit.place.offset(), b"xx");
    }
    let mut findings = model.findings();
    findings.retain(|finding| !matches!(finding, Finding::Damage { .. }));
    assert_eq!(findings, [Finding::Lost { id: lost }, Finding::LostProgress { id: known }]);
    model.restart();
    model.check(&[lost, known]);
    assert_eq!(model.index.find(lost), None);
    assert_eq!(model.read(known).unwrap().progress, None, "it is tried again");
}

#[test]
fn what_a_seal_cuts_off_does_not_count() {
    let mut model = Model::new();
    let kept = model.take(100);
    let Current { generation, offset: length, .. } = *model.current.as_ref().unwrap();
    let cut = model.take(200);
    model.current = None;
    let text = Seal { generation, length }.encode();
    let seal =
        Draft { id: kept, kind: Kind::Seal, text, body: Vec::new(), from: None, after: None };
    let (octets, _) = model.encode(&[seal]);
    let slot = model.current.as_ref().unwrap().slot;
    model.file(slot).write_all_at(&octets, 0).unwrap();
    model.promised.remove(&cut);
    model.done.insert(cut);
    model.restart();
    model.check(&[]);
    assert_eq!(model.index.slot(0).unwrap().stage, crate::index::Stage::Sealed);
    assert_eq!(
        cleaner::choose(&model.index, 0, &Spared::default()),
        Some(0),
        "at once, though it is full of life"
    );
}

#[test]
fn bodies_apart_are_removed_kept_or_missed() {
    let mut model = Model::new();
    let ids = [SMALL + 1, SMALL + 2, 10].map(|size| model.take(size));
    let orphan = Id::parse("orphan").unwrap();
    fs::write(model.big(orphan), b"x").unwrap();
    fs::write(model.root.path().join("big/no-id"), b"x").unwrap();
    assert_eq!(model.findings(), [Finding::Orphan { id: orphan }]);
    model.restart();
    assert!(!model.big(orphan).exists() && model.root.path().join("big/no-id").exists());
    model.check(&[]);
    model.damage(model.big(ids[1]), 5, b"xx");
    assert_eq!(model.findings(), [Finding::Body { id: ids[1] }]);
    fs::remove_file(model.big(ids[1])).unwrap();
    assert_eq!(model.findings(), [Finding::BigMissing { id: ids[1] }]);
    // Where a record is damaged, the body may have been of its message.
    model.damage(model.path(0), model.written[0].place.offset(), b"xx");
    model.restart();
    assert!(!model.big(ids[0]).exists());
    let kept = model.root.path().join("corrupt").join(ids[0].as_str());
    assert_eq!(fs::read(kept).unwrap().len(), SMALL + 1);
}

#[test]
fn only_spools_of_this_version_are_checked() {
    let model = Model::new();
    assert_eq!(model.findings(), []);
    let held = model.directories.root.lock("lock").unwrap();
    assert_eq!(model.findings(), [Finding::Running]);
    drop(held);
    fs::create_dir(model.root.path().join("messages")).unwrap();
    assert_eq!(model.findings(), [Finding::Stranger { name: "messages".to_owned() }]);
    fs::write(model.root.path().join("format"), "posthorn spool 2\n").unwrap();
    let refused = fsck(model.root.path(), &mut |_| ());
    assert!(matches!(refused, Err(crate::SpoolError::Format(_))), "{refused:?}");
}

#[test]
fn nothing_ripe_is_left_to_clean() {
    let mut model = Model::new();
    let ids: Vec<_> = (0..6).map(|_| model.take(4000)).collect();
    model.current = None;
    model.take(10);
    let now = now_seconds();
    assert_eq!(cleaner::choose(&model.index, now, &Spared::default()), None, "all of it is alive");
    for id in &ids[..4] {
        let (text, body) = (Vec::new(), Vec::new());
        let kind = Kind::Done;
        model.commit(vec![Draft { id: *id, kind, text, body, from: None, after: None }]);
    }
    assert_eq!(cleaner::choose(&model.index, now - 2, &Spared::default()), None, "it is too young");
    assert_eq!(cleaner::choose(&model.index, now, &Spared::default()), Some(0));
    model.damage(model.path(0), model.written[4].place.offset() + 200, b"xx");
    // What is damaged stays as long as its octets cannot be kept.
    let others = (0..1000).map(|number| model.root.path().join(format!("corrupt/{number}")));
    others.clone().for_each(|path| fs::write(path, "").unwrap());
    let tasks = model.tasks(0);
    assert!(matches!(&tasks[..], [Task::Copy { id, .. }] if *id == ids[5]), "{tasks:?}");
    others.for_each(|path| fs::remove_file(path).unwrap());
    // Then it is told, and the rest copied.
    let tasks = model.tasks(0);
    let [Task::Lost { id: lost, part: Part::Letter, .. }, Task::Copy { id, .. }] = &tasks[..]
    else {
        panic!("{tasks:?}")
    };
    assert_eq!([*lost, *id], ids[4..]);
    assert_eq!(model.corrupt(), 1);
}

/// Each syncs many times: an eighth of what is usual.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases / 8, failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_was_promised_is_there(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::new();
        model.run(&steps);
        model.restart();
        model.check(&[]);
        let rows = model.rows();
        model.restart();
        model.check(&[]);
        assert_eq!(model.rows(), rows, "a second start finds the same");
        model.check_big();
        let findings = model.findings();
        let harmless = |finding: &Finding| {
            matches!(finding, Finding::Unfinished { .. } | Finding::Segment { .. })
        };
        assert!(findings.iter().all(harmless), "{findings:?}");
    }

    #[test]
    fn a_damaged_record_costs_only_itself(
        steps in prop::collection::vec(step(), 1..30),
        pick: Pick,
        garbage in prop::collection::vec(any::<u8>(), 1..300),
        from: Pick,
    ) {
        let mut model = Model::new();
        model.run(&steps);
        let known: Vec<_> = model.written.iter().filter(|written| {
            let slot = model.index.slot(written.place.slot);
            slot.is_some_and(|slot| slot.generation == written.generation)
        }).copied().collect();
        prop_assume!(!known.is_empty());
        let hit = known[pick.index(known.len())];
        let length = (hit.place.end() - hit.place.offset()) as usize;
        let from = from.index(length);
        let some = &garbage[..garbage.len().min(length - from)];
        model.damage(model.path(hit.place.slot), hit.place.offset() + from as u64, some);
        model.restart();
        model.check(&[hit.id]);
        let known = model.promised.contains_key(&hit.id) || hit.kind == Kind::Done;
        if model.index.find(hit.id).is_some() {
            assert!(known || model.done.contains(&hit.id));
        }
        let rows = model.rows();
        model.restart();
        assert_eq!(model.rows(), rows, "a second start finds the same");
    }

    #[test]
    fn checkpoints_may_be_damaged(
        steps in prop::collection::vec(step(), 1..30),
        both: bool,
        pick: Pick,
    ) {
        let mut model = Model::new();
        model.run(&steps);
        let names = [checkpoint::NEWER, checkpoint::OLDER];
        for name in names.iter().take(if both { 2 } else { 1 }) {
            let path = model.root.path().join(name);
            let Ok(octets) = fs::read(&path) else { continue };
            let at = pick.index(octets.len());
            model.damage(path, at as u64, &[!octets[at]]);
        }
        model.restart();
        if !both {
            // The older one serves; or there is none, and no slot was used again.
            model.check(&[]);
        } else {
            // What was done may come back, and progress may be older than it was.
            let promised: Vec<_> = model.promised.keys().copied().collect();
            for id in promised {
                let found = model.read(id).map(|found| (found.letter, found.body));
                let promise = &model.promised[&id];
                assert_eq!(found, Some((promise.letter.clone(), promise.body.clone())));
            }
        }
    }
}
