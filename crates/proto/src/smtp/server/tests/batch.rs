//! Messages that are delivered together.

use super::*;

fn lmtp() -> Server {
    Server::new(setup(Dialect::Lmtp))
}

fn transaction(to: &str, message: &str) -> String {
    format!("MAIL FROM:<c@d.e>\r\nRCPT TO:<{to}@example.org>\r\n{}", chunk(message, true))
}

/// The questions about messages, and how many there were in each.
fn deliveries(world: &World) -> Vec<&str> {
    let words = ["batch", "begin", "commit", "discard"];
    world
        .asked
        .lines()
        .filter(|line| line.split(' ').next().is_some_and(|word| words.contains(&word)))
        .map(|line| if line.starts_with("begin") { "begin" } else { line })
        .collect()
}

#[test]
fn what_comes_together_is_delivered_together() {
    let mut world = World::default();
    let bytes = [
        "LHLO a\r\n",
        &transaction("ann", "one\r\n"),
        "NOOP\r\nX\r\n",
        &transaction("nobody", "two\r\n"),
        "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n",
        &chunk("loop", true),
        "QUIT\r\n",
    ];
    let said = converse(lmtp(), &mut world, bytes.concat().as_bytes(), usize::MAX);
    let expected = "250 250 250 250 250 500 250 550 503 250 250 250 250 554 554 221 closed";
    assert_eq!(codes(&said), expected, "{said}");
    assert_eq!(deliveries(&world), ["batch 2"]);
    let last: Vec<_> = world.asked.lines().rev().take(2).collect();
    assert_eq!(last, ["message \"loop\\r\\n\"", "message \"one\\r\\n\""]);
}

#[test]
fn nobody_waits_while_a_message_is_kept() {
    let one = transaction("ann", "one\r\n");
    for behind in
        ["", "M", "MAIL FROM:<>\r\n", "MAIL FROM:<>\r\nRCPT TO:<bob@a.b>\r\nBDAT 9 LAST\r\nx"]
    {
        let (mut server, mut world, mut out) = (lmtp(), World::default(), Vec::new());
        server.receive(format!("LHLO a\r\n{one}{behind}").as_bytes());
        assert!(settle(&mut server, &mut world, &mut out));
        assert_eq!(deliveries(&world), ["batch 1"], "{behind}");
        assert!(server.batch.is_none(), "an idle session keeps nothing");
    }
}

#[test]
fn what_comes_otherwise_waits_for_those_before_it() {
    let one = transaction("ann", "one\r\n");
    let mail = "MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\n";
    let big = chunk(&"x".repeat(100_000), false);
    let table = [
        (format!("{mail}DATA\r\ntwo\r\n.\r\n"), "354 250", "batch 1/begin/commit \"two\\r\\n\""),
        (format!("{mail}{big}{}", chunk("", true)), "250 250", "batch 1/begin/commit"),
        (format!("{mail}{}", chunk("a\nb\r\n", true)), "550 closed", "batch 1"),
        ("BDAT x\r\n".into(), "521 closed", "batch 1"),
    ];
    for (behind, expected, asked) in table {
        let mut world = World::default();
        let bytes = format!("LHLO a\r\n{one}{behind}NOOP\r\n");
        let said = converse(lmtp(), &mut world, bytes.as_bytes(), usize::MAX);
        assert!(codes(&said).starts_with("250 250 250 250 "), "{said}");
        assert!(codes(&said).contains(expected), "{said}");
        let deliveries = deliveries(&world).join("/");
        assert!(deliveries.starts_with(asked), "{deliveries}");
    }
}

#[test]
fn no_more_is_kept_than_a_mebibyte_and_64_messages() {
    let limits = |message_size| {
        let setup = setup(Dialect::Lmtp);
        Setup { limits: Limits { message_size, ..setup.limits }, ..setup }
    };
    let table = [
        (150, "x\r\n".to_owned(), vec!["batch 64", "batch 64", "batch 22"]),
        (12, "x".repeat(199_998), vec!["batch 5", "batch 5", "batch 2"]),
        (2, "x".repeat((1 << 20) - 2), vec!["batch 1", "batch 1"]),
        (2, "x".repeat(1 << 20), vec!["batch 1", "batch 1"]),
        (1, "x".repeat((1 << 20) + 1), vec!["begin", "commit"]),
    ];
    for (count, message, expected) in table {
        let mut world = World::default();
        let bytes = format!("LHLO a\r\n{}", transaction("ann", &message).repeat(count));
        let server = Server::new(limits(2 << 20));
        let said = converse(server, &mut world, bytes.as_bytes(), usize::MAX);
        assert_eq!(said.matches("250 2.0.0 Ok: queued as ID\n").count(), count);
        let asked = deliveries(&world);
        let words =
            asked.iter().map(|line| line.get(..6).filter(|w| *w == "commit").unwrap_or(line));
        assert_eq!(words.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn an_answer_that_lacks_messages_is_a_temporary_failure() {
    let (mut server, mut out) = (lmtp(), Vec::new());
    let mut world = World::default();
    server.receive(format!("LHLO a\r\n{0}{0}", transaction("ann", "x")).as_bytes());
    loop {
        match server.step(&mut out) {
            Step::Ask(Request::Deliver(_)) => {
                server.answer(Answer::Delivered(vec![vec![Ok(Accepted::Delivered("1".into()))]]));
            }
            Step::Ask(request) => {
                let answer = world.perform(request);
                server.answer(answer);
            }
            _ => break,
        }
    }
    let said = String::from_utf8(out).expect("ASCII");
    assert!(said.contains("250 2.0.0 Ok: delivered as 1\r\n250 2.1.0"), "{said}");
    assert!(said.ends_with("451 4.3.0 Temporary local problem; try later\r\n"), "{said}");
}

#[test]
fn errors_are_counted_in_the_order_of_the_replies() {
    let (nine, one) = ("X\r\n".repeat(9), transaction("ann", "x"));
    let looping = transaction("ann", "loop");
    let table = [
        // A delivery sets the count back, whatever was said since.
        (format!("{nine}{one}{nine}QUIT\r\n"), "221 closed"),
        (format!("{nine}{one}{nine}X\r\nNOOP\r\n"), "421 closed"),
        // Its failure does not, and is none of the peer's.
        (format!("{nine}{looping}X\r\nNOOP\r\n"), "421 closed"),
        (format!("{}QUIT\r\n", looping.repeat(20)), "221 closed"),
    ];
    for (bytes, expected) in table {
        for piece in [1, 100, usize::MAX] {
            let bytes = format!("LHLO a\r\n{bytes}");
            let stranger = Setup { delivery_ids: false, ..setup(Dialect::Lmtp) };
            let said =
                converse(Server::new(stranger), &mut World::default(), bytes.as_bytes(), piece);
            assert!(codes(&said).ends_with(expected), "by {piece}: {said}");
        }
    }
}
