//! What reads octets of others: each target takes any octets, and panics if a law is broken.
//! `docs/testing.md` tells how they are run.

mod message;
mod sessions;
#[cfg(fuzzing)]
mod spool;

use std::path::Path;

/// What is fuzzed.
pub struct Target {
    /// As it is called.
    pub name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

/// All that there are.
pub const TARGETS: &[Target] = &[
    #[cfg(fuzzing)]
    Target { name: "spool", run: spool::run, seeds: spool::seeds },
    Target { name: "smtp", run: sessions::smtp, seeds: || sessions::chats("smtp") },
    Target {
        name: "submission",
        run: sessions::submission,
        seeds: || sessions::chats("submission"),
    },
    Target { name: "lmtp", run: sessions::lmtp, seeds: || sessions::chats("lmtp") },
    Target {
        name: "smtp-client",
        run: sessions::client,
        seeds: || sessions::replies(&["smtp", "submission", "lmtp"]),
    },
    Target { name: "imap", run: sessions::imap, seeds: || sessions::chats("imap") },
    Target { name: "pop3", run: sessions::pop3, seeds: || sessions::chats("pop3") },
    Target { name: "message", run: message::run, seeds: message::seeds },
];

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Gives it octets.
    ///
    /// # Panics
    /// A law is broken.
    pub fn run(&self, octets: &[u8]) {
        (self.run)(octets);
    }

    /// What its mutations begin with.
    #[must_use]
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }

    /// Writes each seed into a file of this folder.
    ///
    /// # Panics
    /// It is not there, or not writable.
    pub fn write_seeds(&self, folder: &Path) {
        for (number, seed) in self.seeds().iter().enumerate() {
            let path = folder.join(format!("seed-{number:03}"));
            std::fs::write(&path, seed)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// Without a fuzzer's eyes, but none of the targets can rot. The spool has its own.
    #[test]
    fn targets_bear_seeds_and_mutations_of_them() {
        for target in TARGETS {
            let seeds = target.seeds();
            assert!(!seeds.is_empty(), "{}: no seeds", target.name);
            seeds.iter().for_each(|seed| target.run(seed));
            let mutation = (any::<Index>(), 0..20usize, prop::collection::vec(any::<u8>(), 0..3));
            let mutations = prop::collection::vec(mutation, 1..5);
            // What fails is told here, and becomes a chat.
            let config =
                ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() };
            proptest!(config, |(seed in 0..seeds.len(), mutations in mutations)| {
                let mut octets = seeds[seed].clone();
                for (at, removed, inserted) in mutations {
                    let at = at.index(octets.len() + 1);
                    octets.splice(at..(at + removed).min(octets.len()), inserted);
                }
                target.run(&octets);
            });
        }
    }
}
