//! A list of conversations names people as the tenant saved them and groups by their subjects; what was deleted says so.

use loopback::{Fault, FaultKind, Say};
use serde_json::{Value, json};
use sessiond::demo::until;

use crate::support::stage::{Home, LIMIT, Stage};

/// The name of the first conversation with this id, in both contracts.
async fn name_of(stage: &Stage, chat: &str) -> [Value; 2] {
    let get = async |path: &str| stage.dashboard.get(path).await.unwrap().body;
    let find = |list: &Value| list.as_array().and_then(|all| all.iter().find(|one| one["id"] == *chat).cloned());
    let waha = find(&get("/api/trattoria/chats").await).unwrap_or_default();
    let old = get("/api/baileys/conversations?tenantId=trattoria").await["conversations"].take();
    let jid = chat.replace("@c.us", "@s.whatsapp.net");
    let old = old.as_array().and_then(|all| all.iter().find(|one| one["id"] == *jid).cloned()).unwrap_or_default();
    [waha["name"].clone(), old["name"].clone()]
}

async fn is_called(stage: &Stage, chat: &str, name: &str) {
    let named = async || name_of(stage, chat).await == [json!(name), json!(name)];
    if until(LIMIT, name, named).await.is_err() {
        panic!("{chat} is called {:?}\n{}", name_of(stage, chat).await, stage.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_its_subject_and_a_person_the_saved_name() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let mut daemon = stage.start().await;
    let tenant = stage.pair("trattoria").await;
    let (customer, other) = (tenant.customers[0].clone(), stage.network.add_customer().await);
    let group = stage.network.create_group(&customer, "Mesa 4", &[&tenant.number, &other]).await.unwrap().jid;
    for by in [&customer, &other] {
        stage.network.customer_send(by, &group, Say::text("hello all")).await.unwrap();
    }
    is_called(&stage, &group, "Mesa 4").await;
    stage.network.group_subject(&group, &customer, "Mesa 5").await.unwrap();
    is_called(&stage, &group, "Mesa 5").await;

    stage.network.customer_send(&customer, &tenant.number, Say::text("it is me")).await.unwrap();
    let chat = format!("{customer}@c.us");
    let arrived = async || name_of(&stage, &chat).await[0].is_string();
    until(LIMIT, "the name that the customer has of itself", arrived).await.unwrap();
    let saved = json!({ "firstName": "Ana", "lastName": "Ruiz" });
    let answer = stage.dashboard.put(&format!("/api/trattoria/contacts/{chat}"), saved).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    is_called(&stage, &chat, "Ana Ruiz").await;

    daemon.terminate(LIMIT).await.unwrap();
    stage.wipe_local_data();
    daemon = stage.start().await;
    // WhatsApp takes longer to name the groups than a list waits: the next list has the name.
    until(LIMIT, "the login", || stage.dashboard.is_connected("trattoria")).await.unwrap();
    stage.network.fault(Fault::new(FaultKind::Latency).target(&tenant.number).ms(3500)).await.unwrap();
    is_called(&stage, &group, "Mesa 5").await;
    stage.network.clear_faults().await;
    is_called(&stage, &chat, "Ana Ruiz").await;

    let jid = format!("{customer}@s.whatsapp.net");
    for (search, found) in [
        ("ana%20r", vec![&jid]),
        ("IT%20IS", vec![&jid]),
        (&customer[4..], vec![&jid]),
        ("mesa", vec![&group]),
        ("Hello", vec![&group]),
        ("nobody", vec![]),
    ] {
        let path = format!("/api/baileys/conversations?tenantId=trattoria&search={search}");
        let answer = stage.dashboard.get(&path).await.unwrap().body;
        let ids: Vec<_> = answer["conversations"].as_array().unwrap().iter().map(|chat| chat["id"].clone()).collect();
        assert_eq!(json!(ids), json!(found), "{search}: {answer}");
    }
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_edited_or_reacted_to_says_so() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let tenant = stage.pair("trattoria").await;
    let customer = tenant.customers[0].clone();
    let say = async |say: Say| stage.network.customer_send(&customer, &tenant.number, say).await.unwrap();
    let (gone, edited) = (say(Say::text("two pizzas")).await, say(Say::text("a pizza")).await);
    say(Say::revoke(&gone)).await;
    say(Say::edit(&edited, "a calzone")).await;
    say(Say::reaction(&edited, "👍")).await;
    let list = async || {
        let path = format!("/api/trattoria/chats/{customer}@c.us/messages?limit=10");
        stage.dashboard.get(&path).await.unwrap().body.as_array().cloned().unwrap_or_default()
    };
    let of = |list: &[Value], id: &str| {
        let ends = |one: &&Value| one["id"].as_str().is_some_and(|full| full.ends_with(id));
        list.iter().find(ends).cloned().unwrap_or_default()
    };
    let is_reacted_to = async || of(&list().await, &edited)["_data"]["reactions"][0]["text"] == json!("👍");
    until(LIMIT, "the reaction", is_reacted_to).await.unwrap();
    let list = list().await;
    let (gone, edited) = (of(&list, &gone), of(&list, &edited));
    assert_eq!((&gone["body"], &gone["_data"]["revoked"]), (&json!(""), &json!(true)), "{gone}");
    // In no form, whoever asks for it.
    let old = format!("/api/baileys/messages?tenantId=trattoria&chatId={customer}&limit=10");
    for path in [format!("/api/trattoria/chats/{customer}@c.us/messages/{}", gone["id"].as_str().unwrap()), old] {
        let shown = stage.dashboard.get(&path).await.unwrap().body.to_string();
        assert!(!shown.contains("two pizzas") && shown.contains("\"revoked\":true"), "{path}: {shown}");
    }
    assert!(!gone.to_string().contains("two pizzas"), "{gone}");
    let fate = (&edited["body"], &edited["_data"]["edited"], &edited["_data"]["revoked"]);
    assert_eq!(fate, (&json!("a calzone"), &json!(true), &json!(false)), "{edited}");

    // No phone obeys whoever deletes what another has written.
    let path = format!("/api/trattoria/chats/{customer}@c.us/messages/{}", edited["id"].as_str().unwrap());
    let refused = stage.dashboard.delete(&path).await.unwrap();
    assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (400, &json!("messageId")), "{}", refused.body);
    // Whose it is, a bare id does not say, and the chat does.
    let bare = edited["id"].as_str().unwrap().rsplit('_').next().unwrap();
    let path = format!("/api/trattoria/chats/{customer}@c.us/messages/{bare}");
    let refused = stage.dashboard.delete(&path).await.unwrap();
    assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (400, &json!("messageId")), "{}", refused.body);
    daemon.kill().await.unwrap();
}
