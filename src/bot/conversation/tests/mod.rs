//! Conversations as a customer has them: what is said, and what comes of it.

mod beside;
mod changes;
mod checkout;
mod doubtful;
mod gates;
mod mixed;
mod ordering;
mod parked;
mod properties;
mod review;
mod rules;
mod takeover;
mod terms;
mod unread;

use std::{fs, path::Path};

use jiff::{SignedDuration, Timestamp};

use super::{ConversationState, Customer, Effect, Input, Moment, Restaurant, Said, Step, Utterance, step};
use crate::bot::{
    Parser,
    menu::Menu,
    money::Money,
    order::{Order, OrderStage},
    payment::PaymentMethod,
    restaurant::{DeliveryCost, DeliveryTime, RestaurantSettings},
};

pub fn menu() -> Menu {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bot/menus/don-pollo.json");
    serde_json::from_str(&fs::read_to_string(folder).unwrap()).unwrap()
}

pub fn settings() -> RestaurantSettings {
    RestaurantSettings {
        name: "Don Pollo".into(),
        active: true,
        delivery_time: Some(DeliveryTime { min: 30, max: 45 }),
        delivery_cost: Some(DeliveryCost {
            cost: Money::new(5_000),
            free_delivery_min: Some(Money::new(80_000)),
            minimum_order: Some(Money::new(15_000)),
        }),
        payment_methods: [PaymentMethod::Efectivo, PaymentMethod::Nequi].into(),
        prepay_methods: [PaymentMethod::Nequi].into(),
        ..RestaurantSettings::default()
    }
}

/// One customer, and a restaurant that a test changes.
pub struct Chat {
    pub restaurant: Restaurant,
    pub customer: Customer,
    pub talk: ConversationState,
    pub now: Timestamp,
    pub wake_at: Option<Timestamp>,
    pub orders: Vec<Order>,
    pub effects: Vec<Effect>,
    /// When WhatsApp took the next messages; `None`: now.
    pub said_at: Option<Timestamp>,
    pub told_at: Option<Timestamp>,
    steps: u64,
}

impl Chat {
    /// Friday, 27 November 2026, 14:00 in Bogota.
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: RestaurantSettings) -> Self {
        Self {
            restaurant: Restaurant::new(Parser::new(menu()), settings),
            customer: Customer {
                chat: "573001112233@s.whatsapp.net".into(),
                name: Some("Ana".into()),
                phone: Some("573001112233".into()),
            },
            talk: ConversationState::default(),
            now: "2026-11-27T19:00:00Z".parse().unwrap(),
            wake_at: None,
            orders: Vec::new(),
            effects: Vec::new(),
            said_at: None,
            told_at: None,
            steps: 0,
        }
    }

    pub fn change_menu(&mut self, change: impl FnOnce(&mut Menu)) {
        let mut menu = self.restaurant.parser.menu().clone();
        change(&mut menu);
        self.restaurant = Restaurant::new(Parser::new(menu), self.restaurant.settings.clone());
    }

    pub fn item(&mut self, id: &str, change: impl Fn(&mut crate::bot::menu::MenuItem)) {
        self.change_menu(|menu| change(menu.items.iter_mut().find(|item| item.id == id).unwrap()));
    }

    pub fn pass(&mut self, minutes: i64) {
        self.now = self.now.checked_add(SignedDuration::from_mins(minutes)).unwrap();
    }

    /// One step; the replies, joined.
    pub fn input(&mut self, input: Input) -> String {
        self.steps += 1;
        let mut chance = [0; 16];
        chance[..8].copy_from_slice(&self.steps.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        chance[8..].copy_from_slice(&self.steps.wrapping_mul(0xd1b5_4a32_d192_ed03).to_be_bytes());
        let moment = Moment { now: self.now, chance, told_at: self.told_at };
        let took = step(self.talk.clone(), input.clone(), &self.customer, &self.restaurant, moment);
        assert_eq!(took, step(self.talk.clone(), input, &self.customer, &self.restaurant, moment), "a step is pure");
        let Step { conversation, effects, wake_at } = took;
        // As it is stored.
        let stored = serde_json::to_string(&conversation).unwrap();
        self.talk = serde_json::from_str(&stored).unwrap();
        assert_eq!(self.talk, conversation);
        self.wake_at = wake_at;
        let mut said = Vec::new();
        for effect in &effects {
            match effect {
                Effect::Reply(text) | Effect::Notice(text) => said.push(text.clone()),
                Effect::Place(order) => self.orders.push((**order).clone()),
                Effect::File { at } => said.push(format!("file {at}")),
                Effect::Cancel { .. }
                | Effect::CallOwner { .. }
                | Effect::Ask { .. }
                | Effect::AskFiles { .. }
                | Effect::AskModel { .. } => {}
            }
        }
        self.effects = effects;
        said.join("\n---\n")
    }

    pub fn hear(&mut self, said: Vec<(&str, Utterance)>) -> String {
        let at = self.said_at.unwrap_or(self.now);
        self.input(Input::Said(said.into_iter().map(|(id, what)| Said { id: id.to_owned(), at, what }).collect()))
    }

    pub fn say(&mut self, text: &str) -> String {
        self.pass(1);
        let id = format!("m{}", self.steps + 1);
        self.hear(vec![(&id, Utterance::Text(text.to_owned()))])
    }

    /// Several messages of one turn.
    pub fn say_all(&mut self, texts: &[&str]) -> String {
        self.pass(1);
        let ids: Vec<String> = (0..texts.len()).map(|n| format!("m{}-{n}", self.steps + 1)).collect();
        self.hear(ids.iter().zip(texts).map(|(id, text)| (id.as_str(), Utterance::Text((*text).to_owned()))).collect())
    }

    pub fn moved(&mut self, stage: OrderStage) -> String {
        let order = self.orders.last().unwrap().id.clone();
        self.input(Input::OrderMoved { order, stage })
    }

    pub fn called_owner(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::CallOwner { .. }))
    }

    pub fn basket(&self) -> Vec<(String, u32)> {
        self.talk.lines().iter().map(|line| (line.item.clone(), line.qty)).collect()
    }
}
