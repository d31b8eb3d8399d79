//! `compare`: our daemons and Debian's Postfix and Dovecot under the same loads, and tables.
//!
//! Each side has a fresh ext4 image with a journal, its mail there, and the same users and
//! mailboxes. A part is run on one side, then on the other, while the other is down. It is meant
//! to be the first process of a PID namespace with mounts of its own, as `cargo xtask long bench`
//! starts it: when it ends, however it ends, servers, mounts and images are gone.
//!
//! The tables go to standard output, everything else to standard error. Before those of a chapter
//! of which all parts were run stands `<!-- tables: CHAPTER -->`.

mod dovecot;
mod exchange;
mod exchanges;
mod figures;
mod image;
mod lines;
mod ours;
mod parts;
mod queue;
mod side;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use mail_tests::reference::Unpacked;
use tokio::signal::unix::{SignalKind, signal};

use image::Image;
use lines::Line;
use parts::Part;
use side::{Side, Software};

#[derive(Parser)]
#[command(name = "compare", about = "Our daemons, Postfix and Dovecot under the same loads")]
struct Arguments {
    /// Which parts; all without a name
    #[arg(value_enum)]
    parts: Vec<Part>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    std::thread::spawn(end_when_told);
    match compare(&arguments.parts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(parts: &[Part]) -> io::Result<()> {
    let mut parts = if parts.is_empty() { Part::ALL.to_vec() } else { parts.to_vec() };
    parts.sort_unstable();
    parts.dedup();
    let unpacked = Unpacked::find().map_err(io::Error::other)?;
    let mut ours = Side::new(Software::Posthorn, Image::mount("ours")?)?;
    let mut theirs = Side::new(Software::Dovecot(unpacked.clone()), Image::mount("dovecot")?)?;
    let mut found = Vec::new();
    for part in parts {
        found.push((part, part.run(&mut ours, &mut theirs, &unpacked)?));
    }
    print!("{}", tables(&found));
    Ok(())
}

fn tables(found: &[(Part, Vec<Line>)]) -> String {
    let mut text = String::new();
    for chapter in found.chunk_by(|(one, _), (other, _)| one.chapter() == other.chapter()) {
        let name = chapter[0].0.chapter();
        if Part::ALL.iter().filter(|part| part.chapter() == name).count() == chapter.len() {
            text += &format!("<!-- tables: {name} -->\n");
        }
        for table in chapter.chunk_by(|(one, _), (other, _)| one.peer() == other.peer()) {
            let lines: Vec<&Line> = table.iter().flat_map(|(_, lines)| lines).collect();
            text += &format!("{}\n", lines::table(table[0].0.peer(), &lines));
        }
    }
    text
}

/// The first process of a namespace hears no signal that it does not listen for.
fn end_when_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a thread can have a runtime");
    runtime.block_on(async {
        let listen = |kind| signal(kind).expect("signals can be listened for");
        let mut interrupt = listen(SignalKind::interrupt());
        let mut terminate = listen(SignalKind::terminate());
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    eprintln!("compare: told to end");
    std::process::exit(130);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_chapters_are_marked_and_each_peer_has_a_table() {
        let text = |parts: &[Part]| {
            tables(&parts.iter().map(|part| (*part, Vec::new())).collect::<Vec<_>>())
        };
        let queue = text(&[Part::Accept, Part::Queue, Part::Mail]);
        assert!(
            queue.starts_with("<!-- tables: queue -->\n| | CPU, ours | Postfix's |"),
            "{queue}"
        );
        assert!(queue.contains("|\n\n| | CPU, ours | Postfix and Dovecot's |"), "{queue}");
        let some = text(&[Part::Lmtp, Part::Mail]);
        assert!(!some.contains("<!--") && some.contains("Dovecot's"), "{some}");
    }
}
