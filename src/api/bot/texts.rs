//! The bot's texts as they are without a tenant's own, for whoever lets an owner write others.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;

use super::known;
use crate::{
    api::{
        App,
        auth::{For, ReadingData},
        problem::Problem,
    },
    bot::texts::{Language, TEXTS, samples},
};

/// The bot's texts as they are without the tenant's own, and values to show them with.
#[derive(Serialize, JsonSchema)]
pub struct BotTexts {
    texts: Vec<BotText>,
    samples: BotTextSamples,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BotText {
    /// Its key in the settings' `texts`.
    #[schemars(example = &"welcome")]
    name: &'static str,
    default: BotTextDefault,
    /// The names that may stand in it, in braces.
    placeholders: Vec<&'static str>,
    /// Those that have to stand in it.
    required: Vec<&'static str>,
    /// A notice of the kitchen: an empty text sends none.
    may_be_empty: bool,
}

#[derive(Serialize, JsonSchema)]
pub struct BotTextDefault {
    es: &'static str,
    en: &'static str,
}

/// By the names of placeholders; the restaurant's name is not among them.
#[derive(Serialize, JsonSchema)]
pub struct BotTextSamples {
    #[schemars(with = "BTreeMap<String, String>")]
    es: BTreeMap<&'static str, String>,
    #[schemars(with = "BTreeMap<String, String>")]
    en: BTreeMap<&'static str, String>,
}

pub async fn show_texts(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Json<BotTexts>, Problem> {
    known(&app, &tenant).await?;
    let texts = TEXTS.iter().map(|row| BotText {
        name: row.key.name(),
        default: BotTextDefault { es: row.text(Language::Es), en: row.text(Language::En) },
        placeholders: row.names().collect(),
        required: row.required().collect(),
        may_be_empty: row.key.may_be_empty(),
    });
    let samples = BotTextSamples { es: samples(Language::Es), en: samples(Language::En) };
    Ok(Json(BotTexts { texts: texts.collect(), samples }))
}
