//! The fuzzer: `cargo xtask long fuzz` builds and runs it.
//!
//! `POSTHORN_FUZZ_TARGET` names the target. Its seeds are written to `POSTHORN_FUZZ_SEEDS`, if that
//! is set, before the fuzzer reads its corpus.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mail_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("POSTHORN_FUZZ_TARGET").expect("POSTHORN_FUZZ_TARGET is set");
    Target::named(&name).expect("POSTHORN_FUZZ_TARGET names a target")
});

fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("POSTHORN_FUZZ_SEEDS") {
            TARGET.write_seeds(folder.as_ref());
        }
    },
    |octets: &[u8]| TARGET.run(octets)
);
