//! Calls, which can only be declined.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        App,
        answer::Created,
        auth::{For, Sending},
        input::Body,
        problem::Problem,
    },
    Success, chat, flaw,
};

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "RejectCall")]
pub struct CallRejection {
    /// The caller.
    #[schemars(required, example = "573009998877@c.us")]
    from: Option<String>,
    #[schemars(required, length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9]+$"), example = &"C767D097B7C7C030")]
    id: Option<String>,
}

/// `POST /api/{session}/calls/reject`
pub async fn reject(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    Body(call): Body<CallRejection>,
) -> Result<Created<Success>, Problem> {
    let from = chat(&app, &tenant, "from", call.from.as_deref().unwrap_or_default()).await?;
    let id = call.id.ok_or_else(|| flaw("id", "is required"))?;
    app.fleet.open_known(&tenant).await?.reject_call(&id, &from).await?;
    Ok(Created(Success::YES))
}
