//! Questions that a restaurant is asked: the menu, prices, hours, delivery, payment, the place. Owns their answers; changes no order.

use super::{
    exchange::Exchange,
    gates,
    hearing::{HeardTurn, Question},
    menu_pages, orders,
    phrases::{self, Command},
    quote,
    state::Phase,
    talking, words,
};
use crate::bot::{
    money::Money,
    texts::{Language, TextKey},
};

const MAX_ANSWERED: usize = 3;

/// Questions that a restaurant is asked. True: something was answered.
pub fn answer(exchange: &mut Exchange<'_>, heard: &HeardTurn) -> bool {
    let mut has_answered = false;
    for question in heard.questions.iter().take(MAX_ANSWERED) {
        has_answered = true;
        match question {
            Question::Menu(said) if said.is_empty() => menu_pages::say_menu(exchange),
            Question::Menu(said) => {
                if !menu_pages::say_named(exchange, said) {
                    let plain = phrases::plain(said);
                    let is_whole = ["menu", "carta", "catalogo", "tienen", "hay", "venden", "ofrecen", "recomi"];
                    if plain.split(' ').count() <= 8 && is_whole.iter().any(|word| plain.contains(word)) {
                        say_whole_menu(exchange, &plain);
                    } else {
                        exchange.say(TextKey::NotOnMenu, &[]);
                    }
                }
            }
            Question::Price(said) => say_price(exchange, said),
            Question::Hours => say_hours(exchange),
            Question::Status => orders::say_status(exchange),
            Question::Wait => say_wait(exchange),
            Question::Delivery => say_delivery(exchange),
            Question::Payments => say_payments(exchange),
            Question::Place => say_place(exchange),
            Question::Bot => exchange.say(TextKey::Bot, &[]),
        }
    }
    if heard.says(&Command::Help) {
        exchange.say(TextKey::Help, &[]);
        has_answered = true;
    }
    if heard.says(&Command::View) {
        has_answered = true;
        if !exchange.talk.order.lines.is_empty() {
            quote::say_basket(exchange);
        } else if exchange.talk.kept.is_some() {
            talking::say_kept(exchange);
        } else if !orders::say_last(exchange) {
            exchange.say(TextKey::BasketEmpty, &[]);
        }
    }
    has_answered
}

/// `qué tienen` wants the menu; `tienen sushi` wants to know of sushi.
fn say_whole_menu(exchange: &mut Exchange<'_>, plain: &str) {
    let talk = [
        "que",
        "tienen",
        "recomienda",
        "recomiendas",
        "recomendaciones",
        "rico",
        "recomiendan",
        "recomiende",
        "algo",
        "hay",
        "venden",
        "ofrecen",
        "menu",
        "carta",
        "el",
        "la",
        "me",
        "para",
        "hoy",
        "de",
        "ustedes",
        "por",
        "favor",
        "hola",
        "buenas",
        "tardes",
        "noches",
        "buenos",
        "dias",
        "catalogo",
        "muestra",
        "muestre",
        "muestreme",
        "envia",
        "envie",
        "enviame",
        "envieme",
        "manda",
        "mande",
        "mandame",
        "pasa",
        "pase",
        "pasame",
        "regala",
        "regaleme",
        "ver",
        "quiero",
        "puede",
        "puedo",
        "su",
        "comer",
        "tiene",
        "del",
        "dia",
        "cual",
        "es",
        "y",
        "precios",
        "con",
        "the",
        "what",
        "do",
        "you",
        "have",
        "show",
        "see",
        "can",
        "i",
    ];
    if plain.split(' ').all(|word| talk.contains(&word)) {
        menu_pages::say_menu(exchange);
    } else {
        exchange.say(TextKey::NotOnMenu, &[]);
    }
}

fn say_price(exchange: &mut Exchange<'_>, said: &str) {
    if menu_pages::say_named(exchange, said) {
        return;
    }
    if exchange.talk.order.lines.is_empty() {
        return exchange.say(TextKey::NotOnMenu, &[]);
    }
    // At the summary, the question is for its total.
    if exchange.talk.phase != Phase::Confirming || exchange.talk.shown.is_none() || !quote::say_summary(exchange) {
        quote::say_basket(exchange);
    }
}

/// The time until an order comes: the stage of one that is under way, or the time that it takes.
fn say_wait(exchange: &mut Exchange<'_>) {
    let has_open = exchange.talk.orders.iter().any(|order| !order.stage.is_final());
    match exchange.restaurant.settings.delivery_time {
        Some(time) if !has_open => exchange.say_text(words::minutes(time, exchange.language())),
        _ => orders::say_status(exchange),
    }
}

fn say_hours(exchange: &mut Exchange<'_>) {
    let settings = &exchange.restaurant.settings;
    let now = exchange.moment.now;
    if !settings.is_open(now) {
        return gates::say_closed(exchange);
    }
    let today = now.to_zoned(settings.time_zone()).date();
    let hours = settings.business_hours.as_ref().filter(|hours| hours.enabled);
    match hours.and_then(|hours| hours.hours_on(today)) {
        Some((open, close)) => exchange.say(TextKey::OpenNow, &[("open", open), ("close", close)]),
        None => exchange.say(TextKey::OpenAlways, &[]),
    }
}

fn say_delivery(exchange: &mut Exchange<'_>) {
    let settings = &exchange.restaurant.settings;
    if !settings.delivers {
        return exchange.say(TextKey::NoDelivery, &[]);
    }
    let language = settings.language;
    let spanish = language == Language::Es;
    let cost = settings.delivery_cost;
    let amount = |money: Option<Money>| money.filter(|money| *money > Money::ZERO);
    let delivery = match amount(cost.map(|cost| cost.cost)) {
        Some(cost) if spanish => format!("El domicilio cuesta {cost}."),
        Some(cost) => format!("Delivery costs {cost}."),
        None if cost.is_some() && spanish => "El domicilio es gratis.".to_owned(),
        None if cost.is_some() => "Delivery is free.".to_owned(),
        None => String::new(),
    };
    let sentence = |money: Option<Money>, es: &str, en: &str| {
        amount(money).map(|money| format!("{} {money}.", if spanish { es } else { en })).unwrap_or_default()
    };
    let free = sentence(cost.and_then(|cost| cost.free_delivery_min), "Es gratis desde", "It is free from");
    let minimum = sentence(
        cost.and_then(|cost| cost.minimum_order),
        "El pedido mínimo a domicilio es de",
        "The minimum order for delivery is",
    );
    let time = settings.delivery_time.map(|time| words::minutes(time, language)).unwrap_or_default();
    let values = [("delivery", delivery.as_str()), ("free_from", &free), ("minimum", &minimum), ("time", &time)];
    exchange.say(TextKey::DeliveryInfo, &values);
}

fn say_place(exchange: &mut Exchange<'_>) {
    match exchange.restaurant.settings.address.trim() {
        "" => exchange.say(TextKey::PlaceUnknown, &[]),
        address => exchange.say(TextKey::Place, &[("address", address)]),
    }
}

fn say_payments(exchange: &mut Exchange<'_>) {
    let settings = &exchange.restaurant.settings;
    let names = settings.payment_methods.iter().map(|method| words::payment(*method, settings.language));
    let mut names: Vec<&str> = names.collect();
    if names.is_empty() {
        names.push(if settings.language == Language::Es { "efectivo al recibir" } else { "cash at the door" });
    }
    exchange.say(TextKey::PaymentInfo, &[("options", &names.join(", "))]);
}
