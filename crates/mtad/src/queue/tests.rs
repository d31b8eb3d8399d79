use std::fs;

use mail_proto::address::ReversePath;
use mail_proto::smtp::{Notify, Recipient, Return};
use tempfile::TempDir;

use super::*;

fn letter() -> Letter {
    Letter {
        id: Id::new(),
        arrived: 1_795_363_200_000_000,
        sender: ReversePath(Some("bob@example.net".parse().unwrap())),
        recipients: vec![
            Recipient {
                notify: Some(Notify { success: true, failure: false, delay: true }),
                original: Some("rfc822;ann@x.y".to_owned()),
                ..Recipient::new("ann@example.org".parse().unwrap())
            },
            Recipient::new("\"a b\"@x.y".parse().unwrap()),
        ],
        eight_bit: true,
        ret: Some(Return::Full),
        envid: Some("<x> y".to_owned()),
    }
}

fn spool() -> (TempDir, Queue) {
    let directory = TempDir::new().unwrap();
    let queue = Queue::open(directory.path()).unwrap();
    (directory, queue)
}

fn add(queue: &Queue, text: &[u8]) -> Entry {
    let mut incoming = queue.begin(letter()).unwrap();
    for block in text.chunks(7) {
        incoming.write(block).unwrap();
    }
    incoming.commit().unwrap()
}

fn read(queue: &Queue, id: &Id) -> Result<Vec<u8>, String> {
    let mut body = queue.body(id).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    loop {
        match body.block() {
            Ok(block) if block.is_empty() => return Ok(text),
            Ok(block) => text.extend_from_slice(&block),
            Err(damage) => return Err(damage.to_string()),
        }
    }
}

fn names(directory: &TempDir, below: &str) -> Vec<String> {
    let entries = fs::read_dir(directory.path().join(below)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// As after a crash: the lock is free, all files are as they were.
fn reopen(directory: &TempDir, queue: Queue) -> Queue {
    drop(queue);
    Queue::open(directory.path()).unwrap()
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let (directory, mut queue) = spool();
    let text: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    for text in [&text[..], b"", b"Subject: x\r\n\r\nbody\r\n"] {
        let entry = add(&queue, text);
        assert_eq!(entry.size, text.len() as u64);
        queue = reopen(&directory, queue);
        assert!(queue.entries().unwrap().contains(&entry));
        assert_eq!(read(&queue, &entry.id).unwrap(), text);
    }
    let entries = queue.entries().unwrap();
    assert_eq!(entries.len(), 3);
    assert!(entries.is_sorted_by(|a, b| a.id < b.id));
}

#[test]
fn two_cannot_have_one_queue() {
    let (directory, queue) = spool();
    assert!(matches!(Queue::open(directory.path()), Err(QueueError::Taken(_))));
    reopen(&directory, queue);
}

#[test]
fn what_was_not_committed_leaves_no_trace() {
    let (directory, queue) = spool();
    let mut incoming = queue.begin(letter()).unwrap();
    incoming.write(b"half").unwrap();
    assert_eq!(names(&directory, "incoming").len(), 1);
    drop(incoming);
    assert!(names(&directory, "incoming").is_empty());

    // Killed in the middle: nobody could clean up.
    fs::write(directory.path().join("incoming/dead"), "half").unwrap();
    let queue = reopen(&directory, queue);
    assert!(names(&directory, "incoming").is_empty());
    assert!(queue.entries().unwrap().is_empty());
}

#[test]
fn progress_holds_over_restarts() {
    let (directory, queue) = spool();
    let Entry { id, mut progress, .. } = add(&queue, b"x");
    progress.set(0, State::Delivered);
    progress.set(1, State::Waiting(Some("450 later".into())));
    (progress.attempts, progress.outages, progress.due) = (3, 1, 42);
    queue.record(&id, &progress).unwrap();
    let queue = reopen(&directory, queue);
    let entry = queue.entries().unwrap().pop().unwrap();
    assert_eq!(entry.progress, progress);
    let waiting = entry.waiting();
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].number, waiting[0].address.local()), (1, "a b"));
}

#[test]
fn what_is_finished_is_gone_whenever_the_power_goes() {
    let (directory, queue) = spool();
    let id = add(&queue, b"x").id;
    queue.record(&id, &Progress::new(&letter())).unwrap();
    // Killed between the two removals: progress without a message.
    fs::remove_file(directory.path().join("messages").join(id.as_str())).unwrap();
    let queue = reopen(&directory, queue);
    assert!(names(&directory, "progress").is_empty());

    let id = add(&queue, b"x").id;
    queue.record(&id, &Progress::new(&letter())).unwrap();
    queue.finish(&id).unwrap();
    let id = add(&queue, b"y").id;
    queue.finish(&id).unwrap();
    queue.finish(&id).expect("what was half done is done again");
    assert!(queue.entries().unwrap().is_empty());
    assert!(names(&directory, "messages").is_empty() && names(&directory, "progress").is_empty());
}

/// Whatever single byte is lost or changed, the message is put aside or not read to its end, and
/// the others go on.
#[test]
fn damage_is_seen_wherever_it_is() {
    let (directory, mut queue) = spool();
    let sound = add(&queue, b"sound").id;
    let id = add(&queue, b"Subject: x\r\n\r\nbody\r\n").id;
    let path = directory.path().join("messages").join(id.as_str());
    let whole = fs::read(&path).unwrap();
    let truncated = (0..whole.len()).map(|length| whole[..length].to_vec());
    let flipped = (0..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        bytes
    });
    let longer = [[&whole[..], b"x"].concat()];
    for bytes in truncated.chain(flipped).chain(longer) {
        fs::write(&path, &bytes).unwrap();
        let entries = queue.entries().unwrap();
        let seen: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        if seen.contains(&id) {
            let damage = read(&queue, &id).unwrap_err();
            assert!(damage.contains("checksum of its text"), "{damage}");
            queue.quarantine(&id, &Damage::Checksum("text"));
        }
        assert!(seen.contains(&sound));
        assert_eq!(names(&directory, "corrupt"), [id.as_str()]);
        let kept = fs::read(directory.path().join("corrupt").join(id.as_str())).unwrap();
        assert_eq!(kept, bytes);
        assert!(!path.exists());
        fs::remove_file(directory.path().join("corrupt").join(id.as_str())).unwrap();
    }
    queue = reopen(&directory, queue);
    assert_eq!(queue.entries().unwrap().len(), 1);
}

#[test]
fn lost_progress_costs_second_copies_and_no_mail() {
    let (directory, queue) = spool();
    let entry = add(&queue, b"x");
    let mut progress = entry.progress.clone();
    progress.set(0, State::Delivered);
    queue.record(&entry.id, &progress).unwrap();
    let path = directory.path().join("progress").join(entry.id.as_str());
    fs::write(&path, b"PHR1nonsense").unwrap();
    assert_eq!(queue.entries().unwrap(), [entry]);
}

#[test]
fn a_foreign_file_is_put_aside() {
    let (directory, queue) = spool();
    fs::write(directory.path().join("messages/note.txt"), "hello").unwrap();
    assert!(queue.entries().unwrap().is_empty());
    assert_eq!(names(&directory, "corrupt"), ["note.txt"]);
    fs::write(directory.path().join("messages/note.txt"), "hello again").unwrap();
    assert!(queue.entries().unwrap().is_empty());
    assert_eq!(names(&directory, "corrupt"), ["note.txt", "note.txt.again"]);
    assert_eq!(fs::read(directory.path().join("corrupt/note.txt")).unwrap(), b"hello");
}

#[test]
fn headers_are_read_alone() {
    let (_directory, queue) = spool();
    let table: [(&[u8], usize, &[u8]); 4] = [
        (b"A: b\r\nC: d\r\n\r\nbody", 100, b"A: b\r\nC: d\r\n"),
        (b"A: b\r\nC: d\r\n\r\nbody", 4, b"A: b"),
        (b"A: b\r\n", 100, b"A: b\r\n"),
        (b"", 100, b""),
    ];
    for (text, limit, header) in table {
        let id = add(&queue, text).id;
        assert_eq!(queue.body(&id).unwrap().header(limit).unwrap(), header);
    }
}
