//! The desk of a real spool.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use mail_proto::address::ReversePath;
use mail_proto::smtp::Recipient;
use tempfile::TempDir;

use super::*;
use crate::admin::{Became, Glob, Outage, Summary};
use crate::{Letter, Progress, Settings, State};

/// A spool and its desk.
struct Scene {
    _directory: TempDir,
    spool: Spool,
    under_way: UnderWay,
    told: Arc<Mutex<Vec<Changed>>>,
    desk: Desk,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let settings = Settings { segment: 4 << 20, ..Settings::default() };
        let (spool, recovered) = Spool::open(directory.path(), settings).unwrap();
        recovered.for_each(drop);
        let told = Arc::new(Mutex::new(Vec::new()));
        let (under_way, heard) = (UnderWay::default(), Arc::clone(&told));
        let tell: Tell = Arc::new(move |changed| heard.lock().unwrap().push(changed));
        let desk = Desk::new(spool.clone(), under_way.clone(), tell);
        Self { _directory: directory, spool, under_way, told, desk }
    }

    fn add(&self, sender: &str, recipients: &[&str], text: &[u8]) -> Id {
        let sender = Some(sender).filter(|sender| !sender.is_empty());
        let letter = Letter::new(
            Id::new(),
            time::now_micros(),
            ReversePath(sender.map(|sender| sender.parse().unwrap())),
            recipients.iter().map(|to| Recipient::new(to.parse().unwrap())).collect(),
        );
        let id = letter.id;
        let mut incoming = self.spool.begin(letter);
        incoming.write(text.to_vec()).unwrap();
        let message = Arc::new(incoming.finish().unwrap());
        wait(|then| self.spool.commit(message, then)).unwrap();
        id
    }

    fn record(&self, id: Id, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.entry(id).progress;
        change(&mut progress);
        wait(|then| self.spool.record(id, &progress, then)).unwrap();
    }

    fn entry(&self, id: Id) -> Entry {
        self.spool.entry(id).unwrap().unwrap()
    }

    fn ask(&self, request: Request) -> Vec<Answer> {
        self.ask_with(request, Vec::new())
    }

    fn ask_with(&self, request: Request, text: Vec<Part>) -> Vec<Answer> {
        let mut text = VecDeque::from(text);
        let mut answers = Vec::new();
        let mut parts = || text.pop_front().ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        let mut say = |answer| {
            answers.push(answer);
            Ok(())
        };
        self.desk.answer(0, request, &mut parts, &mut say).unwrap();
        assert!(text.is_empty(), "all that was sent was read");
        let is_last =
            |(at, answer): (usize, &Answer)| answer.is_last() == (at + 1 == answers.len());
        assert!(answers.iter().enumerate().all(is_last), "{answers:?}");
        answers
    }

    fn change(&self, action: Action, filter: Filter) -> Vec<Answer> {
        self.ask(Request::Change { action, filter, dry_run: false })
    }

    fn told(&self) -> Vec<Changed> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn ids(&self) -> Vec<Id> {
        let answers = self.ask(Request::List { filter: Filter::default() });
        items(&answers).iter().map(|item| Id::parse(&item.id).unwrap()).collect()
    }
}

fn items(answers: &[Answer]) -> Vec<Item> {
    let items = answers.iter().filter_map(|answer| match answer {
        Answer::Message(item) => Some((**item).clone()),
        _ => None,
    });
    items.collect()
}

fn only(id: Id) -> Filter {
    Filter { ids: vec![Glob::new(id.as_str())], ..Filter::default() }
}

fn end(messages: u64) -> Answer {
    Answer::End { messages }
}

fn is_done(id: Id, what: &str) -> Answer {
    Answer::Done { id: id.to_string(), what: what.to_owned() }
}

fn is_refused(id: Id, why: &str) -> Answer {
    Answer::Refused { id: id.to_string(), why: why.to_owned() }
}

const TEXT: &[u8] = b"Subject: x\r\n\r\nbody\xff\r\n";

#[test]
fn what_waits_is_listed_the_oldest_first() {
    let scene = Scene::new();
    assert_eq!(scene.ask(Request::List { filter: Filter::default() }), [end(0)]);
    let a = scene.add("bob@example.net", &["ann@example.org"], TEXT);
    let b = scene.add("", &["ann@example.org", "eve@other.example"], TEXT);
    scene.record(b, |progress| {
        progress.set(0, State::Delivered);
        progress.set(1, State::Waiting(Some("450 busy".into())));
        progress.attempts = 1;
    });
    let answers = scene.ask(Request::List { filter: Filter::default() });
    assert_eq!(answers.last(), Some(&end(2)));
    let found = items(&answers);
    assert_eq!([&found[0].id, &found[1].id], [a.as_str(), b.as_str()]);
    assert_eq!(found[1].reason(), Some("450 busy"));
    assert!(found[0].stored.as_deref().is_some_and(|place| place.starts_with("segments/")));
    let other = Filter { destinations: vec![Glob::new("other.*")], ..Filter::default() };
    assert_eq!(items(&scene.ask(Request::List { filter: other }))[0].id, b.as_str());
    let gone = Id::new();
    let answers = scene.ask(Request::List { filter: only(gone) });
    assert_eq!(answers, [is_refused(gone, "not in the queue"), end(0)]);
}

#[test]
fn a_summary_counts_what_a_list_shows() {
    let scene = Scene::new();
    for _ in 0..3 {
        scene.add("bob@example.net", &["ann@example.org"], TEXT);
    }
    scene.add("", &["eve@other.example"], TEXT);
    let summary = |filter| -> Summary {
        match scene.ask(Request::Summary { filter }).remove(0) {
            Answer::Summary(summary) => *summary,
            other => panic!("{other:?}"),
        }
    };
    let all = summary(Filter::default());
    assert_eq!((all.total.messages, all.new), (4, 4));
    let names: Vec<_> = all.destinations.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["example.org", "other.example"]);
    let eve = Filter { recipients: vec![Glob::new("eve@*")], ..Filter::default() };
    assert_eq!(summary(eve).total.messages, 1);
}

#[test]
fn texts_are_shown_and_exported_whole() {
    let scene = Scene::new();
    let long: Vec<u8> = [b"A: b\r\n\r\n".to_vec(), vec![b'x'; 3 << 20]].concat();
    let id = scene.add("bob@example.net", &["ann@example.org"], &long);
    let text = |request| -> Vec<u8> {
        let answers = scene.ask(request);
        let blocks = answers.into_iter().filter_map(|answer| match answer {
            Answer::Block(Block(octets)) => Some(octets),
            _ => None,
        });
        blocks.flatten().collect()
    };
    let cat = |headers| Request::Cat { id: id.to_string(), headers };
    assert!(text(cat(false)) == long);
    assert_eq!(text(cat(true)), b"A: b\r\n");
    assert!(text(Request::Export { filter: only(id) }) == long);
    let item = items(&scene.ask(Request::List { filter: only(id) })).remove(0);
    assert_eq!(item.stored, Some(format!("big/{id}")));
    let gone = Id::new();
    let answers = scene.ask(Request::Cat { id: gone.to_string(), headers: false });
    assert_eq!(answers, [is_refused(gone, "not in the queue"), end(0)]);
}

#[test]
fn actions_last_and_the_scheduler_hears_of_them() {
    let scene = Scene::new();
    let id = scene.add("bob@example.net", &["ann@example.org"], TEXT);
    let hold = Action::Hold { reason: "spam?".into() };
    let rehearsal = Request::Change { action: hold.clone(), filter: only(id), dry_run: true };
    assert_eq!(scene.ask(rehearsal), [is_done(id, "would be held"), end(1)]);
    assert_eq!((scene.told(), scene.entry(id).progress.hold), (vec![], None));

    assert_eq!(scene.change(hold.clone(), only(id)), [is_done(id, "held"), end(1)]);
    assert_eq!(scene.told(), [Changed::Withdrawn(id)]);
    assert_eq!(scene.entry(id).progress.hold.as_deref(), Some("spam?"));
    let again = scene.change(hold, only(id));
    assert_eq!(again, [is_refused(id, "it is held already"), end(0)]);

    scene.change(Action::Release, only(id));
    assert_eq!(scene.told(), [Changed::Due(id)]);
    assert_eq!(scene.entry(id).progress.hold, None);

    scene.change(Action::Bounce { reason: "gone".into() }, only(id));
    assert_eq!(scene.told(), [Changed::Due(id)]);
    assert_eq!(scene.entry(id).progress.given_up.as_deref(), Some("gone"));

    scene.change(Action::Delete, only(id));
    assert_eq!(scene.told(), [Changed::Withdrawn(id)]);
    assert_eq!(scene.spool.entry(id).unwrap(), None);
    let gone = scene.change(Action::Delete, only(id));
    assert_eq!(gone, [is_refused(id, "not in the queue"), end(0)]);
}

#[test]
fn a_recipient_is_changed_in_letter_and_row() {
    let scene = Scene::new();
    let id = scene.add("", &["ann@example.org", "bob@example.org"], TEXT);
    scene.record(id, |progress| progress.set(0, State::Delivered));
    let edit = Action::EditRecipient { old: "bob@example.org".into(), new: "b@x.example".into() };
    assert_eq!(scene.change(edit, only(id)), [is_done(id, "readdressed"), end(1)]);
    assert_eq!(scene.told(), [Changed::Due(id)]);
    let Entry { letter, progress, .. } = scene.entry(id);
    assert_eq!(letter.recipients[1].address.to_string(), "b@x.example");
    assert_eq!(progress.recipients, [State::Delivered, State::Waiting(None)]);
    let to = Filter { destinations: vec![Glob::new("x.example")], ..Filter::default() };
    assert_eq!(items(&scene.ask(Request::List { filter: to })).len(), 1);
    let body = scene.spool.body(id).unwrap().block().unwrap();
    assert_eq!(body, TEXT);
}

#[test]
fn what_is_being_delivered_is_left_alone() {
    let scene = Scene::new();
    let (a, b) = (scene.add("", &["a@x.y"], TEXT), scene.add("", &["b@x.y"], TEXT));
    let claim = scene.under_way.deliver(a).unwrap();
    let answers = scene.change(Action::Delete, Filter::default());
    let busy = is_refused(a, "it is being delivered now: try again when that is over");
    assert_eq!(answers, [is_done(b, "deleted"), busy, end(1)]);
    assert_eq!((scene.ids(), scene.told()), (vec![a], vec![Changed::Withdrawn(b)]));
    drop(claim);
    assert_eq!(scene.change(Action::Delete, Filter::default()), [is_done(a, "deleted"), end(1)]);
}

#[test]
fn who_named_no_message_hears_of_those_that_were_changed() {
    let scene = Scene::new();
    let [a, b, c] = ["a@x.y", "b@x.y", "c@x.y"].map(|to| scene.add("", &[to], TEXT));
    scene.change(Action::Hold { reason: "spam?".into() }, only(a));
    scene.record(b, |progress| progress.set(0, State::Waiting(Some("450 busy".into()))));
    assert_eq!(scene.change(Action::Release, Filter::default()), [is_done(a, "released"), end(1)]);
    let _turn = scene.under_way.deliver(c).unwrap();
    let edit = || Action::EditRecipient { old: "b@x.y".into(), new: "b@x.z".into() };
    let to_b = Filter { recipients: vec![Glob::new("b@x.y")], ..Filter::default() };
    assert_eq!(scene.change(edit(), to_b), [is_done(b, "readdressed"), end(1)]);

    let named = scene.change(Action::Release, only(a));
    assert_eq!(named, [is_refused(a, "it is not held"), end(0)]);
    let busy = is_refused(c, "it is being delivered now: try again when that is over");
    assert_eq!(scene.change(Action::Delete, only(c)), [busy.clone(), end(0)]);
    let rehearsal = Request::Change { action: Action::Delete, filter: only(c), dry_run: true };
    assert_eq!(scene.ask(rehearsal), [busy, end(1)]);
}

#[test]
fn why_a_message_is_not_tried_is_shown() {
    let scene = Scene::new();
    let [a, b] = ["a@dead.example", "b@x.y"].map(|to| scene.add("", &[to], TEXT));
    let outage = Outage { destination: "x:25".into(), why: "no route".into(), probe: 7 };
    let told = outage.clone();
    let desk = scene.desk.clone().with_outages(Arc::new(move |to| {
        (to.domain().as_str() == "dead.example").then(|| told.clone())
    }));
    let scene = Scene { desk, ..scene };
    let _turn = scene.under_way.deliver(b).unwrap();
    let found = scene.ask(Request::List { filter: Filter::default() });
    let seen: Vec<_> =
        items(&found).iter().map(|item| (item.outage.clone(), item.under_way)).collect();
    assert_eq!(seen, [(Some(outage), false), (None, true)]);
    let json = serde_json::to_value(&items(&found)[0]).unwrap();
    assert_eq!(json["outage"]["probe"], 7);
    assert_eq!(json["id"], a.as_str());
}

/// Whoever gets the message after an admin finds what was changed told already.
#[test]
fn a_change_is_told_before_the_message_is_given_back() {
    let scene = Scene::new();
    let id = scene.add("", &["a@x.y"], TEXT);
    let (sender, seen) = channel();
    let under_way = scene.under_way.clone();
    let tell: Tell = Arc::new(move |changed: Changed| {
        sender.send((changed, under_way.deliver(changed.id()).is_none())).unwrap();
    });
    let desk = Desk::new(scene.spool.clone(), scene.under_way.clone(), tell);
    let request = Request::Change { action: Action::Flush, filter: only(id), dry_run: false };
    desk.answer(0, request, &mut || Err(io::ErrorKind::Other.into()), &mut |_| Ok(())).unwrap();
    assert_eq!(seen.recv(), Ok((Changed::Due(id), true)));
    assert!(scene.under_way.deliver(id).is_some());
}

#[test]
fn a_change_is_done_though_nobody_hears_of_it() {
    let scene = Scene::new();
    let id = scene.add("", &["a@x.y"], TEXT);
    let request = Request::Change { action: Action::Delete, filter: only(id), dry_run: false };
    let gone = scene.desk.answer(0, request, &mut || Err(io::ErrorKind::Other.into()), &mut |_| {
        Err(io::ErrorKind::BrokenPipe.into())
    });
    assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!((scene.ids(), scene.told()), (vec![], vec![Changed::Withdrawn(id)]));
}

fn text(octets: &[u8]) -> Vec<Part> {
    let blocks = octets.chunks(5).map(<[u8]>::to_vec).chain([Vec::new()]);
    blocks.map(|block| Part { block: Block(block) }).collect()
}

#[test]
fn what_was_exported_can_be_taken_back() {
    let (from, to) = (Scene::new(), Scene::new());
    let id = from.add("bob@example.net", &["ann@example.org"], TEXT);
    from.record(id, |progress| {
        progress.set(0, State::Waiting(Some("450 busy".into())));
        (progress.attempts, progress.hold) = (2, Some("why".into()));
    });
    let item = items(&from.ask(Request::Export { filter: only(id) })).remove(0);
    let import = || Request::Import { message: Box::new(item.clone()) };
    let expected = [is_done(id, "imported"), end(1)];
    assert_eq!(to.ask_with(import(), text(TEXT)), expected);
    assert_eq!(to.told(), [Changed::Withdrawn(id)]);
    let again = items(&to.ask(Request::List { filter: only(id) })).remove(0);
    assert_eq!(Item { stored: None, ..again }, Item { stored: None, ..item.clone() });
    assert_eq!(to.spool.body(id).unwrap().block().unwrap(), TEXT);
    let twice = to.ask_with(import(), text(TEXT));
    assert_eq!(twice, [is_refused(id, "it is here already"), end(0)]);
    let other = Item { sender: String::new(), ..item.clone() };
    let answers = to.ask_with(Request::Import { message: Box::new(other) }, text(TEXT));
    assert!(matches!(&answers[0], Answer::Done { id: new, .. } if *new != item.id), "{answers:?}");
}

#[test]
fn what_was_given_up_is_never_tried_after_an_import() {
    let (from, to) = (Scene::new(), Scene::new());
    let id = from.add("bob@example.net", &["ann@example.org"], TEXT);
    from.record(id, |progress| progress.given_up = Some("no use".into()));
    let item = items(&from.ask(Request::Export { filter: only(id) })).remove(0);
    to.ask_with(Request::Import { message: Box::new(item) }, text(TEXT));
    let Entry { letter, progress, .. } = to.entry(id);
    assert_eq!((progress.given_up.as_deref(), progress.hold), (Some("no use"), None));
    // What is there if it was killed between the two commits.
    assert_eq!(Progress::new(&letter).hold.as_deref(), Some("no use"));
}

#[test]
fn who_has_it_does_not_get_it_again_from_an_import() {
    let (from, to) = (Scene::new(), Scene::new());
    let id = from.add("", &["ann@example.org", "bob@example.org"], TEXT);
    from.record(id, |progress| progress.set(0, State::Delivered));
    let mut item = items(&from.ask(Request::List { filter: only(id) })).remove(0);
    let answers = to.ask_with(Request::Import { message: Box::new(item.clone()) }, text(TEXT));
    assert_eq!(answers.last(), Some(&end(1)));
    let new = to.ids()[0];
    assert_ne!(new, id);
    assert_eq!(to.entry(new).letter.recipients.len(), 1);
    assert_eq!(to.entry(new).letter.recipients[0].address.to_string(), "bob@example.org");
    // Nobody knew how the first ended.
    let twice = to.ask_with(Request::Import { message: Box::new(item.clone()) }, text(TEXT));
    assert_eq!(twice, [is_refused(new, "it is here already"), end(0)]);
    // With others left out it is another message.
    let mut other = item.clone();
    for recipient in &mut other.recipients {
        recipient.state = match recipient.state {
            Became::Delivered => Became::Waiting,
            _ => Became::Delivered,
        };
    }
    to.ask_with(Request::Import { message: Box::new(other) }, text(TEXT));
    assert_eq!(to.ids().len(), 2);

    for recipient in &mut item.recipients {
        recipient.state = Became::Delivered;
    }
    let answers = to.ask_with(Request::Import { message: Box::new(item) }, text(TEXT));
    assert!(matches!(answers[..], [Answer::Error { .. }]), "{answers:?}");
}

/// A long queue is listed and summed up while it changes.
#[test]
fn a_long_queue_is_shown_while_it_changes() {
    const COUNT: usize = 5_000;
    let scene = Scene::new();
    let ids: Vec<Id> = (0..COUNT)
        .map(|number| {
            let letter = Letter::new(
                Id::new(),
                time::now_micros(),
                ReversePath(None),
                vec![Recipient::new(format!("u@d{}.example", number % 50).parse().unwrap())],
            );
            let id = letter.id;
            let mut incoming = scene.spool.begin(letter);
            incoming.write(TEXT.to_vec()).unwrap();
            let message = Arc::new(incoming.finish().unwrap());
            // The last one waits for all before it.
            let then: Then = Box::new(|result| result.unwrap());
            scene.spool.commit(message, then);
            id
        })
        .collect();
    scene.add("", &["a@x.y"], TEXT);
    let mut shown = 0;
    let request = Request::List { filter: Filter::default() };
    let mut parts = || Err(io::ErrorKind::Other.into());
    scene
        .desk
        .answer(0, request, &mut parts, &mut |answer| {
            if let Answer::Message(_) = answer {
                shown += 1;
                if shown == 1 {
                    wait(|then| scene.spool.finish(ids[COUNT - 1], then)).unwrap();
                }
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(shown, COUNT, "all but the one that went meanwhile");
    let answers = scene.ask(Request::Summary { filter: Filter::default() });
    assert_eq!(answers.last(), Some(&end(COUNT as u64)));
    let deleted = scene.change(Action::Delete, Filter::default());
    assert_eq!(deleted.last(), Some(&end(COUNT as u64)));
    assert!(scene.ids().is_empty());
}
