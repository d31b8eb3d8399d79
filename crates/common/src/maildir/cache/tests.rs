//! The cache on a real file system.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::pieces::Pieces;
use super::*;

struct Scene {
    directory: tempfile::TempDir,
    dir: Dir,
    cache: Cache,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        Self { directory, dir, cache: Cache::default() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(NAME)
    }

    fn add(&self, hashes: impl IntoIterator<Item = u64>) {
        hashes.into_iter().for_each(|hash| add(&self.dir, [(hash, &*text(hash))]));
    }

    /// Those of these hashes that are found.
    fn found(&self, hashes: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let Some(following) = self.cache.follow(&self.dir) else { return Vec::new() };
        let mut pieces = Pieces::default();
        let is_found = |hash: &u64| {
            let Sought::At(place) = self.cache.place(&following, *hash) else { return false };
            let found = pieces.summary(&following.file, *hash, place);
            assert!(found.is_none_or(|found| found == text(*hash)), "another's: {hash}");
            found.is_some()
        };
        hashes.into_iter().filter(is_found).collect()
    }

    fn rewrite(&self, hashes: impl IntoIterator<Item = u64>) {
        self.cache.rewrite(&self.dir, hashes).unwrap();
    }
}

/// The summary of a message: here, anything that is its own.
fn text(hash: u64) -> Vec<u8> {
    format!("summary of {hash}, ").into_bytes().repeat(1 + hash as usize % 50)
}

fn all(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn what_is_added_is_found_by_all() {
    let scene = Scene::new();
    assert_eq!(scene.found(0..3), []);
    scene.add(0..3);
    assert_eq!(scene.found(0..9), [0, 1, 2]);
    scene.add(3..2000);
    assert_eq!(scene.found(0..2001), all(0..2000));
    assert_eq!(scene.found((0..2001).rev()).len(), 2000);
    let other = Cache::default();
    let following = other.follow(&scene.dir).unwrap();
    assert!(matches!(other.place(&following, 1999), Sought::At(_)));
}

#[test]
fn the_later_counts() {
    let scene = Scene::new();
    add(&scene.dir, [(7, &b"old"[..]), (8, b"old")]);
    scene.add(0..9);
    assert_eq!(scene.found(0..9), all(0..9));
    scene.rewrite(0..9);
    assert_eq!(scene.found(0..9), all(0..9));
}

#[test]
fn written_anew_it_holds_those_who_are_there() {
    let scene = Scene::new();
    scene.add(0..500);
    scene.found([0]);
    assert!(scene.cache.is_due(500), "single frames");
    let before = fs::metadata(scene.path()).unwrap().len();
    scene.rewrite((100..500).rev().chain(1000..1005));
    assert_eq!(scene.found(0..500), all(100..500));
    let after = fs::metadata(scene.path()).unwrap().len();
    assert!(after < before / 4, "{after} of {before}");
    assert!(!scene.cache.is_due(400));
    assert!(scene.cache.is_due(100), "most are gone");
    scene.add(0..10);
    assert_eq!(scene.found(0..500), [all(0..10), all(100..500)].concat());
    assert!(!scene.cache.is_due(410));
    scene.rewrite([]);
    assert_eq!(scene.found(0..500), []);
    assert_eq!(fs::read_dir(scene.directory.path()).unwrap().count(), 1);
}

#[test]
fn what_is_added_while_it_is_written_anew_stays() {
    let scene = Scene::new();
    scene.add(0..200);
    let late = std::cell::Cell::new(false);
    let hashes = (0..200).inspect(|hash| {
        if *hash == 150 && !late.replace(true) {
            scene.add(300..305);
        }
    });
    scene.cache.rewrite(&scene.dir, hashes).unwrap();
    assert_eq!(scene.found(0..400), [all(0..200), all(300..305)].concat());
}

#[test]
fn who_reads_notices_that_the_file_was_replaced() {
    let scene = Scene::new();
    scene.add(0..10);
    let before = scene.cache.follow(&scene.dir).unwrap();
    scene.rewrite(0..10);
    assert!(matches!(scene.cache.place(&before, 1), Sought::Elsewhere));
    let after = scene.cache.follow(&scene.dir).unwrap();
    assert!(matches!(scene.cache.place(&after, 1), Sought::At(_)));
}

#[test]
fn damage_costs_what_is_damaged() {
    let scene = Scene::new();
    scene.add(0..10);
    let garbage = |count: usize| {
        let whole = [fs::read(scene.path()).unwrap(), vec![b'g'; count]].concat();
        fs::write(scene.path(), whole).unwrap();
    };
    garbage(100_000);
    scene.add(10..20);
    assert_eq!(scene.found(0..30), all(0..20));
    // A frame that ends too soon, and others behind it.
    let whole = fs::read(scene.path()).unwrap();
    fs::write(scene.path(), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(scene.found(0..30), all(0..19));
    scene.add(20..22);
    assert_eq!(scene.found(0..30), [all(0..19), all(20..22)].concat());
    garbage(2_000_000);
    scene.add(22..30);
    assert_eq!(scene.found(0..30), [all(0..19), all(20..22)].concat(), "nobody looks that far");
    assert!(scene.cache.is_due(30));
    scene.rewrite(0..30);
    assert!(fs::metadata(scene.path()).unwrap().len() < 10_000);
    assert!(!scene.cache.is_due(30));
}

#[test]
fn the_file_may_change_under_the_reader() {
    let scene = Scene::new();
    scene.add(0..100);
    assert_eq!(scene.found(0..100).len(), 100);
    fs::write(scene.path(), vec![0; fs::metadata(scene.path()).unwrap().len() as usize]).unwrap();
    assert_eq!(scene.found(0..100), [], "written over");
    fs::write(scene.path(), b"short").unwrap();
    assert_eq!(scene.found(0..100), []);
    scene.add(0..3);
    assert_eq!(scene.found(0..100), [0, 1, 2]);
    fs::remove_file(scene.path()).unwrap();
    assert_eq!(scene.found(0..100), []);
    scene.add(4..6);
    assert_eq!(scene.found(0..100), [4, 5]);
    fs::remove_file(scene.path()).unwrap();
    fs::create_dir(scene.path()).unwrap();
    scene.add(4..6);
    assert_eq!(scene.found(0..100), []);
}

#[test]
fn many_may_add_at_once() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let dir = scene.dir.clone();
            scope.spawn(move || {
                let hashes = (0..200).map(|n| n * 4 + thread);
                hashes.for_each(|hash| add(&dir, [(hash, &*text(hash))]));
            });
        }
    });
    assert_eq!(scene.found(0..800), all(0..800));
}

#[test]
fn all_at_once_nobody_reads_what_is_not_there() {
    let (scene, elsewhere) = (&Scene::new(), &Cache::default());
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| (0..400).for_each(|hash| scene.add([hash])));
        scope.spawn(move || {
            while !adding.is_finished() {
                // Twice, as two processes do it, and others in between.
                scene.cache.rewrite(&scene.dir, 0..400).unwrap();
                elsewhere.rewrite(&scene.dir, 0..400).unwrap();
            }
        });
        for _ in 0..50 {
            scene.found(0..400);
        }
    });
    let found = scene.found(0..400);
    scene.rewrite(0..400);
    assert_eq!(scene.found(0..400), found);
    assert_eq!(fs::read_dir(scene.directory.path()).unwrap().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_damage_is_only_a_loss(
        blocks in any::<bool>(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let scene = Scene::new();
        scene.add(0..150);
        if blocks {
            scene.rewrite(0..140);
            scene.add(140..150);
        }
        let mut octets = fs::read(scene.path()).unwrap();
        for (at, octet) in &hits {
            let at = at.index(octets.len());
            octets[at] = *octet;
        }
        octets.truncate(cut.map_or(octets.len(), |cut| cut.index(octets.len() + 1)));
        fs::write(scene.path(), octets).unwrap();
        let found = scene.found(0..150).len();
        if cut.is_none() {
            let most = if blocks { 64 } else { 2 };
            prop_assert!(found + most * hits.len() >= 150, "{found} with {} hits", hits.len());
        }
        scene.rewrite(0..150);
        prop_assert_eq!(scene.found(0..150).len(), found);
    }

    #[test]
    fn any_octets_can_be_a_cache(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
        let scene = Scene::new();
        fs::write(scene.path(), octets).unwrap();
        scene.add([5]);
        prop_assert_eq!(scene.found(0..10), [5]);
    }
}
