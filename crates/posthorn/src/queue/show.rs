//! `posthorn queue show` and `cat`: all that is known of a message, and its text.

use mail_common::time;
use mail_spool::admin::protocol::{Answer, Block, Request};
use mail_spool::admin::{Became, Event, Filter, Item, Outage, Ret, Standing, To};

use super::connection::Connection;
use super::form::{age, plain, sender};
use super::output::Output;
use super::{Failure, Outcome};

pub(super) fn run(
    connection: &mut Connection,
    filter: Filter,
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let now = time::now_micros() / 1_000_000;
    let mut between = "";
    let (_, outcome) = each(connection, filter, json, out, |item, out| {
        out.octets(between.as_bytes())?;
        between = "\n";
        out.octets(all(item, now).as_bytes())
    })?;
    Ok(outcome)
}

/// Shows messages in this way, or as JSON objects; how many there were.
pub(super) fn each(
    connection: &mut Connection,
    filter: Filter,
    json: bool,
    out: &mut Output,
    mut show: impl FnMut(&Item, &mut Output) -> Result<(), Failure>,
) -> Result<(u64, Outcome), Failure> {
    let mut outcome = Outcome::Done;
    let count = connection.ask(&Request::List { filter }, |answer| match answer {
        Answer::Message(item) if json => out.json(&item),
        Answer::Message(item) => show(&item, out),
        other => outcome.note(&other, json, out),
    })?;
    Ok((count, outcome))
}

pub(super) fn cat(
    connection: &mut Connection,
    id: String,
    headers: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Done;
    connection.ask(&Request::Cat { id, headers }, |answer| match answer {
        Answer::Block(Block(octets)) => out.octets(&octets),
        other => outcome.note(&other, false, out),
    })?;
    Ok(outcome)
}

/// All that is known of a message, `now` seconds after 1970.
pub(super) fn all(item: &Item, now: u64) -> String {
    let mut text = format!("id           {}\n", item.id);
    let mut row = |what: &str, value: &str| text += &format!("{what:<12} {value}\n");
    let old = age(now.saturating_sub(item.arrived));
    row("arrived", &format!("{}, {old} ago", date(item.arrived)));
    row("sender", sender(&item.sender));
    row("size", &format!("{} octets", item.size));
    if let Some(envid) = &item.envid {
        row("envelope id", &plain(envid));
    }
    match item.ret {
        Some(Ret::Full) => row("returns", "the whole message, if it fails"),
        Some(Ret::Headers) => row("returns", "the header, if it fails"),
        None => {}
    }
    row("attempts", &attempts(item));
    row("next attempt", &next(item, now));
    if let Some(stored) = &item.stored {
        row("stored", stored);
    }
    for to in &item.recipients {
        row("recipient", &recipient(to));
    }
    text
}

fn attempts(item: &Item) -> String {
    match (item.attempts, item.outages) {
        (0, 0) => "none yet".to_owned(),
        (attempts, 0) => attempts.to_string(),
        (attempts, outages) => {
            format!("{attempts}, and then {outages} that found nobody to talk to")
        }
    }
}

/// When it is tried next, and why then.
fn next(item: &Item, now: u64) -> String {
    let due = item.outage.as_ref().map_or(item.due, |outage| outage.probe.max(item.due));
    let when = match due.checked_sub(now) {
        None | Some(0) => "now".to_owned(),
        Some(rest) => format!("{}, in {}", date(due), age(rest)),
    };
    match (item.standing, &item.hold, &item.given_up) {
        (_, Some(why), _) => format!("none: it is held: {}", plain(why)),
        _ if item.under_way => "it is being delivered now".to_owned(),
        (_, None, Some(why)) => format!("{when}: it goes back to its sender: {}", plain(why)),
        (_, None, None) if let Some(outage) = &item.outage => {
            let Outage { destination, why, .. } = outage;
            format!("{when}: {destination} is dead, and only probed: {}", plain(why))
        }
        (Standing::New, ..) => format!("{when}: nobody has tried it yet"),
        _ if item.outages > 0 => format!("{when}: the one it goes to was not there"),
        _ => {
            let over = if due > now { "" } else { " is over" };
            format!("{when}: the pause after attempt {}{over}", item.attempts)
        }
    }
}

fn recipient(to: &To) -> String {
    let state = match to.state {
        Became::Waiting => "waits",
        Became::Delivered => "delivered",
        Became::Failed => "failed, and its sender was told",
    };
    let mut text = format!("{}: {state}", to.address);
    if let Some(reason) = &to.reason {
        text += &format!(": {}", plain(reason));
    }
    if let Some(original) = &to.original {
        text += &format!(" (was {})", plain(original));
    }
    if let Some(events) = &to.notify {
        let names: Vec<_> = events.iter().map(|event| name(*event)).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        text += &format!(" (its sender wants to hear of {names})");
    }
    text
}

fn name(event: Event) -> &'static str {
    match event {
        Event::Success => "success",
        Event::Failure => "failure",
        Event::Delay => "delay",
    }
}

fn date(seconds: u64) -> String {
    time::rfc5322(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// These messages and no others.
pub(super) fn exactly(ids: &[String]) -> Filter {
    Filter { ids: ids.iter().map(mail_spool::admin::Glob::new).collect(), ..Filter::default() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn item(more: &str) -> Item {
        let text = format!(
            r#"{{"id":"0abc","standing":"deferred","arrived":1000,"size":20480,"sender":"",
            "due":5000,"recipients":[{{"address":"ann@example.org","state":"waiting",
            "reason":"450 busy","notify":[],"original":"rfc822;x"}}]{more}}}"#,
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_next_attempt_and_why_then() {
        let later = format!("{}, in 1h", date(5000));
        let table = [
            (item(r#","attempts":3"#), 1000, format!("{later}: the pause after attempt 3")),
            (
                item(r#","attempts":3,"outages":1"#),
                6000,
                "now: the one it goes to was not there".to_owned(),
            ),
            (item(r#","attempts":3"#), 5000, "now: the pause after attempt 3 is over".to_owned()),
            (
                item(
                    r#","attempts":1,"outage":{"destination":"x:25","why":"no route","probe":5000}"#,
                ),
                1000,
                format!("{later}: x:25 is dead, and only probed: no route"),
            ),
            (
                item(r#","attempts":3,"under_way":true"#),
                5000,
                "it is being delivered now".to_owned(),
            ),
            (item(r#","hold":"spam?""#), 1000, "none: it is held: spam?".to_owned()),
            (item(r#","given_up":"no""#), 5000, "now: it goes back to its sender: no".to_owned()),
            (
                Item { standing: Standing::New, ..item("") },
                5000,
                "now: nobody has tried it yet".to_owned(),
            ),
        ];
        for (item, now, expected) in table {
            assert_eq!(next(&item, now), expected);
        }
    }

    #[test]
    fn all_that_is_known() {
        let text = all(&item(r#","attempts":3,"stored":"segments/00000001 at 4096""#), 1500);
        let expected = format!(
            "id           0abc\n\
             arrived      {}, 8m ago\n\
             sender       <>\n\
             size         20480 octets\n\
             attempts     3\n\
             next attempt {}, in 58m: the pause after attempt 3\n\
             stored       segments/00000001 at 4096\n\
             recipient    ann@example.org: waits: 450 busy (was rfc822;x) (its sender wants to hear \
             of nothing)\n",
            date(1000),
            date(5000),
        );
        assert_eq!(text, expected);
    }
}
