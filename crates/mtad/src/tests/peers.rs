//! lmtp-deliverd as it should not be: of another build, or silent.

use super::*;

/// While an upgrade replaces one daemon after the other.
#[tokio::test]
async fn an_lmtp_deliverd_of_another_build_costs_no_mail() {
    let mut scene = Scene::new("");
    let mut letters = scene.deliverd(|n| if n == 0 { Manner::OtherBuild } else { Manner::NoBob });
    scene.run();
    let id = scene.send("<ann@example.org>", &["ann@example.org"]);
    let waits = |waiting: &[Entry]| match waiting {
        [one] => matches!(
            &one.progress.recipients[..],
            [State::Waiting(Some(why))] if why.contains("555 5.5.4 Unsupported parameter")
        ),
        _ => false,
    };
    scene.until(waits).await;
    // Only the letter comes: its sender was told nothing.
    let found = letters.recv().await.unwrap();
    assert_eq!(found, expected("<ann@example.org>", &id, 0, "ann@example.org"));
    scene.until_empty().await;
    scene.stop().await;
    assert!(letters.try_recv().is_err());
}

/// It takes the letter and never says what became of it.
#[tokio::test]
async fn an_lmtp_deliverd_that_falls_silent_is_hung_up_on() {
    let mut scene = Scene::new("");
    let _letters = scene.deliverd(|_| Manner::Silent);
    scene.run();
    let id = scene.send("<x@example.net>", &["ann@example.org"]);
    let reason = "the peer was silent for too long at end of DATA";
    let waits = |waiting: &[Entry]| match waiting {
        [one] => one.id == id && one.progress.recipients == [State::Waiting(Some(reason.into()))],
        _ => false,
    };
    while !waits(&scene.waiting()) {
        // Minutes pass at once; again, if mtad did not listen yet.
        tokio::time::pause();
        tokio::time::advance(Duration::from_mins(11)).await;
        tokio::time::resume();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scene.stop().await;
}
