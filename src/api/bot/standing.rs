//! The bot's state in a chat: it answers there, or is silent for a reason, and perhaps until a time.

use axum::{Json, extract::State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{BotChatPath, chat, known};
use crate::{
    api::{
        App,
        auth::{For, ReadingData},
        input::Path,
        problem::Problem,
    },
    bot::{conversation::SilenceCause, restaurant::RestaurantSettings, service::ShownConversation},
    waha::chat_id,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BotStanding {
    /// It answers.
    Answers,
    /// It is silent: the owner writes there.
    Owner,
    /// It is silent: somebody has taken the chat over.
    TakenOver,
    /// It is silent: the customer waits for a human.
    HumanCalled,
    /// It is silent: it looks as if two bots talked.
    Loop,
    /// It is silent until the chat is given back: something broke.
    Broken,
    /// The settings have the customer among those whom it never answers.
    Muted,
    /// It is switched off, in every chat.
    Off,
}

impl BotStanding {
    pub fn of(shown: &ShownConversation, settings: &RestaurantSettings) -> Self {
        let phone = shown.chat.strip_suffix("@s.whatsapp.net");
        if !settings.active || settings.suspended {
            return Self::Off;
        }
        if shown.broken.is_some() {
            return Self::Broken;
        }
        if settings.is_muted(&shown.chat, phone) {
            return Self::Muted;
        }
        match shown.silence.as_ref().map(|silence| silence.cause) {
            None => Self::Answers,
            Some(SilenceCause::Owner) => Self::Owner,
            Some(SilenceCause::TakenOver) => Self::TakenOver,
            Some(SilenceCause::HumanCalled) => Self::HumanCalled,
            Some(SilenceCause::Loop) => Self::Loop,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BotChat {
    #[schemars(example = "573009998877@c.us")]
    chat_id: String,
    state: BotStanding,
    /// It answers again by itself then.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_until: Option<Timestamp>,
    /// The reason why the bot is silent there until it is given back: something broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
}

/// Answers for a chat that the bot has not met as well: it would answer there.
pub async fn conversation(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<BotChatPath>,
) -> Result<Json<BotChat>, Problem> {
    let (session, chat) = (known(&app, &tenant).await?, chat(&app, &tenant, &named).await?);
    let (shown, settings) = tokio::try_join!(app.bots.conversation(&session, &chat), app.bots.settings(&session))?;
    let state = BotStanding::of(&shown, &settings.value);
    let ShownConversation { chat, broken, silence, .. } = shown;
    let silent_until = silence.map(|silence| silence.until);
    Ok(Json(BotChat { chat_id: chat_id(&chat), state, silent_until, broken }))
}
