//! How the tenant shows itself.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        App,
        auth::{Controlling, For, Reading},
        baileys::Body,
        problem::Problem,
    },
    files::{self, File},
    flaw,
};
use crate::waha::person;

/// Of a picture, bytes.
pub const MAX_PICTURE: usize = 1024 * 1024;

/// `GET /api/{session}/profile`
pub async fn show(State(app): State<App>, For { tenant, .. }: For<Reading>) -> Result<Json<Value>, Problem> {
    Ok(Json(person::profile(&app.fleet.known(&tenant).await?.profile().await?)))
}

#[derive(Deserialize)]
pub struct Name {
    name: Option<String>,
}

/// `PUT /api/{session}/profile/name`
pub async fn set_name(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(body): Body<Name>,
) -> Result<Json<Value>, Problem> {
    let name = body.name.ok_or_else(|| flaw("name", "is required"))?;
    app.fleet.known(&tenant).await?.set_name(&name).await?;
    Ok(done())
}

#[derive(Deserialize)]
pub struct About {
    status: Option<String>,
}

/// `PUT /api/{session}/profile/status`
pub async fn set_about(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(body): Body<About>,
) -> Result<Json<Value>, Problem> {
    let about = body.status.ok_or_else(|| flaw("status", "is required"))?;
    app.fleet.known(&tenant).await?.set_about(&about).await?;
    Ok(done())
}

#[derive(Deserialize)]
pub struct Picture {
    pub file: Option<File>,
}

/// `PUT /api/{session}/profile/picture`
pub async fn set_picture(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(body): Body<Picture>,
) -> Result<Json<Value>, Problem> {
    let session = app.fleet.known(&tenant).await?;
    session.set_picture(files::small(&app, body.file, MAX_PICTURE).await?).await?;
    Ok(done())
}

/// `DELETE /api/{session}/profile/picture`
pub async fn remove_picture(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Json<Value>, Problem> {
    app.fleet.known(&tenant).await?.remove_picture().await?;
    Ok(done())
}

fn done() -> Json<Value> {
    Json(json!({ "success": true }))
}
