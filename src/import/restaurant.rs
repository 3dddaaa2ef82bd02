//! What the old service keeps of a restaurant beside its session: the menu, the hours, what bringing costs and takes, the bot's switches.
//!
//! Pure. Owns [`RestaurantCopy`], in the bot's own forms, and the places that it comes from. Promises: each dish and each setting is whole
//! or left out, and told; none of them makes an import fail. Without the old bot's word the bot stays off.

use std::collections::BTreeMap;

use super::{
    EntryError, EntryKind, ImportLimits, ImportTally,
    json::{self, JsonBudget, JsonNode},
};
use crate::bot::{
    menu::{MAX_ITEMS, Menu, MenuItem},
    money::Money,
    restaurant::{BusinessHours, DEFAULT_TIME_ZONE, DayHours, DeliveryCost, DeliveryTime, RestaurantSettings},
};

/// Bytes of one place. A menu of 2,000 dishes with long descriptions is smaller; pictures are not read.
pub const PLACE_BYTES: usize = 1 << 20;
const PLACE_VALUES: usize = 40_000;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestaurantCopy {
    pub menu: Option<Menu>,
    pub settings: Option<RestaurantSettings>,
}

/// The places below a tenant, as they were found.
#[derive(Debug, Default)]
pub struct RestaurantPlaces {
    /// `restaurant/name`.
    pub name: FoundPlace,
    /// `menu/items`.
    pub items: FoundPlace,
    /// `config`.
    pub config: FoundPlace,
    /// `bot/config`.
    pub bot: FoundPlace,
    /// `bot/quickOrderMode`.
    pub quick_order: FoundPlace,
}

impl RestaurantPlaces {
    /// A child of the tenant, whole: `menu`, `config` or `bot`.
    pub fn put(&mut self, name: &str, place: FoundPlace) {
        match name {
            "menu" => self.items = place.below("items"),
            "config" => self.config = place,
            _ => {
                self.quick_order = place.clone().below("quickOrderMode");
                self.bot = place.below("config");
            }
        }
    }
}

/// What stands in a place.
#[derive(Debug, Clone, Default)]
pub enum FoundPlace {
    #[default]
    Nothing,
    Value(JsonNode),
    Unreadable(EntryError),
}

impl FoundPlace {
    /// The text that a database answers with.
    pub fn read(text: &[u8], limits: &ImportLimits) -> Self {
        match json::read(text, "a place", &budget(limits)) {
            Ok(JsonNode::Null) => Self::Nothing,
            Ok(node) => Self::Value(node),
            Err(super::ImportError::TooLarge { .. }) => Self::Unreadable(EntryError::TooLarge),
            Err(_) => Self::Unreadable(EntryError::Json),
        }
    }

    /// A part of it.
    pub fn below(self, name: &str) -> Self {
        match self {
            Self::Value(node) => node.get(name).map_or(Self::Nothing, |node| Self::Value(node.clone())),
            other => other,
        }
    }

    fn value(self, name: &str, kind: EntryKind, tally: &mut ImportTally) -> Option<JsonNode> {
        match self {
            Self::Value(node) => Some(node),
            Self::Nothing => None,
            Self::Unreadable(reason) => {
                tally.drop_entry(kind, name, &reason);
                None
            }
        }
    }
}

/// What one place may cost.
pub fn budget(limits: &ImportLimits) -> JsonBudget {
    JsonBudget::new(&ImportLimits { tenant_bytes: PLACE_BYTES, values: PLACE_VALUES, ..*limits })
}

impl RestaurantCopy {
    pub fn read(places: RestaurantPlaces, tally: &mut ImportTally) -> Self {
        let items = places.items.value("menu/items", EntryKind::MenuItem, tally);
        let menu = items.map(|items| menu(items, tally)).filter(|menu| !menu.items.is_empty());
        let mut settings = SettingsReader { settings: RestaurantSettings::default(), found: 0, tally };
        settings.read_name(places.name);
        settings.read_config(places.config);
        settings.read_bot(places.bot, places.quick_order);
        let SettingsReader { settings, found, .. } = settings;
        Self { menu, settings: (found > 0).then_some(settings) }
    }
}

fn menu(node: JsonNode, tally: &mut ImportTally) -> Menu {
    let mut menu = Menu { id: String::new(), name: String::new(), items: Vec::new() };
    // A database without arrays makes one of objects with numbers for names.
    let named = match node {
        JsonNode::Map(fields) => fields,
        JsonNode::List(items) => items.into_iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        JsonNode::Bytes(bytes) if bytes.is_empty() => Vec::new(),
        _ => {
            tally.drop_entry(EntryKind::MenuItem, "menu/items", &EntryError::Invalid("the menu"));
            Vec::new()
        }
    };
    for (name, node) in named {
        if node == JsonNode::Null {
            continue;
        }
        match item(&name, &node) {
            Ok(item) if menu.items.len() < MAX_ITEMS && menu.item(&item.id).is_none() => menu.items.push(item),
            Ok(_) if menu.items.len() < MAX_ITEMS => {
                tally.drop_entry(EntryKind::MenuItem, &name, &EntryError::Invalid("its id, which another dish has,"));
            }
            Ok(_) => tally.drop_entry(EntryKind::MenuItem, &name, &EntryError::TooLarge),
            Err(reason) => tally.drop_entry(EntryKind::MenuItem, &name, &reason),
        }
    }
    tally.keep(EntryKind::MenuItem, menu.items.len());
    menu
}

fn item(name: &str, node: &JsonNode) -> Result<MenuItem, EntryError> {
    let text = |field| node.get(field).and_then(JsonNode::text).unwrap_or_default().trim().to_owned();
    let id = Some(text("id")).filter(|id| !id.is_empty()).unwrap_or_else(|| name.to_owned());
    let price = node.get("price").ok_or(EntryError::Missing("its price"))?;
    let item = MenuItem {
        id,
        name: text("name"),
        price: amount(price).ok_or(EntryError::Invalid("its price"))?,
        category: text("category"),
        description: text("description"),
        available: node.get("available").is_none_or(|flag| *flag != JsonNode::Bool(false)),
        aliases: Vec::new(),
    };
    let alone = Menu { id: String::new(), name: String::new(), items: vec![item] };
    // It names the dish, which the tally does as well.
    alone.validate().map_err(|_| EntryError::Invalid("its name, price or description"))?;
    alone.items.into_iter().next().ok_or(EntryError::Unreadable)
}

fn amount(node: &JsonNode) -> Option<Money> {
    u64::try_from(json::integer(node)?).ok().map(Money::new)
}

/// Takes one setting after the other.
struct SettingsReader<'t> {
    settings: RestaurantSettings,
    found: usize,
    tally: &'t mut ImportTally,
}

impl SettingsReader<'_> {
    fn read_name(&mut self, place: FoundPlace) {
        let name = place.value("restaurant/name", EntryKind::BotSetting, self.tally);
        if let Some(name) = name.as_ref().and_then(JsonNode::text).map(str::trim).filter(|name| !name.is_empty()) {
            self.take("restaurant/name", Some(name.to_owned()), |settings, name| settings.name = name);
        }
    }

    fn read_config(&mut self, place: FoundPlace) {
        let Some(config) = place.value("config", EntryKind::BotSetting, self.tally) else { return };
        if let Some(node) = config.get("businessHours") {
            self.take("config/businessHours", hours(node), |settings, hours| settings.business_hours = Some(hours));
        }
        if let Some(node) = config.get("deliveryTime") {
            let minutes = |name| node.get(name).and_then(json::integer).and_then(|value| u32::try_from(value).ok());
            let time = minutes("min").zip(minutes("max")).map(|(min, max)| DeliveryTime { min, max });
            self.take("config/deliveryTime", time, |settings, time| settings.delivery_time = Some(time));
        }
        if let Some(node) = config.get("deliveryCost") {
            let cost = node.get("cost").and_then(amount).map(|cost| DeliveryCost {
                cost,
                // 0 is the old page's word for "never free".
                free_delivery_min: node.get("freeDeliveryMin").and_then(amount).filter(|least| *least > Money::ZERO),
                minimum_order: None,
            });
            self.take("config/deliveryCost", cost, |settings, cost| settings.delivery_cost = Some(cost));
        }
    }

    fn read_bot(&mut self, bot: FoundPlace, quick_order: FoundPlace) {
        let bot = bot.value("bot/config", EntryKind::BotSetting, self.tally);
        if let Some(active) = bot.as_ref().and_then(|bot| bot.get("active")) {
            // As the old service: whatever is not `true` is off.
            self.take("bot/config", Some(active.is_true()), |settings, active| settings.active = active);
        }
        if let Some(flag) = quick_order.value("bot/quickOrderMode", EntryKind::BotSetting, self.tally) {
            let flag = Some(flag.is_true());
            self.take("bot/quickOrderMode", flag, |settings, flag| settings.quick_order_mode = flag);
        }
    }

    /// One that the bot would not take, written by its owner, is left out.
    fn take<T>(&mut self, name: &'static str, value: Option<T>, put: impl FnOnce(&mut RestaurantSettings, T)) {
        let mut settings = self.settings.clone();
        let is_whole = value.is_some_and(|value| {
            put(&mut settings, value);
            settings.validate().is_ok()
        });
        if is_whole {
            self.settings = settings;
            self.found += 1;
            self.tally.keep(EntryKind::BotSetting, 1);
        } else {
            self.tally.drop_entry(EntryKind::BotSetting, name, &EntryError::Invalid("the setting"));
        }
    }
}

fn hours(node: &JsonNode) -> Option<BusinessHours> {
    let mut schedule = BTreeMap::new();
    for (day, hours) in node.get("schedule").and_then(JsonNode::fields).unwrap_or_default() {
        let text = |name| hours.get(name).and_then(JsonNode::text).unwrap_or_default().trim().to_owned();
        let active = hours.get("active").is_some_and(JsonNode::is_true);
        schedule.insert(day.to_lowercase(), DayHours { active, open: text("open"), close: text("close") });
    }
    let zone = node.get("timezone").and_then(JsonNode::text).unwrap_or(DEFAULT_TIME_ZONE);
    node.fields()?;
    Some(BusinessHours {
        enabled: node.get("enabled").is_some_and(JsonNode::is_true),
        timezone: zone.to_owned(),
        schedule,
        exceptions: BTreeMap::new(),
    })
}
