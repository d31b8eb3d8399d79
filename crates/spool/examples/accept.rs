//! How fast messages become durable, and at what cost: `accept DIRECTORY CONNECTIONS OCTETS
//! MESSAGES`. So many messages of so many octets are taken, so many at a time; they stay there, and
//! the next run tells how long it took to find them again.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use mail_common::log::Id;
use mail_proto::address::ReversePath;
use mail_proto::smtp::Recipient;
use mail_spool::{Letter, Settings, Spool, SpoolError};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize| arguments[at].parse::<usize>().expect("is a number");
    let (connections, octets, messages) = (number(2), number(3), number(4));
    let start = Instant::now();
    let (spool, recovered) =
        Spool::open(Path::new(&arguments[1]), Settings::default()).expect("can be used");
    let count: usize = recovered.map(|rows| rows.len()).sum();
    println!("{count} were there, found in {:.3} s", start.elapsed().as_secs_f64());
    let cpu = cpu();
    let start = Instant::now();
    let (sender, receiver) = mpsc::channel::<bool>();
    let mut refused = 0;
    for number in 0..messages {
        if number >= connections {
            refused += usize::from(!receiver.recv().expect("is told"));
        }
        add(&spool, octets, sender.clone());
    }
    refused += receiver.iter().take(connections).filter(|taken| !taken).count();
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), self::cpu() - cpu);
    let count = messages as f64;
    println!("{:.0}/s, {:.4} ms CPU a message", count / elapsed, cpu * 1000.0 / count);
    println!("{refused} refused; {:?}", spool.counts());
    let start = Instant::now();
    spool.close();
    println!("closed in {:.3} s", start.elapsed().as_secs_f64());
}

fn add(spool: &Spool, octets: usize, sender: mpsc::Sender<bool>) {
    let to = |address: &str| Recipient::new(address.parse().expect("is one"));
    let mut incoming = spool.begin(Letter {
        id: Id::new(),
        arrived: 1_795_363_200_000_000,
        sender: ReversePath(Some("bob@example.net".parse().expect("is one"))),
        recipients: vec![to("ann@example.org")],
        eight_bit: true,
        ret: None,
        envid: None,
        hold: None,
    });
    let mut left = octets;
    let mut block = Vec::new();
    while left > 0 {
        let some = left.min(64 << 10);
        block.resize(some, b'x');
        block = incoming.write(block).expect("the disk is sound");
        left -= some;
    }
    let message = Arc::new(incoming.finish().expect("the disk is sound"));
    // Who does not listen any more needs no answer.
    let then = move |result: Result<(), SpoolError>| sender.send(result.is_ok()).unwrap_or(());
    spool.commit(message, Box::new(then));
}

/// Seconds of user and system.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("is there");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("has one").split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("is a number");
    (ticks(12) + ticks(13)) / 100.0
}
