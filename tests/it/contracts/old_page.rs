//! The connect page of the service before, in a real Chromium, with the library that draws its code: whoever scans what it shows is
//! connected. `OLD_PAGE` names a folder with the page itself (`whatsapp-connect.html`, and `firebase` in its `node_modules`); without it
//! a page of ours does the same.

use serde_json::json;

use crate::{
    contracts::console::chromium,
    support::{
        node::{Script, program},
        stage::{Home, LIMIT, Stage},
    },
};

/// Pairs with references of so many random bytes; returns how long the text was that the page drew.
async fn pairs(reference_bytes: usize) -> Option<u64> {
    let (chromium, folder) = (chromium()?, program("old_page")?);
    // The page has no key, and is another origin's.
    let stage = Stage::new(Home::Embedded).await.unwrap().set("SESSIOND_AUTH__LEGACY_OPEN", "true");
    let stage = stage.set("SESSIOND_HTTP__CORS_ORIGINS", "*");
    stage.network.set_reference_bytes(reference_bytes).await;
    let daemon = stage.start().await;
    let phone = stage.network.add_phone(Some("Trattoria".to_owned())).await;
    let world = json!({
        "url": format!("http://{}", stage.setup.address), "network": stage.network.control_url().unwrap(), "chromium": chromium,
        "number": phone.number, "folder": std::env::var("OLD_PAGE").ok(),
    });
    let mut script = Script::start_with(&folder, &["play.mjs"], &[("WORLD", &world.to_string())]);
    let end = script.line(3 * LIMIT, |line| line["event"] != "note").await;
    assert_eq!(end["event"], "done", "{reference_bytes}: {end:#}\n{}", stage.log());
    script.end(LIMIT).await;
    assert!(stage.dashboard.is_connected("trattoria").await);
    assert_eq!(stage.network.stats().await.counts.pairings, 1);
    daemon.kill().await.unwrap();
    println!("{end}");
    end["bytes"].as_u64()
}

/// References as WhatsApp's are today, as they were in 2022, and of a length at which the page's library fails: qrcodejs 0.0.2 draws no
/// text of 192 to 217 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_page_pairs_whatever_length_a_reference_has() {
    for (reference_bytes, drawn) in [(75, 239), (58, 219), (48, 203 + 38)] {
        let Some(bytes) = pairs(reference_bytes).await else { return };
        assert_eq!(bytes, drawn);
    }
}
