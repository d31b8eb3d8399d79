//! House rules: what a reviewer would otherwise have to remember.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use mail_tests::source::{Source, crates, files, workspace};
use toml::Table;

/// Every crate but `xtask` and the tests, with those of our crates that it may know.
const MAY_KNOW: [(&str, &[&str]); 7] = [
    ("mail-proto", &[]),
    ("mail-common", &["mail-proto"]),
    ("mtad", &["mail-common", "mail-proto"]),
    ("lmtp-deliverd", &["mail-common", "mail-proto"]),
    ("imapd", &["mail-common", "mail-proto"]),
    ("pop3d", &["mail-common", "mail-proto"]),
    ("posthorn", &["mail-common", "mail-proto"]),
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
        long.extend(long_functions(&file));
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
            if indexes(line) {
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
        ".sync_all()",
        ".sync_data()",
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
            let Some(name) = defined_name(line) else { continue };
            let parts = name_parts(name);
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
        .filter(|file| !file.text.starts_with("//!"))
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

#[test]
fn dependencies_have_a_line_that_says_why() {
    let root: Table = read("Cargo.toml").parse().expect("is TOML");
    let table = root.get("workspace").and_then(|w| w.get("dependencies"));
    let decisions = read("docs/decisions/dependencies.md");
    let silent: Vec<_> = table
        .and_then(toml::Value::as_table)
        .expect("the workspace has dependencies")
        .keys()
        .filter(|name| !name.starts_with("mail-") || !workspace_member(name))
        .filter(|name| !decisions.contains(&format!("`{name}`")))
        .collect();
    assert!(silent.is_empty(), "docs/decisions/dependencies.md has no line for {silent:?}");
}

#[test]
fn nothing_tells_of_the_machine_it_was_made_on() {
    let homes = ["/ho", "/ro", "/wor", "/tm"].map(|start| match start {
        "/ho" => "/home/".to_owned(),
        "/ro" => "/root/".to_owned(),
        "/wor" => "/work/".to_owned(),
        _ => "/tmp/wt".to_owned(),
    });
    let hosts = [["crates", "io"], ["index.crates", "io"], ["static.crates", "io"]]
        .map(|parts| format!("//{}", parts.join(".")));
    let mut found = Vec::new();
    for file in files().iter().filter(|file| file.path != "tests/house.rs") {
        for word in homes.iter().chain(&hosts) {
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

/// `name[0]`, `call()[..2]`; not types, attributes, macros or literals.
fn indexes(line: &str) -> bool {
    let line = line.split("//").next().unwrap_or_default();
    if line.trim_start().starts_with('#') {
        return false;
    }
    let mut quoted = false;
    let mut last = ' ';
    for c in line.chars() {
        match c {
            '"' if last != '\\' && last != '\'' => quoted = !quoted,
            '[' if !quoted && (last.is_alphanumeric() || matches!(last, '_' | ')' | ']')) => {
                return true;
            }
            _ => {}
        }
        last = c;
    }
    false
}

/// The name that a line defines.
fn defined_name(line: &str) -> Option<&str> {
    let mut words =
        line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty());
    let keywords = ["mod", "struct", "enum", "trait", "fn", "type"];
    let line = line.trim_start();
    let begins = ["pub", "mod", "struct", "enum", "trait", "fn", "type", "async", "const"];
    if !begins.iter().any(|word| line.starts_with(word)) {
        return None;
    }
    words.find(|word| keywords.contains(word))?;
    words.next()
}

/// `MailHandler` and `mail_handler` are both mail, handler.
fn name_parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| c != '_') {
            part.extend(c.to_lowercase());
        }
    }
    parts
}

fn long_functions(file: &Source) -> Vec<String> {
    let lines: Vec<&str> = file.code().lines().collect();
    let mut long = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if is_function(line) {
            let count = function_length(lines.get(at..).unwrap_or_default());
            if count > 70 {
                long.push(format!("{}:{}: {count} lines, 70 are allowed", file.path, at + 1));
            }
            at += count;
        } else {
            at += 1;
        }
    }
    long
}

fn is_function(line: &str) -> bool {
    let mut line = line.trim_start();
    if let Some(rest) = line.strip_prefix("pub") {
        line = rest.strip_prefix('(').and_then(|r| r.split_once(')')).map_or(rest, |(_, r)| r);
        line = line.trim_start();
    }
    for word in ["const ", "async "] {
        line = line.strip_prefix(word).unwrap_or(line);
    }
    line.starts_with("fn ")
}

/// From its `fn` to the brace that closes it, or to the `;` of one without a body.
fn function_length(lines: &[&str]) -> usize {
    let mut depth = 0_i64;
    let mut seen = false;
    for (at, line) in lines.iter().enumerate() {
        for c in line.chars() {
            depth += i64::from(c == '{') - i64::from(c == '}');
            seen |= c == '{';
        }
        if (seen && depth <= 0) || (!seen && line.trim_end().ends_with(';')) {
            return at + 1;
        }
    }
    lines.len().max(1)
}

#[test]
fn the_rules_find_what_they_forbid() {
    for line in ["let x = bytes[0];", "f(a)[..2]", "&self.lines[i..]", "a[0][1]"] {
        assert!(indexes(line), "{line}");
    }
    for line in ["let x: [u8; 4];", "#[test]", "vec![1]", "&[1, 2]", "\"a[0]\"", "x // a[0]"] {
        assert!(!indexes(line), "{line}");
    }
    assert_eq!(defined_name("pub(crate) struct MailHandler {"), Some("MailHandler"));
    assert_eq!(defined_name("    pub async fn get_x(&self)"), Some("get_x"));
    assert_eq!(defined_name("    let helper = 1;"), None);
    assert_eq!(name_parts("MailHandler"), ["", "mail", "handler"]);
    assert_eq!(name_parts("mail_util"), ["mail", "util"]);
    let body = "fn a() {\n    {\n    }\n}\nfn b();";
    assert_eq!(function_length(&body.lines().collect::<Vec<_>>()), 4);
    assert!(is_function("    pub(super) const fn a("));
    assert!(!is_function("    // fn a("));
}
