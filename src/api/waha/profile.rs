//! The tenant's profile, as others see it.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        App,
        auth::{Controlling, For, ReadingData},
        input::Body,
        problem::Problem,
    },
    Success, flaw,
    picture::{self, SmallFile},
};
use crate::waha::person;

/// Of a picture, bytes.
pub const MAX_PICTURE: usize = 1024 * 1024;

/// `GET /api/{session}/profile`
pub async fn show(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Json<person::MyProfile>, Problem> {
    Ok(Json(app.fleet.open_known(&tenant).await?.profile().await?.into()))
}

#[derive(Deserialize, JsonSchema)]
pub struct ProfileName {
    #[schemars(required, length(min = 1, max = 25), example = &"Trattoria")]
    name: Option<String>,
}

/// `PUT /api/{session}/profile/name`
pub async fn set_name(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(body): Body<ProfileName>,
) -> Result<Json<Success>, Problem> {
    let name = body.name.ok_or_else(|| flaw("name", "is required"))?;
    app.fleet.open_known(&tenant).await?.set_name(&name).await?;
    Ok(Json(Success::YES))
}

#[derive(Deserialize, JsonSchema)]
pub struct ProfileStatus {
    /// Empty takes it away.
    #[schemars(required, length(max = 139), example = "Abierto hasta las diez")]
    status: Option<String>,
}

/// `PUT /api/{session}/profile/status`
pub async fn set_about(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(body): Body<ProfileStatus>,
) -> Result<Json<Success>, Problem> {
    let about = body.status.ok_or_else(|| flaw("status", "is required"))?;
    app.fleet.open_known(&tenant).await?.set_about(&about).await?;
    Ok(Json(Success::YES))
}

#[derive(Deserialize, JsonSchema)]
pub struct NewPicture {
    /// A JPEG as it is; of a PNG or WebP its middle, as a JPEG of at most 640 pixels a side.
    #[schemars(required)]
    pub file: Option<SmallFile>,
}

/// `PUT /api/{session}/profile/picture`
pub async fn set_picture(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(body): Body<NewPicture>,
) -> Result<Json<Success>, Problem> {
    let session = app.fleet.open_known(&tenant).await?;
    session.set_picture(picture::small(&app, &session, body.file, MAX_PICTURE).await?).await?;
    Ok(Json(Success::YES))
}

/// `DELETE /api/{session}/profile/picture`
pub async fn remove_picture(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Json<Success>, Problem> {
    app.fleet.open_known(&tenant).await?.remove_picture().await?;
    Ok(Json(Success::YES))
}
