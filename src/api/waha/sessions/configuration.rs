//! A session's configuration and its display name, as WAHA's clients give them: checked whole before anything is changed. Makes and opens
//! no session.

use std::borrow::Cow;

use phonenumber::country::Id as CountryId;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{App, problem::Problem, waha::flaw, webhooks::NewSessionConfig},
    session::Session,
    store::StoreError,
    webhook::WebhookError,
};

/// A session's `config` as it is given: that of its webhooks, its country, and whatever else WAHA's clients write there.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Configuration(pub(super) Value);

impl JsonSchema for Configuration {
    fn schema_name() -> Cow<'static, str> {
        "NewSessionSettings".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = NewSessionConfig::json_schema(generator);
        let country = json!({
            "type": ["string", "null"],
            "pattern": "^[A-Z]{2}$",
            "examples": ["CO"],
            "description": "Where phone numbers without a country code are dialed (ISO 3166). Left out: as the daemon's settings say.",
        });
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert("country".into(), country);
        }
        schema
    }
}

/// The display name: a line of at most 100 characters. An empty one takes it away.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(example = &"Trattoria da Nino")]
pub struct DisplayName(#[schemars(length(max = 100))] pub(super) String);

impl TryFrom<String> for DisplayName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        if text.chars().count() > 100 || text.chars().any(char::is_control) {
            return Err("expected a line of at most 100 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Before the session is made: a request that is refused makes none.
pub(super) fn check_new(app: &App, config: Option<&Configuration>) -> Result<(), Problem> {
    let Some(Configuration(config)) = config.filter(|config| !config.0.is_null()) else { return Ok(()) };
    country_of(config)?;
    Ok(app.webhooks.check_new(config)?)
}

/// All of it is checked before anything is changed. What is left out is as if it had never been set. The inner error: it is in force, and
/// the vault has not confirmed it.
pub(super) async fn configure(
    app: &App,
    session: &Session,
    Configuration(config): Configuration,
) -> Result<Result<(), Problem>, Problem> {
    let country = country_of(&config)?;
    // The country that is shown of a tenant without one of its own is no choice of its owner.
    let country = country.filter(|given| session.own_country().is_some() || *given != session.country());
    let webhooks = match app.webhooks.put(session.tenant(), config).await {
        Err(error @ WebhookError::NotDurable) => Err(error.into()),
        put => put.map(|_| Ok(()))?,
    };
    match session.set_country(country).await {
        Err(error @ StoreError::Unconfirmed) => Ok(webhooks.and(Err(error.into()))),
        set => Ok(set.map(|()| webhooks)?),
    }
}

fn country_of(config: &Value) -> Result<Option<CountryId>, Problem> {
    match &config["country"] {
        Value::Null => Ok(None),
        given => match given.as_str().and_then(|text| text.parse().ok()) {
            Some(country) => Ok(Some(country)),
            None => Err(flaw("country", "expected two letters like CO (ISO 3166)")),
        },
    }
}
