//! How ages, sizes and addresses are shown to a person.

/// `42s`, `17m`, `5h`, `3d`.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `999`, `12k`, `3M`.
pub(super) fn size(octets: u64) -> String {
    match octets {
        0..10_000 => octets.to_string(),
        10_000..10_240_000 => format!("{}k", octets >> 10),
        _ => format!("{}M", octets >> 20),
    }
}

/// A sender, nobody being shown as `<>`.
pub(super) fn sender(address: &str) -> &str {
    if address.is_empty() { "<>" } else { address }
}

/// What peers wrote is shown without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let ages = [(0, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (172_800, "2d")];
        for (seconds, expected) in ages {
            assert_eq!(age(seconds), expected);
        }
        let sizes = [(0, "0"), (9999, "9999"), (20_480, "20k"), (52_428_800, "50M")];
        for (octets, expected) in sizes {
            assert_eq!(size(octets), expected);
        }
        assert_eq!(plain("550 no\u{1b}[2J\n"), "550 no?[2J?");
    }
}
