//! What must hold between keys. Each rule is told at the key that an operator would change.

use figment::value::{Map, Value};

use super::extract::find;
use super::file::Aim;
use super::layers::Layers;
use super::load::Mistake;
use super::{Layout, Mail, PathTemplate, Site};

/// The rules that a site breaks.
pub(super) fn broken(site: &Site, layers: &Layers) -> Vec<Mistake> {
    let (mtad, mail) = (&site.mtad, &site.mail);
    let rules = [
        (
            mtad.retry_first <= mtad.retry_max,
            "mtad.retry_max",
            format!("must not be below mtad.retry_first, which is {}", mtad.retry_first),
        ),
        (
            mtad.retry_max <= mtad.lifetime,
            "mtad.lifetime",
            format!("must not be below mtad.retry_max, which is {}", mtad.retry_max),
        ),
        (
            matches!(mail.separator, '/' | '.'),
            "mail.separator",
            "must be \"/\" (new sites) or \".\" (taken over from others)".to_owned(),
        ),
        (
            !site.domains.local.iter().any(|domain| site.domains.relay.contains_key(domain)),
            "domains.relay",
            "must have no domain that is in domains.local".to_owned(),
        ),
        (
            mail.prefix.is_empty() || mail.prefix.ends_with(mail.separator),
            "mail.prefix",
            format!("must be empty or end in mail.separator, which is {:?}", mail.separator),
        ),
        (
            !would_be_a_mailbox(mail, mail.control.as_ref()),
            "mail.control",
            "must not be below mail.path, where layout = \"fs\" has mailboxes".to_owned(),
        ),
        (
            !would_be_a_mailbox(mail, mail.index.as_ref()),
            "mail.index",
            "must not be below mail.path, where layout = \"fs\" has mailboxes".to_owned(),
        ),
    ];
    let broken = rules.into_iter().filter(|(holds, ..)| !holds);
    let broken = broken.map(|(_, key, why)| mistake(layers, key, &why));
    broken.chain(silent_hold_rules(layers)).collect()
}

/// As they are written: of a rule with a mistake in it nothing may be left by now.
fn silent_hold_rules(layers: &Layers) -> Vec<Mistake> {
    let merged = layers.merged();
    let rules = find(&merged, &["mtad".to_owned(), "hold".to_owned()]);
    let rules = rules.and_then(Value::as_array).unwrap_or_default().iter().enumerate();
    let silent = rules.filter(|(_, rule)| rule.as_dict().is_some_and(Map::is_empty));
    let silent = silent.map(|(number, _)| {
        let why = "write sender, recipient or domain; \"*\" stands for anything";
        mistake(layers, &format!("mtad.hold.{number}"), why)
    });
    silent.collect()
}

/// Whether a directory of other files would lie among a user's mailboxes.
fn would_be_a_mailbox(mail: &Mail, other: Option<&PathTemplate>) -> bool {
    let path = format!("{}/", String::from(mail.path.clone()).trim_end_matches('/'));
    let below = other.is_some_and(|other| String::from(other.clone()).starts_with(&path));
    mail.layout == Layout::Fs && below
}

/// At the key where it is written, else at its table: its default was in the way of another key.
fn mistake(layers: &Layers, key: &str, why: &str) -> Mistake {
    let path: Vec<_> = key.split('.').map(str::to_owned).collect();
    let message = format!("{key}: {why}");
    match find(&layers.merged(), &path).map(Value::tag) {
        Some(tag) => layers.mistake(&path, tag, Aim::Value, message),
        None => layers.mistake_in_table(path.get(..1).unwrap_or_default(), message),
    }
}
