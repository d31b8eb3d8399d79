//! Parts about mail on its way: how it is taken, and how it gets into Maildirs.

use std::io;

use mail_tests::reference::Unpacked;

use crate::exchange::{Exchange, Fate};
use crate::figures::Figures;
use crate::lines::{Cost, Line, Speed, Target};

/// What is sent: so many connections, messages and octets of each.
struct Load {
    name: &'static str,
    connections: &'static str,
    messages: &'static str,
    size: &'static str,
    target: Target,
}

const ACCEPT: [Load; 4] = [
    Load {
        name: "taken by SMTP, 4 kB, 1 connection",
        connections: "1",
        messages: "2000",
        size: "4096",
        target: Target::Nothing,
    },
    Load {
        name: "taken by SMTP, 4 kB, 16 connections",
        connections: "16",
        messages: "8000",
        size: "4096",
        target: Target::Times(10.0),
    },
    Load {
        name: "taken by SMTP, 4 kB, 100 connections",
        connections: "100",
        messages: "8000",
        size: "4096",
        target: Target::Times(10.0),
    },
    Load {
        name: "taken by SMTP, 100 kB, 1 connection",
        connections: "1",
        messages: "1000",
        size: "102400",
        target: Target::Nothing,
    },
];

/// A bare loop that does as much to the disk as one connection does, and its size.
const BARE: [(&str, &str); 2] = [("4 kB", "4096"), ("100 kB", "102400")];

/// How fast mail is taken, and of that what a bare loop of appends reaches.
pub(crate) fn accept(unpacked: &Unpacked) -> io::Result<Vec<Line>> {
    let ours = Exchange::ours(Fate::Taken)?;
    let found = ACCEPT.iter().map(|load| take(&ours, load)).collect::<io::Result<Vec<_>>>()?;
    let bare = |size| ours.disk(&["--append", "--size", size]);
    let bare = BARE.map(|(_, size)| bare(size));
    drop(ours);
    let theirs = Exchange::theirs(unpacked, Fate::Taken)?;
    let mut lines = Vec::new();
    for (load, ours) in ACCEPT.iter().zip(&found) {
        lines.push(line(load.name, ours, &take(&theirs, load)?, load.target));
    }
    for (at, (bare, (name, _))) in [0, 3].into_iter().zip(bare.into_iter().zip(BARE)) {
        let bare = bare?;
        lines.push(alone(&format!("bare appends of {name}, one at a time"), &bare));
        let name = format!("{}, of the bare appends", ACCEPT[at].name);
        lines.push(of_bare(name, &found[at], &bare, Target::Reach(Speed::Part(0.7))));
    }
    Ok(lines)
}

/// From SMTP into the Maildirs of 100 users.
pub(crate) fn mail(unpacked: &Unpacked) -> io::Result<Vec<Line>> {
    let run = |exchange: &Exchange| {
        // What a start costs is not what a message costs.
        let few = ["--pipelining", "--messages", "400"];
        exchange.send(Fate::Delivered, &few)?;
        let many = ["--pipelining", "--connections", "16", "--messages", "20000"];
        exchange.send(Fate::Delivered, &many)
    };
    let exchange = Exchange::ours(Fate::Delivered)?;
    let ours = run(&exchange)?;
    let bare = exchange.disk(&["--threads", "16"])?;
    drop(exchange);
    let theirs = run(&Exchange::theirs(unpacked, Fate::Delivered)?)?;
    let name = "from SMTP into Maildirs, 4 kB, 16 connections, 100 users";
    Ok(vec![
        line(name, &ours, &theirs, Target::Times(8.0)),
        alone("bare durable creates on that disk, 16 at a time", &bare),
        of_bare(
            "from SMTP into Maildirs, of the bare creates".to_owned(),
            &ours,
            &bare,
            Target::Nothing,
        ),
    ])
}

fn take(exchange: &Exchange, load: &Load) -> io::Result<Figures> {
    let Load { connections, messages, size, .. } = load;
    let words = ["--pipelining", "--connections", connections, "--messages", messages];
    exchange.send(Fate::Taken, &[&words[..], &["--size", size]].concat())
}

fn line(name: &str, ours: &Figures, theirs: &Figures, target: Target) -> Line {
    let cost =
        |figures: &Figures| Cost { cpu: Some(figures.cpu()), speed: Speed::Rate(figures.rate()) };
    Line { name: name.to_owned(), ours: cost(ours), theirs: Some(cost(theirs)), target }
}

/// What the disk allows: the loop's own CPU is all there is.
pub(crate) fn alone(name: &str, bare: &Figures) -> Line {
    let cost = Cost { cpu: Some(bare.client_cpu()), speed: Speed::Rate(bare.rate()) };
    Line { name: name.to_owned(), ours: cost, theirs: None, target: Target::Nothing }
}

/// Ours in units of what the disk allows.
pub(crate) fn of_bare(name: String, ours: &Figures, bare: &Figures, target: Target) -> Line {
    let speed = Speed::Part(ours.rate() / bare.rate());
    let cost = Cost { cpu: Some(ours.cpu() / bare.client_cpu()), speed };
    Line { name, ours: cost, theirs: None, target }
}
