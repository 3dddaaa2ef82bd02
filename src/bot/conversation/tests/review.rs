//! Dialogues that a stranger played and that went wrong: corrections, waiting words, receipts, words beside the matter.

use jiff::SignedDuration;

use super::{Chat, ordering::play};
use crate::bot::conversation::Phase;

/// Two hot dogs for delivery, up to the summary.
fn at_summary() -> Chat {
    let mut chat = Chat::new();
    play(
        &mut chat,
        &[
            ("dos perros calientes", &[]),
            ("listo", &[]),
            ("Calle 10 # 20-30 apto 4", &[]),
            ("sí", &[]),
            ("efectivo", &["Total"]),
        ],
    );
    assert_eq!(chat.talk.phase(), &Phase::Confirming);
    chat
}

#[test]
fn a_yes_from_before_the_summary_confirms_nothing() {
    let mut chat = at_summary();
    // Taken before the summary was made, heard after it.
    chat.said_at = Some(chat.now - SignedDuration::from_secs(5));
    play(&mut chat, &[("sí", &["Resumen", "*Total: $ 25.000*"])]);
    assert!(chat.orders.is_empty());
    // The summary waits in the outbox.
    chat.said_at = None;
    chat.told_at = Some(jiff::Timestamp::MAX);
    play(&mut chat, &[("sí", &["*Total: $ 25.000*"])]);
    assert!(chat.orders.is_empty());
    // It left late.
    chat.told_at = Some(chat.now + SignedDuration::from_mins(5));
    play(&mut chat, &[("sí", &["*Total: $ 25.000*"])]);
    assert!(chat.orders.is_empty());
    chat.pass(10);
    chat.said_at = None;
    play(&mut chat, &[("sí", &["confirmado por $ 25.000"])]);
    assert_eq!(chat.orders.len(), 1);
}
