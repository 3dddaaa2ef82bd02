//! The operator's console, by clicks and keys in a real Chromium. The scenes are in `tests/console/scenes`; `CONSOLE_PICTURES` names a
//! folder for pictures of what was seen.

use std::{io::Write as _, path::PathBuf};

use serde_json::json;

use crate::support::{
    node::{Script, program},
    receiver::Receiver,
    stage::{Home, LIMIT, Stage},
};

/// Where Chromium is; `None`, loudly, where it is not.
pub fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs Chromium for the console's tests");
        let loud = "\n*** NOT RUN: the console's tests need Chromium (apt-get install chromium) ***\n";
        writeln!(std::io::stderr(), "{loud}").expect("stderr is writable");
    }
    found
}

async fn stage() -> Stage {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    stage
        .set("SESSIOND_HEARTBEAT__FIRST", "1s")
        .set("SESSIOND_HEARTBEAT__INTERVAL", "2s")
        .set("SESSIOND_OUTBOUND__ALLOW", "127.0.0.1/32")
}

/// Plays a scene to its end. What it asks for is done here.
async fn play(scene: &str, stage: Stage) {
    let (Some(chromium), Some(folder)) = (chromium(), program("console")) else { return };
    let mut daemon = stage.start().await;
    let world = json!({
        "url": format!("http://{}", stage.setup.address), "key": stage.setup.admin_key,
        "network": stage.network.control_url().unwrap(), "chromium": chromium, "pictures": std::env::var("CONSOLE_PICTURES").ok(),
    });
    let mut script = Script::start_with(&folder, &["run.mjs", scene], &[("WORLD", &world.to_string())]);
    loop {
        let line = script.line(3 * LIMIT, |_| true).await;
        match line["event"].as_str() {
            Some("done") => break,
            Some("ask") if line["what"] == "stop" => {
                daemon.kill().await.unwrap();
                script.tell(&json!({})).await;
                let again = script.line(LIMIT, |line| line["event"] != "note").await;
                assert_eq!(again["what"], "start", "{again}");
                daemon = stage.start().await;
                script.tell(&json!({})).await;
            }
            Some("failed") => panic!(
                "{}\n{}\npicture: {}\n{}",
                line["error"].as_str().unwrap_or_default(),
                line["page"].as_str().unwrap_or_default(),
                line["picture"],
                stage.log()
            ),
            _ => println!("{line}"),
        }
    }
    script.end(LIMIT).await;
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_comes_in_and_sees_every_tenant() {
    play("entrance", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_says_who_needs_somebody_and_how_much_goes_through() {
    let receiver = Receiver::start().await;
    let stage = stage()
        .await
        .set("SESSIOND_ALERTS__WEBHOOK", receiver.url())
        .set("SESSIOND_ALERTS__INTERVAL", "1s")
        .set("SESSIOND_ALERTS__GATHER", "0s")
        .set("SESSIOND_ALERTS__CLEAR", "1s")
        .set("SESSIOND_ALERTS__SCAN_NEEDED", "0s");
    play("overview", stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_pairs_by_what_the_screen_shows() {
    play("pairing", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_seen_as_they_write_and_answered_once() {
    play("talk", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_takes_a_chat_over_and_gives_it_back_to_the_bot() {
    play("takeover", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_and_texts_stay_text() {
    play("hostile", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_line_and_a_killed_daemon_heal_without_a_reload() {
    play("heal", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_redriven_and_keys_are_shown_once() {
    play("desk", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_tenants_are_searched_sorted_and_left_where_they_were() {
    play("fleet", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_set_up_changed_and_removed_and_nothing_else_is_lost() {
    play("hooks", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_tried_from_its_page_with_the_consoles_key() {
    play("calls", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bold_and_italic_are_shown_and_nothing_else_is_made_of_a_text() {
    play("marks", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_by_keyboard_on_a_phone_in_the_dark_and_in_spanish() {
    // No login tests a quiet session meanwhile: a tenant that connects has a need, and goes to the top of the list.
    let stage = stage().await.set("SESSIOND_HEARTBEAT__FIRST", "5m").set("SESSIOND_HEARTBEAT__INTERVAL", "5m");
    play("everyone", stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_what_is_kept_is_no_gap_in_what_is_shown() {
    play("gap", stage().await.set("SESSIOND_MESSAGES__KEEP_EVENTS", "100")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_shown_played_and_saved_and_nothing_runs() {
    play("files", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_comes_from_another_gateway_by_its_folder() {
    play("movein", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kitchen_sees_orders_come_moves_them_on_and_hears_of_other_screens() {
    play("kitchen", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_that_came_while_another_conversation_was_opened() {
    play("missed", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_is_written_pasted_and_brought_and_nobodys_change_of_it_is_lost() {
    play("menu", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_asked_is_asked_again() {
    play("again", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_sets_up_the_restaurant_and_undoes_nobodys_work() {
    play("restaurant", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_a_tenant_leaves_nothing_behind() {
    play("left", stage().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_is_tried_and_taught_a_word_that_it_did_not_know() {
    play("tryout", stage().await).await;
}
