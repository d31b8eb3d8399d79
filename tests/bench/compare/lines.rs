//! The table.

use std::fmt::Write as _;

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
    /// A part of another speed: more is better.
    Part(f64),
}

/// What the project wants of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// Our speed is at least this good, and would be if CPU were all that it takes.
    Reach(Speed),
    /// So many times better than Dovecot.
    Times(f64),
    /// CPU at most this part of Dovecot's.
    CpuPart(f64),
    /// As good as another line of ours, within a fifth.
    As(Cost),
    /// It is there to compare with.
    Nothing,
}

/// How much worse still counts as the same: runs differ by more than a tenth.
const SAME: f64 = 1.2;

/// The whole table, in Markdown.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut text = "\
| | CPU, ours | Dovecot's | less by | speed, ours | Dovecot's | better by | target | met |\n\
|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for line in lines {
        writeln!(text, "| {} |", line.cells().join(" | ")).expect("takes everything");
    }
    text
}

impl Line {
    fn cells(&self) -> [String; 9] {
        let cpu = |cost: Option<&Cost>| cost.and_then(|cost| cost.cpu).map_or_else(none, cpu);
        let (less, better) = (self.cpu_ratio(), self.speed_ratio());
        [
            self.name.clone(),
            cpu(Some(&self.ours)),
            cpu(self.theirs.as_ref()),
            less.map_or_else(none, times),
            self.ours.speed.shown(),
            self.theirs.map_or_else(none, |cost| cost.speed.shown()),
            better.map_or_else(none, times),
            self.target.shown(),
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
            Self::Size(size) => format!("{} octets", digits(size)),
            Self::Part(part) => times(part),
        }
    }
}

impl Target {
    fn shown(self) -> String {
        match self {
            Self::Reach(speed @ Speed::Rate(_)) => format!("≥ {}", speed.shown()),
            Self::Reach(speed) => format!("≤ {}", speed.shown()),
            Self::Times(times) => format!("≥ {} × Dovecot", digits(times)),
            Self::CpuPart(part) => format!("CPU ≤ {} × Dovecot's", digits(part)),
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
        let cells = line.cells().join("|");
        let said = "0.50 ms|4.0 ms|8.0 ×|3,000/s|1,000/s|3.0 ×|≥ 4.0 × Dovecot";
        assert_eq!(cells, format!("APPEND|{said}|CPU yes, speed **no**"));
        line.target = Target::CpuPart(0.1);
        assert_eq!(line.verdict(), "**no**");
        line.target = Target::As(cost(0.5, 3500.0));
        assert_eq!(line.verdict(), "CPU yes, speed yes");
        line.target = Target::Reach(Speed::Rate(2999.0));
        assert_eq!(line.verdict(), "CPU **no**, speed yes");
    }
}
