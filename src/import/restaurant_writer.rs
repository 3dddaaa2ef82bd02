//! A menu and settings of the old service for a tenant that no daemon has: one entry of its journal.
//!
//! Owns [`RestaurantUpdate`], which a daemon that has the tenant is asked for as well. Promises: both come in or none; each is the next
//! version of what is there; a tenant that another process takes meanwhile is that process's.

use serde::{Serialize, de::DeserializeOwned};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ImportTally, OwnedRestaurant, RestaurantCopy, RestaurantPlaces,
    writer::{ImportWriter, RefusedImport, confirm},
};
use crate::{
    bot::{
        menu::Menu,
        owner_records::{self, Versioned},
        restaurant::RestaurantSettings,
    },
    journal::{self, Change, Opened, Record},
    store::{key, space},
    tenant::TenantId,
    vault::TenantInfo,
};

/// What is written over what an owner has. `None`: the source has nothing of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RestaurantUpdate {
    pub menu: Option<Versioned<Menu>>,
    pub settings: Option<Versioned<RestaurantSettings>>,
    /// The bot was off, or nobody had said, and is on.
    pub switches_on: bool,
    pub tally: ImportTally,
}

impl RestaurantUpdate {
    pub fn new(places: RestaurantPlaces, here: &OwnedRestaurant) -> Self {
        let mut tally = ImportTally::default();
        let RestaurantCopy { menu, settings } = RestaurantCopy::read_over(places, here, &mut tally);
        let is_on = |settings: &RestaurantSettings| settings.active;
        let was_on = here.settings.version > 0 && is_on(&here.settings.value);
        let switches_on = !was_on && settings.as_ref().is_some_and(is_on);
        Self {
            menu: menu.map(|value| Versioned { version: here.menu.version + 1, value }),
            settings: settings.map(|value| Versioned { version: here.settings.version + 1, value }),
            switches_on,
            tally,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.menu.is_none() && self.settings.is_none()
    }
}

impl ImportWriter {
    /// Takes nothing over, writes nothing.
    pub async fn owned_restaurant(&self, tenant: &TenantId) -> Result<OwnedRestaurant, RefusedImport> {
        let record = self.vault.tenant(tenant).await?;
        owned(&journal::look(&self.context(tenant, record.as_ref())).await?)
    }

    /// Takes the tenant over. Ask first whether somebody has it: a takeover ends the session there.
    pub async fn write_restaurant(
        &self,
        tenant: &TenantId,
        places: RestaurantPlaces,
    ) -> Result<RestaurantUpdate, RefusedImport> {
        let record = self.vault.tenant(tenant).await?;
        if record.is_none() {
            self.vault.notice(tenant, &TenantInfo::default()).await?;
        }
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let opened = journal::open(self.context(tenant, record.as_ref()), &tasks, stop.clone()).await?;
        let written = self.append_restaurant(&opened, places).await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        written
    }

    async fn append_restaurant(
        &self,
        Opened { records: state, journal, .. }: &Opened,
        places: RestaurantPlaces,
    ) -> Result<RestaurantUpdate, RefusedImport> {
        let update = RestaurantUpdate::new(places, &owned(state)?);
        let menu = update.menu.as_ref().map(|menu| put(owner_records::MENU, menu));
        let settings = update.settings.as_ref().map(|settings| put(owner_records::SETTINGS, settings));
        // Nobody answers what came before.
        let place = update.switches_on.then(|| {
            let stored = stored(state, owner_records::PLACE);
            change(owner_records::PLACE, owner_records::place_from_now(stored, self.clock.now()))
        });
        let changes: Vec<Change> = [menu, settings, place].into_iter().flatten().collect();
        if !changes.is_empty() {
            confirm(journal, journal.record(changes, None)).await?;
        }
        Ok(update)
    }
}

fn put(name: &str, record: &impl Serialize) -> Change {
    let value = serde_json::to_vec(record).expect("a record is plain data, which JSON always takes");
    change(name, value)
}

fn change(name: &str, value: Vec<u8>) -> Change {
    Change { space: space::BOT, key: key::text(name), value: Some(value.into()) }
}

fn owned(state: &[Record]) -> Result<OwnedRestaurant, RefusedImport> {
    let nothing = OwnedRestaurant::nothing();
    Ok(OwnedRestaurant {
        menu: parsed(state, owner_records::MENU)?.unwrap_or(nothing.menu),
        settings: parsed(state, owner_records::SETTINGS)?.unwrap_or(nothing.settings),
    })
}

fn parsed<T: DeserializeOwned>(state: &[Record], name: &str) -> Result<Option<Versioned<T>>, RefusedImport> {
    let parsed = stored(state, name).map(serde_json::from_slice).transpose();
    parsed.map_err(|error| RefusedImport::Damaged(format!("the bot's {name} does not parse: {error}")))
}

fn stored<'r>(state: &'r [Record], name: &str) -> Option<&'r [u8]> {
    let stored = state.iter().find(|record| record.space == space::BOT && *record.key == *key::text(name));
    stored.map(|record| &record.value[..])
}
