//! `posthorn queue list`, and `mailq` in Postfix's form.

use mail_common::time;
use mail_spool::admin::{Became, Filter, Item, Standing};

use super::connection::Connection;
use super::form::{age, plain, sender, size};
use super::output::Output;
use super::{Failure, Outcome, show};

/// Each message on a line, or as a JSON object.
pub(super) fn run(
    connection: &mut Connection,
    filter: Filter,
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let now = time::now_micros() / 1_000_000;
    let mut head = Some(HEAD);
    let (count, outcome) = show::each(connection, filter, json, out, |item, out| {
        head.take().map_or(Ok(()), |head| out.line(head))?;
        out.line(line(item, now))
    })?;
    if count == 0 {
        outcome.nothing(json, out)?;
    }
    Ok(outcome)
}

/// `mailq` and `sendmail -bp`.
pub(super) fn mailq(connection: &mut Connection, out: &mut Output) -> Result<Outcome, Failure> {
    let mut octets = 0;
    let mut head = Some(MAILQ_HEAD);
    let (messages, outcome) =
        show::each(connection, Filter::default(), false, out, |item, out| {
            head.take().map_or(Ok(()), |head| out.line(head))?;
            octets += item.size;
            out.line(postfix(item, &time::short(seconds(item.arrived))))
        })?;
    match messages {
        0 => out.line("Mail queue is empty")?,
        1 => out.line(format_args!("-- {} Kbytes in 1 Request.", octets >> 10))?,
        _ => out.line(format_args!("-- {} Kbytes in {messages} Requests.", octets >> 10))?,
    }
    Ok(outcome)
}

const HEAD: &str =
    "id                standing   age   size  sender -> recipients that wait: reason";

const MAILQ_HEAD: &str = "-Queue ID-        --Size-- ----Arrival Time---- -Sender/Recipient-------";

/// Where the recipients stand in that.
const MARGIN: usize = 48;

/// Columns of a reason's line.
const WIDTH: usize = 78;

fn line(item: &Item, now: u64) -> String {
    let standing = match item.standing {
        _ if item.under_way => "active",
        Standing::New => "new",
        Standing::Deferred => "deferred",
        Standing::Held => "held",
    };
    let mut waiting = item.waiting();
    let first = waiting.next().map(|to| to.address.as_str()).unwrap_or_default();
    let more = match waiting.count() {
        0 => String::new(),
        more => format!(" +{more}"),
    };
    let outage = || item.outage.as_ref().map(|outage| outage.why.as_str());
    let reason = item.hold.as_deref().or(item.given_up.as_deref()).or(item.reason());
    let reason = reason.or_else(outage);
    let reason = reason.map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    format!(
        "{:<16}  {standing:<8} {:>5}  {:>5}  {} -> {first}{more}{reason}",
        item.id,
        age(now.saturating_sub(item.arrived)),
        size(item.size),
        sender(&item.sender),
    )
}

/// A message as Postfix shows it: `*` is due or being delivered, `!` held; before recipients the
/// reason why they wait.
fn postfix(item: &Item, arrived: &str) -> String {
    let mark = match item.standing {
        _ if item.under_way => '*',
        Standing::New => '*',
        Standing::Held => '!',
        Standing::Deferred => ' ',
    };
    let from = if item.sender.is_empty() { "MAILER-DAEMON" } else { &item.sender };
    let id = format!("{}{mark}", item.id);
    let mut text = format!("{id:<17} {:>8} {arrived:>20}  {from}\n", item.size);
    let mut reason = None;
    for to in item.recipients.iter().filter(|to| to.state == Became::Waiting) {
        if to.reason.is_some() && to.reason != reason {
            reason.clone_from(&to.reason);
            let shown = format!("({})", plain(reason.as_deref().unwrap_or_default()));
            text += &format!("{shown:>WIDTH$}\n");
        }
        text += &format!("{:MARGIN$}{}\n", "", to.address);
    }
    text
}

fn seconds(arrived: u64) -> i64 {
    i64::try_from(arrived).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn item(more: &str) -> Item {
        let text = format!(
            r#"{{"id":"3NxPmvD0xUL8mRzo","standing":"deferred","arrived":1000,"size":20480,
            "sender":"bob@example.net","recipients":[
            {{"address":"ann@example.org","state":"delivered"}},
            {{"address":"eve@example.org","state":"waiting","reason":"450 busy\u001b"}},
            {{"address":"joe@example.org","state":"waiting","reason":"450 busy\u001b"}}]{more}}}"#,
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn lines_stand_below_their_head() {
        let expected = "3NxPmvD0xUL8mRzo  deferred    2h    20k  \
                        bob@example.net -> eve@example.org +1: 450 busy?";
        assert_eq!(line(&item(""), 8200), expected);
        let held = Item { standing: Standing::Held, ..item(r#","hold":"spam?""#) };
        let expected = "3NxPmvD0xUL8mRzo  held        0s    20k  \
                        bob@example.net -> eve@example.org +1: spam?";
        assert_eq!(line(&held, 0), expected);
        assert_eq!(HEAD.find("sender"), line(&held, 0).find("bob"));
    }

    #[test]
    fn postfix_s_form() {
        let expected = "\
3NxPmvD0xUL8mRzo     20480  Thu Jan  1 00:16:40  bob@example.net
                                                                   (450 busy?)
                                                eve@example.org
                                                joe@example.org
";
        assert_eq!(postfix(&item(""), "Thu Jan  1 00:16:40"), expected);
        let held = Item { standing: Standing::Held, sender: String::new(), ..item("") };
        let text = postfix(&held, "Thu Jan  1 00:16:40");
        assert!(text.starts_with("3NxPmvD0xUL8mRzo!    20480  Thu Jan  1 00:16:40  MAILER-DAEMON"));
        assert_eq!(MAILQ_HEAD.find("-Sender"), text.find("MAILER").map(|at| at - 1));
    }
}
