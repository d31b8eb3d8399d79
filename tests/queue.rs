//! `posthorn queue` and `posthorn spool`, as an admin calls them: while mtad is down, and over its
//! control socket.
//!
//! The spool belongs to Debian's user `mail`; the tests run as root, and nothing in it may be
//! root's after.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use mail_common::log::Id;
use mail_common::time;
use mail_proto::address::ReversePath;
use mail_proto::smtp::Recipient;
use mail_spool::admin::{Changed, Desk, UnderWay};
use mail_spool::{Letter, Progress, Settings, Spool, State, Then};
use mail_tests::dovecot::give;
use mail_tests::site::Site;
use mail_tests::suite::binary;
use mtad::control::Control;
use tokio_util::sync::CancellationToken;

#[test]
fn an_admin_looks_while_mtad_is_down() {
    let place = Place::new();
    let [ann, bob] = place.fill();
    let list = place.queue(&["list"]);
    assert_eq!(list.code, 0, "{list:?}");
    let lines: Vec<_> = list.out.lines().collect();
    assert_eq!(lines.len(), 3, "{list:?}");
    assert!(lines[1].starts_with(ann.as_str()) && lines[1].ends_with("ann@example.org"));
    let waits = "<> -> bob@example.org +1: 450 4.2.1 busy";
    assert!(lines[2].starts_with(bob.as_str()) && lines[2].ends_with(waits), "{list:?}");

    let json = place.queue(&["list", "--json", "--destination", "other.example"]);
    let item: serde_json::Value = serde_json::from_str(json.out.trim()).expect("one object");
    assert_eq!(item["id"], bob.as_str());
    assert_eq!(item["recipients"][1]["reason"], "450 4.2.1 busy");

    let summary = place.queue(&["summary"]);
    assert!(summary.out.starts_with("2 messages of 40 octets: 1 new, 1 deferred, 0 held"));
    let show = place.queue(&["show", bob.as_str()]);
    assert!(show.out.contains("attempts     2\n"), "{show:?}");
    assert!(show.out.contains("stored       segments/"), "{show:?}");
    let cat = place.queue(&["cat", ann.as_str()]);
    assert_eq!(cat.out, "Subject: x\r\n\r\nbody\r\n");
    let header = place.queue(&["cat", "--headers", ann.as_str()]);
    assert_eq!(header.out, "Subject: x\r\n");
    for command in ["cat", "show", "list", "hold"] {
        let gone = place.queue(&[command, "0abc"]);
        assert_eq!((gone.code, gone.out.as_str()), (1, ""), "{command}: {gone:?}");
        assert_eq!(gone.told, "posthorn queue: 0abc: not in the queue\n");
    }
    assert_eq!(place.queue(&["list", "--held"]).out, "no message matches\n");
    place.is_not_root_s();
}

#[test]
fn an_admin_changes_what_waits_while_mtad_is_down() {
    let place = Place::new();
    let [ann, bob] = place.fill();
    let held = place.queue(&["hold", "--sender", "<>", "--because", "look at it"]);
    assert_eq!(held.out, format!("{bob}: held\n"), "{held:?}");
    assert!(place.queue(&["show", bob.as_str()]).out.contains("none: it is held: look at it"));
    assert_eq!(place.queue(&["list", "--held", "--json"]).out.lines().count(), 1);
    assert_eq!(place.queue(&["release", "--held"]).out, format!("{bob}: released\n"));

    let edited = place.queue(&["edit-recipient", "eve@other.example", "eve@x.example"]);
    assert_eq!(edited.out, format!("{bob}: readdressed\n"), "{edited:?}");
    let edited = place.queue(&["list", "--recipient", "eve@x.*", "--json"]);
    assert_eq!(edited.out.lines().count(), 1);

    let nobody = place.queue(&["delete"]);
    assert_eq!(nobody.code, 64, "{nobody:?}");
    let many = place.queue(&["delete", "--all"]);
    assert_eq!((many.code, many.out.as_str()), (64, ""), "{many:?}");
    assert!(many.told.contains("this would delete 2 messages: say so with --yes"), "{many:?}");
    let rehearsed = place.queue(&["delete", "--all", "--dry-run"]);
    assert!(rehearsed.out.contains(&format!("{ann}: would be deleted\n")), "{rehearsed:?}");
    assert_eq!(place.queue(&["delete", ann.as_str()]).out, format!("{ann}: deleted\n"));
    assert_eq!(place.queue(&["delete", "--all", "--yes"]).out, format!("{bob}: deleted\n"));
    assert_eq!(place.mailq().out, "Mail queue is empty\n");
    place.is_not_root_s();
}

#[test]
fn who_sits_at_a_terminal_is_asked_before_much_is_deleted() {
    let place = Place::new();
    place.fill();
    let asked = place.at_terminal("queue delete --all", "n\n");
    assert_eq!(asked.code, 64, "{asked:?}");
    assert!(asked.out.contains("posthorn queue: delete 2 messages? [y/N]"), "{asked:?}");
    assert_eq!(place.queue(&["list", "--json"]).out.lines().count(), 2);
    let asked = place.at_terminal("queue bounce --all", "y\n");
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(asked.out.contains("return 2 messages to the senders? [y/N]"), "{asked:?}");
    let given_up = place.queue(&["list", "--json"]).out;
    assert_eq!(given_up.matches(r#""given_up":"given up by the postmaster""#).count(), 2);
}

#[test]
fn what_was_exported_comes_back() {
    let place = Place::new();
    let [ann, bob] = place.fill();
    let to = place.site.path("export");
    let to = to.to_str().expect("is text");
    let before = place.queue(&["list", "--json"]).out;
    let done = place.queue(&["export", "--to", to]);
    assert_eq!(done.out, format!("2 messages exported to {to}\n"), "{done:?}");
    let text = fs::read(Path::new(to).join(format!("{ann}.eml"))).expect("was written");
    assert_eq!(text, b"Subject: x\r\n\r\nbody\r\n");
    assert_eq!(place.queue(&["export", "--to", to]).code, 64, "it is not empty");

    let here = place.queue(&["import", to]);
    assert_eq!(here.code, 1, "{here:?}");
    assert!(here.told.contains(&format!("{ann}: it is here already")), "{here:?}");
    place.queue(&["delete", "--all", "--yes"]);
    let back = place.queue(&["import", to]);
    assert_eq!(back.out, format!("{ann}: imported\n{bob}: imported\n2 messages imported\n"));
    let stored = |text: &str| -> Vec<serde_json::Value> {
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("is JSON"));
        let without = |mut item: serde_json::Value| {
            item.as_object_mut().expect("is an object").remove("stored");
            item
        };
        lines.map(without).collect()
    };
    assert_eq!(stored(&place.queue(&["list", "--json"]).out), stored(&before));
    place.is_not_root_s();
}

#[test]
fn mailq_is_postfix_s() {
    let place = Place::new();
    let [ann, bob] = place.fill();
    for done in [place.mailq(), place.run(&["sendmail", "-bp"])] {
        let lines: Vec<_> = done.out.lines().collect();
        assert!(lines[0].starts_with("-Queue ID-"), "{done:?}");
        assert!(lines[1].starts_with(&format!("{ann}*")) && lines[1].contains("bob@example.net"));
        let second = lines.iter().position(|line| line.starts_with(bob.as_str()));
        let second = second.expect("is listed");
        assert!(lines[second].contains("MAILER-DAEMON"), "{done:?}");
        assert_eq!(lines[second + 2].trim(), "(450 4.2.1 busy)");
        assert_eq!(lines.last(), Some(&"-- 0 Kbytes in 2 Requests."));
    }
}

#[test]
fn with_mtad_up_it_does_what_is_asked() {
    let place = Place::new();
    let [ann, bob] = place.fill();
    let running = Running::start(&place);
    assert_eq!(place.queue(&["list", "--json"]).out.lines().count(), 2);
    let held = place.queue(&["hold", ann.as_str()]);
    assert_eq!(held.out, format!("{ann}: held\n"), "{held:?}");
    assert_eq!(running.told.recv(), Ok(Changed::Withdrawn(ann)));
    let turn = running.under_way.deliver(bob).expect("nobody delivers it");
    let busy = place.queue(&["delete", bob.as_str()]);
    assert_eq!(busy.code, 1, "{busy:?}");
    assert!(busy.told.contains("it is being delivered now"), "{busy:?}");
    drop(turn);
    assert_eq!(place.queue(&["delete", "--all", "--yes"]).out.lines().count(), 2);
    let path = place.site.config().run.mtad_control();
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().expect("is below run"))), (0o600, 0o700));
    running.stop(&place);
    assert_eq!(place.mailq().out, "Mail queue is empty\n");
}

#[test]
fn mtad_that_starts_is_told_apart_from_one_that_is_down() {
    let place = Place::new();
    place.fill();
    let spool = place.open();
    let starting = place.queue(&["list"]);
    assert_eq!(starting.code, 75, "{starting:?}");
    assert!(starting.told.contains("Try again in a moment"), "{starting:?}");
    place.close(spool);
    assert_eq!(place.queue(&["list"]).code, 0);
    fs::remove_file(place.site.path("spool/format")).expect("was there");
    let none = place.queue(&["list"]);
    assert_eq!(none.code, 64, "{none:?}");
    assert!(none.told.contains("no spool is there"), "{none:?}");
}

#[test]
fn a_message_is_traced_through_logs_and_queue() {
    let place = Place::new();
    let [ann, _] = place.fill();
    let (sent, notice) = (Id::new(), Id::new());
    let logs = [
        (
            "mtad",
            format!(
                "2026-11-23T01:00:00.000001+00:00 mtad[1]: info: {sent}: from=<bob@example.net>\n\
                 2026-11-23T01:00:03.000001+00:00 mtad[1]: info: {sent}: to=<joe@x.example>, \
                 status=bounced\n\
                 2026-11-23T01:00:04.000001+00:00 mtad[1]: info: {notice}: parent={sent}\n\
                 2026-11-23T01:00:05.000001+00:00 mtad[1]: info: {notice}: removed\n\
                 2026-11-23T01:00:06.000001+00:00 mtad[1]: info: {}: other\n",
                Id::new()
            ),
        ),
        (
            "lmtp-deliverd",
            format!("2026-11-23T01:00:01.000001+00:00 lmtp-deliverd[2]: info: {sent}.0: sent\n"),
        ),
    ];
    for (name, text) in &logs {
        fs::write(place.site.path(&format!("log/{name}.log")), text).expect("can be written");
    }
    let bounced = place.queue(&["trace", sent.as_str()]);
    let seconds: Vec<_> = bounced.out.lines().filter_map(|line| line.get(17..19)).collect();
    assert_eq!(bounced.code, 0, "{bounced:?}");
    assert_eq!(seconds[..5], ["00", "01", "03", "04", "05"], "{bounced:?}");
    assert!(bounced.out.ends_with("not in the queue: the lines above say what became of it\n"));
    assert!(place.queue(&["trace", "joe@x.example"]).out.contains("removed"));

    let waits = place.queue(&["trace", "ann@example.org"]);
    assert!(waits.out.contains(&format!("in the queue:\nid           {ann}\n")), "{waits:?}");
    let json = place.queue(&["trace", "ann@example.org", "--json"]).out;
    let json: serde_json::Value = serde_json::from_str(json.trim()).expect("one object");
    assert_eq!(json["message"]["id"], ann.as_str());
    let log = place.queue(&["trace", sent.as_str(), "--json"]).out;
    assert_eq!(log.lines().filter(|line| line.starts_with(r#"{"log":"2026-"#)).count(), 5);
    let unknown = place.queue(&["trace", "nobody@x.example"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
}

#[test]
fn fsck_says_what_is_wrong() {
    let place = Place::new();
    place.fill();
    let clean = place.run(&["spool", "fsck"]);
    assert_eq!(clean.code, 0, "{clean:?}");
    assert!(clean.out.starts_with("messages 2, "), "{clean:?}");
    let segment = fs::read_dir(place.site.path("spool/segments")).expect("is there");
    for entry in segment {
        let path = entry.expect("can be listed").path();
        let mut octets = fs::read(&path).expect("can be read");
        if let Some(at) = octets.windows(4).position(|four| four == b"body") {
            octets[at] ^= 1;
            fs::write(&path, octets).expect("can be written");
        }
    }
    let damaged = place.run(&["spool", "fsck"]);
    assert_eq!(damaged.code, 1, "{damaged:?}");
    assert!(damaged.out.contains("its body is damaged"), "{damaged:?}");
    assert_eq!(place.run(&["spool", "fsck", "/nowhere"]).code, 2);
    place.is_not_root_s();
}

/// A site with a spool that belongs to the user `mail`.
struct Place {
    site: Site,
    _alone: MutexGuard<'static, ()>,
}

/// A program that another test starts has the locks of this process for a moment.
static ALONE: Mutex<()> = Mutex::new(());

/// How a command ended.
#[derive(Debug)]
struct Done {
    code: i32,
    out: String,
    /// Standard error.
    told: String,
}

/// What mtad does for an admin, without the rest of mtad.
struct Running {
    told: Receiver<Changed>,
    under_way: UnderWay,
    stop: CancellationToken,
    thread: JoinHandle<()>,
    spool: Spool,
}

impl Place {
    fn new() -> Self {
        let site = Site::new(&[]);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(site.path(""), mode).expect("is ours");
        Self { site, _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    fn open(&self) -> Spool {
        let path = self.site.path("spool");
        let (spool, recovered) = Spool::open(&path, Settings::default()).expect("can be taken");
        recovered.for_each(drop);
        spool
    }

    fn close(&self, spool: Spool) {
        spool.close();
        give(&self.site.path("spool")).expect("the tests run as root");
    }

    /// One message that nobody has tried, and one that one of two has got.
    fn fill(&self) -> [Id; 2] {
        let spool = self.open();
        let ann = add(&spool, "bob@example.net", &["ann@example.org"]);
        let bob = add(&spool, "", &["bob@example.org", "eve@other.example"]);
        let mut progress = spool.entry(bob).expect("can be read").expect("is there").progress;
        progress.attempts = 2;
        let busy = State::Waiting(Some("450 4.2.1 busy".to_owned()));
        progress.recipients = vec![State::Waiting(None), busy];
        record(&spool, bob, &progress);
        self.close(spool);
        [ann, bob]
    }

    fn queue(&self, arguments: &[&str]) -> Done {
        self.run(&[&["queue"], arguments].concat())
    }

    fn mailq(&self) -> Done {
        let link = self.site.path("mailq");
        if !link.exists() {
            std::os::unix::fs::symlink(binary("posthorn"), &link).expect("can be made");
        }
        let mut command = Command::new(link);
        command.arg("-C").arg(self.site.file());
        done(command)
    }

    /// Somebody at a terminal calls `posthorn`, and types this.
    fn at_terminal(&self, arguments: &str, typed: &str) -> Done {
        let (program, file) = (binary("posthorn"), self.site.file());
        let line = format!("{} {arguments} --config {}", program.display(), file.display());
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1) is in Debian's package bsdutils");
        let mut keyboard = child.stdin.take().expect("it is a pipe");
        keyboard.write_all(typed.as_bytes()).expect("it reads");
        ended(child.wait_with_output().expect("ends by itself"))
    }

    fn run(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(binary("posthorn"));
        command.args(arguments);
        match arguments[0] {
            "sendmail" => command.arg("-C").arg(self.site.file()),
            _ => command.arg("--config").arg(self.site.file()),
        };
        done(command)
    }

    fn is_not_root_s(&self) {
        let mut left = vec![self.site.path("spool")];
        while let Some(path) = left.pop() {
            let found = fs::symlink_metadata(&path).expect("is there");
            assert_ne!(found.uid(), 0, "{} is root's", path.display());
            if found.is_dir() {
                let entries = fs::read_dir(&path).expect("can be listed");
                left.extend(entries.map(|entry| entry.expect("can be listed").path()));
            }
        }
    }
}

impl Running {
    fn start(place: &Place) -> Self {
        let spool = place.open();
        let under_way = UnderWay::default();
        let (sender, told) = channel();
        let sender = Mutex::new(sender);
        let tell = move |changed| {
            // The test may have heard enough.
            let _ = sender.lock().expect("no panic").send(changed);
        };
        let desk = Desk::new(spool.clone(), under_way.clone(), Arc::new(tell));
        let control = Control::bind(&place.site.config().run.mtad_control()).expect("is free");
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("there are threads").block_on(control.run(desk, stopped));
        });
        Self { told, under_way, stop, thread, spool }
    }

    fn stop(self, place: &Place) {
        self.stop.cancel();
        self.thread.join().expect("did not panic");
        place.close(self.spool);
    }
}

fn done(mut command: Command) -> Done {
    ended(command.stdin(Stdio::null()).output().expect("is a program"))
}

fn ended(output: Output) -> Done {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("is UTF-8");
    let code = output.status.code().expect("ends by itself");
    Done { code, out: text(output.stdout), told: text(output.stderr) }
}

fn add(spool: &Spool, sender: &str, recipients: &[&str]) -> Id {
    let address = |text: &str| text.parse().expect("is an address");
    let letter = Letter::new(
        Id::new(),
        time::now_micros(),
        ReversePath(Some(sender).filter(|sender| !sender.is_empty()).map(address)),
        recipients.iter().map(|to| Recipient::new(address(to))).collect(),
    );
    let id = letter.id;
    let mut incoming = spool.begin(letter);
    incoming.write(b"Subject: x\r\n\r\nbody\r\n".to_vec()).expect("there is room");
    let message = Arc::new(incoming.finish().expect("there is room"));
    let (told, durable) = channel();
    spool.commit(message, then(told));
    assert_eq!(durable.recv(), Ok(true));
    id
}

fn record(spool: &Spool, id: Id, progress: &Progress) {
    let (told, durable) = channel();
    spool.record(id, progress, then(told));
    assert_eq!(durable.recv(), Ok(true));
}

fn then(told: Sender<bool>) -> Then {
    Box::new(move |result| told.send(result.is_ok()).expect("somebody waits"))
}
