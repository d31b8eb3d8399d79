//! What a disk withholds in tests.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use mail_common::lock;

/// By inode, for tests run side by side.
static WITHHELD: LazyLock<Mutex<HashMap<u64, Vec<Range<u64>>>>> = LazyLock::new(Mutex::default);

/// As long as it is here, some octets of a file cannot be read.
#[must_use]
pub(crate) struct Withheld(u64, Range<u64>);

pub(crate) fn withhold(path: &Path, octets: Range<u64>) -> Withheld {
    let inode = path.metadata().unwrap().ino();
    lock(&WITHHELD).entry(inode).or_default().push(octets.clone());
    Withheld(inode, octets)
}

impl Drop for Withheld {
    fn drop(&mut self) {
        if let Some(ranges) = lock(&WITHHELD).get_mut(&self.0) {
            ranges.retain(|octets| *octets != self.1);
        }
    }
}

pub(super) fn read(file: &File, octets: Range<u64>) -> io::Result<()> {
    let withheld = lock(&WITHHELD).get(&file.metadata()?.ino()).cloned().unwrap_or_default();
    let overlaps = |some: &Range<u64>| octets.start < some.end && some.start < octets.end;
    if withheld.iter().any(overlaps) { Err(io::Error::other("injected")) } else { Ok(()) }
}
