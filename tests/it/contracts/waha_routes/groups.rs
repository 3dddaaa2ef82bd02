//! WAHA's routes of groups and labels.

use loopback::{GroupRules, Rank, Setting};
use serde_json::{Value, json};

use super::answers;
use crate::{
    contracts::waha::paired,
    messages::media::{base64, picture},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_made_ruled_and_left_as_its_members_see_it() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let (a, b) = (scene.customer.clone(), network.add_customer().await);
    let id = |number: &str| format!("{number}@c.us");
    // Nobody has the second number.
    let nobody = id("4915999999999");
    let made = json!(["trattoria", { "name": "Regulars", "participants": [{ "id": id(&a) }, { "id": nobody }] }]);
    let made = scene.waha.get_as("groups.create_group", made, "GroupInfo").await;
    assert_eq!(
        (&made["notAdded"], made["participants"].as_array().map(Vec::len)),
        (&json!([nobody]), Some(2)),
        "{made}"
    );
    let group = made["id"].as_str().unwrap().to_owned();
    let info = async || network.group(&group).await.unwrap();
    assert_eq!((info().await.subject.as_str(), info().await.members.len()), ("Regulars", 2));
    let of = |more: Value| {
        let mut arguments = vec![json!("trattoria"), json!(group)];
        arguments.extend(Some(more).filter(|more| !more.is_null()));
        Value::Array(arguments)
    };
    let some = |number: &str| of(json!({ "participants": [{ "id": id(number) }] }));

    let added = scene.waha.get("groups.add_participants", some(&b)).await;
    assert_eq!(added, json!([{ "id": id(&b), "requesterId": id(&b), "success": true, "error": null }]));
    scene.waha.get("groups.promote_to_admin", some(&b)).await;
    assert_eq!(info().await.members[&b], Rank::Admin);
    let members = scene.waha.get_as("groups.get_group_participants", of(Value::Null), "[GroupParticipant]").await;
    let b_now = members.as_array().unwrap().iter().find(|member| member["pn"] == json!(id(&b))).unwrap();
    assert_eq!(b_now["role"], json!("admin"));
    scene.waha.get("groups.demote_to_admin", some(&b)).await;
    scene.waha.get("groups.remove_participants", some(&b)).await;
    assert!(!info().await.members.contains_key(&b));
    let stranger = scene.waha.get("groups.remove_participants", some("4915999999999")).await;
    assert_eq!((&stranger[0]["success"], &stranger[0]["error"]), (&json!(false), &json!(404)));

    scene.waha.get_as("groups.set_subject", of(json!({ "subject": "Best regulars" })), "Result").await;
    scene.waha.get_as("groups.set_description", of(json!({ "description": "who eats most" })), "Result").await;
    scene.waha.get_as("groups.set_description", of(json!({ "description": "who eats more" })), "Result").await;
    assert_eq!(info().await.subject, "Best regulars");
    assert_eq!(info().await.description.as_deref(), Some("who eats more"));
    scene.waha.get("groups.set_description", of(json!({ "description": "" }))).await;
    assert_eq!(info().await.description, None);
    // The client's own order of arguments.
    let file = json!({ "file": { "mimetype": "image/png", "data": base64(&picture(30, 40)) } });
    scene.waha.get_as("groups.set_picture", json!([group, "trattoria", file]), "Result").await;
    let shown = scene.waha.get_as("groups.get_chat_picture", of(Value::Null), "ChatPictureResponse").await;
    assert_eq!(shown["url"], json!(info().await.picture.unwrap()));
    scene.waha.get("groups.delete_picture", json!([group, "trattoria"])).await;
    assert_eq!(info().await.picture, None);

    for (name, field, model, set) in [
        ("info_admin_only", "adminsOnly", "SettingsSecurityChangeInfo", 0),
        ("messages_admin_only", "adminsOnly", "SettingsSecurityChangeInfo", 1),
        ("member_add_mode", "membersCanAddNewMember", "SettingsMemberAddMode", 2),
        ("member_share_history_mode", "membersCanShareHistory", "SettingsMemberShareHistoryMode", 3),
        ("membership_approval_mode", "newMembersApprovalRequired", "SettingsMembershipApproval", 4),
    ] {
        for on in [true, false, true] {
            scene.waha.get_as(&format!("groups.set_{name}"), of(json!({ field: on })), "Result").await;
            let GroupRules { info_by_admins, messages_by_admins, members_add, members_share_history, approval } =
                info().await.rules;
            let rules = [info_by_admins, messages_by_admins, members_add, members_share_history, approval];
            assert_eq!(rules[set], on, "{name}");
            let shown = scene.waha.get_as(&format!("groups.get_{name}"), of(Value::Null), model).await;
            assert_eq!(shown, json!({ field: on }), "{name}");
        }
    }
    assert!(network.customer_send(&a, &group, "may I?").await.is_err(), "only admins write now");
    scene.waha.get("groups.set_messages_admin_only", of(json!({ "adminsOnly": false }))).await;
    network.customer_send(&a, &group, "thanks").await.unwrap();

    // Who comes by the code waits to be let in.
    let code = scene.waha.get("groups.get_invite_code", of(Value::Null)).await;
    assert_eq!(code, json!(info().await.invite));
    network.join_group(&b, code.as_str().unwrap()).await.unwrap();
    let requests = scene.waha.get_as("groups.get_group_join_requests", of(Value::Null), "[GroupJoinRequest]").await;
    assert_eq!((requests.as_array().unwrap().len(), &requests[0]["requesterPn"]), (1, &json!(id(&b))), "{requests}");
    let rejected = scene.waha.get_as("groups.reject_group_join_requests", some(&b), "[GroupJoinRequestResult]").await;
    assert_eq!(rejected[0]["success"], json!(true));
    assert!(info().await.requests.is_empty() && !info().await.members.contains_key(&b));
    network.join_group(&b, code.as_str().unwrap()).await.unwrap();
    scene.waha.get_as("groups.approve_group_join_requests", some(&b), "[GroupJoinRequestResult]").await;
    assert!(info().await.members.contains_key(&b));
    let renewed = scene.waha.get("groups.revoke_invite_code", of(Value::Null)).await;
    assert_ne!(renewed, code);
    assert!(network.join_group(&network.add_customer().await, code.as_str().unwrap()).await.is_err());

    let one = scene.waha.get_as("groups.get_group", of(Value::Null), "GroupInfo").await;
    assert_eq!((&one["subject"], &one["size"]), (&json!("Best regulars"), &json!(3)));
    let all = scene.waha.get_as("groups.get_groups", json!(["trattoria", { "limit": 5 }]), "[GroupInfo]").await;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["id"]), (1, &json!(group)));
    let count = scene.waha.get_as("groups.get_groups_count", json!(["trattoria"]), "CountResponse").await;
    assert_eq!(count["count"], json!(1));
    scene.waha.get("groups.refresh_groups", json!(["trattoria"])).await;
    scene.refused("groups.delete_group", of(Value::Null), "501").await;
    scene.waha.get("groups.leave_group", of(Value::Null)).await;
    assert!(!info().await.members.contains_key(&scene.number));
    scene.refused("groups.get_group", of(Value::Null), "403").await;
    scene.refused("groups.get_group", json!(["trattoria", "120363000000009999@g.us"]), "404").await;
    scene.refused("groups.get_group", json!(["trattoria", "../secret"]), "40").await;
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_others_is_joined_by_its_code() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let made = network.create_group(&scene.customer, "Neighbours", &[]).await.unwrap();
    let link = format!("https://chat.whatsapp.com/{}", made.invite);
    let info = scene.waha.get_as("groups.join_info_group", json!(["trattoria", { "code": link }]), "GroupInfo").await;
    assert_eq!(info["subject"], json!("Neighbours"));
    let joined = scene.waha.get_as("groups.join_group", json!(["trattoria", { "code": link }]), "JoinGroupResponse");
    assert_eq!(joined.await["id"], json!(made.jid));
    assert!(network.group(&made.jid).await.unwrap().members.contains_key(&scene.number));
    // No admin there: WhatsApp's no is told as such.
    let subject = json!(["trattoria", made.jid, { "subject": "Mine" }]);
    scene.refused("groups.set_subject", subject, "403").await;
    let history = json!(["trattoria", made.jid, { "membersCanShareHistory": true }]);
    scene.refused("groups.set_member_share_history_mode", history, "403").await;
    scene.refused("groups.join_group", json!(["trattoria", { "code": "AbCdEf123456" }]), "404").await;
    scene.refused("groups.join_group", json!(["trattoria", { "code": "no" }]), "400").await;

    let asked = network.create_group(&scene.customer, "Picky", &[]).await.unwrap();
    let rules = GroupRules { approval: true, ..GroupRules::default() };
    network.group_rules(&asked.jid, &scene.customer, rules).await.unwrap();
    let joined = scene.waha.get("groups.join_group", json!(["trattoria", { "code": asked.invite }])).await;
    assert_eq!((&joined["id"], &joined["pendingApproval"]), (&json!(asked.jid), &json!(true)));
    assert_eq!(network.group(&asked.jid).await.unwrap().requests, [scene.number.clone()]);
    scene.daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_the_phones() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    let jid = format!("{}@s.whatsapp.net", scene.customer);
    let label = Setting::Label { id: "4".into(), name: "VIP".into(), color: 2 };
    network.phone_sets(&scene.number, &label).await.unwrap();
    let labelled = Setting::Labelled { id: "4".into(), chat: scene.customer.clone(), on: true };
    network.phone_sets(&scene.number, &labelled).await.unwrap();
    let session = json!(["trattoria"]);
    let all = answers(&mut scene, "labels.get_all", session.clone(), "[Label]", |all| all[0]["name"] == json!("VIP"));
    assert_eq!(all.await[0], json!({ "id": "4", "name": "VIP", "color": 2, "colorHex": "#ffd429" }));
    let chat = json!(["trattoria", scene.chat()]);
    let of_chat =
        answers(&mut scene, "labels.get_chat_labels", chat.clone(), "[Label]", |got| got[0]["id"] == json!("4"));
    of_chat.await;

    let new = json!(["trattoria", { "name": "Late payer", "colorHex": "#ff9485" }]);
    let new = scene.waha.get_as("labels.create", new, "Label").await;
    assert_eq!((&new["id"], &new["color"]), (&json!("5"), &json!(0)));
    assert_eq!(scene.setting("label_edit 5").await["label_edit_action"]["name"], json!("Late payer"));
    let changed = json!(["trattoria", "5", { "name": "Pays late" }]);
    answers(&mut scene, "labels.get_all", session.clone(), "[Label]", |all| all[1]["name"] == json!("Late payer"))
        .await;
    scene.waha.get_as("labels.update", changed, "Label").await;
    let wanted = json!(["trattoria", scene.chat(), { "labels": [{ "id": "5" }] }]);
    scene.waha.get("labels.put_chat_labels", wanted).await;
    assert_eq!(scene.setting(&format!("label_jid 5 {jid}")).await["label_association_action"]["labeled"], json!(true));
    assert_eq!(scene.setting(&format!("label_jid 4 {jid}")).await["label_association_action"]["labeled"], json!(false));
    let chats = json!(["trattoria", "5"]);
    let labelled = scene.waha.get("labels.get_chats_by_label", chats).await;
    assert_eq!(labelled, json!([{ "id": scene.chat() }]));
    scene.waha.get("labels.delete", json!(["trattoria", "5"])).await;
    let left = scene.waha.get_as("labels.get_all", session, "[Label]").await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(scene.waha.get("labels.get_chat_labels", chat).await, json!([]));
    scene.refused("labels.delete", json!(["trattoria", "99"]), "404").await;
    scene.refused("labels.create", json!(["trattoria", { "name": "x", "color": 99 }]), "400").await;
    scene.daemon.kill().await.unwrap();
}

/// The library does not fetch what it is told of while it is fetching.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_come_in_a_burst_are_all_there() {
    let Some(mut scene) = paired().await else { return };
    let network = scene.stage.network.clone();
    for burst in 1..=5 {
        for n in 0..8 {
            let id = (burst * 10 + n).to_string();
            network.phone_sets(&scene.number, &Setting::Label { id, name: "VIP".into(), color: 2 }).await.unwrap();
        }
        let all = |all: &Value| all.as_array().is_some_and(|all| all.len() == burst * 8);
        answers(&mut scene, "labels.get_all", json!(["trattoria"]), "[Label]", all).await;
    }
    scene.daemon.kill().await.unwrap();
}
