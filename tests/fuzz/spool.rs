//! The reader of the spool, over scripts: see `mail_spool::fuzzing`.

use std::sync::LazyLock;

use tempfile::TempDir;

/// Given back by whoever runs the fuzzer: it ends without a word.
static ROOT: LazyLock<TempDir> =
    LazyLock::new(|| TempDir::new().expect("there is a place for temporary files"));

pub(crate) fn run(script: &[u8]) {
    mail_spool::fuzzing::run(ROOT.path(), script).expect("the directory can be used");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    mail_spool::fuzzing::seeds(ROOT.path()).expect("the directory can be used")
}
