//! The part about a long queue: a million messages that were tried and wait, over a fresh file
//! system. No other server's queue is put beside it: this one's length is ours alone to bear.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mail_tests::patience::{PATIENCE, until};
use mail_tests::suite::binary;
use serde_json::Value;

use crate::exchange::{Exchange, Fate};
use crate::lines::{Cost, Line, Speed, Target};
use crate::side;

const MESSAGES: u64 = 1_000_000;

/// In which state a queue is found.
struct State {
    name: &'static str,
    target: Target,
    /// What is done to the directory first.
    make: fn(&Path) -> io::Result<()>,
}

/// In this order: one leads to the next.
const STATES: [State; 3] = [
    State { name: "after a kill", target: SOON, make: |_| Ok(()) },
    State { name: "after a stop", target: SOON, make: |_| Ok(()) },
    State { name: "from the log alone", target: Target::Nothing, make: forget_checkpoints },
];

const SOON: Target = Target::Reach(Speed::Time(5000.0));

/// What a start was like: milliseconds since its first moment, and octets.
struct Start {
    taken: f64,
    read: f64,
    cpu: f64,
    memory: f64,
}

pub(crate) fn queue() -> io::Result<Vec<Line>> {
    let mut exchange = Exchange::down("ours-queue")?;
    let spool = exchange.root().join("spool");
    let mut load = Command::new(binary("load"));
    let messages = MESSAGES.to_string();
    load.arg("queue").arg(&spool).args(["--messages", &messages, "--destinations", "1000"]);
    side::output(&mut load)?;
    side::output(&mut Command::new("sync"))?;
    let mut lines = Vec::new();
    let mut memory = Vec::new();
    for state in &STATES {
        exchange.stop()?;
        (state.make)(&spool)?;
        let start = start(&mut exchange)?;
        let State { name, target, .. } = state;
        let taken = Cost { cpu: None, speed: Speed::Time(start.taken) };
        let read = Cost { cpu: Some(start.cpu), speed: Speed::Time(start.read) };
        lines.push(line(format!("until new mail is taken, {name}"), taken, Target::Nothing));
        lines.push(line(format!("until all of 1,000,000 are read, {name}"), read, *target));
        memory.push(start.memory);
    }
    let most = memory.into_iter().fold(0.0, f64::max);
    let memory = Cost { cpu: None, speed: Speed::Size(most) };
    let summary = Cost { cpu: None, speed: Speed::Time(summary(&exchange)?) };
    lines.push(line(
        "memory with 1,000,000 deferred".to_owned(),
        memory,
        Target::Reach(Speed::Size(200e6)),
    ));
    lines.push(line(
        "`posthorn queue summary` of 1,000,000".to_owned(),
        summary,
        Target::Reach(Speed::Time(2000.0)),
    ));
    Ok(lines)
}

fn line(name: String, ours: Cost, target: Target) -> Line {
    Line { name, ours, theirs: None, target }
}

fn forget_checkpoints(spool: &Path) -> io::Result<()> {
    fs::remove_file(spool.join("checkpoint"))?;
    fs::remove_file(spool.join("checkpoint.old"))
}

/// Starts it, hands a message in as soon as it listens, and waits until it has read its queue.
fn start(exchange: &mut Exchange) -> io::Result<Start> {
    let begun = Instant::now();
    let since = || begun.elapsed().as_secs_f64() * 1e3;
    exchange.begin(Fate::Taken)?;
    hand_in(&at_once(|| TcpStream::connect(exchange.smtp()))?)?;
    let taken = since();
    let control = exchange.root().join("run/mtad/control.sock");
    let socket = until(|| UnixStream::connect(&control).ok()).ok_or(io::ErrorKind::TimedOut)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // It is answered once all is read.
    (&socket).write_all(b"{\"do\":\"list\",\"filter\":{\"ids\":[\"none\"]}}\n")?;
    BufReader::new(socket).read_line(&mut String::new())?;
    let read = since();
    let (cpu, memory) = spent(exchange.process()?)?;
    Ok(Start { taken, read, cpu, memory })
}

/// As `until`, for what is measured in milliseconds.
fn at_once<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(1)),
            answer => return answer,
        }
    }
}

/// Sends a message and hears 250.
fn hand_in(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut requests, mut replies) = (stream, BufReader::new(stream));
    let address = "u0@example.test";
    for (said, reply) in [
        (String::new(), "220 "),
        ("HELO client.example.net\r\n".to_owned(), "250 "),
        (format!("MAIL FROM:<{address}>\r\n"), "250 "),
        (format!("RCPT TO:<{address}>\r\n"), "250 "),
        ("DATA\r\n".to_owned(), "354 "),
        ("Subject: new\r\n\r\nnew\r\n.\r\n".to_owned(), "250 "),
    ] {
        requests.write_all(said.as_bytes())?;
        let mut line = String::new();
        replies.read_line(&mut line)?;
        if !line.starts_with(reply) {
            return Err(io::Error::other(format!("{said:?} was answered {line:?}")));
        }
    }
    Ok(())
}

/// Milliseconds of CPU of a process so far, and octets of its memory: what it shares with others
/// counts by its share.
fn spent(process: u32) -> io::Result<(f64, f64)> {
    let wrong = || io::Error::other("/proc is not as proc(5) says");
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or_else(wrong)?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let ticks = ticks.sum::<Result<f64, _>>().map_err(io::Error::other)?;
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or_else(wrong)?;
    let kilobytes: f64 = pss.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
    Ok((ticks * 1e3 / rustix::param::clock_ticks_per_second() as f64, kilobytes * 1024.0))
}

/// How long `posthorn queue summary` takes: the one in the middle of three, in milliseconds.
fn summary(exchange: &Exchange) -> io::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut ask = Command::new(binary("posthorn"));
        ask.args(["queue", "summary", "--json", "--config"]);
        ask.arg(exchange.root().join("posthorn.toml"));
        let begun = Instant::now();
        let told = side::output(&mut ask)?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        let told: Value = serde_json::from_str(&told)?;
        // Each start took one more.
        if told["deferred"] != MESSAGES || told["held"] != STATES.len() {
            return Err(io::Error::other(format!("the queue is {told}")));
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[1])
}
