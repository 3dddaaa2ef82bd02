//! Messages that no API shows cost little, however large a stranger makes them.

use loopback::Say;
use rand::{Rng as _, distr::Alphanumeric};
use sessiond::demo::until;
use whatsapp_rust::{buffa::MessageField, waproto::whatsapp as wa};

use crate::support::stage::{Home, LIMIT, Stage};

/// Together more than 10 MiB in the vault, if each were kept as it is.
const MESSAGES: usize = 40;
const SIZE: usize = 400_000;
/// What the vault may have more afterwards: 4 KiB of each message, its ratchet steps, and those that a cut met before they were cleared away:
/// the entry that brought them is there until the next snapshot.
const GROWTH: i64 = 7 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_that_nobody_sees_is_not_kept() {
    let stage = Stage::new(Home::Embedded).await.unwrap().shared();
    let daemon = stage.start().await;
    let mut conversation = stage.pair("trattoria").await;
    let is_kept = async |conversation: &sessiond::demo::Conversation| {
        stage.tally.count(std::slice::from_ref(conversation)).await.unwrap().lost == 0
    };
    conversation.customers_write(&stage.network, 1).await.unwrap();
    until(LIMIT, "the first words to be kept", || is_kept(&conversation)).await.unwrap();

    let before = vault_bytes(&stage);
    for _ in 0..MESSAGES {
        let protocol = wa::message::ProtocolMessage {
            r#type: Some(wa::message::protocol_message::Type::LIMIT_SHARING),
            edited_message: MessageField::some(wa::Message {
                // The vault compresses what it gets.
                conversation: Some(rand::rng().sample_iter(Alphanumeric).take(SIZE).map(char::from).collect()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let unseen = wa::Message { protocol_message: MessageField::some(protocol), ..Default::default() };
        let say = Say::Raw { message: Box::new(unseen) };
        stage.network.customer_send(&conversation.customers[0], &conversation.number, say).await.unwrap();
    }
    // A chat's messages come in their order: behind these.
    conversation.customers_write(&stage.network, 1).await.unwrap();
    until(2 * LIMIT, "the last words to be kept", || is_kept(&conversation)).await.unwrap();
    let grown = vault_bytes(&stage) - before;
    println!("{MESSAGES} messages of {SIZE} bytes that nobody sees: {grown} bytes more in the vault");
    assert!(grown < GROWTH, "{grown} bytes more in the vault");

    let counts = stage.network.stats().await.counts;
    assert_eq!((counts.retry_receipts, counts.undecryptable), (0, 0));
    stage.assert_promises(&[conversation]).await;
    daemon.kill().await.unwrap();
}

fn vault_bytes(stage: &Stage) -> i64 {
    let vault = rusqlite::Connection::open(stage.path("cloud").join("vault.db")).unwrap();
    vault.busy_timeout(LIMIT).unwrap();
    let sum = |table: &str| -> i64 {
        let sql = format!("SELECT coalesce(sum(length(payload)), 0) FROM {table} WHERE tenant = 'trattoria'");
        vault.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    sum("journal") + sum("chunks")
}
