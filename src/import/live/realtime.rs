//! The Realtime Database: `tenants/{t}/baileys_session`, and the older `baileys_sessions/{t}`.
//!
//! Beside it stand the restaurant's menu, hours and switches ([`RestaurantCopy`]). Names come by `?shallow=true`, which answers with the
//! children of a place and nothing of what they hold. A place that does not exist is `null`.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{ImportError, LiveSource, NAMES_BYTES, SourceTenant, TENANT_BYTES, below, parse};
use crate::import::{
    EntryError, ImportOrigin, RestaurantCopy,
    baileys::realtime::{read_places, stated_number},
    restaurant::{FoundPlace, PLACE_BYTES, RestaurantPlaces},
};

/// Bytes of a flag or a number. Whatever else stands there is none.
const SMALL: usize = 4096;

impl LiveSource {
    pub(super) async fn realtime_names(&self, root: &Url) -> Result<Vec<String>, ImportError> {
        const WHAT: &str = "the list of tenants";
        let mut url = below(root, &["tenants.json"]);
        url.set_query(Some("shallow=true"));
        let text = self.get(&url, WHAT, NAMES_BYTES).await?.unwrap_or_default();
        let children: Option<BTreeMap<String, IgnoredAny>> = serde_json::from_slice(&text)
            .map_err(|error| ImportError::Json { what: WHAT, line: error.line(), column: error.column() })?;
        // Those with an underscore are no tenants: the service keeps its own notes there.
        let names = children.unwrap_or_default().into_keys().filter(|name| !name.starts_with('_'));
        let names: Vec<_> = names.collect();
        self.check_count(&names)?;
        Ok(names)
    }

    pub(super) async fn realtime_tenant(&self, root: &Url, name: &str, only_connected: bool) -> SourceTenant {
        match self.read_realtime(root, name, only_connected).await {
            Ok(tenant) => tenant,
            Err(error) => SourceTenant::new(name, Err(error)),
        }
    }

    async fn read_realtime(&self, root: &Url, name: &str, only_connected: bool) -> Result<SourceTenant, ImportError> {
        let small = async |path: &[&str]| match self.get_json(&below(root, path), "a value", SMALL).await {
            Err(ImportError::TooLarge { .. }) => Ok(Value::Null),
            value => value.map(Option::unwrap_or_default),
        };
        let is_connected = small(&["tenants", name, "restaurant", "whatsappConnected.json"]).await? == true;
        if only_connected && !is_connected {
            let mut tenant = SourceTenant::new(name, Err(ImportError::NoCredentials));
            tenant.connected = Some(false);
            return Ok(tenant);
        }
        let number = ["tenants", name, "whatsapp", "baileys", "phoneNumber.json"];
        let file = format!("{name}.json");
        let (current, older) =
            (below(root, &["tenants", name, "baileys_session.json"]), below(root, &["baileys_sessions", &file]));
        let (current, older, number) = tokio::try_join!(
            self.get(&current, "the session", TENANT_BYTES),
            self.get(&older, "the session", TENANT_BYTES),
            small(&number),
        )?;
        let beside = self.realtime_places(root, name).await?;
        let places = [current.unwrap_or_default(), older.unwrap_or_default()];
        let (limits, owned) = (self.limits, name.to_owned());
        let read = move || read_places(&owned, &places, ImportOrigin::RealtimeDatabase, &limits);
        let mut tenant = parse(name, read).await;
        tenant.connected = Some(is_connected);
        if let Ok(copy) = &mut tenant.copy {
            copy.restaurant = RestaurantCopy::read(beside, &mut copy.tally);
        }
        tenant.number = number.as_str().and_then(stated_number);
        Ok(tenant)
    }

    /// What stands beside the session.
    pub(super) async fn realtime_places(&self, root: &Url, name: &str) -> Result<RestaurantPlaces, ImportError> {
        let place = async |path: &[&str]| match self.get(&below(root, path), "a place", PLACE_BYTES).await {
            Err(ImportError::TooLarge { .. }) => Ok(FoundPlace::Unreadable(EntryError::TooLarge)),
            text => text.map(|text| FoundPlace::read(&text.unwrap_or_else(|| "null".into()), &self.limits)),
        };
        let called = ["tenants", name, "restaurant", "name.json"];
        let items = ["tenants", name, "menu", "items.json"];
        let config = ["tenants", name, "config.json"];
        let [bot, quick_order] = ["config.json", "quickOrderMode.json"].map(|part| ["tenants", name, "bot", part]);
        let (name, items, config, bot, quick_order) =
            tokio::try_join!(place(&called), place(&items), place(&config), place(&bot), place(&quick_order))?;
        Ok(RestaurantPlaces { name, items, config, bot, quick_order })
    }
}
