//! The owner of a session: the account that alone may scan, and the owner's word that another one may. WAHA has no such routes.

use axum::{Json, extract::State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    App,
    auth::{Controlling, For, ReadingData},
    input::Body,
    problem::Problem,
};
use crate::{
    message::FormerConversations,
    session::{AccountChange, Session},
};

/// The account that a session is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionAccount {
    /// The number that alone may scan, or has; digits. `null`: the session was never paired, and any may.
    number: Option<String>,
    /// It is linked now.
    paired: bool,
    /// Another account may scan, once.
    change: Option<AllowedChange>,
}

#[derive(Serialize, JsonSchema)]
pub struct AllowedChange {
    /// The fate of the conversations of before.
    conversations: FormerConversations,
    /// The time at which the permission ends by itself.
    #[schemars(with = "String")]
    until: Timestamp,
}

#[derive(Deserialize, JsonSchema)]
pub struct AccountChangeRequest {
    /// `keep`: closed to the new account, until they are too old; open again should the former account come back. `delete`: gone
    /// when the other account has scanned.
    conversations: FormerConversations,
}

impl SessionAccount {
    async fn of(session: &Session) -> Result<Self, Problem> {
        let number = session.own_account().await?.map(|own| own.number);
        let change = session.account_change().await?;
        let change = change.map(|AccountChange { conversations, until }| AllowedChange { conversations, until });
        Ok(Self { number, paired: session.status().paired, change })
    }
}

/// `GET /api/sessions/{session}/account`
pub async fn show(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Json<SessionAccount>, Problem> {
    Ok(Json(SessionAccount::of(&app.fleet.open_known(&tenant).await?).await?))
}

/// `PUT /api/sessions/{session}/account/change`: lets another account scan, once, within a day.
pub async fn allow(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(request): Body<AccountChangeRequest>,
) -> Result<Json<SessionAccount>, Problem> {
    let session = app.fleet.open_known(&tenant).await?;
    session.allow_account_change(request.conversations).await?;
    Ok(Json(SessionAccount::of(&session).await?))
}

/// `DELETE /api/sessions/{session}/account/change`: takes that back.
pub async fn forbid(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Json<SessionAccount>, Problem> {
    let session = app.fleet.open_known(&tenant).await?;
    session.forbid_account_change().await?;
    Ok(Json(SessionAccount::of(&session).await?))
}
