//! Texts with a link and what is shown of where it leads. All of that is in the request: no page is fetched, so that nobody can send
//! the daemon anywhere by a link.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        App,
        auth::{Names, TenantRequest},
        input::{Body, IdempotencyKey, object},
    },
    flaw,
    picture::SmallFile,
    sending::{SendAddressed, SendResult, SessionBody, send_with},
};
use crate::message::{Draft, LinkPreview};

/// A text with a link, and what is shown of where it leads.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// A field with a default is none that must be there, as the derive sees it.
#[schemars(rename = "MessageLinkCustomPreviewRequest", extend("required" = ["session", "chatId", "text", "preview"]))]
pub struct Custom {
    #[serde(flatten)]
    to: SendAddressed,
    /// Has the preview's `url` in it.
    #[schemars(required, length(min = 1), example = "La carta: https://example.com/menu")]
    text: Option<String>,
    /// The picture over the whole width, for which WhatsApp's media hosts get it whole (true where it is absent). Where they do not
    /// take it, it is shown small.
    link_preview_high_quality: Option<bool>,
    #[serde(default, deserialize_with = "object")]
    preview: Option<LinkPreviewData>,
}

#[derive(Deserialize, JsonSchema)]
pub struct LinkPreviewData {
    #[schemars(required, length(min = 1, max = 2048), example = "https://example.com/menu")]
    url: Option<String>,
    #[schemars(required, length(min = 1, max = 1024), example = "La Trattoria")]
    title: Option<String>,
    #[schemars(example = "Pasta fresca, cada día")]
    description: Option<String>,
    /// A JPEG, PNG or WebP: by its URL up to 16 MiB; as base64 within the 832 KiB of the body.
    #[serde(default, deserialize_with = "object")]
    image: Option<SmallFile>,
}

/// A link with a title.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "MessageLinkPreviewRequest")]
pub struct Titled {
    #[serde(flatten)]
    to: SendAddressed,
    #[schemars(required, length(min = 1, max = 2048), example = "https://example.com/menu")]
    url: Option<String>,
    #[schemars(required, length(min = 1, max = 1024), example = "La Trattoria")]
    title: Option<String>,
}

in_session!(Custom: to.session, Titled: to.session);

/// `POST /api/send/link-custom-preview`
pub async fn custom(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<Custom>,
) -> SendResult {
    let shown = body.preview.ok_or_else(|| flaw("preview", "is required"))?;
    let image = match shown.image {
        Some(image) => image.open(&app, ["preview.image.url", "preview.image.data"]).await?,
        None => None,
    };
    let (picture, source) = image.unzip();
    let preview = LinkPreview {
        url: shown.url.unwrap_or_default(),
        title: shown.title.unwrap_or_default(),
        description: shown.description.unwrap_or_default(),
    };
    let large = body.link_preview_high_quality.unwrap_or(true);
    let draft = Draft::Link { text: body.text.unwrap_or_default(), preview, picture, large };
    send_with(&app, &tenant, &key, body.to, draft, source).await
}

/// `POST /api/sendLinkPreview`: the title, and the link under it.
pub async fn titled(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: Body(body), .. }: SessionBody<Titled>,
) -> SendResult {
    let (url, title) = (body.url.unwrap_or_default(), body.title.unwrap_or_default());
    let text = format!("{title}\n{url}");
    let preview = LinkPreview { url, title, description: String::new() };
    let draft = Draft::Link { text, preview, picture: None, large: false };
    let sent = send_with(&app, &tenant, &key, body.to, draft, None).await;
    sent.map_err(|problem| problem.renaming("preview.url", "url").renaming("preview.title", "title"))
}
