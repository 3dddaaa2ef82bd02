//! People: who is on WhatsApp, what they show of themselves, what the tenant calls them, whom it blocked; and which two names one
//! person has.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        App,
        answer::Created,
        auth::{Controlling, For, Names, ReadingData, TenantRequest},
        input::{Body, Path, Query},
        problem::Problem,
    },
    CountResponse, Success, chat, flaw,
    page::{self, ListOrder},
};
use crate::{
    session::Person,
    tenant::TenantId,
    waha::{chat_id, person},
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct List {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
    sort_by: Option<ContactOrder>,
    sort_order: Option<ListOrder>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ContactOrder {
    Id,
    Name,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactListQuery {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877@c.us")]
    contact_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct Number {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877")]
    phone: Option<String>,
}

in_session!(List: session, ContactListQuery: session, Number: session, Blocked: session);

impl ContactListQuery {
    async fn id(&self, app: &App, tenant: &TenantId) -> Result<String, Problem> {
        chat(app, tenant, "contactId", self.contact_id.as_deref().unwrap_or_default()).await
    }
}

/// `GET /api/contacts/all`: whom the tenant saved or talks with.
pub async fn all(
    State(app): State<App>,
    TenantRequest { tenant, asked: Query(wanted), .. }: TenantRequest<ReadingData, Query<List>>,
) -> Result<Json<Vec<person::WAContact>>, Problem> {
    let mut people = app.fleet.open_known(&tenant).await?.people().await?;
    let name = |person: &Person| person.saved.as_ref().map_or(String::new(), |saved| saved.name.to_lowercase());
    if let Some(ContactOrder::Name) = wanted.sort_by {
        people.sort_by_key(name);
    }
    let people = page::cut(people, wanted.sort_order, wanted.limit, wanted.offset);
    Ok(Json(people.iter().map(Into::into).collect()))
}

/// `GET /api/contacts`
pub async fn one(
    State(app): State<App>,
    TenantRequest { tenant, asked: Query(wanted), .. }: TenantRequest<ReadingData, Query<ContactListQuery>>,
) -> Result<Json<person::WAContact>, Problem> {
    let id = wanted.id(&app, &tenant).await?;
    Ok(Json((&app.fleet.open_known(&tenant).await?.person(&id).await?).into()))
}

#[derive(Deserialize, JsonSchema)]
pub struct ContactPath {
    #[schemars(example = "573009998877@c.us")]
    id: String,
}

/// `GET /api/{session}/contacts/{id}`
pub async fn in_session(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<ContactPath>,
) -> Result<Json<person::WAContact>, Problem> {
    let id = chat(&app, &tenant, "id", &named.id).await?;
    Ok(Json((&app.fleet.open_known(&tenant).await?.person(&id).await?).into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactName {
    #[schemars(required, length(min = 1, max = 100))]
    first_name: Option<String>,
    last_name: Option<String>,
}

/// `PUT /api/{session}/contacts/{id}`: saves a person under a name, in the phone's address book too.
pub async fn save(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ContactPath>,
    Body(name): Body<ContactName>,
) -> Result<Json<Success>, Problem> {
    let id = chat(&app, &tenant, "chatId", &named.id).await?;
    let session = app.fleet.open_known(&tenant).await?;
    let (first, last) = (name.first_name.unwrap_or_default(), name.last_name.unwrap_or_default());
    if !(1..=100).contains(&first.chars().count()) {
        return Err(flaw("firstName", "from 1 to 100 characters"));
    }
    session.save_person(&id, &first, &last).await?;
    Ok(Json(Success::YES))
}

/// `GET /api/contacts/check-exists`, `GET /api/checkNumberStatus`
pub async fn exists(
    State(app): State<App>,
    TenantRequest { tenant, asked: Query(wanted), .. }: TenantRequest<ReadingData, Query<Number>>,
) -> Result<Json<person::Existence>, Problem> {
    let phone = chat(&app, &tenant, "phone", wanted.phone.as_deref().unwrap_or_default()).await?;
    Ok(Json(app.fleet.open_known(&tenant).await?.account(&phone).await?.into()))
}

#[derive(Serialize, JsonSchema)]
pub struct ContactAbout {
    /// Null: nothing, or not to us.
    about: Option<String>,
}

/// `GET /api/contacts/about`
pub async fn about(
    State(app): State<App>,
    TenantRequest { tenant, asked: Query(wanted), .. }: TenantRequest<ReadingData, Query<ContactListQuery>>,
) -> Result<Json<ContactAbout>, Problem> {
    let id = wanted.id(&app, &tenant).await?;
    Ok(Json(ContactAbout { about: app.fleet.open_known(&tenant).await?.about(&id).await? }))
}

#[derive(Serialize, JsonSchema)]
pub struct ContactPicture {
    /// Null: there is none, or none for us. Good for a while.
    #[serde(rename = "profilePictureURL")]
    url: Option<String>,
}

/// `GET /api/contacts/profile-picture`
pub async fn picture(
    State(app): State<App>,
    TenantRequest { tenant, asked: Query(wanted), .. }: TenantRequest<ReadingData, Query<ContactListQuery>>,
) -> Result<Json<ContactPicture>, Problem> {
    let id = wanted.id(&app, &tenant).await?;
    Ok(Json(ContactPicture { url: app.fleet.open_known(&tenant).await?.picture(&id).await? }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ContactBlock")]
pub struct Blocked {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877@c.us")]
    contact_id: Option<String>,
}

/// `POST /api/contacts/block`
pub async fn block(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(body), .. }: TenantRequest<Controlling, Body<Blocked>>,
) -> Result<Created<Success>, Problem> {
    set_blocked(&app, &tenant, &body, true).await
}

/// `POST /api/contacts/unblock`
pub async fn unblock(
    State(app): State<App>,
    TenantRequest { tenant, asked: Body(body), .. }: TenantRequest<Controlling, Body<Blocked>>,
) -> Result<Created<Success>, Problem> {
    set_blocked(&app, &tenant, &body, false).await
}

async fn set_blocked(app: &App, tenant: &TenantId, body: &Blocked, blocked: bool) -> Result<Created<Success>, Problem> {
    let id = chat(app, tenant, "contactId", body.contact_id.as_deref().unwrap_or_default()).await?;
    app.fleet.open_known(tenant).await?.block(&id, blocked).await?;
    Ok(Created(Success::YES))
}

#[derive(Deserialize, JsonSchema)]
pub struct LidPage {
    limit: Option<usize>,
    offset: Option<usize>,
}

/// `GET /api/{session}/lids`
pub async fn lids(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Query(wanted): Query<LidPage>,
) -> Result<Json<Vec<person::LidToPhoneNumber>>, Problem> {
    let names = app.fleet.open_known(&tenant).await?.all_names().await?;
    Ok(Json(page::cut(names, None, wanted.limit, wanted.offset).iter().map(Into::into).collect()))
}

/// `GET /api/{session}/lids/count`
pub async fn count_lids(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Json<CountResponse>, Problem> {
    Ok(Json(CountResponse::of(&app.fleet.open_known(&tenant).await?.all_names().await?)))
}

#[derive(Deserialize, JsonSchema)]
pub struct LidPath {
    #[schemars(example = "99887766@lid")]
    lid: String,
}

/// `GET /api/{session}/lids/{lid}`
pub async fn number_of_lid(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<LidPath>,
) -> Result<Json<person::LidToPhoneNumber>, Problem> {
    let lid = if named.lid.contains('@') { named.lid } else { format!("{}@lid", named.lid) };
    let lid = chat(&app, &tenant, "lid", &lid).await?;
    if !lid.ends_with("@lid") {
        return Err(flaw("lid", "expected a LID like 123456789@lid"));
    }
    let names = app.fleet.open_known(&tenant).await?.names(&lid).await?;
    Ok(Json(names.as_ref().map_or_else(|| person::LidToPhoneNumber { lid: Some(lid), pn: None }, Into::into)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumberPath {
    #[schemars(example = "573009998877")]
    phone_number: String,
}

/// `GET /api/{session}/lids/pn/{phoneNumber}`
pub async fn lid_of_number(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<NumberPath>,
) -> Result<Json<person::LidToPhoneNumber>, Problem> {
    let number = chat(&app, &tenant, "phoneNumber", &named.phone_number).await?;
    if !number.ends_with("@s.whatsapp.net") {
        return Err(flaw("phoneNumber", "expected a phone number"));
    }
    let names = app.fleet.open_known(&tenant).await?.names(&number).await?;
    Ok(Json(
        names.as_ref().map_or_else(|| person::LidToPhoneNumber { lid: None, pn: Some(chat_id(&number)) }, Into::into),
    ))
}
