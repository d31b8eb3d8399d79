//! `posthorn mailbox`, as an admin calls it: mailboxes are shown, mended, moved in and handed back.
//!
//! All mail belongs to Debian's user `mail`, as it does where Dovecot was; the tests run as root,
//! and nothing below the mail may be root's after.

#[path = "interop/history.rs"]
mod history;
#[path = "interop/imap.rs"]
mod imap;
#[path = "interop/servers.rs"]
mod servers;
#[path = "interop/view.rs"]
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use history::History;
use mail_common::disk::Dir;
use mail_common::maildir::{Directory, Inbox, Left, NewMessage, Store};
use mail_proto::mailbox::{Flags, NamedFlags, Uid};
use mail_tests::dovecot::{MAIL, give};
use mail_tests::patience;
use mail_tests::reference::Unpacked;
use mail_tests::rig::view::Mailboxes;
use mail_tests::site::Site;
use mail_tests::suite::{Suite, binary};
use mail_tests::trouble::Ext4;
use servers::{Servers, Side};
use tempfile::TempDir;

#[test]
fn dovecot_takes_back_what_was_settled() {
    let unpacked = Unpacked::find().unwrap_or_else(|why| panic!("the original is needed: {why}"));
    let names = ["user0", "user1", "user2"];
    let mut users: Vec<History> =
        (7..).zip(names).map(|(seed, name)| History::new(name.to_owned(), seed)).collect();
    let mut servers = Servers::new(&names);
    for (turn, side) in [Side::Dovecot, Side::Posthorn].into_iter().enumerate() {
        servers.change_to(side, &unpacked);
        for history in &mut users {
            let mut client = servers.login(&history.user);
            if turn == 0 {
                history.begin(&mut client);
            }
            let maildir = servers.maildir(&history.user);
            (0..40).for_each(|_| history.step(&mut client, &maildir));
        }
    }
    let before = names.map(|name| view::of(&mut servers.login(name)));
    assert!(before.iter().map(view::messages).sum::<usize>() > 10);
    let maildir = servers.maildir("user0");
    let root = maildir.ancestors().nth(3).expect("mail/DOMAIN/USER");
    give(&root.join("mail")).expect("we are root");

    let early = posthorn(root, &["settle", "--all-users"]);
    assert_eq!(early.code, 2, "{early:?}");
    assert!(early.told.contains("imapd runs (process "), "{early:?}");
    servers.stop();
    let settled = posthorn(root, &["settle", "--all-users"]);
    assert!(settled.code <= 1, "{settled:?}");
    assert!(settled.out.contains("user2@example.org: INBOX: settled, "), "{settled:?}");
    let ours = |path: &PathBuf| path.to_string_lossy().contains("posthorn");
    let left: Vec<_> = all(&root.join("mail")).into_iter().filter(ours).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_nothing_is_root_s(&root.join("mail"));

    servers.change_to(Side::Dovecot, &unpacked);
    for (name, before) in names.iter().zip(&before) {
        let now = view::of(&mut servers.login(name));
        assert!(now == *before, "{name}:\n{}", before.difference(&now));
    }
}

#[test]
fn what_dovecot_will_not_know_is_told() {
    let place = Place::new();
    let keywords: Vec<String> = (0..28).map(|n| format!("k{n}")).collect();
    let message = NewMessage {
        flags: NamedFlags { system: 0, keywords },
        internal_date: Some(1_767_225_600),
    };
    append(&place.store("ann", "INBOX"), message, "Subject: x\r\n\r\n");
    place.give();
    let settled = place.run(&["settle", "ann@example.org"]);
    assert_eq!(settled.code, 2, "{settled:?}");
    for told in ["keyword k26 of 1 message", "keyword k27 of 1 message", "Start Dovecot"] {
        assert!(settled.out.contains(told), "{told}: {settled:?}");
    }
    assert!(!settled.out.contains("keyword k25 "), "{settled:?}");
}

/// What somebody did to INBOX, or to a mailbox called Work, or to the user's directory; and what
/// is told of it.
type Damage = (&'static str, fn(&Path), &'static str);

const DAMAGES: [Damage; 9] = [
    ("nonsense in the list", spoil_list, "INBOX: list of UIDs: 2 damaged lines: kept aside"),
    ("no list", lose_list, "INBOX: no list of UIDs: written anew"),
    ("two messages of one identity", copy_file, "INBOX: 1 files have the identity of another: two"),
    ("the index is flipped", flip_index, "INBOX: no index that can be read: made from"),
    ("the index is cut", cut_index, "INBOX: no index that can be read: made from"),
    ("a mailbox half made", half_made, "all mailboxes: 1 leftovers of programs that died: removed"),
    ("maildirsize is wrong", wrong_size, "all mailboxes: maildirsize is not what"),
    ("maildirsize makes no sense", no_size, "all mailboxes: maildirsize is not what"),
    ("no maildirfolder", unmark, "Work: no maildirfolder: mended"),
];

#[test]
fn fsck_names_and_mends() {
    for (what, damage, told) in DAMAGES {
        let place = Place::with_mail();
        let clean = place.run(&["fsck", "ann@example.org"]);
        assert_eq!(clean.code, 0, "{what}, before: {clean:?}");
        let before = place.content("ann");
        damage(&place.home("ann"));
        place.give();

        let files = place.files();
        let looked = place.run(&["fsck", "--dry-run", "ann@example.org"]);
        assert_eq!(looked.code, 2, "{what}: {looked:?}");
        assert_eq!(place.files(), files, "{what}: only looked");
        let found = told.rsplit_once(": ").map_or(told, |(found, _)| found);
        assert!(looked.out.contains(found), "{what}: {found}: {looked:?}");

        let mended = place.run(&["fsck", "--all-users"]);
        assert_eq!(mended.code, 1, "{what}: {mended:?}");
        assert!(mended.out.contains(told), "{what}: {told}: {mended:?}");
        let again = place.run(&["fsck", "ann@example.org"]);
        assert_eq!(again.code, 0, "{what}, again: {again:?}");
        let after = place.content("ann");
        let lost: Vec<_> = before.iter().filter(|message| !after.contains(message)).collect();
        assert!(lost.is_empty(), "{what}: {lost:?}");
        assert_nothing_is_root_s(&place.site.path("mail"));
    }
}

#[test]
fn fsck_says_what_it_leaves() {
    let place = Place::with_mail();
    let file = first_file(&place.home("ann"));
    fs::write(&file, "longer than its name says").expect("we are root");
    place.give();
    for _ in 0..2 {
        let found = place.run(&["fsck", "ann@example.org", "INBOX"]);
        assert_eq!(found.code, 2, "{found:?}");
        assert!(found.out.contains("has not the size that its name says: left alone"), "{found:?}");
    }
}

#[test]
fn an_export_comes_back_whole_and_once() {
    let place = Place::with_mail();
    let export = place.site.path("export");
    let to = export.to_str().expect("is UTF-8");
    let exported = place.run(&["export", "ann@example.org", "--to", to]);
    assert_eq!(exported.code, 0, "{exported:?}");
    assert!(exported.out.starts_with("8 messages exported"), "{exported:?}");
    let again = place.run(&["export", "ann@example.org", "--to", to]);
    assert_eq!(again.code, 64, "never over another: {again:?}");
    let imported = place.run(&["import", "bob@example.org", to]);
    assert!(imported.out.starts_with("8 messages imported, 0 were there"), "{imported:?}");
    assert_eq!(place.view("bob"), place.view("ann"));
    let imported = place.run(&["import", "bob@example.org", to]);
    assert!(imported.out.starts_with("0 messages imported, 8 were there"), "{imported:?}");
    assert_eq!(place.view("bob"), place.view("ann"));
    assert_nothing_is_root_s(&place.site.path("mail"));

    // An import that cannot be read whole says so.
    fs::remove_file(all(&export).iter().find(|path| path.ends_with("1.eml")).expect("is there"))
        .expect("we are root");
    let imported = place.run(&["import", "bob@example.org", to]);
    assert_eq!(imported.code, 2, "{imported:?}");
    assert!(imported.told.contains("1.eml"), "{imported:?}");
}

#[test]
fn a_maildir_and_an_mbox_come_in_once() {
    let place = Place::with_mail();
    let foreign = place.site.path("foreign");
    fs::rename(place.home("ann"), &foreign).expect("we are root");
    let from = foreign.to_str().expect("is UTF-8");
    let files = contents(&foreign);
    for count in ["8 messages imported, 0 were", "0 messages imported, 8 were"] {
        let imported = place.run(&["import", "bob@example.org", from]);
        assert!(imported.out.starts_with(count), "{imported:?}");
    }
    assert_eq!(contents(&foreign), files, "the source stays as it is");
    fs::create_dir_all(place.home("ann").parent().expect("the domain")).expect("we are root");
    fs::rename(&foreign, place.home("ann")).expect("we are root");
    let (bob, ann) = (place.view("bob"), place.view("ann"));
    for (mailbox, seen) in &bob {
        assert_eq!(seen.messages, ann[mailbox].messages, "{mailbox}");
    }
    assert!(bob["Entwürfe/2026"].subscribed && bob["Work"].subscribed, "what comes is shown");

    let mbox = place.site.path("mbox");
    let text = "From a@example.org Thu Jan  1 00:00:00 2026\nSubject: 1\nStatus: RO\n\n>From me\n\n\
                From b@example.org Thu Jan  1 00:01:00 2026\nSubject: 2\n\ntwo\n\n\
                From b@example.org Thu Jan  1 00:01:00 2026\nSubject: 2\n\ntwo\n";
    fs::write(&mbox, text).expect("the site has room");
    let mbox = mbox.to_str().expect("is UTF-8");
    for count in ["3 messages imported, 0 were", "0 messages imported, 3 were"] {
        let imported = place.run(&["import", "bob@example.org", mbox, "--mailbox", "Old/mbox"]);
        assert!(imported.out.starts_with(count), "{imported:?}");
    }
    let [Message { content, date, flags }, two, copy] = &place.view("bob")["Old/mbox"].messages[..]
    else {
        panic!("three messages");
    };
    assert!(content.ends_with("\n\nFrom me\n"), "{content}");
    assert_eq!((*date, flags), (1_767_225_600, &BTreeSet::from(["\\Seen".to_owned()])));
    assert_eq!(two, copy);
}

#[test]
fn an_import_that_is_killed_loses_and_doubles_nothing() {
    let place = Place::new();
    let ann = place.store("ann", "INBOX");
    for number in 0..120 {
        // Every third letter is there twice.
        let subject = number - usize::from(number % 3 == 2);
        append(&ann, dated(subject), &format!("Subject: {subject}\r\n\r\nText\r\n"));
    }
    drop(ann);
    place.give();
    let export = place.site.path("export");
    let to = export.to_str().expect("is UTF-8");
    assert_eq!(place.run(&["export", "ann@example.org", "--to", to]).code, 0);
    for enough in [1, 2, 7, 20, 33, 71, 90, 119] {
        let mut import = command(&place.site.path(""), &["import", "bob@example.org", to]);
        let mut import = import.stdout(Stdio::null()).spawn().expect("is a program");
        let places = ["new", "cur"].map(|name| place.home("bob").join(name));
        let come = || places.iter().flat_map(fs::read_dir).map(Iterator::count).sum::<usize>();
        patience::until(|| (come() >= enough).then_some(())).expect("messages come");
        import.kill().expect("is our child");
        import.wait().expect("is our child");
    }
    let rest = place.run(&["import", "bob@example.org", to]);
    assert_eq!(rest.code, 0, "{rest:?}");
    assert_eq!(place.view("bob")["INBOX"], place.view("ann")["INBOX"]);
}

/// A disk that was away comes back with what its journal has, under the same boot of the machine.
/// No UID that was shown is given again, and a note says nothing of what went into the mailbox.
#[test]
fn what_a_disk_forgot_that_was_away_is_known_to_be_forgotten() {
    let Some(away) = Away::mount() else { return };
    let find = || away.mailboxes.open()?.mailbox("INBOX");
    let left = |tmp| Inbox::open(find).and_then(|inbox| inbox.left("gone", tmp));
    let dir = || Dir::open(&away.home.join("tmp")).expect("is there");

    let lasting = away.begin();
    let (number, tmp) = (dir().mounted(), dir().identity().expect("is known").checksum());
    assert_ne!(number, 0, "nobody tells which mounting it is");
    assert_eq!(left(tmp).expect("can be read"), Left::Gone);
    assert_eq!(delivered(&away.mailboxes).0, 3);
    away.forget(lasting);
    assert_ne!(dir().mounted(), number);
    assert_eq!(left(tmp).expect("can be read"), Left::Elsewhere);
    let next = delivered(&away.mailboxes).0;
    assert!(next > 3, "UID {next} names two messages");
}

/// The same for a process that knows the mailbox all the time, but for what another one showed.
#[test]
fn who_lives_while_a_disk_is_away_gives_nothing_twice() {
    let Some(away) = Away::mount() else { return };
    let living = away.mailboxes.open().and_then(|all| all.mailbox("INBOX"));
    let lasting = away.begin();
    // By another path it is another mailbox, of which nothing is shared in the process.
    let link = away.directory.path().join("link");
    std::os::unix::fs::symlink(away.directory.path().join("mail"), &link).expect("is writable");
    let (uid, modseq) = delivered(&Mailboxes::below(&link));
    assert_eq!(uid, 3);
    away.forget(lasting);
    let (next, now) = delivered(&away.mailboxes);
    assert!(next > 3, "UID {next} names two messages");
    assert!(now > modseq, "modseq {now} was shown");
    drop(living.expect("it was there"));
}

/// INBOX of ann, on a disk of its own.
struct Away {
    disk: Ext4,
    mailboxes: Mailboxes,
    home: PathBuf,
    directory: TempDir,
}

/// What was on the disk for good.
type Lasting = [(PathBuf, Vec<u8>); 3];

impl Away {
    /// `None`, and said so, where none can be mounted.
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = directory.path().join("mail");
        fs::create_dir(&at).expect("it is writable");
        let disk = match Ext4::mount(&directory.path().join("image"), &at) {
            Ok(disk) => disk,
            Err(why) => {
                let said = "SKIPPED: no disk was away, for none is mounted";
                let _ = writeln!(io::stderr(), "{said}: {why}");
                return None;
            }
        };
        let (mailboxes, home) = (Mailboxes::below(&at), at.join("example.org/ann"));
        Some(Self { disk, mailboxes, home, directory })
    }

    /// Two messages come. With the second a reserve of UIDs is made to last.
    fn begin(&self) -> Lasting {
        assert_eq!([(); 2].map(|()| delivered(&self.mailboxes).0), [1, 2]);
        let files = ["posthorn.index", "posthorn.log", "dovecot-uidlist"];
        files.map(|name| self.home.join(name)).map(|file| {
            let octets = fs::read(&file).expect("is there");
            (file, octets)
        })
    }

    /// The disk is away, and comes back without the newest message, and with what lasted.
    fn forget(&self, lasting: Lasting) {
        let lost = fs::read_dir(self.home.join("new")).expect("is there").flatten();
        let lost = lost.map(|entry| entry.path()).max().expect("it came");
        fs::remove_file(lost).expect("is there");
        for (file, octets) in lasting {
            fs::write(file, octets).expect("is there");
        }
        self.disk.mount_again();
    }
}

/// A message comes into INBOX and is shown: its UID, and HIGHESTMODSEQ.
fn delivered(mailboxes: &Mailboxes) -> (Uid, u64) {
    let find = || mailboxes.open()?.mailbox("INBOX");
    let inbox = Inbox::open(find).expect("can be opened");
    let mut message = inbox.append(None, NewMessage::default()).expect("has room");
    message.write(b"Subject: x\r\n\r\n").expect("has room");
    let whole = message.finish().expect("has room");
    let _ = inbox.deliver(whole, None, &()).expect("has room");
    let shown = find().and_then(|inbox| inbox.sync()).expect("can be read");
    (shown.messages.last().expect("it came").uid, shown.modseq)
}

#[test]
fn mailboxes_are_shown() {
    let place = Place::with_mail();
    let listed = place.run(&["list", "ann@example.org"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    let columns: Vec<usize> = listed.out.lines().filter_map(|line| line.find("  ")).collect();
    assert!(columns.len() > 6, "{listed:?}");
    let line = |name: &str| {
        let mut lines = listed.out.lines();
        let line = lines.find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("INBOX"), ["INBOX", "5", "3", "135", "yes"]);
    assert_eq!(line("Sent"), ["Sent", "0", "0", "0", "\\Sent", "yes"]);
    assert_eq!(line("Work "), ["Work", "3", "2", "78", "no"]);
    let listed = place.run(&["list", "--json", "ann@example.org"]);
    for line in listed.out.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("a JSON object a line");
        assert_eq!(row["messages"].is_u64(), row["mailbox"] != "Gone", "{row}");
    }
    let status = place.run(&["status", "ann@example.org", "INBOX"]);
    assert_eq!(status.code, 0, "{status:?}");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = status.out.lines().map(words).collect();
    for told in ["UIDNEXT 6", "keyword $Work 2", "unseen 3", "deleted 0", "index sound"] {
        assert!(lines.iter().any(|line| line == told), "{told:?}: {}", status.out);
    }
    let rebuilt = place.run(&["rebuild", "ann@example.org", "INBOX"]);
    assert_eq!(rebuilt.out, "INBOX: made anew from 5 messages\n");
    assert_nothing_is_root_s(&place.site.path("mail"));
}

#[test]
fn sessions_go_on_and_hear_of_it() {
    let suite = Suite::of(Site::new(&[]), &["imapd"]);
    let mut client = suite.connect("imap");
    client.until("* OK").expect("a greeting");
    let mut ask = |text: &str| client.ask(&format!("a {text}"), "a ").expect("imapd listens");
    ask("LOGIN ann@example.org apple");
    ask("SELECT INBOX");
    let mbox = suite.site.path("mbox");
    let letter = "From a Thu Jan  1 00:00:00 2026\nSubject: 1\n\ntext\n\n";
    fs::write(&mbox, letter.repeat(3)).expect("the site has room");
    let mbox = mbox.to_str().expect("is UTF-8");
    let run = |arguments: &[&str]| posthorn(&suite.site.path(""), arguments);
    let imported = run(&["import", "ann@example.org", mbox]);
    assert!(imported.out.starts_with("3 messages imported"), "{imported:?}");
    let news = ask("NOOP");
    assert!(news.contains(&"* 3 EXISTS".to_owned()), "{news:?}");
    assert_eq!(run(&["rebuild", "ann@example.org"]).code, 0);
    assert_eq!(run(&["fsck", "ann@example.org"]).code, 0);
    let fetched = ask("UID FETCH 1:* (UID)");
    let uids = (1..=3).map(|uid| format!("* {uid} FETCH (UID {uid})"));
    assert!(uids.clone().all(|line| fetched.contains(&line)), "{fetched:?}");
}

#[test]
fn what_is_called_wrongly_says_what_to_do() {
    let place = Place::with_mail();
    for (arguments, code, told) in [
        (&["list", "nobody@example.org"][..], 64, "no user nobody@example.org"),
        (&["list", "bob@example.org"], 64, "has no mail yet"),
        (&["status", "ann@example.org", "Nowhere"], 64, "posthorn mailbox list USER"),
        (&["import", "ann@example.org", "/dev/null"], 64, "this is no mbox file"),
        (&["import", "ann@example.org", "/nowhere"], 64, "Name an export"),
        (&["fsck"], 64, "required"),
        (&["list", "ann@example.org", "--config", "/nowhere.toml"], 78, "/nowhere.toml"),
    ] {
        let done = place.run(arguments);
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
        assert!(done.told.contains(told), "{arguments:?}: {done:?}");
    }
    assert!(!place.home("bob").exists(), "who is only asked for gets no mailboxes");
}

/// What a command came to.
#[derive(Debug)]
struct Done {
    code: i32,
    out: String,
    /// Standard error.
    told: String,
}

fn command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("posthorn"));
    command.arg("mailbox");
    if !arguments.contains(&"--config") {
        command.arg("--config").arg(root.join("posthorn.toml"));
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn posthorn(root: &Path, arguments: &[&str]) -> Done {
    let output = command(root, arguments).output().expect("posthorn is a program");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("is UTF-8");
    let code = output.status.code().expect("ends by itself");
    Done { code, out: text(output.stdout), told: text(output.stderr) }
}

/// A site whose mail belongs to the user `mail`.
struct Place {
    site: Site,
}

/// All that a user sees of a mailbox but UIDs.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    subscribed: bool,
    messages: Vec<Message>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Message {
    content: String,
    date: i64,
    flags: BTreeSet<String>,
}

impl Place {
    fn new() -> Self {
        let site = Site::new(&[]);
        fs::set_permissions(site.path(""), Permissions::from_mode(0o755)).expect("is ours");
        let place = Self { site };
        place.give();
        place
    }

    /// Ann has five messages in INBOX, three in Work, and one more mailbox without any.
    fn with_mail() -> Self {
        let place = Self::new();
        let directory = place.directory("ann");
        for name in ["Work", "Entwürfe/2026"] {
            directory.create(name).expect("is new");
        }
        directory.subscribe("Entwürfe/2026", true).expect("the site has room");
        directory.subscribe("Gone", true).expect("the site has room");
        for (mailbox, count) in [("INBOX", 5), ("Work", 3)] {
            let store = place.store("ann", mailbox);
            for number in 0..count {
                append(
                    &store,
                    dated(number),
                    &format!("Subject: {number}\r\n\r\n{mailbox}, text\r\n"),
                );
            }
        }
        drop(directory);
        place.give();
        let done = place.run(&["status", "ann@example.org"]);
        assert_eq!(done.code, 0, "{done:?}");
        place
    }

    fn give(&self) {
        give(&self.site.path("mail")).expect("the tests run as root");
    }

    fn home(&self, user: &str) -> PathBuf {
        self.site.maildir(user)
    }

    fn run(&self, arguments: &[&str]) -> Done {
        posthorn(&self.site.path(""), arguments)
    }

    fn directory(&self, user: &str) -> Directory {
        Directory::open(&self.site.user(user), &self.site.config().mail).expect("can be made")
    }

    fn store(&self, user: &str, mailbox: &str) -> Store {
        self.directory(user).mailbox(mailbox).expect("is there")
    }

    /// What a user sees; what we write on the way is given to the owner.
    fn view(&self, user: &str) -> BTreeMap<String, Seen> {
        let directory = self.directory(user);
        let folders = directory.folders().expect("can be read");
        let seen = folders.into_iter().map(|folder| {
            let messages = match folder.selectable {
                true => messages(&directory.mailbox(&folder.name).expect("is there")),
                false => Vec::new(),
            };
            (folder.name, Seen { subscribed: folder.subscribed, messages })
        });
        let view = seen.collect();
        self.give();
        view
    }

    /// All messages of a user, wherever they are.
    fn content(&self, user: &str) -> BTreeSet<Message> {
        self.view(user).into_values().flat_map(|seen| seen.messages).collect()
    }

    /// Every file below the mail, and when it changed last.
    fn files(&self) -> BTreeMap<PathBuf, (i64, i64, u64)> {
        let paths = all(&self.site.path("mail")).into_iter();
        let look = |path: PathBuf| {
            let found = fs::symlink_metadata(&path).expect("is there");
            (path, (found.mtime(), found.mtime_nsec(), found.ino()))
        };
        paths.map(look).collect()
    }
}

fn messages(store: &Store) -> Vec<Message> {
    let snapshot = store.sync().expect("can be read");
    let message = |entry: mail_proto::mailbox::Entry| {
        let open = store.message(entry.uid).expect("is there");
        let mut content = vec![0; usize::try_from(open.stored_size()).expect("is small")];
        open.read_at(&mut content, 0).expect("can be read");
        let system = Flags::NAMES.iter().filter(|(bit, _)| entry.flags.has(*bit));
        let bits = snapshot.keywords.iter().enumerate();
        let keywords = bits.filter(|(bit, _)| entry.flags.keywords >> bit & 1 != 0);
        let flags = system.map(|(_, name)| (*name).to_owned());
        Message {
            content: String::from_utf8(content).expect("is UTF-8"),
            date: store.internal_date(entry.uid).expect("is there"),
            flags: flags.chain(keywords.map(|(_, name)| name.clone())).collect(),
        }
    };
    snapshot.messages.iter().map(message).collect()
}

/// A message with a date of its own; some are seen, some have a keyword.
fn dated(number: usize) -> NewMessage {
    let keywords = if number.is_multiple_of(3) { vec!["$Work".to_owned()] } else { Vec::new() };
    let system = if number % 2 == 1 { Flags::SEEN } else { 0 };
    let seconds = i64::try_from(number).expect("is small");
    NewMessage {
        flags: NamedFlags { system, keywords },
        internal_date: Some(1_767_225_600 + 60 * seconds),
    }
}

fn append(store: &Store, message: NewMessage, wire: &str) {
    let mut appending = store.append(message).expect("the site has room");
    appending.write(wire.as_bytes()).expect("the site has room");
    appending.commit().expect("the site has room");
}

/// Every file and directory below one.
fn all(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).expect("is a directory").flatten() {
        if entry.file_type().expect("is known").is_dir() {
            found.extend(all(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}

fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = all(path).into_iter().filter(|path| path.is_file());
    files.map(|path| (path.clone(), fs::read(path).expect("we are root"))).collect()
}

fn assert_nothing_is_root_s(path: &Path) {
    for path in all(path) {
        let found = fs::symlink_metadata(&path).expect("is there");
        assert_eq!((found.uid(), found.gid()), (MAIL, MAIL), "{}", path.display());
    }
}

fn first_file(home: &Path) -> PathBuf {
    let mut files = all(&home.join("cur"));
    files.sort();
    files.into_iter().next().expect("there are messages")
}

fn spoil_list(home: &Path) {
    let path = home.join("dovecot-uidlist");
    let text = fs::read_to_string(&path).expect("is there");
    fs::write(&path, format!("{text}nonsense\n1 :of the past\n")).expect("we are root");
}

fn lose_list(home: &Path) {
    fs::remove_file(home.join("dovecot-uidlist")).expect("is there");
    for name in ["posthorn.index", "posthorn.log"] {
        fs::remove_file(home.join(name)).expect("is there");
    }
}

fn copy_file(home: &Path) {
    let file = first_file(home);
    let name = file.file_name().expect("is a file").to_str().expect("is UTF-8");
    let base = name.split(':').next().expect("has an identity");
    fs::copy(&file, home.join("cur").join(format!("{base}:2,F"))).expect("we are root");
}

fn flip_index(home: &Path) {
    let path = home.join("posthorn.index");
    let mut bytes = fs::read(&path).expect("is there");
    let last = bytes.last_mut().expect("has octets");
    *last ^= 0x10;
    fs::write(&path, bytes).expect("we are root");
}

fn cut_index(home: &Path) {
    let path = home.join("posthorn.index");
    let bytes = fs::read(&path).expect("is there");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("we are root");
}

fn half_made(home: &Path) {
    fs::create_dir_all(home.join("tmp/posthorn.create.1.M2P3Q4.mx/cur")).expect("we are root");
}

fn wrong_size(home: &Path) {
    fs::write(home.join("maildirsize"), "1000000S\n7 1\n").expect("we are root");
}

fn no_size(home: &Path) {
    fs::write(home.join("maildirsize"), "1000000S\nmuch\n").expect("we are root");
}

fn unmark(home: &Path) {
    fs::remove_file(home.join(".Work/maildirfolder")).expect("is there");
}
