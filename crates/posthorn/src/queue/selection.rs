//! Which messages a command line means.

use clap::Args;
use mail_common::config::Span;
use mail_spool::admin::{Filter, Glob, Standing};

/// Conditions. All kinds must hold; of one kind, one. `*` and `?` stand for what they do in a
/// shell.
#[derive(Args, Debug, Default)]
pub(super) struct Selection {
    /// Messages with these ids
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
    /// Messages with this id
    #[arg(long = "id", value_name = "ID")]
    more_ids: Vec<String>,
    /// Messages from this address; `<>` for notifications
    #[arg(long, value_name = "ADDRESS")]
    sender: Vec<String>,
    /// Messages to this address
    #[arg(long, value_name = "ADDRESS")]
    pub(super) recipient: Vec<String>,
    /// Messages for which a recipient of this domain waits
    #[arg(long, value_name = "DOMAIN")]
    destination: Vec<String>,
    /// Messages that wait because of something with this text in it
    #[arg(long, value_name = "TEXT")]
    reason: Vec<String>,
    /// Messages that came so long ago, or earlier: 30s, 5m, 4h, 5d
    #[arg(long, value_name = "SPAN", value_parser = seconds)]
    older: Option<u64>,
    /// Messages that came less than so long ago
    #[arg(long, value_name = "SPAN", value_parser = seconds)]
    newer: Option<u64>,
    /// Messages of so many octets, or more: 500, 20k, 3M
    #[arg(long, value_name = "SIZE", value_parser = octets)]
    larger: Option<u64>,
    /// Messages of fewer octets
    #[arg(long, value_name = "SIZE", value_parser = octets)]
    smaller: Option<u64>,
    /// Messages that are held
    #[arg(long)]
    held: bool,
    /// Messages that were tried and are tried again, or go back to their senders
    #[arg(long)]
    deferred: bool,
}

impl Selection {
    /// As the desk takes it.
    pub(super) fn filter(self) -> Filter {
        let globs = |texts: Vec<String>| texts.into_iter().map(Glob::new).collect();
        let standing = [(self.held, Standing::Held), (self.deferred, Standing::Deferred)];
        let standing = standing.into_iter().filter_map(|(wanted, one)| wanted.then_some(one));
        Filter {
            ids: globs([self.ids, self.more_ids].concat()),
            senders: globs(self.sender),
            recipients: globs(self.recipient),
            destinations: globs(self.destination),
            reasons: self.reason.iter().map(|text| Glob::within(text)).collect(),
            older: self.older,
            newer: self.newer,
            larger: self.larger,
            smaller: self.smaller,
            standing: standing.collect(),
        }
    }
}

/// Seconds of a span.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    Span::try_from(text.to_owned()).map(|span| span.duration().as_secs())
}

/// `500`, `20k`, `3M`, `1G`: thousands are 1,024.
fn octets(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write 500, 20k or 3M");
    let units = [('k', 10), ('K', 10), ('M', 20), ('G', 30)];
    let unit =
        units.into_iter().find_map(|(letter, bits)| Some((text.strip_suffix(letter)?, bits)));
    let (number, bits) = unit.unwrap_or((text, 0));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << bits).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }

    fn parse(line: &str) -> Option<Filter> {
        let words = std::iter::once("list").chain(line.split_whitespace());
        Line::try_parse_from(words).ok().map(|line| line.selection.filter())
    }

    #[test]
    fn command_lines() {
        let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(*text)).collect();
        let table = [
            ("", Some(Filter::default())),
            ("0a --id 0b*", Some(Filter { ids: globs(&["0a", "0b*"]), ..Filter::default() })),
            (
                "--sender *@x --sender <>",
                Some(Filter { senders: globs(&["*@x", "<>"]), ..Filter::default() }),
            ),
            (
                "--recipient a@b --destination c.d --reason refused",
                Some(Filter {
                    recipients: globs(&["a@b"]),
                    destinations: globs(&["c.d"]),
                    reasons: vec![Glob::within("refused")],
                    ..Filter::default()
                }),
            ),
            (
                "--older 2h --newer 5d --larger 20k --smaller 3M",
                Some(Filter {
                    older: Some(7200),
                    newer: Some(432_000),
                    larger: Some(20 << 10),
                    smaller: Some(3 << 20),
                    ..Filter::default()
                }),
            ),
            (
                "--held --deferred",
                Some(Filter {
                    standing: vec![Standing::Held, Standing::Deferred],
                    ..Filter::default()
                }),
            ),
            ("--older 2", None),
            ("--larger x", None),
            ("--larger 99999999999999999G", None),
        ];
        for (line, expected) in table {
            assert_eq!(parse(line), expected, "{line}");
        }
    }
}
