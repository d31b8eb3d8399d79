//! `cargo xtask long fuzz [TARGET…]`: libFuzzer with the compiler's own instrumentation.
//!
//! The options are plain ones of the compiler, so that no nightly and no further tool is needed,
//! but a C++ compiler for libFuzzer. They are given for the target triple alone, so that build
//! scripts and macros are as ever, and what is built has a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{self, Failure, cargo, workspace};

/// Those of `tests/fuzz/lib.rs`.
const TARGETS: [&str; 8] =
    ["spool", "smtp", "submission", "lmtp", "smtp-client", "imap", "pop3", "message"];

/// Seconds for each target, unless `POSTHORN_TEST_SECONDS` says other.
const SECONDS: u64 = 600;

/// Counts how often each branch is taken, and sees what is compared.
const INSTRUMENTATION: [&str; 5] = [
    "passes=sancov-module",
    "llvm-args=-sanitizer-coverage-level=4",
    "llvm-args=-sanitizer-coverage-inline-8bit-counters",
    "llvm-args=-sanitizer-coverage-pc-table",
    "llvm-args=-sanitizer-coverage-trace-compares",
];

/// What a target may take: octets of an input, seconds for one, MiB of memory.
const LIMITS: [&str; 3] = ["-max_len=8192", "-timeout=20", "-rss_limit_mb=2048"];

/// Runs these targets, or all, one after the other; the figures, as a list.
pub(crate) fn run(targets: &[String]) -> Result<String, Failure> {
    let targets: Vec<&str> = match targets {
        [] => TARGETS.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    if let Some(unknown) = targets.iter().find(|target| !TARGETS.contains(target)) {
        let all = TARGETS.join(", ");
        return Err(Failure::new(format!("there is no target {unknown}"), format!("one of {all}")));
    }
    let seconds = std::env::var("POSTHORN_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    let program = build()?;
    let mut figures = String::new();
    for target in targets {
        let figure = fuzz(&program, target, seconds.unwrap_or(SECONDS))?;
        println!("{figure}");
        figures += &format!("- {figure}\n");
    }
    Ok(figures)
}

fn folder() -> PathBuf {
    workspace().join("target/fuzz")
}

/// Builds the fuzzer; where it is.
fn build() -> Result<PathBuf, Failure> {
    let next = "mend what the compiler names above";
    let version = step::output(Command::new("rustc").arg("-vV"), "install rustc")?;
    let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
    let triple = triple.ok_or_else(|| Failure::new("rustc -vV names no host", "look at it"))?;
    let options: Vec<&str> = INSTRUMENTATION
        .iter()
        .flat_map(|option| ["-C", option])
        .chain(["--cfg", "fuzzing"])
        .collect();
    let mut build = cargo(&["build", "--ignore-rust-version", "--package", "mail-fuzz"]);
    build.args(["--bin", "fuzz", "--features", "libfuzzer", "--profile", "fuzz"]);
    build.args(["--target", triple, "--target-dir"]).arg(folder());
    step::run(build.env("CARGO_ENCODED_RUSTFLAGS", options.join("\x1f")), next)?;
    Ok(folder().join(triple).join("fuzz/fuzz"))
}

/// Fuzzes one target for so long; what came of it. The corpus of earlier runs is built upon.
fn fuzz(program: &Path, target: &str, seconds: u64) -> Result<String, Failure> {
    let corpus = made(&folder().join("corpus").join(target))?;
    let crashes = made(&folder().join("crashes").join(target))?;
    let scratch = Scratch::new()?;
    let mut fuzzer = Command::new(program);
    fuzzer
        .args(LIMITS)
        .args([format!("-max_total_time={seconds}"), "-print_funcs=0".to_owned()])
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg(&corpus)
        .env("POSTHORN_FUZZ_TARGET", target)
        .env("POSTHORN_FUZZ_SEEDS", &corpus)
        .env("TMPDIR", &scratch.0)
        // Memory that is given back is asked for again at once.
        .env("MALLOC_TRIM_THRESHOLD_", (256 << 20).to_string())
        .env("MALLOC_MMAP_THRESHOLD_", (32 << 20).to_string());
    let mut figures = Figures::default();
    let next = format!("make a test of what is in {}, and mend it", crashes.display());
    step::watch_all(fuzzer, &next, |line| {
        // A new input is news for its target alone.
        if !line.contains("\tNEW ") && !line.contains("\tREDUCE ") {
            println!("{line}");
        }
        figures.read(line);
    })?;
    Ok(figures.tell(target, seconds))
}

fn made(folder: &Path) -> Result<PathBuf, Failure> {
    let wrong = |error| Failure::new(format!("{}: {error}", folder.display()), "make it writable");
    fs::create_dir_all(folder).map_err(wrong)?;
    Ok(folder.to_owned())
}

/// A folder for the files of a target, in memory where that can be; gone when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        made(&parent.join(format!("posthorn-fuzz-{}", std::process::id()))).map(Self)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.0).is_err() {
            eprintln!("{} is still there: remove it", self.0.display());
        }
    }
}

/// What libFuzzer says of itself: `#5 INITED cov: 9 ft: 9 corp: 1/1b exec/s: 0 rss: 9Mb`.
#[derive(Debug, Default)]
struct Figures {
    executions: u64,
    begun: Option<State>,
    ended: State,
}

/// How much was reached: branches, branches with how often they were taken, inputs that are kept.
#[derive(Debug, Default, Clone)]
struct State {
    branches: String,
    features: String,
    corpus: String,
}

impl Figures {
    fn read(&mut self, line: &str) {
        let Some((number, rest)) = line.strip_prefix('#').and_then(|line| line.split_once('\t'))
        else {
            return;
        };
        self.executions = number.parse().unwrap_or(self.executions);
        let value = |name: &str| {
            let mut words = rest.split_whitespace().skip_while(|word| *word != name).skip(1);
            words.next().unwrap_or_default().to_owned()
        };
        let inputs = value("corp:").split('/').next().unwrap_or_default().to_owned();
        let state = State { branches: value("cov:"), features: value("ft:"), corpus: inputs };
        if rest.starts_with("INITED") {
            self.begun = Some(state.clone());
        }
        self.ended = state;
    }

    fn tell(&self, target: &str, seconds: u64) -> String {
        let Self { executions, begun, ended } = self;
        let begun = begun.clone().unwrap_or_default();
        let each = executions / seconds.max(1);
        format!(
            "{target}: {executions} executions in {seconds} s ({each}/s), no crash; branches {} \
             → {}, features {} → {}, corpus {} → {} inputs",
            begun.branches,
            ended.branches,
            begun.features,
            ended.features,
            begun.corpus,
            ended.corpus,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_the_fuzzer_says() {
        let mut figures = Figures::default();
        for line in [
            "INFO: seed corpus: files: 6",
            "#7\tINITED cov: 2154 ft: 4000 corp: 6/9Kb exec/s: 0 rss: 40Mb",
            "#900\tNEW    cov: 2155 ft: 4001 corp: 7/9Kb lim: 8192 exec/s: 450 rss: 41Mb",
            "#1000\tDONE   cov: 2155 ft: 4002 corp: 7/9Kb lim: 8192 exec/s: 500 rss: 41Mb",
        ] {
            figures.read(line);
        }
        assert_eq!(
            figures.tell("spool", 2),
            "spool: 1000 executions in 2 s (500/s), no crash; branches 2154 → 2155, features \
             4000 → 4002, corpus 6 → 7 inputs"
        );
    }
}
