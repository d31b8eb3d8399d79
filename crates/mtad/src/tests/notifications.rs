//! What senders and postmaster hear of, from the queue to a peer's mailbox.

use std::sync::atomic::Ordering;

use mail_proto::smtp::{Notify, Return};

use super::*;

/// `S`, `F` and `D` as NOTIFY has them; empty: NEVER. For all recipients.
fn notify(letters: &str) -> impl FnOnce(&mut Letter) {
    let has = |letter| letters.contains(letter);
    let notify = Notify { success: has('S'), failure: has('F'), delay: has('D') };
    move |letter| letter.recipients.iter_mut().for_each(|to| to.notify = Some(notify))
}

fn five_hours_old(letter: &mut Letter) {
    letter.arrived -= 5 * 3600 * 1_000_000;
}

async fn next(letters: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(Duration::from_secs(20), letters.recv()).await.unwrap().unwrap()
}

/// A new process that tries at once what waits.
async fn tried_now(mut scene: Scene) -> Scene {
    scene.run();
    // The courier is there once it has looked at what was left.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let site = Arc::clone(&scene.mtad.routes().site);
    scene.mtad.reload(site).unwrap();
    scene
}

/// Sends it, and returns all that is delivered until the queue is empty.
async fn delivered(
    more: &str,
    sender: &str,
    to: &[&str],
    letter: impl FnOnce(&mut Letter),
) -> Vec<String> {
    let mut scene = Scene::new(more);
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    scene.send_as(sender, to, letter);
    scene.until_empty().await;
    scene.stop().await;
    let mut found = Vec::new();
    while let Ok(letter) = letters.try_recv() {
        found.push(letter);
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_success_is_told_to_who_asked() {
    let (ann, both) = (["ann@example.org"], ["ann@example.org", "eve@example.org"]);
    for (letters, to, expected) in [("S", &ann[..], 2), ("FD", &ann[..], 1), ("S", &both[..], 2)] {
        let found = delivered("", "<ann@example.org>", to, notify(letters)).await;
        assert_eq!(found.len(), expected, "NOTIFY={letters}: {found:#?}");
        let told: Vec<_> = found.iter().filter(|text| text.starts_with("MAIL FROM:<>\n")).collect();
        assert_eq!(told.len(), usize::from(letters == "S"));
        for told in told {
            assert!(told.contains("\nTo: <ann@example.org>\n"), "{told}");
            assert_eq!(told.matches("\nAction: delivered\nStatus: 2.0.0\n").count(), to.len());
            assert!(told.contains("\nSubject: hello\n") && !told.contains("dot"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_next_hop_that_does_not_notify_is_told_of() {
    relays(|_| Manner::NoBob, [("S", "", 1), ("FD", "", 0)]).await;
}

#[tokio::test]
async fn a_next_hop_that_notifies_takes_that_over() {
    let table = [("S", " NOTIFY=SUCCESS", 0), ("FD", " NOTIFY=FAILURE,DELAY", 0)];
    relays(|_| Manner::Notifies, table).await;
}

/// NOTIFY, what the next hop hears of it, and how many notifications there are.
async fn relays(script: Script, table: [(&str, &str, usize); 2]) {
    let (address, mut relayed) = Scene::server(script).await;
    let more = format!("mtad.next_hop = '{address}'");
    for (letters, passed_on, expected) in table {
        let to = ["y@foreign.example", "z@foreign.example"];
        let found = delivered(&more, "<ann@example.org>", &to, notify(letters)).await;
        assert_eq!(found.len(), expected, "{found:#?}");
        let command = format!("\nRCPT TO:<z@foreign.example>{passed_on}\n");
        let letter = next(&mut relayed).await;
        assert!(letter.contains(&command), "{letter}");
        for told in found {
            assert_eq!(told.matches("\nAction: relayed\nStatus: 2.0.0\n").count(), 2, "{told}");
            assert!(told.contains("\nRemote-MTA: dns; 127.0.0.1\n"), "{told}");
            assert!(told.contains("\nDiagnostic-Code: smtp; 250 2.0.0 taken\n"), "{told}");
        }
    }
}

#[tokio::test]
async fn who_asked_for_silence_hears_nothing() {
    let none: [String; 0] = [];
    for letters in ["", "S", "D", "SD"] {
        let found = delivered("", "<ann@example.org>", &["bob@example.org"], notify(letters)).await;
        assert_eq!(found, none, "NOTIFY={letters}");
    }
}

#[tokio::test]
async fn as_much_comes_back_as_was_asked_for() {
    let small = "mtad.bounce_size = 20";
    let table = [
        ("", None, false),
        ("", Some(Return::Headers), false),
        ("", Some(Return::Full), true),
        (small, Some(Return::Full), false),
    ];
    for (more, ret, whole) in table {
        let asked = |letter: &mut Letter| {
            letter.ret = ret;
            letter.envid = Some("QQ1".to_owned());
            letter.recipients[0].original = Some("rfc822;bobby@example.com".to_owned());
        };
        let [told] = delivered(more, "<ann@example.org>", &["bob@example.org"], asked)
            .await
            .try_into()
            .unwrap();
        assert_eq!(told.contains("\nContent-Type: message/rfc822\n"), whole, "{more} {ret:?}");
        assert_eq!(told.contains("\n..dot\n"), whole, "{more} {ret:?}");
        assert!(told.contains("\nOriginal-Envelope-Id: QQ1\n"), "{told}");
        assert!(told.contains("\nOriginal-Recipient: rfc822;bobby@example.com\n"), "{told}");
        assert!(told.contains("\nDiagnostic-Code: smtp; 550 5.1.1 no bob\n"), "{told}");
    }
}

#[tokio::test]
async fn a_delay_is_told_once_and_not_again_after_a_restart() {
    let mut scene = Scene::new("");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    let id = scene.send_as("<ann@example.org>", &["y@foreign.example"], five_hours_old);
    let told = next(&mut letters).await;
    assert!(
        told.contains("\nAction: delayed\n") && told.contains("\nWill-Retry-Until: "),
        "{told}"
    );
    assert!(!told.contains("mtad.next_hop"), "our settings are nobody's business: {told}");
    let waits = |scene: &Scene| {
        let entry = scene.waiting().into_iter().find(|entry| entry.id == id);
        entry.map(|entry| (entry.progress.attempts, entry.progress.delay_told))
    };
    while waits(&scene) != Some((1, true)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut scene = tried_now(scene.restart().await).await;
    while waits(&scene) != Some((2, true)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scene.stop().await;
    assert!(letters.try_recv().is_err());
}

#[tokio::test]
async fn a_delay_before_a_dead_destination_is_told_without_an_attempt() {
    let soon = "mtad.retry_first = '1s'\nmtad.retry_max = '1s'\nmtad.next_hop = '127.0.0.1:1'";
    let mut scene = Scene::new(soon);
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    for _ in 0..60 {
        scene.send_as("<ann@example.org>", &["y@foreign.example"], five_hours_old);
    }
    for _ in 0..60 {
        let told = next(&mut letters).await;
        assert!(told.contains("\nAction: delayed\n"), "{told}");
        assert!(told.contains("connect to 127.0.0.1:1"), "{told}");
    }
    while scene.waiting().iter().any(|entry| !entry.progress.delay_told) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let untried = scene.waiting().iter().filter(|entry| entry.progress.attempts == 0).count();
    assert!(untried > 0, "all were tried");
    scene.stop().await;
    assert!(letters.try_recv().is_err());
    assert_eq!(scene.waiting().len(), 60);
}

#[tokio::test]
async fn a_delay_at_two_destinations_is_told_once() {
    let (address, mut relayed) = Scene::server(|_| Manner::NoBob).await;
    let branch = "domains.relay.'branch.example'.next_hop = '127.0.0.1:1'";
    let mut scene = Scene::new(&format!("mtad.next_hop = '{address}'\n{branch}"));
    scene.run();
    let to = ["ann@example.org", "w@branch.example"];
    scene.send_as("<x@foreign.example>", &to, five_hours_old);
    let told = next(&mut relayed).await;
    assert_eq!(told.matches("\nAction: delayed\n").count(), 2, "{told}");
    while scene.waiting()[0].progress.attempts == 0 || scene.waiting()[0].progress.outages == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scene.stop().await;
    assert!(relayed.try_recv().is_err());
}

#[tokio::test]
async fn a_delay_is_not_told_early_nor_where_nobody_wants_it() {
    type Change = fn(&mut Letter);
    let table: [(&str, &str, Change); 4] = [
        ("", "<ann@example.org>", |_| ()),
        ("mtad.delay_warning = 'never'", "<ann@example.org>", five_hours_old),
        ("", "<>", five_hours_old),
        ("", "<ann@example.org>", |letter| {
            five_hours_old(letter);
            notify("F")(letter);
        }),
    ];
    for (more, sender, letter) in table {
        let mut scene = Scene::new(more);
        let mut letters = scene.deliverd(|_| Manner::NoBob);
        scene.run();
        scene.send_as(sender, &["y@foreign.example"], letter);
        while scene.waiting()[0].progress.attempts == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        scene.stop().await;
        assert!(letters.try_recv().is_err(), "{more} {sender}");
        assert_eq!(scene.waiting().len(), 1);
    }
}

#[tokio::test]
async fn an_attempt_comes_when_the_delay_is_to_be_told() {
    let mut scene = Scene::new("mtad.retry_first = '3h'\nmtad.delay_warning = '2h'");
    scene.run();
    scene.send("<ann@example.org>", &["y@foreign.example"]);
    while scene.waiting()[0].progress.attempts == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let [entry] = scene.waiting().try_into().unwrap();
    assert_eq!(entry.progress.due, entry.letter.arrived + 2 * 3600 * 1_000_000);
    scene.stop().await;
}

#[tokio::test]
async fn postmaster_hears_of_what_nobody_else_hears_of() {
    let all = "mtad.notify_postmaster = ['bounce', 'delay', 'double-bounce']";
    let off = "mtad.notify_postmaster = []";
    let table = [
        // Who sends, who is postmaster, the rule, what is delivered to postmaster.
        ("<>", "ann@example.org", "", 1),
        ("<>", "ann@example.org", off, 0),
        ("<>", "bob@example.org", all, 0),
        ("<MAILER-DAEMON@mx.example.org>", "ann@example.org", "", 1),
        ("<bob@example.org>", "ann@example.org", "", 1),
        ("<eve@example.org>", "ann@example.org", "", 0),
        ("<eve@example.org>", "ann@example.org", all, 1),
    ];
    for (sender, postmaster, rule, expected) in table {
        let more = format!("mtad.postmaster = '{postmaster}'\n{rule}");
        let found = delivered(&more, sender, &["bob@example.org"], |_| ()).await;
        let copies: Vec<_> = found.iter().filter(|text| text.contains("Postmaster copy")).collect();
        assert_eq!(copies.len(), expected, "{sender} {postmaster} {rule}: {found:#?}");
        assert_eq!(found.len() - expected, usize::from(sender == "<eve@example.org>"));
        for copy in copies {
            assert!(copy.starts_with("MAIL FROM:<>\n"), "{copy}");
            assert!(copy.contains("\nRCPT TO:<ann@example.org> XDELIVERID="), "{copy}");
        }
    }
}

/// The notification comes before the record: who cannot be told is not given up, and is told after
/// a restart.
#[tokio::test]
async fn nobody_is_given_up_untold() {
    untold("<ann@example.org>").await;
}

/// Where no sender hears of it, postmaster's copy is all that is left of the message.
#[tokio::test]
async fn nobody_is_given_up_while_postmaster_does_not_hear_of_it() {
    untold("<>").await;
}

async fn untold(sender: &str) {
    let mut scene = Scene::new("mtad.postmaster = 'ann@example.org'");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.send(sender, &["bob@example.org"]);
    scene.mtad.queue.faults.commits.store(u32::MAX, Ordering::SeqCst);
    scene.run();
    while scene.waiting()[0].progress.attempts == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let waiting = [State::Waiting(Some("550 5.1.1 no bob".to_owned()))];
    assert_eq!(scene.waiting()[0].progress.recipients, waiting);
    scene.stop().await;
    assert!(letters.try_recv().is_err());
    let mut scene = tried_now(scene.again()).await;
    let told = next(&mut letters).await;
    assert!(told.contains("\nAction: failed\n"), "{told}");
    scene.until_empty().await;
    scene.stop().await;
    assert!(letters.try_recv().is_err());
}

/// A success that cannot be told is a success all the same: nothing is delivered twice for it.
#[tokio::test]
async fn a_success_that_cannot_be_told_is_not_repeated() {
    let mut scene = Scene::new("");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.send_as("<ann@example.org>", &["ann@example.org"], notify("S"));
    scene.mtad.queue.faults.commits.store(u32::MAX, Ordering::SeqCst);
    scene.run();
    next(&mut letters).await;
    scene.until_empty().await;
    scene.stop().await;
    assert!(letters.try_recv().is_err());
}
