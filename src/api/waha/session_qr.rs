//! The QR code that links a phone to a session, in the forms that WAHA's clients ask for.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        App,
        auth::{Controlling, For},
        baileys::still_looks,
        input::Query,
        openapi::{Gives, Operation},
        problem::Problem,
    },
    flaw,
    sessions::status,
};

#[derive(Deserialize, JsonSchema)]
pub struct QrFormat {
    /// `image`, or `raw` for its text.
    format: Option<String>,
}

/// The code that a phone scans.
pub enum QrPicture {
    Raw(String),
    Base64(Vec<u8>),
    Png(Vec<u8>),
}

/// As the client accepts it, or asks for it.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "SessionQr")]
enum QrForm {
    /// With `format=raw`.
    Raw {
        value: String,
    },
    Base64 {
        mimetype: &'static str,
        data: String,
    },
}

impl IntoResponse for QrPicture {
    fn into_response(self) -> Response {
        let fresh = [(header::CACHE_CONTROL, "no-store")];
        match self {
            Self::Raw(value) => (fresh, Json(QrForm::Raw { value })).into_response(),
            Self::Base64(png) => {
                (fresh, Json(QrForm::Base64 { mimetype: "image/png", data: BASE64.encode(&png) })).into_response()
            }
            Self::Png(png) => (fresh, [(header::CONTENT_TYPE, "image/png")], png).into_response(),
        }
    }
}

impl Gives for QrPicture {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_json::<QrForm>(StatusCode::OK);
        operation.gives_body(StatusCode::OK, "image/png", json_schema!({ "type": "string", "format": "binary" }));
    }
}

/// `GET /api/{session}/auth/qr`: a PNG; JSON with base64 for who accepts JSON; the raw text with `format=raw`.
pub async fn qr(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Query(form): Query<QrFormat>,
    headers: HeaderMap,
) -> Result<QrPicture, Problem> {
    let is_raw = match form.format.as_deref() {
        None | Some("image") => false,
        Some("raw") => true,
        Some(_) => return Err(flaw("format", "expected image or raw")),
    };
    still_looks(&app, &tenant).await?;
    let now = app.fleet.env().clock.now();
    let status = status(&app, &tenant).await?;
    let is_paired = status.as_ref().is_some_and(|status| status.paired);
    let qr = status.and_then(|status| status.qr).filter(|qr| qr.expires_at > now);
    let no_code = || {
        if is_paired {
            return Problem::conflict("paired", "The session is paired already", "there is no QR code to scan");
        }
        Problem::conflict("no_qr", "There is no QR code to scan now", "start the session, and ask again")
    };
    let qr = qr.ok_or_else(no_code)?;
    if is_raw {
        return Ok(QrPicture::Raw(qr.code.expose().to_owned()));
    }
    let png = super::super::qr::png(qr.code.expose()).ok_or_else(no_code)?;
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    Ok(if accepts.contains("application/json") { QrPicture::Base64(png) } else { QrPicture::Png(png) })
}
