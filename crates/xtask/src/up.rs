//! `cargo up`: a whole mail system in one directory.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::step::{Failure, cargo, run, target};

/// Builds the daemons as they are shipped and becomes `posthorn try`: signals and the exit code
/// are its own.
pub(crate) fn up(arguments: &[String]) -> Result<(), Failure> {
    let mut build = cargo(&["build", "--release", "--ignore-rust-version", "--workspace"]);
    build.args(["--bins", "--exclude", "xtask", "--exclude", "mail-tests"]);
    run(&mut build, "mend what the compiler names above")?;
    let posthorn = target().join("release/posthorn");
    let error = Command::new(&posthorn).arg("try").args(arguments).exec();
    Err(Failure::new(format!("{}: {error}", posthorn.display()), "cargo clean, then cargo up"))
}
