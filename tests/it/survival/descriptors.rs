//! Few file descriptors and many tenants: those that the limit carries work, the others say why they do not, and nobody loses a message.

use std::os::unix::fs::PermissionsExt as _;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use sessiond::demo::{Conversation, Setup, until};

use crate::support::stage::{Home, LIMIT, Stage};

const TENANTS: usize = 60;

/// Carries some forty lines.
const LIMIT_OF_FILES: u32 = 128;

/// Starts the daemon under a limit that it cannot raise.
fn limited(stage: &Stage, limit: u32) -> Setup {
    let launcher = stage.path(&format!("limited-{limit}"));
    let program = stage.setup.program.display();
    std::fs::write(&launcher, format!("#!/bin/sh\nulimit -n {limit} && exec {program} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o755)).unwrap();
    Setup { program: launcher, ..stage.setup.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tenants_than_descriptors_lose_nothing() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let stage = stage.set("SESSIOND_SESSION__FILE_IDLE", "1s").set("SESSIOND_RESTORE__BATCH_SIZE", "8");
    let daemon = stage.start().await;
    let names = (0..TENANTS).map(|n| format!("tenant-{n:02}"));
    let pairings = names.map(|name| Conversation::pair(&stage.network, &stage.dashboard, name, LIMIT));
    let mut conversations: Vec<_> = stream::iter(pairings).buffer_unordered(8).try_collect().await.unwrap();
    daemon.kill().await.unwrap();
    for conversation in &mut conversations {
        conversation.customers_write(&stage.network, 1).await.unwrap();
    }

    let few = limited(&stage, LIMIT_OF_FILES);
    let daemon = few.start(LIMIT).await.unwrap();
    assert!(stage.log().contains("more tenants than the limit of open files carries"), "{}", stage.log());
    // Whoever is there answers, under the load of all, through files that are opened and closed.
    let (mut there, mut away) = (Vec::new(), Vec::new());
    let ill = stage.health().await.1["sessions"]["ill"].clone();
    for conversation in conversations {
        let mut mine = ill.as_array().unwrap().iter().filter(|ill| ill["tenant"] == conversation.tenant.as_str());
        match mine.next() {
            Some(ill) => {
                assert!(ill["state"] == "FAILED" && ill["reason"].as_str().unwrap().contains("open files"), "{ill}");
                away.push(conversation);
            }
            None => there.push(conversation),
        }
    }
    assert!(there.len() >= LIMIT_OF_FILES as usize / 4 && away.len() >= 10, "{} are there", there.len());
    let ear = stage.listen(&there);
    for round in 0..3 {
        for conversation in &mut there {
            conversation.customers_write(&stage.network, 1).await.unwrap();
        }
        if let Err(error) = stage.tally.answer_all(&mut there, &stage.dashboard, &ear, LIMIT).await {
            panic!("round {round}: {error:#}\n{}", stage.log());
        }
    }
    let incidents = stage.health().await.1["incidents"].clone();
    assert_eq!(incidents["copies_failed"], 0, "{incidents}\n{}", stage.log());
    daemon.kill().await.unwrap();

    // With enough of them all are there, and what was written meanwhile is.
    let daemon = stage.start().await;
    let mut all: Vec<_> = there.into_iter().chain(away).collect();
    drop(ear);
    let ear = stage.listen(&all);
    let working = || async { stage.health().await.1["sessions"]["working"] == TENANTS };
    until(LIMIT, "all to work", working).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    if let Err(error) = stage.tally.answer_all(&mut all, &stage.dashboard, &ear, LIMIT).await {
        panic!("{error:#}\n{}", stage.log());
    }
    stage.assert_promises(&all).await;
    daemon.kill().await.unwrap();
}
