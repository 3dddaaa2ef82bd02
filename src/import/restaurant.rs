//! What the old service keeps of a restaurant beside its session: the menu, the hours, what bringing costs and takes, the bot's switches.
//!
//! Pure. Owns [`RestaurantCopy`], in the bot's own forms, and the places that it comes from. Promises: each dish and each setting is whole
//! or left out, and told; none of them makes an import fail. Without the old bot's word the bot stays off. What an owner has written here
//! and the source does not know of stays: aliases, days off, texts; and so does the switch of the bot.

use std::collections::{BTreeMap, HashSet};

use super::{
    EntryError, EntryKind, ImportError, ImportLimits, ImportTally,
    json::{self, JsonBudget, JsonNode},
};
use crate::bot::{
    menu::{MAX_ITEMS, Menu, MenuItem, spoken_in},
    money::Money,
    owner_records::Versioned,
    restaurant::{BusinessHours, DEFAULT_TIME_ZONE, DayHours, DeliveryCost, DeliveryTime, RestaurantSettings},
};

/// Bytes of one place. A menu of 2,000 dishes with long descriptions is smaller; pictures are not read.
pub const PLACE_BYTES: usize = 1 << 20;
const PLACE_VALUES: usize = 40_000;

/// Of a source that is for one restaurant. An export of the whole database is larger: there the tenant's node is exported alone.
pub const SOURCE_BYTES: usize = 16 << 20;
const SOURCE_VALUES: usize = 400_000;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestaurantCopy {
    pub menu: Option<Menu>,
    pub settings: Option<RestaurantSettings>,
}

/// What an owner has here already.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedRestaurant {
    pub menu: Versioned<Menu>,
    pub settings: Versioned<RestaurantSettings>,
}

impl OwnedRestaurant {
    pub fn nothing() -> Self {
        let menu = Menu { id: String::new(), name: String::new(), items: Vec::new() };
        Self {
            menu: Versioned { version: 0, value: menu },
            settings: Versioned { version: 0, value: RestaurantSettings::default() },
        }
    }
}

/// The places below a tenant, as they were found.
#[derive(Debug, Clone, Default)]
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
    /// Those of one JSON text: an export of the database or of its tenants, a tenant's node, its `menu`, its `config`, or dishes alone.
    pub fn read(text: &[u8], tenant: &str) -> Result<Self, ImportError> {
        let limits = ImportLimits { tenant_bytes: SOURCE_BYTES, values: SOURCE_VALUES, ..ImportLimits::default() };
        let whole = json::read(text, "the source", &JsonBudget::new(&limits))?;
        let node = match whole.get("tenants") {
            Some(tenants) => tenants.get(tenant).ok_or(ImportError::NotInSource)?,
            None => whole.get(tenant).unwrap_or(&whole),
        };
        let place = |node: &JsonNode| FoundPlace::Value(node.clone());
        let has = |names: &[&str]| names.iter().any(|name| node.get(name).is_some());
        let mut places = Self::default();
        if has(&["menu", "config", "bot", "restaurant"]) {
            for name in ["menu", "config", "bot"] {
                places.put(name, node.get(name).map(place).unwrap_or_default());
            }
            let name = node.get("restaurant").and_then(|restaurant| restaurant.get("name"));
            places.name = name.map(place).unwrap_or_default();
        } else if has(&["businessHours", "deliveryTime", "deliveryCost"]) {
            places.config = place(node);
        } else if let Some(items) = node.get("items") {
            places.items = place(items);
        } else if are_items(node) {
            places.items = place(node);
        } else {
            return Err(ImportError::OtherFormat("a tenant of the Realtime Database, its menu, or its settings"));
        }
        Ok(places)
    }

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
            Err(ImportError::TooLarge { .. }) => Self::Unreadable(EntryError::TooLarge),
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

fn are_items(node: &JsonNode) -> bool {
    match node {
        JsonNode::List(items) => items.iter().any(|item| item.get("price").is_some()),
        node => node.fields().unwrap_or_default().iter().any(|(_, item)| item.get("price").is_some()),
    }
}

/// What one place may cost.
pub fn budget(limits: &ImportLimits) -> JsonBudget {
    JsonBudget::new(&ImportLimits { tenant_bytes: PLACE_BYTES, values: PLACE_VALUES, ..*limits })
}

impl RestaurantCopy {
    pub fn read(places: RestaurantPlaces, tally: &mut ImportTally) -> Self {
        Self::read_over(places, &OwnedRestaurant::nothing(), tally)
    }

    /// What the menu and the settings become where the owner has some here already.
    pub fn read_over(places: RestaurantPlaces, here: &OwnedRestaurant, tally: &mut ImportTally) -> Self {
        let items = places.items.value("menu/items", EntryKind::MenuItem, tally);
        let menu = items.map(|items| menu(items, tally)).filter(|menu| !menu.items.is_empty());
        let menu = menu.map(|menu| with_own_words(menu, &here.menu.value));
        let takes_switch = here.settings.version == 0;
        let mut settings = SettingsReader { settings: here.settings.value.clone(), takes_switch, found: 0, tally };
        settings.read_name(places.name);
        settings.read_config(places.config);
        settings.read_bot(places.bot, places.quick_order);
        let SettingsReader { settings, found, .. } = settings;
        Self { menu, settings: (found > 0).then_some(settings) }
    }
}

/// The menu's name, and the aliases that the owner has taught dishes here, by their ids.
fn with_own_words(bare: Menu, here: &Menu) -> Menu {
    let mut menu = bare.clone();
    menu.id.clone_from(&here.id);
    menu.name.clone_from(&here.name);
    for item in &mut menu.items {
        if let Some(known) = here.item(&item.id) {
            item.aliases.clone_from(&known.aliases);
        }
    }
    if menu.validate().is_ok() { menu } else { bare }
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
    let mut names = HashSet::new();
    for (name, node) in named {
        if node == JsonNode::Null {
            continue;
        }
        match item(&name, &node) {
            Ok(mut item) if menu.items.len() < MAX_ITEMS && menu.item(&item.id).is_none() => {
                let is_broken = node.get("name").and_then(JsonNode::text).is_some_and(|name| name.trim() != item.name);
                let is_taken = !names.insert(spoken_in(&item.category, &item.name));
                if is_taken && !rename(&mut item, &mut names) {
                    let reason = EntryError::Invalid("its name, which another dish of its category has,");
                    tally.drop_entry(EntryKind::MenuItem, &name, &reason);
                    continue;
                }
                if is_taken || is_broken {
                    tally.tell(EntryKind::MenuItem, &name, &EntryError::Renamed(item.name.clone()));
                }
                menu.items.push(item);
            }
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

/// A number behind the name of a dish that another one of its category has. False: it would be too long.
fn rename(item: &mut MenuItem, names: &mut HashSet<(String, String)>) -> bool {
    let bare = item.name.clone();
    let mut numbered = (2..=MAX_ITEMS).map(|number| format!("{bare} ({number})"));
    let free = numbered.find(|name| names.insert(spoken_in(&item.category, name)));
    item.name = free.unwrap_or_else(|| bare.clone());
    let alone = Menu { id: String::new(), name: String::new(), items: vec![item.clone()] };
    alone.validate().is_ok()
}

fn item(name: &str, node: &JsonNode) -> Result<MenuItem, EntryError> {
    let text = |field| node.get(field).and_then(JsonNode::text).unwrap_or_default().trim().to_owned();
    let id = Some(text("id")).filter(|id| !id.is_empty()).unwrap_or_else(|| name.to_owned());
    let price = node.get("price").ok_or(EntryError::Missing("its price"))?;
    let item = MenuItem {
        id,
        // A name of several lines is one of one line.
        name: text("name").split_whitespace().collect::<Vec<_>>().join(" "),
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
    /// Nobody has switched the bot on or off here yet.
    takes_switch: bool,
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
            self.take("config/businessHours", hours(node), |settings, hours| {
                let exceptions = settings.business_hours.take().map(|known| known.exceptions).unwrap_or_default();
                settings.business_hours = Some(BusinessHours { exceptions, ..hours });
            });
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
            self.take("config/deliveryCost", cost, |settings, cost| {
                let minimum_order = settings.delivery_cost.and_then(|known| known.minimum_order);
                settings.delivery_cost = Some(DeliveryCost { minimum_order, ..cost });
            });
        }
    }

    fn read_bot(&mut self, bot: FoundPlace, quick_order: FoundPlace) {
        let bot = bot.value("bot/config", EntryKind::BotSetting, self.tally);
        let active = bot.as_ref().and_then(|bot| bot.get("active"));
        if active.is_some() && !self.takes_switch {
            self.tally.ignore(EntryKind::BotSetting, 1);
        } else if let Some(active) = active {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(text: &str, here: &OwnedRestaurant) -> (RestaurantCopy, ImportTally) {
        let mut tally = ImportTally::default();
        let places = RestaurantPlaces::read(text.as_bytes(), "t1").unwrap();
        (RestaurantCopy::read_over(places, here, &mut tally), tally)
    }

    #[test]
    fn a_menu_is_found_in_whatever_part_of_the_database_somebody_exports() {
        let items = r#"{"a":{"name":"Ajiaco","price":24000},"b":{"name":"Ravioli","price":"-"}}"#;
        let menu = format!(r#"{{"items":{items}}}"#);
        let tenant =
            format!(r#"{{"menu":{menu},"restaurant":{{"name":"Trattoria"}},"pedidos":{{"x":{{"price":1}}}}}}"#);
        let tenants = format!(r#"{{"t1":{tenant},"t2":{{}}}}"#);
        let whole = format!(r#"{{"tenants":{tenants},"orders":{{}}}}"#);
        for text in [items, &menu, &tenant, &tenants, &whole] {
            let (copy, tally) = copy(text, &OwnedRestaurant::nothing());
            let menu = copy.menu.unwrap_or_else(|| panic!("no menu in {text}"));
            assert_eq!((menu.items.len(), menu.items[0].name.as_str()), (1, "Ajiaco"), "{text}");
            assert_eq!((tally.problems.len(), tally.problems[0].entry.as_str()), (1, "b"), "{text}");
        }
        let (copy, _) = copy(r#"{"deliveryTime":{"min":30,"max":45}}"#, &OwnedRestaurant::nothing());
        assert_eq!(copy.settings.unwrap().delivery_time, Some(DeliveryTime { min: 30, max: 45 }));
        let wrong = |text: &str| RestaurantPlaces::read(text.as_bytes(), "t1").unwrap_err().code();
        assert_eq!(wrong(r#"{"tenants":{"t2":{}}}"#), "not_in_source");
        assert_eq!((wrong("{}"), wrong("[1]"), wrong("{")), ("other_format", "other_format", "no_json"));
    }

    #[test]
    fn names_that_would_not_be_saved_are_mended_or_left_out_and_told() {
        let text = r#"{"a":{"name":"Jugo","price":1},"b":{"name":"jugo","price":2},"c":{"name":"Jugo\nde mora","price":3},
            "d":{"name":"Sí","price":4}}"#;
        let (copy, tally) = copy(text, &OwnedRestaurant::nothing());
        let menu = copy.menu.unwrap();
        let names: Vec<&str> = menu.items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!((names, menu.validate()), (vec!["Jugo", "jugo (2)", "Jugo de mora"], Ok(())));
        let told: Vec<&str> = tally.problems.iter().map(|problem| problem.reason.as_str()).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("jugo (2)") && told[1].contains("Jugo de mora"), "{told:?}");
    }

    #[test]
    fn what_the_owner_has_written_here_stays_where_the_source_knows_nothing_of_it() {
        let mut here = OwnedRestaurant::nothing();
        (here.menu.version, here.settings.version) = (3, 2);
        let known = r#"{"id":"a","name":"Ajiaco","price":1,"aliases":["ajiaquito"]}"#;
        here.menu.value.items.push(serde_json::from_str(known).unwrap());
        here.settings.value.name = "Don Pollo".into();
        here.settings.value.delivery_cost = Some(DeliveryCost {
            cost: Money::new(1),
            free_delivery_min: None,
            minimum_order: Some(Money::new(15_000)),
        });
        let text = r#"{
            "menu": { "items": { "a": { "name": "Ajiaco", "price": 26000 }, "c": { "name": "Chocolate", "price": 5000 } } },
            "config": { "deliveryCost": { "cost": 4000, "freeDeliveryMin": 0 } },
            "bot": { "config": { "active": true }, "quickOrderMode": true } }"#;
        let (copy, tally) = copy(text, &here);
        let menu = copy.menu.unwrap();
        assert_eq!((menu.items[0].price, &menu.items[0].aliases), (Money::new(26_000), &vec!["ajiaquito".to_owned()]));
        let settings = copy.settings.unwrap();
        assert_eq!((settings.name.as_str(), settings.quick_order_mode), ("Don Pollo", true));
        assert_eq!(settings.active, here.settings.value.active, "nobody switches a bot by bringing a menu");
        let cost =
            DeliveryCost { cost: Money::new(4_000), free_delivery_min: None, minimum_order: Some(Money::new(15_000)) };
        assert_eq!(settings.delivery_cost, Some(cost));
        assert_eq!(tally.of(EntryKind::BotSetting).ignored, 1);
    }
}
