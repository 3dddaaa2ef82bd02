//! Statuses: what is shown for a day to those whom it is for. They go through the outbox as every message.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        App,
        answer::Created,
        auth::{For, Sending},
        input::{Body, IdempotencyKey},
        problem::Problem,
        upload::IncomingStatus,
    },
    bare_id, conversations, files, flaw,
    sending::SendResult,
};
use crate::{
    message::{
        Draft, Flaw, SendRequest,
        media::AttachmentKind,
        status::{Colour, Font, STATUS_CHAT, StatusContent, StatusPost},
    },
    tenant::TenantId,
};

/// WAHA's own, where none is given.
const BACKGROUND: &str = "#38b42f";

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TextStatus", description = "A text to show as a status.")]
pub struct TextStatus {
    /// The client's own name for the status: WhatsApp's id of it.
    #[schemars(length(min = 8, max = 64), regex(pattern = "^[A-Za-z0-9]+$"))]
    id: Option<String>,
    /// Chat ids of those whom it is for; without them everybody whom the tenant knows.
    #[schemars(length(min = 1, max = 5000), example = ["573009998877@c.us"])]
    contacts: Option<Vec<String>>,
    #[schemars(required, regex(pattern = "\\S"), example = "Hoy: ajiaco")]
    text: Option<String>,
    #[schemars(regex(pattern = "^#?([0-9A-Fa-f]{2})?[0-9A-Fa-f]{6}$"), example = "#38b42f")]
    background_color: Option<String>,
    /// WhatsApp's number of it.
    #[schemars(extend("enum" = [0, 1, 2, 6, 7, 8, 9, 10, null]))]
    font: Option<f64>,
}

/// `POST /api/{session}/status/text`. There is no preview of links.
pub async fn text(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    key: IdempotencyKey,
    Body(body): Body<TextStatus>,
) -> SendResult {
    let shown = StatusContent::Text {
        text: body.text.unwrap_or_default(),
        background: colour(body.background_color.as_deref())?,
        font: Font::new(body.font.unwrap_or(0.0)).map_err(wrong)?,
    };
    let request = request(&app, &tenant, shown, body.contacts, body.id).await?;
    post(&app, &tenant, &key, request).await
}

/// `POST /api/{session}/status/image`
pub async fn image(State(app): State<App>, key: IdempotencyKey, incoming: IncomingStatus) -> SendResult {
    file(&app, &key, incoming, AttachmentKind::Image).await
}

/// `POST /api/{session}/status/voice`
pub async fn voice(State(app): State<App>, key: IdempotencyKey, incoming: IncomingStatus) -> SendResult {
    file(&app, &key, incoming, AttachmentKind::Voice).await
}

/// `POST /api/{session}/status/video`
pub async fn video(State(app): State<App>, key: IdempotencyKey, incoming: IncomingStatus) -> SendResult {
    file(&app, &key, incoming, AttachmentKind::Video).await
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DeleteStatusRequest", description = "A status to take back.")]
pub struct DeleteStatusRequest {
    #[schemars(required, length(min = 1), example = "true_status@broadcast_3EB0C767D097B7C7C030")]
    id: Option<String>,
    /// Of a status that the phone posted: whom it was for. Of others that is known.
    #[schemars(length(min = 1, max = 5000), example = ["573009998877@c.us"])]
    contacts: Option<Vec<String>>,
}

/// `POST /api/{session}/status/delete`
pub async fn delete(
    State(app): State<App>,
    For { tenant, .. }: For<Sending>,
    key: IdempotencyKey,
    Body(body): Body<DeleteStatusRequest>,
) -> SendResult {
    let shown = StatusContent::Nothing { id: bare_id(&body.id.unwrap_or_default()) };
    let request = request(&app, &tenant, shown, body.contacts, None).await?;
    post(&app, &tenant, &key, request).await
}

async fn file(
    app: &App,
    key: &IdempotencyKey,
    IncomingStatus { tenant, mut form }: IncomingStatus,
    kind: AttachmentKind,
) -> SendResult {
    let background = match kind {
        AttachmentKind::Voice => Some(colour(form.background_color.as_deref())?),
        _ => None,
    };
    let (contacts, id) = (form.contacts.take(), form.id.take());
    let (attachment, source) = files::attachment(app, form, kind)?;
    let request = request(app, &tenant, StatusContent::File { attachment, background }, contacts, id).await?;
    let sent = app.fleet.send_file(&tenant, &request, source, key.as_deref()).await??;
    Ok(Created(files::accepted(app, &tenant, &sent)))
}

async fn post(app: &App, tenant: &TenantId, key: &IdempotencyKey, request: SendRequest) -> SendResult {
    let sent = app.fleet.send(tenant, &request, key.as_deref()).await??;
    Ok(Created(super::accepted(&sent, None)))
}

async fn request(
    app: &App,
    tenant: &TenantId,
    shown: StatusContent,
    contacts: Option<Vec<String>>,
    id: Option<String>,
) -> Result<SendRequest, Problem> {
    let audience = match contacts {
        Some(contacts) => {
            let mut people: Vec<String> = conversations(app, tenant, "contacts", &contacts).await?;
            people.sort_unstable();
            people.dedup();
            Some(people)
        }
        None => None,
    };
    Ok(SendRequest {
        to: STATUS_CHAT.into(),
        draft: Draft::Status(StatusPost { shown, audience }),
        answers: None,
        id: id.filter(|id| !id.is_empty()),
        ttl: None,
        from_bot: false,
        humanize: None,
    })
}

/// As it is given, or WAHA's own.
fn colour(text: Option<&str>) -> Result<Colour, Problem> {
    text.unwrap_or(BACKGROUND).parse().map_err(wrong)
}

fn wrong(Flaw { field, expected }: Flaw) -> Problem {
    flaw(field, expected)
}
