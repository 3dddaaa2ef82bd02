//! No rescan: whatever dies, the tenant comes back from the vault, and no message is lost on the way.

use sessiond::demo::Conversation;

use crate::support::stage::{Home, LIMIT, Stage};

#[derive(Clone, Copy)]
enum Death {
    CleanStop,
    Kill,
    KillAndWipe,
}

/// Pairs, talks, dies, is written to meanwhile, comes back, talks again.
async fn comes_back(home: Home, death: Death) {
    let Some(stage) = Stage::new(home).await else { return };
    let daemon = stage.start().await;
    let mut conversations = vec![stage.pair("trattoria").await];
    let ear = stage.listen(&conversations);
    talk(&stage, &mut conversations, &ear).await;
    match death {
        Death::CleanStop => assert_eq!(daemon.terminate(LIMIT).await.unwrap(), Some(0), "{}", stage.log()),
        Death::Kill => daemon.kill().await.unwrap(),
        Death::KillAndWipe => {
            daemon.kill().await.unwrap();
            stage.wipe_local_data();
        }
    }
    conversations[0].customers_write(&stage.network, 3).await.unwrap();
    let daemon = stage.start().await;
    assert!(stage.dashboard.is_connected("trattoria").await, "the port opened before the restore\n{}", stage.log());
    talk(&stage, &mut conversations, &ear).await;
    stage.assert_promises(&conversations).await;
    daemon.kill().await.unwrap();
}

async fn talk(stage: &Stage, conversations: &mut [Conversation], ear: &sessiond::demo::Ear) {
    for conversation in conversations.iter_mut() {
        conversation.customers_write(&stage.network, 2).await.unwrap();
    }
    if let Err(error) = stage.tally.answer_all(conversations, &stage.dashboard, ear, LIMIT).await {
        panic!("{error:#}\n{}", stage.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_needs_no_rescan() {
    comes_back(Home::Embedded, Death::CleanStop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_needs_no_rescan() {
    comes_back(Home::Embedded, Death::Kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_disk_needs_no_rescan() {
    comes_back(Home::Embedded, Death::KillAndWipe).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_disk_needs_no_rescan_with_firestore() {
    comes_back(Home::Emulator, Death::KillAndWipe).await;
}
