//! Answers that are none: a yes beside a no, words that hesitate, an order that is said once more, a question that nobody answers.

use super::{
    Chat,
    checkout::summarised,
    ordering::play,
};
use crate::bot::conversation::Phase;

#[test]
fn a_yes_that_wavers_places_nothing_and_a_mumbled_one_does() {
    for said in ["sí no", "si👎", "ok?", "🙏", "sí o no", "👍?"] {
        let mut chat = Chat::new();
        summarised(&mut chat);
        play(&mut chat, &[(said, &["¿Confirmamos"])]);
        assert!(chat.orders.is_empty(), "{said}");
        play(&mut chat, &[("sí", &["confirmado"])]);
    }
    for said in ["ajá", "mjm", "s"] {
        let mut chat = Chat::new();
        summarised(&mut chat);
        play(&mut chat, &[(said, &["confirmado"])]);
        assert_eq!(chat.orders.len(), 1, "{said}");
    }
}

#[test]
fn words_that_refuse_or_hesitate_are_no_note_and_a_yes_answers_their_question() {
    for said in ["que pena, ya pedí en otro lado", "listo, no me lo traigan", "mejor mañana", "tal vez"] {
        let mut chat = Chat::new();
        summarised(&mut chat);
        play(&mut chat, &[(said, &["¿Cancelo este pedido?", "!observación"])]);
        assert_eq!(chat.talk.phase(), &Phase::Dropping, "{said}");
        play(&mut chat, &[("gracias", &["¿Cancelo este pedido?"]), ("sí", &["!confirmado"])]);
        assert!(chat.orders.is_empty() && chat.basket().is_empty(), "{said}");
    }
    let mut chat = Chat::new();
    summarised(&mut chat);
    play(&mut chat, &[("tal vez", &["¿Cancelo"]), ("no", &["¿Confirmamos"]), ("sí", &["confirmado"])]);
}
