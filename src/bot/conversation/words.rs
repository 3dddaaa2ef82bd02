//! Small words of both languages that texts are filled with: times of the day, stages, methods; and customers' words made fit for
//! a sentence. Owns no template.

use jiff::{Timestamp, Zoned, civil::Weekday};

use crate::bot::{
    order::{Destination, OrderStage},
    payment::PaymentMethod,
    restaurant::DeliveryTime,
    texts::Language::{self, En, Es},
};

pub fn greeting(hour: i8, language: Language) -> &'static str {
    match (hour, language) {
        (5..12, Es) => "Buenos días",
        (12..19, Es) => "Buenas tardes",
        (_, Es) => "Buenas noches",
        (5..12, En) => "Good morning",
        (12..18, En) => "Good afternoon",
        (_, En) => "Good evening",
    }
}

pub fn our_restaurant(language: Language) -> &'static str {
    if language == Es { "nuestro restaurante" } else { "our restaurant" }
}

pub fn or(language: Language) -> &'static str {
    if language == Es { " o " } else { " or " }
}

pub fn payment(method: PaymentMethod, language: Language) -> &'static str {
    match (method, language) {
        (PaymentMethod::Efectivo, Es) => "efectivo",
        (PaymentMethod::Efectivo, En) => "cash",
        (PaymentMethod::Nequi, _) => "Nequi",
        (PaymentMethod::Daviplata, _) => "Daviplata",
        (PaymentMethod::Transferencia, Es) => "transferencia",
        (PaymentMethod::Transferencia, En) => "bank transfer",
        (PaymentMethod::Tarjeta, Es) => "tarjeta",
        (PaymentMethod::Tarjeta, En) => "card",
    }
}

pub fn stage(stage: OrderStage, is_pick_up: bool, is_unpaid: bool, language: Language) -> &'static str {
    match (stage, language) {
        (OrderStage::Pendiente, Es) if is_unpaid => "confirmado, esperamos su pago",
        (OrderStage::Pendiente, En) if is_unpaid => "confirmed, we wait for your payment",
        (OrderStage::Pendiente, Es) => "confirmado, en espera de la cocina",
        (OrderStage::Pendiente, En) => "confirmed, waiting for the kitchen",
        (OrderStage::Cocinando, Es) => "en preparación",
        (OrderStage::Cocinando, En) => "being prepared",
        (OrderStage::Listo, Es) if is_pick_up => "listo para recoger",
        (OrderStage::Listo, En) if is_pick_up => "ready to be picked up",
        (OrderStage::Listo, Es) => "listo, va en camino",
        (OrderStage::Listo, En) => "ready and on its way",
        (OrderStage::Entregado, Es) => "entregado",
        (OrderStage::Entregado, En) => "delivered",
        (OrderStage::Cancelado, Es) => "cancelado",
        (OrderStage::Cancelado, En) => "cancelled",
    }
}

pub fn minutes(time: DeliveryTime, language: Language) -> String {
    match (time.min == time.max, language) {
        (true, Es) => format!("Tiempo estimado: {} minutos.", time.max),
        (true, En) => format!("Expected time: {} minutes.", time.max),
        (false, Es) => format!("Tiempo estimado: {} a {} minutos.", time.min, time.max),
        (false, En) => format!("Expected time: {} to {} minutes.", time.min, time.max),
    }
}

pub fn destination(destination: &Destination, language: Language) -> String {
    match (destination, language) {
        (Destination::Delivery { address, .. }, Es) => format!("Entrega: {address}"),
        (Destination::Delivery { address, .. }, En) => format!("Delivery to: {address}"),
        (Destination::PickUp, Es) => "Para recoger en el restaurante".to_owned(),
        (Destination::PickUp, En) => "To be picked up at the restaurant".to_owned(),
    }
}

pub fn labelled(es: &str, en: &str, value: &str, language: Language) -> String {
    match value {
        "" => String::new(),
        value => format!("{}: {value}", if language == Es { es } else { en }),
    }
}

/// `hoy a las 11:00`.
pub fn opening(opens: &Zoned, now: Timestamp, language: Language) -> String {
    let today = now.to_zoned(opens.time_zone().clone()).date();
    let days = today.until(opens.date()).map_or(0, |span| span.get_days());
    let time = opens.strftime("%H:%M");
    let day = match (days, language) {
        (0, Es) => "hoy".to_owned(),
        (0, En) => "today".to_owned(),
        (1, Es) => "mañana".to_owned(),
        (1, En) => "tomorrow".to_owned(),
        (2..7, Es) => format!("el {}", weekday(opens.weekday(), Es)),
        (2..7, En) => format!("on {}", weekday(opens.weekday(), En)),
        (_, Es) => format!("el {}", opens.strftime("%d/%m")),
        (_, En) => format!("on {}", opens.strftime("%Y-%m-%d")),
    };
    if language == Es { format!("{day} a las {time}") } else { format!("{day} at {time}") }
}

fn weekday(day: Weekday, language: Language) -> &'static str {
    match (day, language) {
        (Weekday::Monday, Es) => "lunes",
        (Weekday::Tuesday, Es) => "martes",
        (Weekday::Wednesday, Es) => "miércoles",
        (Weekday::Thursday, Es) => "jueves",
        (Weekday::Friday, Es) => "viernes",
        (Weekday::Saturday, Es) => "sábado",
        (Weekday::Sunday, Es) => "domingo",
        (Weekday::Monday, En) => "Monday",
        (Weekday::Tuesday, En) => "Tuesday",
        (Weekday::Wednesday, En) => "Wednesday",
        (Weekday::Thursday, En) => "Thursday",
        (Weekday::Friday, En) => "Friday",
        (Weekday::Saturday, En) => "Saturday",
        (Weekday::Sunday, En) => "Sunday",
    }
}

/// Foreign words on one line, without WhatsApp's marks, cut.
pub fn one_line(text: &str, most: usize) -> String {
    let is_mark = |c: char| matches!(c, '*' | '_' | '~' | '`' | '{' | '}') || c.is_control() && !c.is_whitespace();
    let plain: String = text.chars().filter(|c| !is_mark(*c) && !is_invisible(*c)).collect();
    let joined = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&joined, most).trim_end().to_owned()
}

/// Characters that turn the direction of a text or hide in it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

pub fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}

/// Ten digits of a Colombian mobile in the way in which people write them.
pub fn phone(digits: &str) -> String {
    let local = digits.strip_prefix("57").filter(|rest| rest.len() == 10).unwrap_or(digits);
    match local.len() {
        10 if local.is_ascii() => format!("{} {} {}", &local[..3], &local[3..6], &local[6..]),
        _ => local.to_owned(),
    }
}
