//! Mistakes in an operator's words.

use figment::error::{Actual, Kind};
use figment::value::{Map, Value};
use strsim::damerau_levenshtein;

/// Keys that must be written, as they may look. Without the positions in lists; `*` is a name of the
/// admin's.
const REQUIRED: [(&str, &str); 10] = [
    ("config_version", "1"),
    ("hostname", "\"mx.example.org\""),
    ("domains.relay.*.next_hop", "\"mx.example.org:25\""),
    ("tls.certificate", "\"/etc/posthorn/tls/fullchain.pem\""),
    ("tls.key", "\"/etc/posthorn/tls/privkey.pem\""),
    ("mtad.listen.address", "\":25\""),
    ("mtad.listen.role", "\"mx\""),
    ("lmtp-deliverd.listen.address", "\"/run/posthorn/lmtp.sock\""),
    ("imapd.listen.address", "\":143\""),
    ("pop3d.listen.address", "\":110\""),
];

/// Letters that may be wrong in a key that was meant.
const FARTHEST: usize = 3;

/// What is wrong at a key path, and what would be right.
pub(super) fn of(kind: &Kind, path: &[String]) -> String {
    let key = path.join(".");
    match kind {
        Kind::UnknownField(name, known) => format!("unknown key '{name}'{}", hint(name, known)),
        Kind::UnknownVariant(name, known) => {
            format!("{key}: unknown value '{name}'{}", hint(name, known))
        }
        Kind::MissingField(name) => missing(name, path),
        Kind::InvalidValue(Actual::Unsigned(_) | Actual::Signed(_), expected)
            if expected.contains("nonzero") =>
        {
            format!("{key}: write a number from 1; there is no \"unlimited\"")
        }
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("{key}: {} is expected here, not {}", wanted(expected), shown(found))
        }
        Kind::Message(message) => format!("{key}: {message}"),
        other => format!("{key}: {other}"),
    }
}

/// An example for a key that must be written.
pub(super) fn example(path: &[String]) -> Option<Value> {
    let text = example_text(path)?;
    let mut parsed = toml::from_str::<Map<String, Value>>(&format!("value = {text}")).ok()?;
    parsed.remove("value")
}

fn example_text(path: &[String]) -> Option<&'static str> {
    let mut names: Vec<_> =
        path.iter().map(String::as_str).filter(|part| part.parse::<usize>().is_err()).collect();
    if let ["domains", "relay", domain, ..] = names.as_mut_slice() {
        *domain = "*";
    }
    let key = names.join(".");
    REQUIRED.iter().find(|(required, _)| *required == key).map(|(_, example)| *example)
}

fn missing(name: &str, table: &[String]) -> String {
    let path: Vec<_> = table.iter().cloned().chain([name.to_owned()]).collect();
    match example_text(&path) {
        Some(example) => format!("'{name}' is missing: write {name} = {example}"),
        None => format!("'{name}' is missing"),
    }
}

fn hint(name: &str, known: &[&str]) -> String {
    let distance = |candidate: &str| damerau_levenshtein(&name.to_lowercase(), candidate);
    let nearest = known.iter().copied().min_by_key(|candidate| distance(candidate));
    match nearest {
        Some(nearest) if distance(nearest) <= FARTHEST.min(nearest.len() / 2) => {
            format!(", did you mean '{nearest}'?")
        }
        _ => format!("; known here: {}", known.join(", ")),
    }
}

/// serde's words for what it wants, in ours.
fn wanted(expected: &str) -> &str {
    match expected {
        "u16" | "u32" | "u64" | "usize" => "a number from 0",
        "a nonzero usize" => "a number from 1",
        "i64" => "a number",
        "a sequence" => "a list [...]",
        "a map" => "a table",
        "path string" => "a path in quotes",
        "a string" => "a text in quotes",
        "a character" => "one character in quotes",
        expected if expected.starts_with("struct ") => "a table",
        expected if expected.starts_with("enum ") || expected.contains("variant") => {
            "a word in quotes"
        }
        expected => expected,
    }
}

fn shown(found: &Actual) -> String {
    match found {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Char(value) => format!("{value:?}"),
        Actual::Str(value) => format!("{value:?}"),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}
