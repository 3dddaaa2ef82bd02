//! Sending: a text, or a file by its URL.

use std::borrow::Cow;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OfTenant, form::JsonOrForm, misnamed};
use crate::{
    api::{
        App,
        auth::{Names, Sending, TenantRequest},
        input::IdempotencyKey,
        problem::{FieldError, Problem},
        upload::Given,
        waha,
    },
    message::{
        Acceptance, Delivery, Draft, Failure, Mentions, SendRequest, is_blank,
        media::{Attachment, AttachmentKind},
    },
    tenant::{InvalidTenantId, TenantId},
};

/// The fields that both forms have beside their words.
#[derive(Deserialize, JsonSchema)]
pub struct BaileysAddressed {
    #[serde(rename = "tenantId")]
    #[schemars(with = "TenantId")]
    tenant_id: Option<String>,
    /// A phone number as people type it, or a jid.
    #[schemars(required, example = "573009998877")]
    to: Option<String>,
    /// The kind of a file: `image`, `video`, `audio`, `voice`, `document` or `sticker`; left out, or `text`: what its bytes are.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// A file to send. In `/api/baileys/send` only.
    #[serde(rename = "mediaUrl")]
    media_url: Option<String>,
    /// Of the file; the text, when it is left out.
    caption: Option<String>,
    /// Seconds that it may wait to be sent; after that it has failed. At the most, and without it, as many as the daemon allows (a day).
    #[schemars(range(min = 1))]
    ttl: Option<u64>,
    /// A program says it, and no human: the bot stays in the chat.
    bot: Option<bool>,
    /// It comes as a human would write it: what came is marked as read, somebody types for a while, then it goes. Without it: at once.
    humanize: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
pub struct SendText {
    #[serde(flatten)]
    to: BaileysAddressed,
    #[schemars(required, length(min = 1), example = "Su pedido está listo")]
    text: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct SendMessage {
    #[serde(flatten)]
    to: BaileysAddressed,
    #[schemars(required, length(min = 1), example = "Su pedido está listo")]
    message: Option<String>,
}

/// A text, under the name that it has in this form.
trait Words: Names {
    const FIELD: &str;
    const MISSING: &str;
    fn parts(&self) -> (&BaileysAddressed, Option<&str>);

    /// All fields that are missing.
    fn flaws(&self) -> Problem {
        let (to, text) = self.parts();
        let fields = [("tenantId", to.tenant_id.as_deref()), ("to", to.to.as_deref()), (Self::FIELD, text)];
        let missing = fields.into_iter().filter(|(_, given)| given.is_none_or(is_blank));
        let error = |(field, _)| FieldError { field: Cow::Borrowed(field), message: "is required".into() };
        Problem::invalid(Self::MISSING, missing.map(error).collect())
    }
}

macro_rules! words {
    ($form:ident $field:ident: $missing:literal) => {
        impl Names for $form {
            fn tenant(&self) -> Option<&str> {
                self.to.tenant_id.as_deref()
            }

            fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
                if error.is_some() { misnamed(Self::MISSING, error) } else { self.flaws() }
            }
        }

        impl Words for $form {
            const FIELD: &str = stringify!($field);
            const MISSING: &str = $missing;

            fn parts(&self) -> (&BaileysAddressed, Option<&str>) {
                (&self.to, self.$field.as_deref())
            }
        }
    };
}

words!(SendText text: "tenantId, to y text son requeridos");
words!(SendMessage message: "tenantId, to y message son requeridos");

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaileysSent {
    /// False: the request was accepted before under this key, and has failed. Nothing is sent.
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    message_id: String,
    /// Milliseconds since 1970.
    timestamp: i64,
    /// The state of its delivery: `accepted`, unless the request is a repeat.
    status: Delivery,
    /// The reason of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

impl BaileysSent {
    /// `message`: what a success is called.
    fn new(sent: Acceptance, message: Option<&'static str>) -> Self {
        let success = sent.delivery != Delivery::Failed;
        Self {
            success,
            message: if success { message } else { message.map(|_| "El mensaje no se pudo enviar") },
            message_id: sent.message.id,
            timestamp: sent.message.timestamp * 1000,
            status: sent.delivery,
            failure: sent.failure,
        }
    }
}

pub async fn send(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: JsonOrForm(send), .. }: TenantRequest<Sending, JsonOrForm<SendText>>,
) -> Result<Json<BaileysSent>, Problem> {
    let has_file = send.to.media_url.as_ref().is_some_and(|url| !url.is_empty());
    let sent = if has_file {
        send_media(&app, &tenant, send, &key).await?
    } else {
        send_words(&app, &tenant, &send, &key).await?
    };
    Ok(Json(BaileysSent::new(sent, None)))
}

pub async fn send_message(
    State(app): State<App>,
    key: IdempotencyKey,
    TenantRequest { tenant, asked: JsonOrForm(send), .. }: TenantRequest<Sending, JsonOrForm<SendMessage>>,
) -> Result<Json<BaileysSent>, Problem> {
    let sent = send_words(&app, &tenant, &send, &key).await;
    let sent = sent.map_err(|problem| problem.saying_of_connection("No hay conexión activa de WhatsApp"))?;
    Ok(Json(BaileysSent::new(sent, Some("Mensaje enviado exitosamente"))))
}

async fn send_words(
    app: &App,
    tenant: &TenantId,
    send: &impl Words,
    key: &IdempotencyKey,
) -> Result<Acceptance, Problem> {
    fn given(text: Option<&str>) -> Option<&str> {
        text.filter(|text| !is_blank(text))
    }
    let (BaileysAddressed { to, kind, media_url, ttl, bot, humanize, .. }, text) = send.parts();
    let (Some(to), Some(text)) = (given(to.as_deref()), given(text)) else { return Err(send.flaws()) };
    // The old service sent the words and let the rest go: better to say so than to call half a message a success.
    let is_text = given(kind.as_deref()).is_none_or(|kind| kind == "text");
    if !is_text || given(media_url.as_deref()).is_some() {
        return Err(Problem::not_implemented("only text can be sent by this route"));
    }
    let draft = Draft::Text { text: text.to_owned(), mentions: Mentions::default() };
    let request = SendRequest {
        to: to.to_owned(),
        draft,
        answers: None,
        id: None,
        ttl: waha::ttl(*ttl)?,
        from_bot: bot.unwrap_or_default(),
        humanize: waha::humanize(*humanize),
    };
    Ok(app.fleet.send(tenant, &request, key.as_deref()).await??)
}

/// A file by its URL, with the words as its caption.
async fn send_media(app: &App, tenant: &TenantId, send: SendText, key: &IdempotencyKey) -> Result<Acceptance, Problem> {
    let given = |text: Option<String>| text.filter(|text| !is_blank(text));
    let wrong = |error: &str, field: &'static str, message: &str| {
        Problem::invalid(error, vec![FieldError { field: field.into(), message: message.into() }])
    };
    let SendText { to: BaileysAddressed { to, kind, media_url, caption, ttl, bot, humanize, .. }, text } = send;
    let to = given(to).ok_or_else(|| wrong(SendText::MISSING, "to", "is required"))?;
    let kind = match given(kind).as_deref() {
        None | Some("text" | "media") => AttachmentKind::Any,
        Some("image") => AttachmentKind::Image,
        Some("video") => AttachmentKind::Video,
        Some("audio") => AttachmentKind::Audio,
        Some("voice" | "ptt") => AttachmentKind::Voice,
        Some("document" | "file") => AttachmentKind::Document,
        Some("sticker") => AttachmentKind::Sticker,
        Some(_) => {
            let expected = "expected image, video, audio, voice, document or sticker";
            return Err(wrong(&format!("type: {expected}"), "type", expected));
        }
    };
    let url = media_url.unwrap_or_default();
    let (origin, source) = waha::files::source(app, Given::Url(url), "mediaUrl")?;
    let caption = given(caption).or(given(text)).unwrap_or_default();
    let attachment = Attachment { kind, origin, caption, file_name: None, mime: None, mentions: Mentions::default() };
    let request = SendRequest {
        to,
        draft: Draft::File(attachment),
        answers: None,
        id: None,
        ttl: waha::ttl(ttl)?,
        from_bot: bot.unwrap_or_default(),
        humanize: waha::humanize(humanize),
    };
    Ok(app.fleet.send_file(tenant, &request, source, key.as_deref()).await??)
}

/// A message as a customer would write it.
#[derive(Deserialize, JsonSchema)]
pub struct TestMessage {
    #[serde(flatten)]
    tenant: OfTenant,
    /// The customer who would have written it; nobody is written to.
    #[allow(dead_code, reason = "the old pages send it")]
    from: Option<String>,
    #[schemars(required, length(min = 1), example = "quiero dos ajiacos")]
    message: Option<String>,
}

impl Names for TestMessage {
    fn tenant(&self) -> Option<&str> {
        self.tenant.tenant()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed("tenantId y message son requeridos", error).unsuccessful()
    }
}

#[derive(Serialize, JsonSchema)]
pub struct TestAnswer {
    success: bool,
    message: &'static str,
    /// The bot's answer; several messages with an empty line between them. `null`: it says nothing.
    response: Option<String>,
}

/// Shows the bot's answer to a text, and touches no customer.
pub async fn test_message(
    State(app): State<App>,
    TenantRequest { tenant, asked: JsonOrForm(body), .. }: TenantRequest<Sending, JsonOrForm<TestMessage>>,
) -> Result<Json<TestAnswer>, Problem> {
    let text = body.message.filter(|text| !is_blank(text)).ok_or_else(|| {
        let field = FieldError { field: "message".into(), message: "is required".into() };
        Problem::invalid("tenantId y message son requeridos", vec![field]).unsuccessful()
    })?;
    let session = app.fleet.open_known(&tenant).await?;
    let replies = app.bots.try_out(&session, &text, None).await?.replies;
    let response = (!replies.is_empty()).then(|| replies.join("\n\n"));
    Ok(Json(TestAnswer { success: true, message: "Mensaje procesado", response }))
}
