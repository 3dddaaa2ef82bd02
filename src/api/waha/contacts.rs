//! People: who is on WhatsApp, what they show of themselves, what the tenant calls them, whom it blocked; and which two names one
//! person has.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        App,
        auth::{Caller, Controlling, For, Reading, Scope},
        baileys::Body,
        problem::Problem,
    },
    chat, flaw, page, permitted,
};
use crate::{
    session::{Person, Session},
    waha::{chat_id, person},
};

#[derive(Deserialize)]
pub struct Wanted {
    session: Option<String>,
    #[serde(rename = "contactId")]
    contact_id: Option<String>,
    phone: Option<String>,
    #[serde(flatten)]
    page: page::Page,
    #[serde(rename = "sortBy")]
    sort_by: Option<String>,
    #[serde(rename = "sortOrder")]
    sort_order: Option<page::Order>,
}

/// `GET /api/contacts/all`: whom the tenant saved or talks with.
pub async fn all(
    State(app): State<App>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Value>>, Problem> {
    let session = session(&app, &caller, wanted.session.as_deref(), Scope::Read).await?;
    let mut people = session.people().await?;
    let name = |person: &Person| person.saved.as_ref().map_or(String::new(), |saved| saved.name.to_lowercase());
    match wanted.sort_by.as_deref() {
        None | Some("" | "id") => {}
        Some("name") => people.sort_by_key(name),
        Some(_) => return Err(flaw("sortBy", "id or name")),
    }
    wanted.sort_order.unwrap_or_default().apply(&mut people);
    Ok(Json(wanted.page.cut(people)?.iter().map(person::contact).collect()))
}

/// `GET /api/contacts`
pub async fn one(State(app): State<App>, caller: Caller, Query(wanted): Query<Wanted>) -> Result<Json<Value>, Problem> {
    let session = session(&app, &caller, wanted.session.as_deref(), Scope::Read).await?;
    let id = chat(&app, "contactId", wanted.contact_id.as_deref().unwrap_or_default())?;
    Ok(Json(person::contact(&session.person(&id).await?)))
}

#[derive(Deserialize)]
pub struct ContactPath {
    id: String,
}

/// `GET /api/{session}/contacts/{id}`
pub async fn in_session(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<ContactPath>,
) -> Result<Json<Value>, Problem> {
    let id = chat(&app, "id", &named.id)?;
    let session = app.fleet.known(&tenant).await?;
    Ok(Json(person::contact(&session.person(&id).await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Name {
    first_name: Option<String>,
    last_name: Option<String>,
}

/// `PUT /api/{session}/contacts/{id}`: saves a person under a name, in the phone's address book too.
pub async fn save(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ContactPath>,
    Body(name): Body<Name>,
) -> Result<Json<Value>, Problem> {
    let id = chat(&app, "chatId", &named.id)?;
    let session = app.fleet.known(&tenant).await?;
    let (first, last) = (name.first_name.unwrap_or_default(), name.last_name.unwrap_or_default());
    session.save_person(&id, &first, &last).await?;
    Ok(Json(json!({ "success": true })))
}

/// `GET /api/contacts/check-exists`, `GET /api/checkNumberStatus`
pub async fn exists(
    State(app): State<App>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let session = session(&app, &caller, wanted.session.as_deref(), Scope::Read).await?;
    let phone = chat(&app, "phone", wanted.phone.as_deref().unwrap_or_default())?;
    Ok(Json(person::existence(session.account(&phone).await?.as_ref())))
}

/// `GET /api/contacts/about`
pub async fn about(
    State(app): State<App>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let session = session(&app, &caller, wanted.session.as_deref(), Scope::Read).await?;
    let id = chat(&app, "contactId", wanted.contact_id.as_deref().unwrap_or_default())?;
    Ok(Json(json!({ "about": session.about(&id).await? })))
}

/// `GET /api/contacts/profile-picture`
pub async fn picture(
    State(app): State<App>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let session = session(&app, &caller, wanted.session.as_deref(), Scope::Read).await?;
    let id = chat(&app, "contactId", wanted.contact_id.as_deref().unwrap_or_default())?;
    Ok(Json(json!({ "profilePictureURL": session.picture(&id).await? })))
}

#[derive(Deserialize)]
pub struct Blocked {
    session: Option<String>,
    #[serde(rename = "contactId")]
    contact_id: Option<String>,
}

/// `POST /api/contacts/block`
pub async fn block(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Blocked>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    set_blocked(&app, &caller, &body, true).await
}

/// `POST /api/contacts/unblock`
pub async fn unblock(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<Blocked>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    set_blocked(&app, &caller, &body, false).await
}

async fn set_blocked(
    app: &App,
    caller: &Caller,
    body: &Blocked,
    blocked: bool,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let session = session(app, caller, body.session.as_deref(), Scope::Control).await?;
    let id = chat(app, "contactId", body.contact_id.as_deref().unwrap_or_default())?;
    session.block(&id, blocked).await?;
    Ok((StatusCode::CREATED, Json(json!({ "success": true }))))
}

/// `GET /api/{session}/lids`
pub async fn lids(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Query(page): Query<page::Page>,
) -> Result<Json<Vec<Value>>, Problem> {
    let names = app.fleet.known(&tenant).await?.all_names().await?;
    Ok(Json(page.cut(names)?.iter().map(person::names).collect()))
}

/// `GET /api/{session}/lids/count`
pub async fn count_lids(State(app): State<App>, For { tenant, .. }: For<Reading>) -> Result<Json<Value>, Problem> {
    let names = app.fleet.known(&tenant).await?.all_names().await?;
    Ok(Json(json!({ "count": names.len() })))
}

#[derive(Deserialize)]
pub struct LidPath {
    lid: String,
}

/// `GET /api/{session}/lids/{lid}`
pub async fn number_of_lid(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<LidPath>,
) -> Result<Json<Value>, Problem> {
    let lid = if named.lid.contains('@') { named.lid } else { format!("{}@lid", named.lid) };
    if !lid.ends_with("@lid") {
        return Err(flaw("lid", "expected a LID like 123456789@lid"));
    }
    let names = app.fleet.known(&tenant).await?.names(&lid).await?;
    Ok(Json(names.as_ref().map_or_else(|| json!({ "lid": lid, "pn": null }), person::names)))
}

#[derive(Deserialize)]
pub struct NumberPath {
    #[serde(rename = "phoneNumber")]
    phone_number: String,
}

/// `GET /api/{session}/lids/pn/{phoneNumber}`
pub async fn lid_of_number(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<NumberPath>,
) -> Result<Json<Value>, Problem> {
    let number = chat(&app, "phoneNumber", &named.phone_number)?;
    if !number.ends_with("@s.whatsapp.net") {
        return Err(flaw("phoneNumber", "expected a phone number"));
    }
    let names = app.fleet.known(&tenant).await?.names(&number).await?;
    Ok(Json(names.as_ref().map_or_else(|| json!({ "lid": null, "pn": chat_id(&number) }), person::names)))
}

async fn session(app: &App, caller: &Caller, named: Option<&str>, scope: Scope) -> Result<Session, Problem> {
    let tenant = permitted(caller, named.unwrap_or_default(), scope)?;
    Ok(app.fleet.known(&tenant).await?)
}
