//! Amounts of a basket by the menu of this moment, and lines as customers read them. Owns the arithmetic of an order; remembers nothing.

use super::{Restaurant, exchange::Exchange, state::ShownSummary, words};
use crate::bot::{
    OrderState,
    basket::BasketLine,
    menu::Menu,
    money::Money,
    order::{Destination, OrderLine},
    texts::{Language, TextKey},
};

/// Names are shown up to here.
const MAX_NAME_CHARS: usize = 80;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub lines: Vec<OrderLine>,
    pub subtotal: Money,
    pub delivery_cost: Money,
    pub total: Money,
}

impl Quote {
    /// `None`: the menu has a dish no longer, or the sum is beyond all measure.
    pub fn new(order: &OrderState, destination: Option<&Destination>, restaurant: &Restaurant) -> Option<Self> {
        let menu = restaurant.parser.menu();
        let line = |line: &BasketLine| {
            let item = menu.item(&line.item)?;
            let (name, notes) = (words::one_line(&item.name, MAX_NAME_CHARS), line.notes.clone());
            Some(OrderLine { item: item.id.clone(), name, price: item.price, qty: line.qty, notes })
        };
        let lines: Vec<OrderLine> = order.lines.iter().map(line).collect::<Option<_>>()?;
        let subtotal = lines.iter().try_fold(Money::ZERO, |sum, line| sum.plus(line.price.times(line.qty)?))?;
        let costs = restaurant.settings.delivery_cost;
        let delivery_cost = match destination {
            Some(Destination::Delivery { .. }) => costs.map_or(Money::ZERO, |costs| costs.of(subtotal)),
            _ => Money::ZERO,
        };
        Some(Self { total: subtotal.plus(delivery_cost)?, lines, subtotal, delivery_cost })
    }

    pub fn shown(&self) -> ShownSummary {
        ShownSummary {
            lines: self.lines.iter().map(|line| (line.name.clone(), line.price)).collect(),
            delivery_cost: self.delivery_cost,
            total: self.total,
        }
    }

    pub fn items(&self) -> String {
        let lines = self.lines.iter().enumerate().map(|(at, line)| {
            let price = line.price.times(line.qty).unwrap_or(Money::ZERO);
            format!("{}. {} × {}{}: {price}", at + 1, line.qty, line.name, noted(&line.notes))
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The differences between two summaries of one basket, in words.
pub fn changes(shown: &ShownSummary, now: &Quote, language: Language) -> String {
    let spanish = language == Language::Es;
    let mut changes = Vec::new();
    for line in &now.lines {
        match shown.lines.iter().find(|(name, _)| *name == line.name) {
            Some((_, price)) if *price != line.price => changes.push(match spanish {
                true => format!("{} ahora vale {} (antes {price}).", line.name, line.price),
                false => format!("{} is {} now (it was {price}).", line.name, line.price),
            }),
            _ => {}
        }
    }
    if shown.delivery_cost != now.delivery_cost {
        changes.push(match spanish {
            true => format!("El domicilio ahora vale {}.", now.delivery_cost),
            false => format!("Delivery is {} now.", now.delivery_cost),
        });
    }
    changes.join(" ")
}

fn noted(notes: &[String]) -> String {
    match notes {
        [] => String::new(),
        notes => format!(" ({})", notes.iter().map(|note| words::one_line(note, 80)).collect::<Vec<_>>().join(", ")),
    }
}

/// `2 × Hamburguesa Sencilla, 1 × Coca-Cola 400 ml`.
pub fn names(lines: &[BasketLine], menu: &Menu, language: Language, separator: &str) -> String {
    let unknown =
        if language == Language::Es { "un plato que ya no está en la carta" } else { "a dish that left the menu" };
    let name = |line: &BasketLine| {
        let name = menu.item(&line.item).map_or(unknown.to_owned(), |item| words::one_line(&item.name, MAX_NAME_CHARS));
        format!("{} × {name}{}", line.qty, noted(&line.notes))
    };
    lines.iter().take(40).map(name).collect::<Vec<_>>().join(separator)
}

/// `Brownie con Helado, Yuca al Vapor`, each once.
pub fn bare_names(lines: &[BasketLine], menu: &Menu, language: Language) -> String {
    let mut names: Vec<String> = Vec::new();
    for line in lines.iter().take(40) {
        let bare = BasketLine { item: line.item.clone(), qty: 1, notes: Vec::new() };
        let name = self::names(&[bare], menu, language, "");
        let name = name.trim_start_matches("1 × ").to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// Tells the basket, and what it costs so far.
pub fn say_basket(exchange: &mut Exchange<'_>) {
    match Quote::new(&exchange.talk.order, None, exchange.restaurant) {
        Some(quote) if !quote.lines.is_empty() => {
            let subtotal = quote.subtotal.to_string();
            exchange.say(TextKey::Noted, &[("items", &quote.items()), ("subtotal", &subtotal)]);
        }
        _ => {}
    }
}

/// Takes out what the menu has no longer, and says so. True: something went.
pub fn prune(exchange: &mut Exchange<'_>) -> bool {
    let menu = exchange.menu();
    let is_there = |line: &BasketLine| menu.item(&line.item).is_some_and(|item| item.available);
    let order = &mut exchange.talk.order;
    let gone: Vec<BasketLine> = order.lines.iter().filter(|line| !is_there(line)).cloned().collect();
    if gone.is_empty() {
        return false;
    }
    order.lines.retain(is_there);
    order.focus = None;
    let items = bare_names(&gone, menu, exchange.language());
    exchange.say(TextKey::SoldOut, &[("items", &items)]);
    true
}

/// The summary with its total; what is confirmed next is this.
pub fn say_summary(exchange: &mut Exchange<'_>) -> bool {
    let talk = &exchange.talk;
    let Some(quote) = Quote::new(&talk.order, talk.destination.as_ref(), exchange.restaurant) else { return false };
    let language = exchange.language();
    let settings = &exchange.restaurant.settings;
    let is_delivery = matches!(talk.destination, Some(Destination::Delivery { .. }));
    let delivery = match (is_delivery, quote.delivery_cost) {
        (false, _) => String::new(),
        (true, Money::ZERO) if language == Language::Es => "Domicilio: gratis".to_owned(),
        (true, Money::ZERO) => "Delivery: free".to_owned(),
        (true, cost) => words::labelled("Domicilio", "Delivery", &cost.to_string(), language),
    };
    let destination = talk.destination.as_ref().map(|place| words::destination(place, language)).unwrap_or_default();
    let phone = talk.contact_phone.as_deref().map(words::phone).unwrap_or_default();
    let phone = words::labelled("Teléfono", "Phone", &phone, language);
    let payment = talk.payment.map(|method| words::payment(method, language)).unwrap_or_default();
    let payment = words::labelled("Pago", "Payment", payment, language);
    let comment = words::labelled("Observaciones", "Comments", &talk.comment, language);
    let time = settings.delivery_time.map(|time| words::minutes(time, language)).unwrap_or_default();
    exchange.say(
        TextKey::Summary,
        &[
            ("items", &quote.items()),
            ("subtotal", &quote.subtotal.to_string()),
            ("delivery", &delivery),
            ("total", &quote.total.to_string()),
            ("destination", &destination),
            ("phone", &phone),
            ("payment", &payment),
            ("comment", &comment),
            ("time", &time),
        ],
    );
    exchange.talk.shown = Some(quote.shown());
    exchange.talk.shown_at = Some(exchange.moment.now);
    true
}
