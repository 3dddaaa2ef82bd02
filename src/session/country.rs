//! A tenant's own country: where a phone number that is typed without its country code is dialed.

use std::sync::Mutex;

use phonenumber::country::Id;

use super::Session;
use crate::{
    store::{Batch, COUNTRY, Store, StoreError, key, space},
    sync::lock,
};

/// `None`: as for all tenants.
pub struct OwnCountry(Mutex<Option<Id>>);

impl OwnCountry {
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let stored = store.get(space::SETTINGS, &key::text(COUNTRY)).await?;
        let country = stored.and_then(|stored| std::str::from_utf8(&stored).ok()?.parse().ok());
        Ok(Self(Mutex::new(country)))
    }
}

impl Session {
    pub fn country(&self) -> Id {
        self.own_country().unwrap_or(self.0.env.messages.country)
    }

    /// The tenant's own; `None`: as for all tenants.
    pub fn own_country(&self) -> Option<Id> {
        *lock(&self.0.country.0)
    }

    /// Waits five seconds for it to be durable. `None`: as for all tenants.
    pub async fn set_country(&self, country: Option<Id>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        match country {
            Some(country) => batch.put(space::SETTINGS, key::text(COUNTRY), format!("{country:?}")),
            None => batch.delete(space::SETTINGS, key::text(COUNTRY)),
        }
        let change = self.0.store.write(batch).await?;
        *lock(&self.0.country.0) = country;
        self.0.confirm(change).await
    }
}
