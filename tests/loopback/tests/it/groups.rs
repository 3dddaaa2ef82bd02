//! Groups, with a device that checks what it is told: who may see and change one, who reads what, who does not any more.

use loopback::{Change, GroupRules, Network, Rank, Say};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use crate::device::Device;
use crate::{eventually, jid, network};

pub struct Scene {
    pub network: Network,
    pub device: Device,
    pub phone: String,
    pub a: String,
    pub b: String,
}

impl Scene {
    pub async fn set() -> Self {
        let network = network().await;
        let phone = network.add_phone(None).await.number;
        let (a, b) = (network.add_customer().await, network.add_customer().await);
        let device = Device::linked(&network, &phone, 1, 20).await.expect("linked");
        Self { network, device, phone, a, b }
    }
}

fn of_group(jid: &str) -> Jid {
    jid.parse().expect("a JID")
}

fn query() -> Node {
    NodeBuilder::new("query").attr("request", "interactive").build()
}

fn is_error(answer: &Node, code: &str) -> bool {
    answer.get_optional_child("error").is_some_and(|error| error.attrs.get("code").is_some_and(|c| c == code))
}

async fn texts(network: &Network, number: &str) -> Vec<String> {
    network.customer_inbox(number).await.expect("exists").into_iter().filter_map(|m| m.text).collect()
}

#[tokio::test]
async fn everybody_in_a_group_reads_it_under_one_key() {
    let Scene { network, mut device, phone, a, b } = Scene::set().await;
    let group = network.create_group(&a, "Friends", &[&b, &phone]).await.expect("made").jid;
    let told = device.receive_tag("notification").await.expect("told");
    assert!(told.attrs.get("type").is_some_and(|kind| kind == "w:gp2"));
    let made = told.get_optional_child("create").and_then(|create| create.get_optional_child("group"));
    assert!(made.expect("the group").attrs.get("subject").is_some_and(|subject| subject == "Friends"));

    for (at, text) in ["one", "two"].into_iter().enumerate() {
        let id = network.customer_send(&a, &group, text).await.expect("sent");
        let stanza = device.receive_tag("message").await.expect("a message");
        assert!(stanza.attrs.get("from").is_some_and(|from| from == group.as_str()));
        // The key comes with the first alone.
        assert_eq!(stanza.get_children_by_tag("enc").count(), if at == 0 { 2 } else { 1 });
        assert_eq!(device.open_in_group(&stanza).expect("opened").conversation.as_deref(), Some(text));
        let author = stanza.attrs.get("participant").expect("a participant").clone();
        let receipt = NodeBuilder::new("receipt").attr("to", of_group(&group)).attr("id", id.as_str());
        device.send(&receipt.attr("participant", author).build()).await.expect("sent");
        eventually("all have it", async || {
            let messages = network.messages(Some(&a)).await.expect("exists");
            messages.iter().any(|m| m.id == id && m.delivered.len() == 3)
        })
        .await;
    }
    assert_eq!(texts(&network, &b).await, ["one", "two"]);
    let read = &network.customer_inbox(&b).await.expect("exists")[0];
    assert_eq!(read.chat, group);
    network.customer_send(&b, &group, Say::reaction(&read.id, "👍")).await.expect("sent");
    let stanza = device.receive_tag("message").await.expect("a message");
    let reaction = device.open_in_group(&stanza).expect("opened").reaction_message.into_option().expect("a reaction");
    let key = reaction.key.into_option().expect("a key");
    assert_eq!((key.id, key.participant), (Some(read.id.clone()), Some(jid(&a).to_string())));
    let stanza = NodeBuilder::new("message").attr("to", of_group(&group)).attr("id", "STALE").attr("type", "text");
    device.send(&stanza.attr("phash", "2:AAAAAAAA").build()).await.expect("sent");
    let ack = loop {
        let ack = device.receive_tag("ack").await.expect("an ack");
        if ack.attrs.get("id").is_some_and(|id| id == "STALE") {
            break ack;
        }
    };
    assert!(ack.attrs.get("phash").is_some_and(|hash| hash.as_str().starts_with("2:")), "{ack:?}");
    let stats = network.stats().await;
    assert_eq!((stats.counts.undecryptable, stats.counters_reused, stats.counts.stale_device_lists), (0, 0, 1));
    network.shutdown().await;
}

#[tokio::test]
async fn who_was_removed_reads_no_more_and_cannot_ask() {
    let Scene { network, mut device, phone, a, b } = Scene::set().await;
    let group = network.create_group(&a, "Friends", &[&b, &phone]).await.expect("made").jid;
    network.customer_send(&a, &group, "with all").await.expect("sent");
    let stanza = device.receive_tag("message").await.expect("a message");
    device.open_in_group(&stanza).expect("opened");
    let answer = device.ask_group(of_group(&group), "get", query()).await.expect("answered");
    let node = answer.get_optional_child("group").expect("the group");
    assert_eq!(node.get_children_by_tag("participant").count(), 3);

    assert!(network.change_group(&group, &b, Change::Remove, &[&phone]).await.is_err(), "b is no admin");
    network.change_group(&group, &a, Change::Remove, &[&phone]).await.expect("removed");
    let told = loop {
        let told = device.receive_tag("notification").await.expect("told");
        if told.get_optional_child("remove").is_some() {
            break told;
        }
    };
    assert!(told.attrs.get("participant").is_some_and(|by| by == jid(&a).to_string().as_str()));
    network.customer_send(&a, &group, "without you").await.expect("sent");
    eventually("b reads on", async || texts(&network, &b).await == ["with all", "without you"]).await;
    let answer = device.ask_group(of_group(&group), "get", query()).await.expect("answered");
    assert!(is_error(&answer, "403"), "{answer:?}");
    assert!(network.phone_send(&phone, &group, "let me in").await.is_err());
    let stanza = NodeBuilder::new("message").attr("to", of_group(&group)).attr("id", "X").attr("type", "text");
    device.send(&stanza.build()).await.expect("sent");
    let ack = device.receive_tag("ack").await.expect("an ack");
    assert!(ack.attrs.get("error").is_some_and(|error| error == "403"), "{ack:?}");

    // Back in, it gets the new key, which is not the old one.
    network.change_group(&group, &a, Change::Add, &[&phone]).await.expect("added");
    network.customer_send(&a, &group, "welcome back").await.expect("sent");
    let stanza = device.receive_tag("message").await.expect("a message");
    assert_eq!(device.open_in_group(&stanza).expect("opened").conversation.as_deref(), Some("welcome back"));
    assert_eq!(network.stats().await.counters_reused, 0);
    network.shutdown().await;
}

#[tokio::test]
async fn only_admins_change_a_group() {
    let Scene { network, mut device, phone, a, b } = Scene::set().await;
    let group = network.create_group(&a, "Friends", &[&phone]).await.expect("made").jid;
    let subject = || NodeBuilder::new("subject").string_content("Mine").build();
    let refused = device.ask_group(of_group(&group), "set", subject()).await.expect("answered");
    assert!(is_error(&refused, "403"), "{refused:?}");
    network.change_group(&group, &a, Change::Promote, &[&phone]).await.expect("promoted");
    device.ask_group(of_group(&group), "set", subject()).await.expect("answered");
    let info = network.group(&group).await.expect("exists");
    assert_eq!((info.subject.as_str(), info.members[&phone]), ("Mine", Rank::Admin));
    let who = |number: &str| NodeBuilder::new("participant").attr("jid", jid(number)).build();
    let add = NodeBuilder::new("add").children([who(&b), who("4999")]).build();
    let added = device.ask_group(of_group(&group), "set", add).await.expect("answered");
    let answers: Vec<bool> = added
        .get_optional_child("add")
        .expect("answers")
        .get_children_by_tag("participant")
        .map(|participant| participant.attrs.get("error").is_some_and(|error| error == "404"))
        .collect();
    assert_eq!(answers, [false, true]);
    let leave = NodeBuilder::new("group").attr("id", of_group(&group)).build();
    let leave = NodeBuilder::new("leave").children([leave]).build();
    device.ask_group(Jid::new("", Server::Group), "set", leave).await.expect("answered");
    let members: Vec<String> = network.group(&group).await.expect("exists").members.into_keys().collect();
    assert_eq!(members, [a, b]);
    let unknown = device.ask_group(of_group("120363999999999999@g.us"), "get", query()).await.expect("answered");
    assert!(is_error(&unknown, "404"), "{unknown:?}");
    network.shutdown().await;
}

#[tokio::test]
async fn a_device_that_lost_the_key_of_a_group_asks_again() {
    let Scene { network, mut device, phone, a, b } = Scene::set().await;
    let group = network.create_group(&a, "Friends", &[&b, &phone]).await.expect("made").jid;
    network.customer_send(&a, &group, "one").await.expect("sent");
    // It never looks at what the key came with.
    device.receive_tag("message").await.expect("a message");
    let id = network.customer_send(&a, &group, "two").await.expect("sent");
    let stanza = device.receive_tag("message").await.expect("a message");
    assert!(device.open_in_group(&stanza).is_err(), "opened without a key");
    let author = stanza.attrs.get("participant").expect("a participant").clone();
    let retry = NodeBuilder::new("retry").attr("id", id.as_str()).attr("count", "1").attr("v", "1").build();
    let registration = NodeBuilder::new("registration").bytes(device.endpoint.registration().to_be_bytes()).build();
    let receipt = NodeBuilder::new("receipt")
        .attr("to", of_group(&group))
        .attr("participant", author)
        .attr("id", id.as_str())
        .attr("type", "retry")
        .children([retry, registration])
        .build();
    device.send(&receipt).await.expect("sent");
    let again = loop {
        let stanza = device.receive_tag("message").await.expect("again");
        if stanza.attrs.get("id").is_some_and(|again| again == id.as_str()) {
            break stanza;
        }
    };
    assert_eq!(device.open_in_group(&again).expect("opened").conversation.as_deref(), Some("two"));
    network.customer_send(&a, &group, "three").await.expect("sent");
    let stanza = device.receive_tag("message").await.expect("a message");
    assert_eq!(device.open_in_group(&stanza).expect("opened").conversation.as_deref(), Some("three"));
    network.shutdown().await;
}

#[tokio::test]
async fn a_groups_rules_hold() {
    let Scene { network, mut device, phone, a, b } = Scene::set().await;
    let group = network.create_group(&a, "Friends", &[&b, &phone]).await.expect("made").jid;
    let set = |tag: &'static str| NodeBuilder::new(tag).build();
    let refused = device.ask_group(of_group(&group), "set", set("announcement")).await.expect("answered");
    assert!(is_error(&refused, "403"), "no admin: {refused:?}");
    network.change_group(&group, &a, Change::Promote, &[&phone]).await.expect("promoted");
    device.ask_group(of_group(&group), "set", set("announcement")).await.expect("answered");
    assert!(network.customer_send(&b, &group, "may I?").await.is_err());
    network.customer_send(&a, &group, "only we").await.expect("an admin may");
    let rules = network.group(&group).await.expect("exists").rules;
    assert!(rules.messages_by_admins && rules.info_by_admins && !rules.members_add);
    assert!(network.group_subject(&group, &b, "Mine").await.is_err());
    device.ask_group(of_group(&group), "set", set("unlocked")).await.expect("answered");
    network.group_subject(&group, &b, "Ours").await.expect("anybody may now");
    let c = network.add_customer().await;
    assert!(network.change_group(&group, &b, Change::Add, &[&c]).await.is_err());
    let mode = NodeBuilder::new("member_add_mode").string_content("all_member_add").build();
    device.ask_group(of_group(&group), "set", mode).await.expect("answered");
    network.change_group(&group, &b, Change::Add, &[&c]).await.expect("anybody may now");
    let told = loop {
        let told = device.receive_tag("notification").await.expect("told");
        if told.get_optional_child("add").is_some() {
            break told;
        }
    };
    assert!(told.attrs.get("participant").is_some_and(|by| by == jid(&b).to_string().as_str()));
    network.shutdown().await;
}

#[tokio::test]
async fn who_comes_by_the_code_is_in_or_waits() {
    let Scene { network, mut device, phone, a, b } = Scene::set().await;
    let made = network.create_group(&a, "Friends", &[]).await.expect("made");
    let code = |code: &str| NodeBuilder::new("invite").attr("code", code).build();
    let nowhere: Jid = "@g.us".parse().unwrap_or_else(|_| Jid::new("", Server::Group));
    let wrong = device.ask_group(nowhere.clone(), "set", code("NOSUCHCODE")).await.expect("answered");
    assert!(is_error(&wrong, "406"), "{wrong:?}");
    let seen = device.ask_group(nowhere.clone(), "get", code(&made.invite)).await.expect("answered");
    let group = seen.get_optional_child("group").expect("what it opens");
    assert!(group.attrs.get("subject").is_some_and(|subject| subject == "Friends"));
    let joined = device.ask_group(nowhere.clone(), "set", code(&made.invite)).await.expect("answered");
    assert!(joined.get_optional_child("group").is_some(), "{joined:?}");
    assert!(network.group(&made.jid).await.expect("exists").members.contains_key(&phone));

    network.change_group(&made.jid, &a, Change::Promote, &[&phone]).await.expect("promoted");
    let rules = GroupRules { approval: true, ..GroupRules::default() };
    network.group_rules(&made.jid, &a, rules).await.expect("set");
    network.join_group(&b, &made.invite).await.expect("asked");
    assert!(!network.group(&made.jid).await.expect("exists").members.contains_key(&b));
    let asked = NodeBuilder::new("membership_approval_requests").build();
    let asked = device.ask_group(of_group(&made.jid), "get", asked).await.expect("answered");
    let waits = asked.get_optional_child("membership_approval_requests").expect("who waits");
    assert_eq!(waits.get_children_by_tag("membership_approval_request").count(), 1);
    let who = NodeBuilder::new("participant").attr("jid", jid(&b)).build();
    let approve = NodeBuilder::new("approve").children([who]).build();
    let approve = NodeBuilder::new("membership_requests_action").children([approve]).build();
    device.ask_group(of_group(&made.jid), "set", approve).await.expect("answered");
    let now = network.group(&made.jid).await.expect("exists");
    assert!(now.members.contains_key(&b) && now.requests.is_empty());
    network.shutdown().await;
}
