//! `posthorn queue summary`: tables of who waits for how long, as qshape has them. Names have what
//! the figures leave of the terminal's width.

use std::fmt::Write as _;
use std::io::stdout;

use mail_spool::admin::protocol::{Answer, Request};
use mail_spool::admin::{AGES, Filter, Group, Summary};

use super::connection::Connection;
use super::form::{plain, size};
use super::output::Output;
use super::{Failure, Outcome, plural};

pub(super) fn run(
    connection: &mut Connection,
    filter: Filter,
    top: usize,
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Done;
    let width = width();
    connection.ask(&Request::Summary { filter }, |answer| match answer {
        Answer::Summary(summary) if json => out.json(&summary),
        Answer::Summary(summary) => out.line(tables(&summary, top, width)),
        other => outcome.note(&other, json, out),
    })?;
    Ok(outcome)
}

/// Characters of a name. Where nobody looks, nothing is cut.
fn width() -> usize {
    match rustix::termios::tcgetwinsize(stdout()) {
        Ok(size) => usize::from(size.ws_col).saturating_sub(FIGURES).max(NARROW),
        Err(_) => usize::MAX,
    }
}

/// One table a kind, of which the first `top` groups are shown.
fn tables(summary: &Summary, top: usize, width: usize) -> String {
    let Summary { total, new, deferred, held, .. } = summary;
    let mut text = format!(
        "{} of {} octets: {new} new, {deferred} deferred, {held} held\n",
        plural(total.messages, "message"),
        size(total.octets),
    );
    let kinds = [
        ("destination", &summary.destinations),
        ("reason", &summary.reasons),
        ("sender", &summary.senders),
    ];
    for (what, groups) in kinds {
        text.push('\n');
        table(&mut text, what, total, groups.get(..top).unwrap_or(groups), width);
        if groups.len() > top {
            text += &format!("and {} more: --top shows more\n", groups.len() - top);
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Columns: all, and those of an age below so many minutes.
fn table(text: &mut String, what: &str, total: &Group, groups: &[Group], width: usize) {
    let longest = groups.iter().map(|group| group.name.chars().count()).max().unwrap_or_default();
    let width = longest.max(NARROW).min(width);
    let mut head = format!("{what:<width$} {:>7}", "T");
    for minutes in AGES {
        // Writing to a string does not fail.
        let _ = write!(head, " {minutes:>6}");
    }
    *text += &format!("{head}  {}+\n", AGES.last().copied().unwrap_or_default());
    row(text, "TOTAL", total, width);
    for group in groups {
        row(text, if group.name.is_empty() { "-" } else { &group.name }, group, width);
    }
}

/// Columns of the figures.
const FIGURES: usize = 8 + 7 * AGES.len() + 7;

/// Characters that a name has at least.
const NARROW: usize = 20;

fn row(text: &mut String, name: &str, group: &Group, width: usize) {
    *text += &format!("{:<width$} {:>7}", shortened(&plain(name), width), group.messages);
    for count in group.ages {
        let _ = write!(text, " {count:>6}");
    }
    text.push('\n');
}

/// At most so many characters; what was cut is shown to be.
fn shortened(name: &str, width: usize) -> String {
    match name.chars().count() > width {
        true => name.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_as_qshape_has_it() {
        let group = |name: &str, messages, first, last| {
            let mut ages = [0; 10];
            (ages[0], ages[9]) = (first, last);
            Group { name: name.to_owned(), messages, octets: 0, ages }
        };
        let summary = Summary {
            total: Group { octets: 20_480, ..group("", 3, 1, 2) },
            new: 1,
            deferred: 2,
            held: 0,
            destinations: vec![group("example.org", 2, 0, 2), group("ü.example", 1, 1, 0)],
            reasons: vec![group("", 3, 1, 2)],
            senders: Vec::new(),
        };
        let expected = "\
3 messages of 20k octets: 1 new, 2 deferred, 0 held

destination                T      5     10     20     40     80    160    320    640   1280  1280+
TOTAL                      3      1      0      0      0      0      0      0      0      0      2
example.org                2      0      0      0      0      0      0      0      0      0      2
and 1 more: --top shows more

reason                     T      5     10     20     40     80    160    320    640   1280  1280+
TOTAL                      3      1      0      0      0      0      0      0      0      0      2
-                          3      1      0      0      0      0      0      0      0      0      2

sender                     T      5     10     20     40     80    160    320    640   1280  1280+
TOTAL                      3      1      0      0      0      0      0      0      0      0      2";
        assert_eq!(tables(&summary, 1, usize::MAX), expected);
        let narrow = tables(&summary, 2, 8);
        assert!(narrow.contains("\nexample…       2 "), "{narrow}");
        assert!(narrow.contains("\nü.examp…       1 "), "{narrow}");
    }
}
