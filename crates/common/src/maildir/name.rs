//! File names of messages: `1795365077.M5972P19834Q1.vm,S=5,W=6:2,FSab`.
//!
//! A message's identity is what stands before the colon; after it stand flags, in ASCII order,
//! which any program may change by renaming the file. `S=` is the file's size, `W=` its size with
//! CRLF line ends.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use twox_hash::XxHash3_64;

use super::DeliveryId;
use crate::time;

/// The identity in a file name.
pub(super) fn base(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// What stands for an identity in the index and in the cache: XXH3 with 64 bits and no seed. It is
/// in files: it must never change.
pub(super) fn hash(base: &str) -> u64 {
    XxHash3_64::oneshot(base.as_bytes())
}

/// The size of the file, where the name says it.
pub(super) fn stored_size(name: &str) -> Option<u64> {
    field(name, "S=")
}

/// The size with CRLF line ends, where the name says it.
pub(super) fn wire_size(name: &str) -> Option<u64> {
    field(name, "W=")
}

/// Messages get their UIDs in this order: seconds, microseconds, name.
pub(super) fn arrival(base: &str) -> (u64, u64, &str) {
    let seconds = leading_number(base).unwrap_or(u64::MAX);
    let micros = base.split_once(".M").and_then(|(_, rest)| leading_number(rest));
    (seconds, micros.unwrap_or_default(), base)
}

/// A name that no other message has: time, process, a counter, machine. Times within a process
/// always grow, so that names sort as they were made.
pub(super) fn unique() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = time::now_micros();
    let last = LAST.fetch_max(now, Ordering::Relaxed);
    let micros = if now > last { now } else { LAST.fetch_add(1, Ordering::Relaxed) + 1 };
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    format!("{seconds}.M{micros}P{}Q{count}.{}", std::process::id(), host())
}

/// The name of a delivery, the same for every attempt at it: when its message was queued, its id,
/// machine. [`unique`] names have a `P` where these have a `D`.
pub(super) fn of_delivery(id: &DeliveryId) -> String {
    format!("{}{}", delivery_stem(id), host())
}

/// How the names of a delivery begin, whatever the machine was called at the time.
pub(super) fn delivery_stem(id: &DeliveryId) -> String {
    let (seconds, micros) = (id.micros() / 1_000_000, id.micros() % 1_000_000);
    // What stands between the dots is one word to other programs.
    let word = id.to_string().replace('.', "-");
    format!("{seconds}.M{micros}D{word}.")
}

/// The delivery whose message has this name, if that was queued at `oldest` or later, in
/// microseconds since 1970.
pub(super) fn delivery_since(name: &str, oldest: u64) -> Option<DeliveryId> {
    if leading_number(name)? < oldest / 1_000_000 {
        return None;
    }
    let (_, rest) = name.split_once('D')?;
    let (queue_id, number) = rest.split_once('.')?.0.rsplit_once('-')?;
    let id = DeliveryId::parse(&format!("{queue_id}.{number}"))?;
    let is_its_name = name.starts_with(&delivery_stem(&id)) && id.micros() >= oldest;
    is_its_name.then_some(id)
}

/// This machine's name, as it can stand in a file name.
pub(super) fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let name: String = name.chars().map(|c| if safe(c) { c } else { '_' }).collect();
        if name.is_empty() { "localhost".to_owned() } else { name }
    })
}

fn field(name: &str, key: &str) -> Option<u64> {
    base(name).split(',').skip(1).find_map(|field| field.strip_prefix(key)?.parse().ok())
}

fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_stay_what_they_are() {
        assert_eq!(hash(""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash("1795365077.M5972P19834Q1.vm,S=5,W=6"), 0xd1d2_c650_d54d_bdd6);
    }

    #[test]
    fn identity_and_sizes() {
        let table = [
            ("1.M2P3.vm,S=5,W=6:2,S", "1.M2P3.vm,S=5,W=6", Some(5), Some(6)),
            ("1.M2P3.vm:2,S,W=7", "1.M2P3.vm", None, None),
            ("1.W=3.vm,S=x", "1.W=3.vm,S=x", None, None),
        ];
        for (name, identity, stored, wire) in table {
            assert_eq!(base(name), identity);
            assert_eq!((stored_size(name), wire_size(name)), (stored, wire), "{name}");
        }
    }

    #[test]
    fn arrival_is_by_time() {
        let mut names = ["b", "10.M1P1.x", "9.M20P1.x", "9.M3P9.x", "9.123.x", "9.M3P10.x"];
        names.sort_unstable_by_key(|name| arrival(name));
        assert_eq!(names, ["9.123.x", "9.M3P10.x", "9.M3P9.x", "9.M20P1.x", "10.M1P1.x", "b"]);
    }

    #[test]
    fn deliveries_have_the_same_name_each_time() {
        let id = |text| DeliveryId::parse(text).unwrap();
        let name = of_delivery(&id("8MoK2mX2A0VhSXz9.12"));
        let micros = id("8MoK2mX2A0VhSXz9.12").micros();
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        assert_eq!(name, format!("{seconds}.M{rest}D8MoK2mX2A0VhSXz9-12.{}", host()));
        assert_eq!(name, of_delivery(&id("8MoK2mX2A0VhSXz9.12")));
        assert_eq!(arrival(&name), (seconds, rest, name.as_str()));
        for other in ["8MoK2mX2A0VhSXz9.1", "8MoK2mX2A0VhSXz9.120", "8MoK2mX2A0VhSXz8.12"] {
            assert!(!name.starts_with(&delivery_stem(&id(other))), "{other}");
        }
        assert_eq!(delivery_since(&name, 0), Some(id("8MoK2mX2A0VhSXz9.12")));
        assert_eq!(delivery_since(&format!("{name},S=5:2,D"), micros), delivery_since(&name, 0));
        for oldest in [micros + 1, micros + 1_000_000, u64::MAX] {
            assert_eq!(delivery_since(&name, oldest), None, "{oldest}");
        }
        let others = ["", "1.M2P3Q4.vm", "1.M2D.vm", "x", &name[1..], &name.replace("-12", "-012")];
        for other in others {
            assert_eq!(delivery_since(other, 0), None, "{other}");
        }
        let longest = of_delivery(&id("zzzzzzzzzzzzzzzz.4294967295"));
        assert!(longest.len() - host().len() < 60, "{longest}");
    }

    #[test]
    fn unique_names_are_unique_and_in_order() {
        let names: Vec<String> = (0..1000).map(|_| unique()).collect();
        assert!(names.windows(2).all(|pair| arrival(&pair[0]) < arrival(&pair[1])));
    }
}
