//! The bot's forms in the API: the engine's own types, with their schemas and what is wrong with one, field by field; and an order as a
//! text to print.

use std::{borrow::Cow, collections::BTreeSet, fmt::Write as _};

use jiff::tz::TimeZone;
use reqwest::Url;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    api::{
        input::WholeForm,
        problem::{FieldError, Problem},
    },
    bot::{
        conversation::Tried,
        external,
        menu::{Menu, MenuError},
        money::Money,
        order::{Destination, PaymentStatus},
        payment::PaymentMethod,
        restaurant::{RestaurantSettings, SettingsFlaw},
        rules,
        service::{OrderRecord, Versioned},
        texts::TEXTS,
    },
};

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct MenuForm(pub Menu);

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingsForm(pub RestaurantSettings);

#[derive(Serialize)]
#[serde(transparent)]
pub struct TriedForm(pub Tried);

/// A value of the engine's, as the API shows it.
pub trait FormOf<T> {
    fn of(value: T) -> Self;
}

impl FormOf<Menu> for MenuForm {
    fn of(value: Menu) -> Self {
        Self(value)
    }
}

impl FormOf<RestaurantSettings> for SettingsForm {
    /// A key is written, and never read.
    fn of(mut value: RestaurantSettings) -> Self {
        if let Some(bot) = value.external_bot.as_mut().filter(|bot| !bot.key.is_empty()) {
            bot.key = external::MASK.to_owned();
        }
        Self(value)
    }
}

pub fn shown<T, F: FormOf<T>>(found: Versioned<T>) -> Versioned<F> {
    Versioned { version: found.version, value: F::of(found.value) }
}

impl WholeForm for MenuForm {
    /// The first one.
    fn flaws(&self, _: &BTreeSet<String>) -> Vec<FieldError> {
        let Err(error) = self.0.validate() else { return Vec::new() };
        let of = |id: &str, field: &str| match self.0.items.iter().position(|item| item.id == id) {
            Some(at) => format!("items[{at}].{field}"),
            None => "items".to_owned(),
        };
        let field = match &error {
            MenuError::TooManyItems => "items".to_owned(),
            MenuError::NoId(number) | MenuError::LongId(number) => format!("items[{}].id", number - 1),
            MenuError::DuplicateId(id) => {
                let last = self.0.items.iter().rposition(|item| item.id == *id).unwrap_or_default();
                format!("items[{last}].id")
            }
            MenuError::Name(id)
            | MenuError::BrokenName(id)
            | MenuError::AnswerAsName(id)
            | MenuError::DuplicateName(id) => of(id, "name"),
            MenuError::Description(id) => of(id, "description"),
            MenuError::Price(id) => of(id, "price"),
            MenuError::Alias(id) => of(id, "aliases"),
        };
        vec![FieldError { field: field.into(), message: error.to_string() }]
    }
}

impl WholeForm for SettingsForm {
    fn flaws(&self, unread: &BTreeSet<String>) -> Vec<FieldError> {
        let mut flaws = self.0.flaws();
        // Each of them is among the payment methods, or not: nobody knows.
        flaws.retain(|flaw| flaw.field != "prepayMethods" || !unread.contains("paymentMethods"));
        let field = |flaw: SettingsFlaw| FieldError { field: flaw.field.into(), message: flaw.error.to_string() };
        flaws.into_iter().map(field).collect()
    }
}

impl SettingsForm {
    pub fn is_masked(&self) -> bool {
        self.0.external_bot.as_ref().is_some_and(|bot| bot.key == external::MASK)
    }

    /// A mask in the place of the external bot's key stands for the key that is known of the same server, and of no other.
    pub fn unmask(&mut self, before: &RestaurantSettings) -> Result<(), Problem> {
        let Some(bot) = self.0.external_bot.as_mut().filter(|bot| bot.key == external::MASK) else { return Ok(()) };
        let origin = |url: &str| url.parse::<Url>().ok().map(|url| url.origin());
        let known = before.external_bot.as_ref().filter(|known| {
            !known.key.is_empty() && origin(&known.url).is_some() && origin(&known.url) == origin(&bot.url)
        });
        let Some(known) = known else {
            let message = "expected the key: none is known of this server".to_owned();
            return refuse(vec![FieldError { field: "externalBot.key".into(), message }]);
        };
        bot.key.clone_from(&known.key);
        Ok(())
    }
}

/// Refuses what has flaws, and names all of them.
pub fn refuse(flaws: Vec<FieldError>) -> Result<(), Problem> {
    let Some(first) = flaws.first() else { return Ok(()) };
    Err(Problem::invalid(format!("{}: {}", first.field, first.message), flaws))
}

fn amount() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": 1_000_000_000_000_u64 })
}

impl JsonSchema for MenuForm {
    fn schema_name() -> Cow<'static, str> {
        "BotMenu".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "What customers order from. Prices are whole numbers of the smallest unit that prices are written in: pesos in Colombia.",
            "required": ["items"], "additionalProperties": false,
            "properties": {
                "menu": { "type": "string", "description": "A name of the menu's own; a tenant has one menu." },
                "name": { "type": "string" },
                "items": {
                    "type": "array", "maxItems": crate::bot::menu::MAX_ITEMS,
                    "items": {
                        "type": "object",
                        "required": ["id", "name", "price"], "additionalProperties": false,
                        "properties": {
                            "id": { "type": "string", "maxLength": 100, "pattern": "\\S", "description": "Baskets hold it: it stays when the name changes." },
                            "name": { "type": "string", "minLength": 1, "maxLength": 200, "description": "With a letter in it." },
                            "price": amount(),
                            "category": { "type": "string" },
                            "description": { "type": "string", "maxLength": 2000 },
                            "available": { "type": "boolean", "default": true, "description": "false: sold out." },
                            "aliases": { "type": "array", "maxItems": 50, "items": { "type": "string", "minLength": 1, "maxLength": 200 }, "description": "What customers call it; each with a letter in it." },
                        },
                    },
                },
            },
            "examples": [{
                "name": "Carta",
                "items": [
                    { "id": "aji", "name": "Ajiaco", "price": 24000, "category": "Sopas", "description": "Con pollo y alcaparras", "aliases": ["ajiaquito"] },
                    { "id": "lim", "name": "Limonada natural", "price": 7000, "category": "Bebidas", "available": true },
                ],
            }],
        })
    }
}

impl JsonSchema for SettingsForm {
    fn schema_name() -> Cow<'static, str> {
        "BotSettings".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let methods = json!({ "type": "array", "items": { "enum": ["efectivo", "nequi", "daviplata", "transferencia", "tarjeta"] } });
        let time = json!({ "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" });
        let day = json!({
            "type": "object",
            "required": ["active", "open", "close"], "additionalProperties": false,
            "properties": {
                "active": { "type": "boolean" },
                "open": { "type": "string", "examples": ["11:00"] },
                "close": { "type": "string", "examples": ["22:30"], "description": "Not after `open`: on the next day." },
            },
            "anyOf": [
                { "properties": { "active": { "const": false } } },
                { "properties": { "open": time, "close": time } },
            ],
        });
        let day_names =
            json!({ "enum": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] });
        let text_names: Vec<&str> = TEXTS.iter().map(|row| row.key.name()).collect();
        // Two characters that are seen, at least.
        let word = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$";
        let line = "^[^\\x00-\\x1f\\x7f-\\x9f]*$";
        let behaviour = json!({ "enum": ["silent", "text"] });
        let number = |least: u32, most: u32| json!({ "type": "integer", "minimum": least, "maximum": most });
        let mut schema = json_schema!({
            "type": "object",
            // One of the two.
            "not": { "required": ["delivers", "pickUp"], "properties": { "delivers": { "const": false }, "pickUp": { "const": false } } },
            "minProperties": 1,
            "additionalProperties": false,
            "description": "The bot's switches and the restaurant's rules. All of it is replaced; what is left out has its default.",
            "properties": {
                "name": { "type": "string", "maxLength": 80, "pattern": line, "description": "What the restaurant calls itself." },
                "address": { "type": "string", "maxLength": 200, "pattern": line, "description": "The restaurant's own, as customers are told it." },
                "active": { "type": "boolean", "default": false, "description": "The owner's switch. Switched on, the bot answers what comes from then on." },
                "suspended": { "type": "boolean", "default": false },
                "quickOrderMode": { "type": "boolean", "default": false, "description": "A form instead of a talk." },
                "businessHours": {
                    "type": ["object", "null"], "additionalProperties": false,
                    "properties": {
                        "enabled": { "type": "boolean", "default": false, "description": "false: always open." },
                        "timezone": { "type": "string", "default": "America/Bogota" },
                        "schedule": { "type": "object", "propertyNames": day_names, "additionalProperties": day, "description": "By English day names in lower case. A day that is left out is closed." },
                        "exceptions": { "type": "object", "propertyNames": { "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }, "additionalProperties": day, "description": "By date, like 2026-12-25." },
                    },
                },
                "deliveryTime": {
                    "type": ["object", "null"], "required": ["min", "max"], "additionalProperties": false,
                    "properties": { "min": number(0, 1440), "max": number(0, 1440) },
                    "description": "Minutes.",
                },
                "deliveryCost": {
                    "type": ["object", "null"], "required": ["cost"], "additionalProperties": false,
                    "properties": {
                        "cost": amount(),
                        "freeDeliveryMin": { "type": ["integer", "null"], "minimum": 0, "maximum": 1_000_000_000_000_u64, "description": "Delivery is free from this subtotal on." },
                        "minimumOrder": { "type": ["integer", "null"], "minimum": 0, "maximum": 1_000_000_000_000_u64 },
                    },
                },
                "paymentMethods": methods,
                "prepayMethods": methods,
                "language": { "enum": ["es", "en"], "default": "es" },
                "texts": { "type": "object", "propertyNames": { "enum": text_names }, "additionalProperties": { "type": "string", "maxLength": 1000 }, "description": "Texts of the restaurant's own, by their names." },
                "delivers": { "type": "boolean", "default": true },
                "pickUp": { "type": "boolean", "default": true },
                "askContactPhone": { "type": "boolean", "default": true },
                "whenClosed": behaviour,
                "whenOff": behaviour,
                "whenSuspended": behaviour,
                "takeoverMinutes": number(1, 10_080),
                "backWord": { "type": "string", "minLength": 2, "maxLength": 40, "pattern": word, "description": "The owner writes it into a chat, and the bot is back." },
                "idleMinutes": number(1, 1440),
                "gatherMs": number(0, 30_000),
                "humanize": { "type": "boolean", "default": true, "description": "Replies come as a human would write them: what came is marked as read, somebody types for a while, then the reply goes." },
                "loopGuard": number(2, 100),
                "muted": { "type": "array", "maxItems": 500, "items": { "type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[0-9+]+$|@" }, "description": "Phones or jids that the bot never answers." },
                "trackingUrl": { "type": "string", "maxLength": 500, "pattern": "^$|^https://\\S*\\{token\\}\\S*$", "description": "A page that shows how an order gets on; `{token}` stands for the order's." },
                "mostUnits": { "type": "integer", "minimum": 1, "maximum": 500, "default": 500, "description": "Orders with more units of one dish are for a human." },
            },
            "examples": [{
                "name": "Trattoria", "active": true,
                "businessHours": {
                    "enabled": true, "timezone": "America/Bogota",
                    "schedule": {
                        "monday": { "active": true, "open": "11:00", "close": "22:30" },
                        "tuesday": { "active": true, "open": "11:00", "close": "22:30" },
                        "wednesday": { "active": true, "open": "11:00", "close": "22:30" },
                        "thursday": { "active": true, "open": "11:00", "close": "22:30" },
                        "friday": { "active": true, "open": "11:00", "close": "23:30" },
                        "saturday": { "active": true, "open": "11:00", "close": "23:30" },
                        "sunday": { "active": false, "open": "", "close": "" },
                    },
                    "exceptions": { "2026-12-25": { "active": false, "open": "", "close": "" } },
                },
                "deliveryTime": { "min": 30, "max": 45 },
                "deliveryCost": { "cost": 5000, "freeDeliveryMin": 60000 },
                "paymentMethods": ["efectivo", "nequi"],
            }],
        });
        // Beside the macro, which takes no more.
        schema.ensure_object()["properties"]["paymentLink"] = json!({
            "type": "string", "maxLength": 500, "pattern": "^$|^https://\\S*\\{order\\}\\S*$",
            "description": "A page where an order is paid beforehand; `{order}` stands for its six digits, `{total}` for its amount, `{token}` for its token. Whoever takes the money there says so with `POST orders/{id}/payment`.",
        });
        schema.ensure_object()["properties"]["takesOrders"] = json!({
            "type": "boolean", "default": true, "description": "false: `rules` answer, and nobody orders.",
        });
        let file = json!({
            "type": ["object", "null"], "required": ["url"], "additionalProperties": false,
            "description": "Sent with `reply` as its caption, or without. A JPEG or PNG goes as a picture, an MP4 as a film, a sound as a sound, all else as a document.",
            "properties": {
                "url": { "type": "string", "minLength": 1, "maxLength": rules::MAX_FILE_URL_CHARS },
                "filename": { "type": ["string", "null"], "minLength": 1, "maxLength": rules::MAX_FILE_NAME_CHARS, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$", "description": "As a document is called. Left out: as it is called where it is." },
                "mimetype": { "type": ["string", "null"], "maxLength": rules::MAX_MIME_CHARS, "pattern": "^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[^\\x00-\\x1f\\x7f-\\x9f]*)?$", "description": "Of a document. `audio/ogg`: a voice message." },
            },
        });
        let keyword = json!({ "type": "string", "minLength": 1, "maxLength": 60 });
        schema.ensure_object()["properties"]["rules"] = json!({
            "type": "array", "maxItems": rules::MAX_RULES,
            "description": "Answers of a tenant that takes no orders, in their order. The first that is met answers; `firstContact` and `away` are said beside it.",
            "items": {
                "type": "object", "required": ["when"], "additionalProperties": false,
                "anyOf": [
                    { "required": ["reply"], "properties": { "reply": { "minLength": 1, "pattern": "\\S" } } },
                    { "required": ["file"], "properties": { "file": { "type": "object" } } },
                ],
                "properties": {
                    "when": { "anyOf": [
                        { "enum": ["firstContact", "away", "anything"] },
                        {
                            "type": "object", "required": ["keywords"], "additionalProperties": false,
                            "properties": { "keywords": { "type": "array", "minItems": 1, "maxItems": 50, "items": keyword } },
                            "description": "One of these stands in a message, as whole words. Accents and capitals do not count.",
                        },
                        {
                            "type": "object", "required": ["regex"], "additionalProperties": false,
                            "properties": { "regex": { "type": "string", "minLength": 1, "maxLength": 300 } },
                            "description": "A regular expression, as the Rust crate `regex` reads it.",
                        },
                    ] },
                    "reply": { "type": "string", "maxLength": rules::MAX_REPLY_CHARS, "description": "May name {greeting}, {name}, {restaurant} and {opening}. Beside a file it is the caption." },
                    "file": file,
                    "human": { "type": "boolean", "default": false, "description": "A human is called, and the bot is silent in that chat for `takeoverMinutes`." },
                    "pauseMinutes": number(0, 10_080),
                },
            },
        });
        schema.ensure_object()["properties"]["externalBot"] = json!({
            "type": ["object", "null"], "required": ["url"], "additionalProperties": false,
            "description": "For a tenant that takes no orders: a service of yours that answers what no rule does.",
            "properties": {
                "url": { "type": "string", "maxLength": external::MAX_URL_CHARS },
                "key": { "type": "string", "maxLength": external::MAX_KEY_CHARS, "description": "Signs requests as webhooks are signed. Write-only: who reads it gets a mask, which keeps it when it is sent back." },
                "timeoutSeconds": number(1, external::MAX_TIMEOUT_SECONDS),
                "fallback": { "type": "string", "maxLength": rules::MAX_REPLY_CHARS, "description": "Said where there is no answer in time. Empty: nothing is." },
            },
        });
        schema.ensure_object()["properties"]["languageModel"] = json!({
            "type": "boolean", "default": false,
            "description": "What the bot could not read goes to the operator's language model, if there is one: customers' words leave the house.",
        });
        schema.ensure_object()["properties"]["pacing"] = json!({
            "type": "object", "additionalProperties": false,
            "description": "How much the tenant sends at the most, whoever asks for it. What is more waits.",
            "properties": {
                "enabled": { "type": "boolean", "default": true },
                "perMinute": number(1, 10_000),
                "perHour": number(1, 100_000),
                "perDay": number(1, 1_000_000),
                "newContactsPerDay": number(1, 100_000),
                "sameTextPerHour": number(1, 100_000),
                "perRecipientPerHour": number(1, 100_000),
                "warmUpDays": number(0, 365),
            },
        });
        schema
    }
}

impl JsonSchema for TriedForm {
    fn schema_name() -> Cow<'static, str> {
        "BotTried".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let texts = json!({ "type": "array", "items": { "type": "string" } });
        json_schema!({
            "type": "object",
            "required": ["intent", "cart", "unknown", "ambiguous", "address", "payment", "replies", "conversation"],
            "properties": {
                "intent": { "type": "string", "examples": ["order"] },
                "cart": {
                    "type": "array",
                    "items": {
                        "type": "object", "required": ["item", "qty", "note"],
                        "properties": { "item": { "type": "string" }, "qty": { "type": "integer" }, "note": texts },
                    },
                },
                "unknown": texts,
                "ambiguous": { "type": "array", "items": { "type": "object", "required": ["candidates", "qty"], "properties": { "candidates": texts, "qty": { "type": "integer" } } } },
                "address": { "type": ["string", "null"] },
                "payment": { "type": ["string", "null"] },
                "replies": texts,
                "conversation": { "type": "object", "description": "For the next text." },
            },
        })
    }
}

/// As the customer reads it, in the printer's language.
fn payment_word(method: PaymentMethod) -> &'static str {
    match method {
        PaymentMethod::Efectivo => "efectivo",
        PaymentMethod::Nequi => "Nequi",
        PaymentMethod::Daviplata => "Daviplata",
        PaymentMethod::Transferencia => "transferencia",
        PaymentMethod::Tarjeta => "tarjeta",
    }
}

/// For a printer of 42 columns and more; times as the restaurant's clock has them.
pub fn printable(record: &OrderRecord, zone: TimeZone) -> String {
    let OrderRecord { order, restaurant, .. } = record;
    let mut text = String::new();
    let mut line = |said: &str| {
        // A control character of a customer's would command the printer.
        let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(text, "{}", said.trim_end());
    };
    line(restaurant);
    line(&format!("Pedido #{}", order.id));
    line(&order.placed_at.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string());
    line("");
    line(&format!("Cliente: {}", order.customer));
    let phone = order.contact_phone.as_deref().or(order.phone.as_deref());
    if let Some(phone) = phone {
        line(&format!("Tel: {phone}"));
    }
    match &order.destination {
        Destination::Delivery { address, location } => {
            line(&format!("Domicilio: {address}"));
            if let Some((latitude, longitude)) = location {
                line(&format!("https://maps.google.com/?q={latitude},{longitude}"));
            }
        }
        Destination::PickUp => line("Recoge en el restaurante"),
    }
    line("");
    for item in &order.lines {
        let sum = item.price.times(item.qty).unwrap_or_default();
        line(&format!("{} x {}  {sum}", item.qty, item.name));
        item.notes.iter().for_each(|note| line(&format!("    - {note}")));
    }
    line("");
    line(&format!("Subtotal: {}", order.subtotal));
    match (&order.destination, order.delivery_cost) {
        (Destination::PickUp, Money::ZERO) => {}
        (_, Money::ZERO) => line("Envío: gratis"),
        (_, cost) => line(&format!("Envío: {cost}")),
    }
    line(&format!("TOTAL: {}", order.total));
    if let Some(method) = order.payment_method {
        line(&format!("Pago: {}", payment_word(method)));
    }
    line(match order.payment_status {
        PaymentStatus::Pending => "Falta el pago",
        PaymentStatus::Cash => "Se paga al recibir",
        PaymentStatus::Paid => "Pagado",
    });
    if !order.comment.is_empty() {
        line("");
        line(&format!("Nota: {}", order.comment));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_order_has_the_restaurants_time_the_place_and_words_for_the_payment() {
        let record = |status: &str| -> OrderRecord {
            let order = json!({
                "id": "a1b2c3", "customer": "Ana\u{1b}@", "chat": "573001112233@s.whatsapp.net", "phone": null, "contactPhone": null,
                "destination": { "kind": "delivery", "address": "Calle 1 # 2-3", "location": [4.65, -74.05] },
                "comment": "", "lines": [{ "item": "aji", "name": "Ajiaco", "price": 24000, "qty": 2 }],
                "subtotal": 48000, "deliveryCost": 0, "total": 48000, "stage": "pendiente", "paymentMethod": "nequi",
                "paymentStatus": status, "trackingToken": "", "placedAt": "2026-03-01T02:30:00Z",
            });
            let record = json!({ "order": order, "restaurant": "Trattoria", "updated_at": "2026-03-01T02:30:00Z" });
            serde_json::from_value(record).unwrap()
        };
        let print = |status| printable(&record(status), TimeZone::get("America/Bogota").unwrap());
        let printed = print("PENDING");
        for part in [
            "2026-02-28 21:30\n",
            "maps.google.com/?q=4.65,-74.05\n",
            "Envío: gratis\n",
            "Pago: Nequi\nFalta el pago\n",
            "Ana @\n",
        ] {
            assert!(printed.contains(part), "{part} in {printed}");
        }
        assert!(print("CASH").contains("Se paga al recibir\n") && print("PAID").contains("Pagado\n"));
    }
}
