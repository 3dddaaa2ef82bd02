//! Labels of conversations, which accounts of WhatsApp Business have.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        App,
        answer::Created,
        auth::{Controlling, For, ReadingData},
        input::{Body, Path},
        problem::Problem,
    },
    Success, chat,
    chats::ChatPath,
    flaw,
    whole_number::whole,
};
use crate::waha::{self, label::WALabel};

/// `GET /api/{session}/labels`
pub async fn list(State(app): State<App>, For { tenant, .. }: For<ReadingData>) -> Result<Json<Vec<WALabel>>, Problem> {
    let labels = app.fleet.open_known(&tenant).await?.labels().await?;
    Ok(Json(labels.iter().map(WALabel::from).collect()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewLabel {
    #[schemars(required, length(min = 1, max = 100), example = "Cliente nuevo")]
    name: Option<String>,
    /// WhatsApp's number of it.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(range(min = 0, max = 19))]
    color: Option<i32>,
    /// The same by its value.
    #[schemars(example = "#ff9485")]
    color_hex: Option<String>,
}

impl NewLabel {
    fn name(&self) -> Result<&str, Problem> {
        self.name.as_deref().ok_or_else(|| flaw("name", "is required"))
    }

    fn color(&self) -> Result<Option<i32>, Problem> {
        match (self.color, &self.color_hex) {
            (Some(color), _) => Ok(Some(color)),
            (None, Some(hex)) => {
                let color = waha::label::color(hex);
                color.map(Some).ok_or_else(|| flaw("colorHex", "a colour of WhatsApp's, like #ff9485"))
            }
            (None, None) => Ok(None),
        }
    }
}

/// `POST /api/{session}/labels`
pub async fn create(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(new): Body<NewLabel>,
) -> Result<Created<WALabel>, Problem> {
    let (name, color) = (new.name()?, new.color()?);
    let made = app.fleet.open_known(&tenant).await?.create_label(name, color).await?;
    Ok(Created((&made).into()))
}

#[derive(Deserialize, JsonSchema)]
pub struct LabelPath {
    #[serde(rename = "labelId")]
    #[schemars(example = "1")]
    label_id: String,
}

/// `PUT /api/{session}/labels/{labelId}`
pub async fn change(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<LabelPath>,
    Body(new): Body<NewLabel>,
) -> Result<Json<WALabel>, Problem> {
    let (name, color) = (new.name()?, new.color()?);
    let changed = app.fleet.open_known(&tenant).await?.change_label(&named.label_id, name, color).await?;
    Ok(Json((&changed).into()))
}

/// `DELETE /api/{session}/labels/{labelId}`
pub async fn delete(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<LabelPath>,
) -> Result<Json<Success>, Problem> {
    app.fleet.open_known(&tenant).await?.delete_label(&named.label_id).await?;
    Ok(Json(Success::YES))
}

/// `GET /api/{session}/labels/chats/{chatId}`
pub async fn of_chat(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<ChatPath>,
) -> Result<Json<Vec<WALabel>>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    let labels = app.fleet.open_known(&tenant).await?.labels_of(&chat).await?;
    Ok(Json(labels.iter().map(WALabel::from).collect()))
}

#[derive(Deserialize, JsonSchema)]
pub struct ChatLabels {
    /// These and no others.
    #[schemars(required)]
    labels: Option<Vec<LabelIdPath>>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "LabelId")]
pub struct LabelIdPath {
    #[schemars(example = "1")]
    id: String,
}

/// `PUT /api/{session}/labels/chats/{chatId}`
pub async fn label_chat(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
    Body(wanted): Body<ChatLabels>,
) -> Result<Json<Success>, Problem> {
    let chat = chat(&app, &tenant, "chatId", &named.chat_id).await?;
    let wanted = wanted.labels.ok_or_else(|| flaw("labels", "is required; empty takes all away"))?;
    let wanted: Vec<String> = wanted.into_iter().map(|label| label.id).collect();
    app.fleet.open_known(&tenant).await?.label_chat(&chat, &wanted).await?;
    Ok(Json(Success::YES))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LabelledChat")]
pub struct Labelled {
    id: String,
}

/// `GET /api/{session}/labels/{labelId}/chats`
pub async fn chats(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<LabelPath>,
) -> Result<Json<Vec<Labelled>>, Problem> {
    let chats = app.fleet.open_known(&tenant).await?.chats_of_label(&named.label_id).await?;
    Ok(Json(chats.iter().map(|chat| Labelled { id: waha::chat_id(chat) }).collect()))
}
