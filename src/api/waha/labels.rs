//! Labels of conversations, which accounts of WhatsApp Business have.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        App,
        auth::{Controlling, For, Reading},
        baileys::Body,
        problem::Problem,
    },
    chat,
    chats::ChatPath,
    flaw,
};
use crate::waha::{self, label};

/// `GET /api/{session}/labels`
pub async fn list(State(app): State<App>, For { tenant, .. }: For<Reading>) -> Result<Json<Vec<Value>>, Problem> {
    let labels = app.fleet.known(&tenant).await?.labels().await?;
    Ok(Json(labels.iter().map(label::label).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct New {
    name: Option<String>,
    color: Option<i32>,
    color_hex: Option<String>,
}

impl New {
    fn name(&self) -> Result<&str, Problem> {
        self.name.as_deref().ok_or_else(|| flaw("name", "is required"))
    }

    fn color(&self) -> Result<Option<i32>, Problem> {
        match (self.color, &self.color_hex) {
            (Some(color), _) => Ok(Some(color)),
            (None, Some(hex)) => {
                label::color(hex).map(Some).ok_or_else(|| flaw("colorHex", "a colour of WhatsApp's, like #ff9485"))
            }
            (None, None) => Ok(None),
        }
    }
}

/// `POST /api/{session}/labels`
pub async fn create(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (name, color) = (new.name()?, new.color()?);
    let made = app.fleet.known(&tenant).await?.create_label(name, color).await?;
    Ok((StatusCode::CREATED, Json(label::label(&made))))
}

#[derive(Deserialize)]
pub struct LabelPath {
    #[serde(rename = "labelId")]
    label_id: String,
}

/// `PUT /api/{session}/labels/{labelId}`
pub async fn change(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<LabelPath>,
    Body(new): Body<New>,
) -> Result<Json<Value>, Problem> {
    let (name, color) = (new.name()?, new.color()?);
    let changed = app.fleet.known(&tenant).await?.change_label(&named.label_id, name, color).await?;
    Ok(Json(label::label(&changed)))
}

/// `DELETE /api/{session}/labels/{labelId}`
pub async fn delete(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<LabelPath>,
) -> Result<Json<Value>, Problem> {
    app.fleet.known(&tenant).await?.delete_label(&named.label_id).await?;
    Ok(Json(json!({ "success": true })))
}

/// `GET /api/{session}/labels/chats/{chatId}`
pub async fn of_chat(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<ChatPath>,
) -> Result<Json<Vec<Value>>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    let labels = app.fleet.known(&tenant).await?.labels_of(&chat).await?;
    Ok(Json(labels.iter().map(label::label).collect()))
}

#[derive(Deserialize)]
pub struct Wanted {
    labels: Option<Vec<Named>>,
}

#[derive(Deserialize)]
pub struct Named {
    id: String,
}

/// `PUT /api/{session}/labels/chats/{chatId}`: these and no others.
pub async fn label_chat(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChatPath>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Value>, Problem> {
    let chat = chat(&app, "chatId", &named.chat_id)?;
    let wanted = wanted.labels.ok_or_else(|| flaw("labels", "is required; empty takes all away"))?;
    let wanted: Vec<String> = wanted.into_iter().map(|label| label.id).collect();
    app.fleet.known(&tenant).await?.label_chat(&chat, &wanted).await?;
    Ok(Json(json!({ "success": true })))
}

/// `GET /api/{session}/labels/{labelId}/chats`
pub async fn chats(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<LabelPath>,
) -> Result<Json<Vec<Value>>, Problem> {
    let chats = app.fleet.known(&tenant).await?.chats_of_label(&named.label_id).await?;
    Ok(Json(chats.iter().map(|chat| json!({ "id": waha::chat_id(chat) })).collect()))
}
