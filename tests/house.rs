//! House rules: what a reviewer would otherwise have to remember.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use mail_tests::source::{self, Source, crates, files, workspace};
use mail_tests::suite::DAEMONS as DAEMON_SOCKETS;
use toml::Table;

/// Every crate but `xtask` and the tests, with those of our crates that it may know.
const MAY_KNOW: [(&str, &[&str]); 8] = [
    ("mail-proto", &[]),
    ("mail-common", &["mail-proto"]),
    ("mail-spool", &["mail-common", "mail-proto"]),
    ("mtad", &["mail-common", "mail-proto", "mail-spool"]),
    ("lmtp-deliverd", &["mail-common", "mail-proto"]),
    ("imapd", &["mail-common", "mail-proto"]),
    ("pop3d", &["mail-common", "mail-proto"]),
    ("posthorn", &["mail-common", "mail-proto", "mail-spool"]),
];

const DAEMONS: [&str; 4] = ["mtad", "lmtp-deliverd", "imapd", "pop3d"];

#[test]
fn dependencies_run_one_way() {
    let ours: BTreeSet<&str> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    for (file, manifest) in manifests() {
        let name = package_name(&manifest);
        if file.starts_with("tests/") {
            continue;
        }
        let known: BTreeSet<&str> = dependencies(&manifest).filter(|d| ours.contains(d)).collect();
        let allowed = MAY_KNOW.iter().find(|(package, _)| *package == name);
        let allowed = allowed.map_or(BTreeSet::new(), |(_, list)| list.iter().copied().collect());
        let wrong: Vec<_> = known.difference(&allowed).collect();
        assert!(wrong.is_empty(), "{file}: {name} must not depend on {wrong:?}");
    }
}

#[test]
fn protocols_cannot_reach_the_world() {
    let proto = manifest_of("mail-proto");
    let runtime = proto.get("dependencies").and_then(toml::Value::as_table).expect("has some");
    let names: Vec<_> = runtime.keys().map(String::as_str).collect();
    assert_eq!(names, ["base64", "thiserror"], "mail-proto needs no more than these");
    let worldly = [
        "std::fs",
        "TcpStream",
        "UdpSocket",
        "UnixStream",
        "std::time::Instant",
        "SystemTime",
        "std::process",
    ];
    let found = places(|file| file.path.starts_with("crates/proto/"), &worldly);
    assert!(found.is_empty(), "mail-proto touches the world:\n{found}");
}

#[test]
fn every_crate_takes_the_workspace_s_lints() {
    for (file, manifest) in manifests() {
        let lints = manifest.get("lints").and_then(|l| l.get("workspace"));
        assert_eq!(lints.and_then(toml::Value::as_bool), Some(true), "{file}");
    }
}

#[test]
fn no_code_is_unsafe() {
    let found = places(|_| true, &["unsafe ", "allow(unsafe_code)"]);
    assert!(found.is_empty(), "{found}");
}

#[test]
fn functions_fit_a_screen_and_files_a_sitting() {
    let mut long = Vec::new();
    for file in crates() {
        let count = file.code().lines().count();
        if count > 400 {
            long.push(format!("{}: {count} lines, 400 are allowed", file.path));
        }
        long.extend(file.functions_longer_than(70));
    }
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

#[test]
fn protocol_code_cannot_panic_on_input() {
    let words = [".unwrap()", "panic!", "todo!", "unimplemented!"];
    let found = places(|file| file.path.starts_with("crates/proto/"), &words);
    assert!(found.is_empty(), "\n{found}");
    let mut indexed = String::new();
    for file in crates().iter().filter(|file| file.path.starts_with("crates/proto/")) {
        for (number, line) in file.code_lines() {
            if source::indexes(line) {
                indexed += &format!("{}:{number}: {}\n", file.path, line.trim());
            }
        }
    }
    assert!(indexed.is_empty(), "use get() instead:\n{indexed}");
}

#[test]
fn nothing_is_left_to_do() {
    let found = places(|_| true, &["todo!", "unimplemented!", "dbg!", "TODO", "FIXME", "XXX"]);
    assert!(found.is_empty(), "\n{found}");
}

/// What survives a power cut is decided in one place.
#[test]
fn only_disk_changes_files() {
    let words = [
        "fs::write(",
        "fs::rename",
        "fs::remove",
        "fs::create_dir",
        "fs::copy(",
        "fs::hard_link",
        "fs::set_permissions",
        "File::create",
        "OpenOptions",
        "File::options",
        "rustix::fs::rename",
        "rustix::fs::unlink",
        "rustix::fs::link",
        "rustix::fs::mkdir",
        "renameat",
        "unlinkat",
        "linkat",
        "mkdirat",
        "fsync(",
        "fdatasync(",
    ];
    // xtask builds and downloads: no mail goes through it.
    let bound = |file: &Source| {
        !file.path.starts_with("crates/common/src/disk/") && !file.path.starts_with("crates/xtask/")
    };
    let found = places(bound, &words);
    assert!(found.is_empty(), "only crates/common/src/disk may:\n{found}");
}

#[test]
fn no_name_is_empty_of_meaning() {
    let words = ["manager", "handler", "util", "utils", "helper", "helpers", "misc"];
    let mut found = Vec::new();
    for file in crates() {
        let stem = Path::new(&file.path).file_stem().unwrap_or_default().to_string_lossy();
        if words.contains(&stem.as_ref()) {
            found.push(format!("{}: a module called {stem}", file.path));
        }
        for (number, line) in file.code_lines() {
            let Some(name) = source::defined_name(line) else { continue };
            let parts = source::name_parts(name);
            if parts.iter().any(|part| words.contains(&part.as_str())) || name.starts_with("get_") {
                found.push(format!("{}:{number}: {name}", file.path));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let silent: Vec<_> = crates()
        .into_iter()
        .filter(|file| !file.code().is_empty() && !file.text.starts_with("//!"))
        .map(|file| file.path)
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top of {silent:#?}");
}

#[test]
fn licences_are_there() {
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"] {
        assert!(workspace().join(name).is_file(), "{name} is missing");
    }
}

/// What changes for users and admins is told as it lands, not when a release is made.
#[test]
fn the_changelog_tells_what_is_new() {
    let changelog = read("CHANGELOG.md");
    let unreleased = changelog.split_once("\n## Unreleased\n").expect("`## Unreleased` is there").1;
    let section = unreleased.split("\n## ").next().unwrap_or_default();
    assert!(section.lines().any(|line| line.starts_with("- ")), "nothing below `## Unreleased`");
}

#[test]
fn dependencies_have_a_line_that_says_why() {
    let root: Table = read("Cargo.toml").parse().expect("is TOML");
    let table = root.get("workspace").and_then(|w| w.get("dependencies"));
    let decisions = read("docs/decisions/dependencies.md");
    let explained: BTreeSet<&str> = decisions
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
        .flat_map(|(crates, _)| crates.split(", "))
        .collect();
    let silent: Vec<_> = table
        .and_then(toml::Value::as_table)
        .expect("the workspace has dependencies")
        .keys()
        .filter(|name| !workspace_member(name) && !explained.contains(name.as_str()))
        .collect();
    assert!(silent.is_empty(), "docs/decisions/dependencies.md has no line for {silent:?}");
}

#[test]
fn no_dependency_is_listed_in_vain() {
    let root: Table = read("Cargo.toml").parse().expect("is TOML");
    let manifests = manifests();
    let used: BTreeSet<&str> =
        manifests.iter().flat_map(|(_, manifest)| dependencies(manifest)).collect();
    let table = root.get("workspace").and_then(|w| w.get("dependencies"));
    let table = table.and_then(toml::Value::as_table).expect("the workspace has dependencies");
    let idle: Vec<_> = table.keys().filter(|name| !used.contains(name.as_str())).collect();
    assert!(idle.is_empty(), "no crate uses {idle:?}");
}

#[test]
fn nothing_tells_of_the_machine_it_was_made_on() {
    // In pieces, so that this file does not tell either.
    let places = [["/wo", "rk/"], ["/tmp/", "wt"], ["rust", "up/"]].map(|parts| parts.concat());
    let hosts = [["crates", "io"], ["index.crates", "io"], ["static.crates", "io"]]
        .map(|parts| format!("//{}", parts.join(".")));
    let mut found = Vec::new();
    for file in files() {
        for word in places.iter().chain(&hosts) {
            if file.text.contains(word.as_str()) {
                found.push(format!("{}: {word}", file.path));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_daemon_has_its_units() {
    for daemon in DAEMONS {
        let service = read(&format!("systemd/{daemon}.service"));
        for line in ["Type=notify", "RestartPreventExitStatus=78", "NoNewPrivileges=yes"] {
            assert!(service.contains(line), "{daemon}.service: no {line}");
        }
        let sockets = unit_files().into_iter().filter(|(name, text)| {
            name.ends_with(".socket")
                && (name == &format!("{daemon}.socket")
                    || text.contains(&format!("Service={daemon}.service")))
        });
        assert!(sockets.count() > 0, "no systemd/*.socket starts {daemon}");
    }
}

#[test]
fn sockets_have_the_names_that_daemons_are_tested_with() {
    let mut in_units = BTreeSet::new();
    for (name, text) in unit_files().into_iter().filter(|(name, _)| name.ends_with(".socket")) {
        let service = value(&text, "Service=").map(|service| service.trim_end_matches(".service"));
        let daemon = service.unwrap_or(name.trim_end_matches(".socket")).to_owned();
        let socket =
            value(&text, "FileDescriptorName=").unwrap_or_else(|| panic!("{name}: no name"));
        in_units.insert((daemon, socket.to_owned()));
    }
    let tested = DAEMON_SOCKETS.iter().flat_map(|(daemon, sockets)| {
        sockets.iter().map(|(socket, _)| ((*daemon).to_owned(), (*socket).to_owned()))
    });
    assert_eq!(in_units, tested.collect());
}

#[test]
fn units_start_programs_of_ours() {
    for (name, text) in unit_files().into_iter().filter(|(name, _)| name.ends_with(".service")) {
        let command = value(&text, "ExecStart=").unwrap_or_else(|| panic!("{name}: no ExecStart"));
        let path = command.split(' ').next().unwrap_or_default();
        let program = path.strip_prefix("/usr/sbin/").unwrap_or_else(|| panic!("{name}: {path}"));
        let source = workspace().join("crates").join(program).join("src/main.rs");
        assert!(source.is_file(), "{name}: no crate makes a program called {program}");
        assert_eq!(package_name(&manifest_of(program)), program);
    }
}

/// The table says what the units say, cell by cell.
#[test]
fn units_grant_what_the_table_of_privileges_says() {
    let document = read("docs/privileges.md");
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    let daemons: Vec<_> = rows.iter().map(|row| row[0].trim_end_matches('`')).collect();
    assert_eq!(daemons, DAEMONS, "the rows of docs/privileges.md");
    for (daemon, row) in daemons.iter().zip(&rows) {
        let [_, user, groups, reads, writes, network] = row[..] else {
            panic!("{daemon}: six cells are a row: {row:?}");
        };
        let unit = read(&format!("systemd/{daemon}.service"));
        let value = |key| value(&unit, key).unwrap_or_else(|| panic!("{daemon}: no {key}"));
        assert_eq!(quoted(user), [value("User=")], "{daemon}: user");
        assert_eq!(value("User="), value("Group="), "{daemon}: group");
        let granted: Vec<_> = value("SupplementaryGroups=").split(' ').collect();
        assert_eq!(quoted(groups), granted, "{daemon}: groups besides");
        for (file, group) in [("TLS key", "posthorn-tls"), ("user database", "posthorn-auth")] {
            assert_eq!(reads.contains(file), granted.contains(&group), "{daemon}: reads {file}");
        }
        let writable: Vec<_> = value("ReadWritePaths=").split(' ').collect();
        assert_eq!(quoted(writes), writable, "{daemon}: writes");

        let (incoming, rest) = network.split_once("; ").expect("in: ...; what else");
        assert_eq!(listed(incoming), listens(value("Sockets=")), "{daemon}: in");
        let alone = unit.lines().any(|line| line == "PrivateNetwork=yes");
        assert_eq!(rest == "no network at all", alone, "{daemon}: PrivateNetwork");
        let calls = value("RestrictAddressFamilies=").contains("AF_INET");
        assert_eq!(rest.starts_with("out: "), calls, "{daemon}: RestrictAddressFamilies");
    }
}

/// Ports, and the names of Unix sockets, of these units.
fn listens(units: &str) -> BTreeSet<String> {
    let streams = units.split(' ').map(|unit| {
        let text = read(&format!("systemd/{unit}"));
        value(&text, "ListenStream=").unwrap_or_else(|| panic!("{unit}: no stream")).to_owned()
    });
    streams.map(|stream| stream.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

/// `in: 25, 587, \`inject.sock\``.
fn listed(incoming: &str) -> BTreeSet<String> {
    let list = incoming.strip_prefix("in: ").expect("begins with what comes in");
    list.split(", ").map(|one| one.trim_matches('`').to_owned()).collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn value<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    unit.lines().find_map(|line| line.strip_prefix(key))
}

/// After a power cut, UIDs and flags are only right for who knows that it was one, and of a
/// delivery that was merely visible nobody knows whether it was made.
#[test]
fn who_touches_mailboxes_sees_which_boot_this_is() {
    for daemon in ["imapd", "pop3d", "lmtp-deliverd"] {
        let unit = read(&format!("systemd/{daemon}.service"));
        assert_ne!(value(&unit, "ProcSubset="), Some("pid"), "{daemon}: hides the boot id");
    }
}

#[test]
fn units_are_clean() {
    let paths: Vec<_> = unit_files().into_iter().map(|(name, _)| unit_path(&name)).collect();
    assert!(!paths.is_empty(), "no units in systemd/");
    let out = analyze(&["verify", "--man=no"], &paths);
    // The machine that tests has not installed the programs.
    let complaints: Vec<_> = out
        .lines()
        .filter(|line| !line.contains("is not executable: No such file or directory"))
        .filter(|line| line.contains("/systemd/") || DAEMONS.iter().any(|d| line.contains(d)))
        .collect();
    assert!(complaints.is_empty(), "systemd-analyze verify:\n{}", complaints.join("\n"));
}

#[test]
fn units_are_shut_in() {
    for (name, _) in unit_files().into_iter().filter(|(name, _)| name.ends_with(".service")) {
        let threshold = ["security", "--offline=true", "--threshold=20"];
        let out = analyze_status(&threshold, &[unit_path(&name)]);
        assert!(out.0, "{name}: its exposure is more than 2.0\n{}", out.1);
    }
}

fn analyze(arguments: &[&str], paths: &[std::path::PathBuf]) -> String {
    analyze_status(arguments, paths).1
}

fn analyze_status(arguments: &[&str], paths: &[std::path::PathBuf]) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .args(paths)
        .env("SYSTEMD_PAGER", "")
        .output()
        .expect("systemd-analyze is in Debian's package systemd");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn unit_files() -> Vec<(String, String)> {
    let unit = |file: &Source| {
        let name = file.path.strip_prefix("systemd/")?;
        [".service", ".socket", ".target", ".slice"]
            .iter()
            .any(|end| name.ends_with(end))
            .then(|| (name.to_owned(), file.text.clone()))
    };
    files().iter().filter_map(unit).collect()
}

fn unit_path(name: &str) -> std::path::PathBuf {
    workspace().join("systemd").join(name)
}

fn read(path: &str) -> String {
    let path = workspace().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifests() -> Vec<(String, Table)> {
    files()
        .into_iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
        .map(|file| (file.path, file.text.parse().expect("cargo has read it")))
        .collect()
}

fn manifest_of(package: &str) -> Table {
    manifests()
        .into_iter()
        .map(|(_, manifest)| manifest)
        .find(|manifest| package_name(manifest) == package)
        .expect("is a crate of ours")
}

fn workspace_member(package: &str) -> bool {
    manifests().iter().any(|(_, manifest)| package_name(manifest) == package)
}

fn package_name(manifest: &Table) -> &str {
    let name = manifest.get("package").and_then(|p| p.get("name"));
    name.and_then(toml::Value::as_str).expect("every manifest here is a package's")
}

/// Of every kind: a daemon does not know another one in its tests either.
fn dependencies(manifest: &Table) -> impl Iterator<Item = &str> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .filter_map(|kind| manifest.get(kind)?.as_table())
        .flat_map(|table| table.keys().map(String::as_str))
}

/// Where one of `words` stands in the code of those files.
fn places(of: impl Fn(&Source) -> bool, words: &[&str]) -> String {
    let mut found = String::new();
    for file in crates().iter().filter(|file| of(file)) {
        for (number, line) in file.code_lines() {
            if words.iter().any(|word| line.contains(word)) {
                found += &format!("{}:{number}: {}\n", file.path, line.trim());
            }
        }
    }
    found
}
