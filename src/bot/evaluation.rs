//! Corpora: utterances and dialogues with what is expected of them, and predictions in the form that the scorer
//! reads. Owns the shapes of the files; scores nothing and opens nothing.

use serde::{Deserialize, Serialize};

use super::{
    OrderState, Parser,
    basket::{AmbiguousWish, BasketLine},
    intent::Intent,
    payment::PaymentMethod,
};

/// A line of a corpus; what is expected of it is the scorer's.
#[derive(Debug, Deserialize)]
pub struct CorpusUtterance {
    pub id: String,
    pub menu: String,
    pub text: String,
}

#[derive(Debug, Deserialize)]
pub struct Dialogue {
    pub id: String,
    pub menu: String,
    /// Earlier orders, the newest last.
    #[serde(default)]
    pub history: Vec<Vec<BasketLine>>,
    pub turns: Vec<DialogueTurn>,
}

#[derive(Debug, Deserialize)]
pub struct DialogueTurn {
    pub text: String,
}

#[derive(Debug, Serialize)]
pub struct UtterancePrediction {
    pub id: String,
    pub intent: Intent,
    pub cart: Vec<BasketLine>,
    pub ambiguous: Vec<AmbiguousWish>,
    pub unknown: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentMethod>,
}

#[derive(Debug, Serialize)]
pub struct DialoguePrediction {
    pub id: String,
    pub turns: Vec<TurnPrediction>,
}

#[derive(Debug, Serialize)]
pub struct TurnPrediction {
    pub cart: Vec<BasketLine>,
    pub intent: Intent,
    pub ambiguous: Vec<AmbiguousWish>,
}

pub fn predict_utterance(parser: &Parser, utterance: &CorpusUtterance) -> UtterancePrediction {
    let understood = parser.understand(&utterance.text, &OrderState::default(), &[]);
    UtterancePrediction {
        id: utterance.id.clone(),
        intent: understood.intent,
        cart: understood.state.lines,
        ambiguous: understood.state.ambiguous,
        unknown: understood.unknown,
        address: understood.address,
        payment: understood.payment,
    }
}

pub fn predict_dialogue(parser: &Parser, dialogue: &Dialogue) -> DialoguePrediction {
    let mut state = OrderState::default();
    let mut turns = Vec::with_capacity(dialogue.turns.len());
    for turn in &dialogue.turns {
        let understood = parser.understand(&turn.text, &state, &dialogue.history);
        state = understood.state;
        turns.push(TurnPrediction {
            cart: state.lines.clone(),
            intent: understood.intent,
            ambiguous: state.ambiguous.clone(),
        });
    }
    DialoguePrediction { id: dialogue.id.clone(), turns }
}
