//! Promises that hold in every conversation, whatever is said in whichever order.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Chat, settings};
use crate::bot::{
    basket::BasketLine,
    conversation::{Effect, Input, MAX_RECORD_BYTES, MAX_REPLIES, MAX_REPLY_CHARS, Said, SilenceCause, Utterance},
    money::Money,
    order::OrderStage,
};

/// Texts that move a conversation, and single words that do not fit.
const TEXTS: &[&str] = &[
    "hola",
    "menú",
    "dos perros calientes",
    "una hamburguesa",
    "la 2",
    "1",
    "2",
    "3",
    "sí",
    "sí",
    "sí",
    "no",
    "listo",
    "listo",
    "eso es todo",
    "domicilio",
    "recoger",
    "calle 10 # 20-30 apto 301",
    "3001234567",
    "efectivo",
    "nequi",
    "cancelar",
    "editar",
    "ver",
    "eliminar 1",
    "2 del 4",
    "el 8 y el 10",
    "una salchipapa familiar sin queso",
    "mejor que sean cuatro",
    "quite la gaseosa",
    "lo mismo de la vez pasada",
    "cómo va mi pedido?",
    "qué pedí?",
    "qué llevo",
    "gracias",
    "cuánto vale la limonada de coco?",
    "qué bebidas tienen?",
    "para la carrera 7 # 8-90, pago en efectivo",
    "sí, confirmo",
    "sí, pero sin cebolla",
    "nota: sin timbre",
    "una coca",
    "la grande",
    "ninguna",
    "cinco pollos asados enteros",
    "Nombre: Ana\nDirección: calle 1 # 2-3\nTeléfono: 3001234567\nPedido: un pollo asado entero\nPago: efectivo",
    "cancelar pedido",
    "hablar con alguien",
    "xyzzy",
    "👍",
    "brownie",
    "500 perros calientes",
    "#bot",
    "1 perro y 3 cocas de 1.5",
    "no, espere",
    "un combo 1 sin papas con la hamburguesa bien asada y muchas salsas de todas las que tengan en la casa",
];

/// Deeds of one customer, one owner, and the time.
#[derive(Debug, Clone)]
enum Deed {
    Said(Vec<usize>),
    Anything(String),
    Media(u8),
    Location(f64, f64),
    Edited(usize, usize),
    Revoked(usize),
    Owner,
    OwnersWord,
    TakenOver,
    GivenBack,
    Moved(u8),
    Passed(i64),
    Price(usize, u64),
    SoldOut(usize, bool),
}

fn event() -> impl Strategy<Value = Deed> {
    let text = 0..TEXTS.len();
    prop_oneof![
        24 => text.clone().prop_map(|at| Deed::Said(vec![at])),
        4 => proptest::collection::vec(text.clone(), 2..5).prop_map(Deed::Said),
        2 => "\\PC{0,200}".prop_map(Deed::Anything),
        1 => Just(Deed::Anything("una hamburguesa sencilla con 🍔🍔 ñandú sin cebolla y ".repeat(90))),
        1 => (0u8..5).prop_map(Deed::Media),
        1 => (-100.0..100.0, -200.0..200.0).prop_map(|(latitude, longitude)| Deed::Location(latitude, longitude)),
        2 => (0usize..40, text).prop_map(|(message, text)| Deed::Edited(message, text)),
        1 => (0usize..40).prop_map(Deed::Revoked),
        1 => Just(Deed::Owner),
        1 => Just(Deed::OwnersWord),
        1 => Just(Deed::TakenOver),
        2 => Just(Deed::GivenBack),
        2 => (0u8..5).prop_map(Deed::Moved),
        2 => prop_oneof![Just(1i64), Just(29), Just(31), Just(119), Just(121), Just(1500)].prop_map(Deed::Passed),
        2 => (0usize..29, 1u64..60).prop_map(|(item, thousands)| Deed::Price(item, thousands * 1_000)),
        2 => (0usize..29, any::<bool>()).prop_map(|(item, available)| Deed::SoldOut(item, available)),
    ]
}

static STAGES: LazyLock<[OrderStage; 5]> = LazyLock::new(|| {
    use OrderStage::{Cancelado, Cocinando, Entregado, Listo, Pendiente};
    [Pendiente, Cocinando, Listo, Entregado, Cancelado]
});

fn units(lines: &[BasketLine]) -> u32 {
    lines.iter().map(|line| line.qty).sum()
}

/// Words by which a customer may take something out.
fn may_remove(text: &str) -> bool {
    let text = crate::bot::text::fold(text);
    let words = ["no", "quit", "sin", "cancel", "elimin", "mejor", "ningun", "pedido:", "editar", "nada"];
    words.iter().any(|word| text.contains(word))
}

struct ConversationPlay {
    chat: Chat,
    ids: Vec<String>,
    /// The bot may not speak before this time.
    silent_until: Option<Timestamp>,
    last_total: Option<String>,
    human_called: bool,
}

impl ConversationPlay {
    fn new(quick: bool) -> Self {
        let mut settings = settings();
        settings.quick_order_mode = quick;
        Self { chat: Chat::with(settings), ids: vec![], silent_until: None, last_total: None, human_called: false }
    }

    fn run(&mut self, event: &Deed) -> Result<(), TestCaseError> {
        let input = match event {
            Deed::Passed(minutes) => {
                self.chat.pass(*minutes);
                Input::Woken
            }
            Deed::Price(item, price) => {
                self.chat.change_menu(|menu| menu.items[*item].price = Money::new(*price));
                return Ok(());
            }
            Deed::SoldOut(item, available) => {
                self.chat.change_menu(|menu| menu.items[*item].available = *available);
                return Ok(());
            }
            Deed::Said(texts) => self.said(texts.iter().map(|at| Utterance::Text(TEXTS[*at].to_owned())).collect()),
            Deed::Anything(text) => self.said(vec![Utterance::Text(text.clone())]),
            Deed::Media(kind) => {
                let kinds =
                    [Utterance::Voice, Utterance::Picture, Utterance::Sticker, Utterance::Call, Utterance::Silent];
                self.said(vec![kinds[usize::from(*kind)].clone()])
            }
            Deed::Location(latitude, longitude) => {
                let place = Utterance::Location { latitude: *latitude, longitude: *longitude, name: String::new() };
                self.said(vec![place])
            }
            Deed::Edited(back, text) => Input::Edited { id: self.id(*back), text: TEXTS[*text].to_owned() },
            Deed::Revoked(back) => Input::Revoked { id: self.id(*back) },
            Deed::Owner => Input::OwnerWrote { text: Some("ya le digo".into()) },
            Deed::OwnersWord => Input::OwnerWrote { text: Some("#bot".into()) },
            Deed::TakenOver => Input::TakenOver,
            Deed::GivenBack => Input::GivenBack,
            Deed::Moved(stage) => match self.chat.orders.last() {
                Some(order) => Input::OrderMoved { order: order.id.clone(), stage: STAGES[usize::from(*stage)] },
                None => return Ok(()),
            },
        };
        self.step(input)
    }

    fn said(&mut self, what: Vec<Utterance>) -> Input {
        let at = self.chat.now;
        let messages = what.into_iter().map(|what| {
            let id = format!("m{}", self.ids.len());
            self.ids.push(id.clone());
            Said { id, at, what }
        });
        Input::Said(messages.collect())
    }

    fn id(&self, back: usize) -> String {
        self.ids.iter().rev().nth(back).cloned().unwrap_or_default()
    }

    fn step(&mut self, input: Input) -> Result<(), TestCaseError> {
        let silent = self.silent_until.is_some_and(|until| self.chat.now < until);
        let before = self.chat.talk.clone();
        self.chat.input(input.clone());
        self.bounds()?;
        let minutes = |minutes| self.chat.now.checked_add(SignedDuration::from_mins(minutes)).unwrap();
        match &input {
            Input::OwnerWrote { text: Some(text) } if text != "#bot" => self.silent_until = Some(minutes(120)),
            Input::TakenOver => self.silent_until = Some(minutes(120)),
            Input::OwnerWrote { .. } | Input::GivenBack => self.silent_until = None,
            _ if silent => {
                prop_assert!(self.chat.effects.is_empty(), "said while the owner talks: {:?}", self.chat.effects)
            }
            _ => {}
        }
        if self.chat.called_owner() && self.chat.talk.silence(self.chat.now).is_some() {
            let cause = self.chat.talk.silence(self.chat.now).unwrap().cause;
            prop_assert!(matches!(cause, SilenceCause::HumanCalled | SilenceCause::Loop));
            self.silent_until = Some(minutes(120));
            self.human_called = true;
        }
        self.orders()?;
        self.basket(&before, &input)
    }

    fn bounds(&self) -> Result<(), TestCaseError> {
        let record = serde_json::to_vec(&self.chat.talk).unwrap().len();
        prop_assert!(record <= MAX_RECORD_BYTES, "{record} bytes");
        let replies = self.chat.effects.iter().filter_map(|effect| match effect {
            Effect::Reply(text) | Effect::Notice(text) => Some(text),
            _ => None,
        });
        let lengths: Vec<usize> = replies.map(|text| text.chars().count()).collect();
        prop_assert!(
            lengths.len() <= MAX_REPLIES && lengths.iter().all(|length| (1..=MAX_REPLY_CHARS).contains(length))
        );
        Ok(())
    }

    /// An order has the total of the last summary, and the menu's prices; one confirmation has one order.
    fn orders(&mut self) -> Result<(), TestCaseError> {
        for effect in &self.chat.effects {
            match effect {
                Effect::Reply(text) => {
                    if let Some(at) = text.rfind("*Total: ") {
                        let rest = &text[at + "*Total: ".len()..];
                        self.last_total = rest.split('*').next().map(str::to_owned);
                    }
                }
                Effect::Place(order) => {
                    prop_assert_eq!(
                        self.last_total.take(),
                        Some(order.total.to_string()),
                        "a total that was not shown last"
                    );
                    let menu = self.chat.restaurant.parser.menu();
                    let mut sum = Money::ZERO;
                    for line in &order.lines {
                        let item = menu.item(&line.item).unwrap();
                        prop_assert!(item.available && item.price == line.price && line.qty > 0);
                        sum = sum.plus(line.price.times(line.qty).unwrap()).unwrap();
                    }
                    prop_assert_eq!((order.subtotal, order.total), (sum, sum.plus(order.delivery_cost).unwrap()));
                    prop_assert!(self.chat.talk.lines().is_empty());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A basket is emptied by the customer's words, an order, or the menu.
    fn basket(&self, before: &crate::bot::conversation::ConversationState, input: &Input) -> Result<(), TestCaseError> {
        let menu = self.chat.restaurant.parser.menu();
        let there: Vec<BasketLine> = before
            .lines()
            .iter()
            .filter(|line| menu.item(&line.item).is_some_and(|item| item.available))
            .cloned()
            .collect();
        let kept = |talk: &crate::bot::conversation::ConversationState| {
            talk.kept.as_ref().map_or(0, |kept| units(&kept.lines))
        };
        let is_emptied = units(&there) > 0 && self.chat.talk.lines().is_empty();
        if !is_emptied || kept(&self.chat.talk) >= kept(before) + units(&there) {
            return Ok(());
        }
        let placed = self.chat.effects.iter().any(|effect| matches!(effect, Effect::Place(_)));
        let wanted = match input {
            Input::Said(messages) => messages.iter().any(|message| match &message.what {
                Utterance::Text(text) => may_remove(text),
                _ => false,
            }),
            Input::Edited { .. } | Input::Revoked { .. } => true,
            _ => false,
        };
        prop_assert!(placed || wanted, "{input:?} emptied {:?}", before.lines());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn no_conversation_breaks_a_promise(quick in any::<bool>(), events in proptest::collection::vec(event(), 1..40)) {
        let mut play = ConversationPlay::new(quick);
        for event in &events {
            play.run(event)?;
        }
    }
}

/// The property above must be able to see orders: a generator that never confirms would prove nothing.
#[test]
fn the_events_lead_to_orders() {
    let mut play = ConversationPlay::new(false);
    let at = |text: &str| TEXTS.iter().position(|known| *known == text).unwrap();
    for text in ["dos perros calientes", "listo", "domicilio", "calle 10 # 20-30 apto 301", "sí", "efectivo", "sí"] {
        play.run(&Deed::Said(vec![at(text)])).unwrap();
    }
    assert_eq!(play.chat.orders.len(), 1);
}
