//! The tables.

use std::fmt::Write as _;

/// Whom we are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// About mailboxes.
    Dovecot,
    /// About mail that is taken, and waits.
    Postfix,
    /// About mail from one end to the other.
    PostfixAndDovecot,
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) ours: Cost,
    pub(crate) theirs: Option<Cost>,
    pub(crate) target: Target,
}

/// What an operation costs one side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// CPU of the server for it, in milliseconds, where that was measured.
    pub(crate) cpu: Option<f64>,
    pub(crate) speed: Speed,
}

/// How fast it goes, or how large it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speed {
    /// Operations in a second: more is better.
    Rate(f64),
    /// Milliseconds: less is better.
    Time(f64),
    /// Octets: less is better.
    Size(f64),
    /// A part of another speed: more is better. CPU beside it is a multiple of the other's, too.
    Part(f64),
}

/// What the project wants of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// Our speed is at least this good, and would be if CPU were all that it takes.
    Reach(Speed),
    /// So many times better than the peer.
    Times(f64),
    /// CPU at most this part of the peer's.
    CpuPart(f64),
    /// As good as another line of ours, within a fifth.
    As(Cost),
    /// It is there to compare with.
    Nothing,
}

/// How much worse still counts as the same: runs differ by more than a tenth.
const SAME: f64 = 1.2;

/// A whole table, in Markdown.
pub(crate) fn table(peer: Peer, lines: &[&Line]) -> String {
    let theirs = peer.name().to_owned() + "'s";
    let mut text = format!(
        "| | CPU, ours | {theirs} | less by | speed, ours | {theirs} | better by | target | met |\n\
         |---|---|---|---|---|---|---|---|---|\n"
    );
    for line in lines {
        writeln!(text, "| {} |", line.cells(peer).join(" | ")).expect("takes everything");
    }
    text
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Dovecot => "Dovecot",
            Self::Postfix => "Postfix",
            Self::PostfixAndDovecot => "Postfix and Dovecot",
        }
    }
}

impl Line {
    fn cells(&self, peer: Peer) -> [String; 9] {
        let (less, better) = (self.cpu_ratio(), self.speed_ratio());
        [
            self.name.clone(),
            self.ours.cpu_shown(),
            self.theirs.map_or_else(none, Cost::cpu_shown),
            less.map_or_else(none, times),
            self.ours.speed.shown(),
            self.theirs.map_or_else(none, |cost| cost.speed.shown()),
            better.map_or_else(none, times),
            self.target.shown(peer),
            self.verdict(),
        ]
    }

    fn cpu_ratio(&self) -> Option<f64> {
        Some(self.theirs?.cpu? / self.ours.cpu?)
    }

    fn speed_ratio(&self) -> Option<f64> {
        Some(self.ours.speed.over(self.theirs?.speed))
    }

    fn verdict(&self) -> String {
        match self.target {
            Target::Reach(size @ Speed::Size(_)) => {
                yes(self.ours.speed.over(size) >= 1.0).to_owned()
            }
            Target::Reach(speed) => {
                both(self.ours.cpu_against(speed), Some(self.ours.speed.over(speed)), 1.0)
            }
            Target::CpuPart(part) => {
                self.cpu_ratio().map_or_else(none, |ratio| yes(ratio * part >= 1.0).to_owned())
            }
            Target::Times(wanted) => both(self.cpu_ratio(), self.speed_ratio(), wanted),
            Target::As(other) => {
                let cpu = other.cpu.zip(self.ours.cpu).map(|(other, ours)| other / ours);
                both(cpu, Some(self.ours.speed.over(other.speed)), 1.0 / SAME)
            }
            Target::Nothing => none(),
        }
    }
}

impl Cost {
    fn cpu_shown(self) -> String {
        let shown = if matches!(self.speed, Speed::Part(_)) { times } else { cpu };
        self.cpu.map_or_else(none, shown)
    }

    /// How many times better than `speed` it would be if it took no longer than its CPU.
    fn cpu_against(self, speed: Speed) -> Option<f64> {
        let cpu = self.cpu?;
        match speed {
            Speed::Rate(rate) => Some(1e3 / cpu / rate),
            Speed::Time(time) => Some(time / cpu),
            Speed::Size(_) | Speed::Part(_) => None,
        }
    }
}

impl Speed {
    /// How many times better it is than the other.
    fn over(self, other: Self) -> f64 {
        match (self, other) {
            (Self::Rate(ours), Self::Rate(theirs)) | (Self::Part(ours), Self::Part(theirs)) => {
                ours / theirs
            }
            (Self::Time(ours), Self::Time(theirs)) | (Self::Size(ours), Self::Size(theirs)) => {
                theirs / ours
            }
            _ => f64::NAN,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Rate(rate) => format!("{}/s", thousands(rate)),
            Self::Time(time) => format!("{} ms", digits(time)),
            Self::Size(size) if size >= 1e6 => format!("{} MB", digits(size / 1e6)),
            Self::Size(size) => format!("{} octets", digits(size)),
            Self::Part(part) => times(part),
        }
    }
}

impl Target {
    fn shown(self, peer: Peer) -> String {
        let peer = peer.name();
        match self {
            Self::Reach(speed @ (Speed::Rate(_) | Speed::Part(_))) => {
                format!("≥ {}", speed.shown())
            }
            Self::Reach(speed) => format!("≤ {}", speed.shown()),
            Self::Times(times) => format!("≥ {} × {peer}", digits(times)),
            Self::CpuPart(part) => format!("CPU ≤ {} × {peer}'s", digits(part)),
            Self::As(other) => format!("as {}", other.speed.shown()),
            Self::Nothing => none(),
        }
    }
}

fn both(cpu: Option<f64>, speed: Option<f64>, wanted: f64) -> String {
    let said = |ratio: Option<f64>| ratio.map_or("–", |ratio| yes(ratio >= wanted));
    format!("CPU {}, speed {}", said(cpu), said(speed))
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}

fn none() -> String {
    "–".to_owned()
}

/// CPU of one operation, in the unit that suits.
fn cpu(milliseconds: f64) -> String {
    if milliseconds >= 0.1 {
        format!("{} ms", digits(milliseconds))
    } else {
        format!("{} µs", digits(milliseconds * 1e3))
    }
}

fn times(ratio: f64) -> String {
    format!("{} ×", digits(ratio))
}

/// Two or three digits that mean something.
fn digits(value: f64) -> String {
    match value {
        large if large >= 100.0 => thousands(large),
        middling if middling >= 10.0 => format!("{middling:.0}"),
        small if small >= 1.0 => format!("{small:.1}"),
        tiny => format!("{tiny:.2}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_found_and_whether_it_will_do() {
        let cost = |cpu, rate| Cost { cpu: Some(cpu), speed: Speed::Rate(rate) };
        let mut line = Line {
            name: "APPEND".to_owned(),
            ours: cost(0.5, 3000.0),
            theirs: Some(cost(4.0, 1000.0)),
            target: Target::Times(4.0),
        };
        let cells = line.cells(Peer::Dovecot).join("|");
        let said = "0.50 ms|4.0 ms|8.0 ×|3,000/s|1,000/s|3.0 ×|≥ 4.0 × Dovecot";
        assert_eq!(cells, format!("APPEND|{said}|CPU yes, speed **no**"));
        line.target = Target::CpuPart(0.1);
        assert_eq!(line.verdict(), "**no**");
        line.target = Target::As(cost(0.5, 3500.0));
        assert_eq!(line.verdict(), "CPU yes, speed yes");
        line.target = Target::Reach(Speed::Rate(2999.0));
        assert_eq!(line.verdict(), "CPU **no**, speed yes");
    }

    #[test]
    fn a_part_of_another_line_is_a_multiple_of_its_cpu() {
        let line = Line {
            name: "taken".to_owned(),
            ours: Cost { cpu: Some(5.2), speed: Speed::Part(0.71) },
            theirs: None,
            target: Target::Reach(Speed::Part(0.7)),
        };
        let cells = line.cells(Peer::Postfix).join("|");
        assert_eq!(cells, "taken|5.2 ×|–|–|0.71 ×|–|–|≥ 0.70 ×|CPU –, speed yes");
        assert_eq!(Target::Times(10.0).shown(Peer::Postfix), "≥ 10 × Postfix");
    }
}
