//! What an operator sees.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(text: &str) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        fs::write(place.file(), text).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("posthorn.toml")
    }

    fn piece(&self, name: &str, text: &str) {
        let directory = self.directory.path().join("conf.d");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), text).unwrap();
    }

    fn load(&self, flags: &[&str]) -> Result<Site, Vec<String>> {
        let flags = flags.iter().copied().map(str::to_owned).collect();
        load(&Source { file: self.file(), flags }).map_err(|mistakes| {
            let directory = format!("{}/", self.directory.path().display());
            mistakes.to_string().lines().map(|line| line.replace(&directory, "")).collect()
        })
    }
}

const HEAD: &str = "config_version = 1\nhostname = 'mx.example.org'\n";

/// The mistakes of a file that begins with a good head, so that its own lines begin with 3.
fn mistakes(text: &str) -> Vec<String> {
    Place::new(&format!("{HEAD}{text}")).load(&[]).expect_err(text)
}

#[test]
fn ten_lines_are_enough() {
    let site = Place::new(HEAD).load(&[]).unwrap();
    assert_eq!(site.hostname.as_str(), "mx.example.org");
    assert_eq!((site.limits.hops, site.mtad.listen.len()), (50, 4));
}

#[test]
fn a_large_site_holds() {
    let text = r#"
        [domains]
        local = ["example.org", "Example.COM"]
        relay = { "Branch.example.org" = { next_hop = "[192.0.2.5]:25" } }
        [tls]
        certificate = "/etc/posthorn/tls/fullchain.pem"
        key = "/etc/posthorn/tls/privkey.pem"
        [mail]
        path = "/srv/mail/%u"
        control = "/srv/control/%d/%n"
        index = "/var/cache/mail/%u"
        layout = "fs"
        names = "utf-8"
        separator = "."
        prefix = "INBOX."
        [auth]
        passwd = "/etc/posthorn/passwd"
        cleartext = "loopback"
        hashing = 4
        [limits]
        drain = "5s"
        [mtad]
        next_hop = "[192.0.2.1]:25"
        postmaster = "ann@example.org"
        [[mtad.hold]]
        sender = "*@example.net"
        [[mtad.listen]]
        address = ":25"
        role = "mx"
        [[mtad.listen]]
        address = ":465"
        role = "submission"
        tls = "implicit"
        [[lmtp-deliverd.listen]]
        address = "/run/posthorn/lmtp.sock"
    "#;
    let site = Place::new(&format!("{HEAD}{text}")).load(&[]).unwrap();
    assert_eq!(site.domains.local[1].as_str(), "example.com");
    let (branch, relay) = site.domains.relay.first_key_value().unwrap();
    assert_eq!(
        (branch.as_str(), relay.next_hop.host.as_str()),
        ("branch.example.org", "192.0.2.5")
    );
    assert!(site.mtad.hold[0].sender.as_ref().unwrap().matches("eve@example.net"));
    assert_eq!(site.mtad.listen[1].tls, TlsMode::Implicit);
    assert_eq!(site.auth.cleartext, Cleartext::Loopback);
    assert_eq!(site.limits.drain, Span::seconds(5));
    assert_eq!((site.mail.layout, site.mail.names), (Layout::Fs, Names::Utf8));
    assert_eq!(String::from(site.mail.index.unwrap()), "/var/cache/mail/%u");
    assert_eq!(site.mtad.postmaster.unwrap().to_string(), "ann@example.org");
}

#[test]
fn an_empty_file_is_told_what_is_needed() {
    let expected = [
        "posthorn.toml: 'config_version' is missing: write config_version = 1",
        "posthorn.toml: 'hostname' is missing: write hostname = \"mx.example.org\"",
    ];
    assert_eq!(Place::new("").load(&[]).unwrap_err(), expected);
}

#[test]
fn each_mistake_has_its_place_and_its_remedy() {
    let table = [
        ("hostnmae = 'x'", "3:1: unknown key 'hostnmae', did you mean 'hostname'?"),
        ("[limits]\nhop = 5\n", "4:1: unknown key 'hop', did you mean 'hops'?"),
        (
            "[tls]\nname = 'x'\ncertificate = '/c'\nkey = '/k'",
            "4:1: unknown key 'name'; known here: certificate, key",
        ),
        (
            "limits = { hops = 0 }",
            "3:19: limits.hops: write a number from 1; there is no \"unlimited\"",
        ),
        (
            "[auth]\nhashing = 0",
            "4:11: auth.hashing: write a number from 1; there is no \"unlimited\"",
        ),
        (
            "[limits]\nsmtp_command_line = 99",
            "4:21: limits.smtp_command_line: write a number from 512; there is no \"unlimited\"",
        ),
        ("[limits]\nhops = -1", "4:8: limits.hops: a number from 0 is expected here, not -1"),
        (
            "[limits]\nhops = 'many'",
            "4:8: limits.hops: a number from 0 is expected here, not \"many\"",
        ),
        ("[limits]\ndrain = 5", "4:9: limits.drain: a text in quotes is expected here, not 5"),
        (
            "[limits]\ndrain = '5 minutes'",
            "4:9: limits.drain: \"5 minutes\" is no span of time: write 30s, 5m, 4h or 5d",
        ),
        ("[log]\nlevel = 'debgu'", "4:9: log.level: unknown value 'debgu', did you mean 'debug'?"),
        ("log = 'debug'", "3:7: log: a table is expected here, not \"debug\""),
        (
            "[domains]\nlocal = ['a.b', 'a b', 'c.d']",
            "4:17: domains.local.1: \"a b\": the domain is not valid",
        ),
        (
            "[domains]\nlocal = 'a.b'",
            "4:9: domains.local: a list [...] is expected here, not \"a.b\"",
        ),
        (
            "[tls]\nkey = '/k'",
            "3:1: 'certificate' is missing: write certificate = \"/etc/posthorn/tls/fullchain.pem\"",
        ),
        (
            "[[mtad.listen]]\naddress = ':25'\nrole = 'mx'\n[[mtad.listen]]\naddress = 'smtp'\nrole = 'mx'",
            "7:11: mtad.listen.1.address: \"smtp\" is no address: write :25, 127.0.0.1:25, [::1]:25 or /path/to/socket",
        ),
        (
            "[[imapd.listen]]\ntls = 'implicit'",
            "3:1: 'address' is missing: write address = \":143\"",
        ),
        ("[mail]\npath = '/mail/%h'", "4:8: mail.path: %h is none of %d, %n, %u"),
        (
            "[mail]\nseparator = '#'",
            "4:13: mail.separator: must be \"/\" (new sites) or \".\" (taken over from others)",
        ),
        (
            "[mail]\nprefix = 'INBOX'",
            "4:10: mail.prefix: must be empty or end in mail.separator, which is '/'",
        ),
        (
            "[mail]\nlayout = 'fs'\npath = '/m/%u'\ncontrol = '/m/%u/control'",
            "6:11: mail.control: must not be below mail.path, where layout = \"fs\" has mailboxes",
        ),
        (
            "[mail]\nindex = '/var/index'",
            "4:9: mail.index: all users need paths of their own: %d/%n",
        ),
        (
            "[mail]\nlayout = 'mbox'",
            "4:10: mail.layout: unknown value 'mbox'; known here: maildir++, fs",
        ),
        (
            "[mtad]\nretry_first = '5h'",
            "3:1: mtad.retry_max: must not be below mtad.retry_first, which is 5h",
        ),
        (
            "[mtad]\nretry_first = '5h'\nretry_max = '1h'",
            "5:13: mtad.retry_max: must not be below mtad.retry_first, which is 5h",
        ),
        (
            "[mtad]\nnext_hop = 'mx'",
            "4:12: mtad.next_hop: \"mx\" is no server: write mx.example.org:25 or [192.0.2.1]:25",
        ),
        ("[mtad]\npostmaster = 'ann'", "4:14: mtad.postmaster: \"ann\": the domain is missing"),
    ];
    for (text, expected) in table {
        assert_eq!(mistakes(text), [format!("posthorn.toml:{expected}")], "{text}");
    }
}

#[test]
fn so_have_mistakes_in_relays_and_hold_rules() {
    let table = [
        (
            "[domains.relay.'b.example.org']",
            "3:1: 'next_hop' is missing: write next_hop = \"mx.example.org:25\"",
        ),
        (
            "[domains]\nrelay = { 'b.example.org' = { next_hop = 'mx' } }",
            "4:42: domains.relay.b.example.org.next_hop: \"mx\" is no server: write mx.example.org:25 or [192.0.2.1]:25",
        ),
        (
            "[domains]\nrelay = { 'b c' = { next_hop = 'mx.example.org:25' } }",
            "4:9: domains.relay: \"b c\": the domain is not valid",
        ),
        (
            "[domains]\nlocal = ['a.b']\nrelay = { 'A.b' = { next_hop = 'mx.example.org:25' } }",
            "5:9: domains.relay: must have no domain that is in domains.local",
        ),
        (
            "[domains]\nrelay = 'b.example.org'",
            "4:9: domains.relay: a table is expected here, not \"b.example.org\"",
        ),
        (
            "[[mtad.hold]]\nsender = ''",
            "4:10: mtad.hold.0.sender: \"\": write an address, in which * stands for anything",
        ),
        (
            "[[mtad.hold]]\ndomain = 'a'\n[[mtad.hold]]",
            "5:1: mtad.hold.1: write sender, recipient or domain; \"*\" stands for anything",
        ),
        ("[[mtad.hold]]\nsendr = '*'", "4:1: unknown key 'sendr', did you mean 'sender'?"),
    ];
    for (text, expected) in table {
        assert_eq!(mistakes(text), [format!("posthorn.toml:{expected}")], "{text}");
    }
}

#[test]
fn syntax_has_its_place_too() {
    for (text, place) in [("[limits", "posthorn.toml:3:8: "), ("ä = = 1", "posthorn.toml:3:1: ")] {
        let found = mistakes(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(place), "{found:?}");
    }
    let found = mistakes("[log]\nlevel = 'info'\nlevel = 'warn'");
    assert!(
        found[0].starts_with("posthorn.toml:5:1: ") && found[0].contains("duplicate"),
        "{found:?}"
    );
}

#[test]
fn ten_mistakes_are_told_at_once_in_order_of_place() {
    let text = "config_version = 2\nhostnmae = 'mx.example.org'\n[domains]\nlocal = ['a b', 'c.d', 'e f']\n\
                [tls]\ncertificate = '/c'\n[limits]\nhops = 0\ndrain = '0s'\n[log]\nlevel = 'loud'\n\
                [[mtad.listen]]\naddress = ':25'\nrole = 'mxx'\n[[mtad.listen]]\nrole = 'mx'\n\
                [[imapd.listen]]\naddress = 'x'\nport = 143\n";
    let found = Place::new(text).load(&[]).unwrap_err();
    let places = [
        "posthorn.toml: 'hostname' is missing",
        "posthorn.toml:1:18: config_version: this release reads config_version 1, not 2",
        "posthorn.toml:2:1: unknown key 'hostnmae'",
        "posthorn.toml:4:10: domains.local.0: \"a b\"",
        "posthorn.toml:4:24: domains.local.2: \"e f\"",
        "posthorn.toml:5:1: 'key' is missing",
        "posthorn.toml:8:8: limits.hops",
        "posthorn.toml:9:9: limits.drain",
        "posthorn.toml:11:9: log.level",
        "posthorn.toml:14:8: mtad.listen.0.role: unknown value 'mxx', did you mean 'mx'?",
        "posthorn.toml:15:1: 'address' is missing",
        "posthorn.toml:18:11: imapd.listen.0.address",
        "posthorn.toml:19:1: unknown key 'port'",
    ];
    assert_eq!(found.len(), places.len(), "{found:#?}");
    for (found, place) in found.iter().zip(places) {
        assert!(found.starts_with(place), "{found} / {place}");
    }
}

#[test]
fn later_layers_win_and_their_mistakes_are_theirs() {
    let place = Place::new(&format!("{HEAD}[limits]\nhops = 10\nerrors = 5\n"));
    place.piece("10-a.toml", "[limits]\nhops = 20\n");
    place.piece("20-b.toml", "[limits]\nhops = 30\n");
    place.piece("ignored.txt", "no TOML at all");
    let site = place.load(&[]).unwrap();
    assert_eq!((site.limits.hops, site.limits.errors), (30, 5));
    let flags = ["limits.hops=40", "limits.drain=7s", "domains.local=['a.b']", "log.level = warn"];
    let site = place.load(&flags).unwrap();
    assert_eq!((site.limits.hops, site.limits.drain), (40, Span::seconds(7)));
    assert_eq!((site.domains.local.len(), site.log.level), (1, Level::Warn));

    place.piece("20-b.toml", "[limits]\nhops = 0\n[lgo]\n");
    let found = place.load(&["limits.drian=1s", "limits.errors=x", "nonsense"]).unwrap_err();
    let expected = [
        "conf.d/20-b.toml:2:8: limits.hops: write a number from 1; there is no \"unlimited\"",
        "conf.d/20-b.toml:3:2: unknown key 'lgo', did you mean 'log'?",
        "--set: \"nonsense\": write KEY=VALUE, such as limits.drain=5s",
        "--set limits.drian: unknown key 'drian', did you mean 'drain'?",
        "--set limits.errors: limits.errors: a number from 0 is expected here, not \"x\"",
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_key_that_must_be_written_has_an_example() {
    let tables = [
        "[tls]",
        "[[mtad.listen]]",
        "[[lmtp-deliverd.listen]]",
        "[[imapd.listen]]",
        "[[pop3d.listen]]",
    ];
    for table in tables {
        for mistake in mistakes(table) {
            assert!(mistake.contains("is missing: write"), "{mistake}");
        }
    }
}

#[test]
fn what_is_shown_can_be_read_again() {
    let text = "[domains]\nlocal = ['a.b']\nrelay = { 'c.d' = { next_hop = 'mx.c.d:25' } }\n[tls]\ncertificate = '/c'\nkey = '/k'\n\
                [mtad]\nnext_hop = '[2001:db8::1]:25'\nhold = [{ domain = '*.e.f' }]\n";
    let site = Place::new(&format!("{HEAD}{text}")).load(&[]).unwrap();
    let written = toml::to_string(&site).unwrap();
    let again = Place::new(&written).load(&[]).unwrap();
    assert_eq!(Shown(&site).to_string(), Shown(&again).to_string());
    assert!(Shown(&site).to_string().contains("mtad.listen[0].address"));
    let relay = r#"{ "c.d" = { next_hop = "mx.c.d:25" } }"#;
    assert!(Shown(&site).to_string().contains(relay), "{}", Shown(&site));
    let site = Place::new(HEAD).load(&[&format!("domains.relay={relay}")]).unwrap();
    assert_eq!(site.domains.relay.len(), 1);
}

#[test]
fn an_unreadable_file_hides_no_other_mistake() {
    let place = Place::new("config_version = 1\n[limits]\nhops = 0\n");
    place.piece("10.toml", "hostname = \n");
    let found = place.load(&[]).unwrap_err();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("posthorn.toml:3:8: limits.hops"), "{found:?}");
    assert!(found[1].starts_with("conf.d/10.toml:1:"), "{found:?}");
}

proptest! {
    /// Whatever lines come together: no panic, an end, and for every mistake of a file its place.
    #[test]
    fn any_lines_are_read_or_told(lines in proptest::collection::vec(0..LINES.len(), 0..12)) {
        let text: Vec<_> = lines.iter().filter_map(|&line| LINES.get(line).copied()).collect();
        let place = Place::new(&format!("{HEAD}{}", text.join("\n")));
        if let Err(mistakes) = place.load(&[]) {
            prop_assert!(!mistakes.is_empty());
            for mistake in mistakes {
                let at = mistake.strip_prefix("posthorn.toml:").unwrap_or_default();
                prop_assert!(at.starts_with(|c: char| c.is_ascii_digit()), "{}", mistake);
            }
        }
    }
}

const LINES: [&str; 20] = [
    "[limits]",
    "[[mtad.listen]]",
    "[mtad]",
    "[tls]",
    "mtad = 5",
    "listen = 5",
    "listen = [5, { role = 'mx' }, [], { address = ':25', role = 'x', role2 = {} }]",
    "address = ':25'",
    "role = 'mx'",
    "role = ['mx']",
    "hops = 0",
    "hops = 99999999999999999999",
    "local = ['a b', 5, 'c.d', {}]",
    "[domains]",
    "key = '/k'",
    "drain = {}",
    "[a.b.c]",
    "'' = 1",
    "\u{e4} = 1",
    "\u{0}",
];
