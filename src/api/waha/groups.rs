//! Groups.

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
        auth::{Controlling, For, Reading},
        baileys::Body,
        problem::Problem,
    },
    chat, files, flaw, page,
    profile::{MAX_PICTURE, Picture},
};
use crate::{
    session::{
        Session,
        groups::{Change, Setting},
    },
    waha,
};

#[derive(Deserialize)]
pub struct GroupPath {
    id: String,
}

impl GroupPath {
    /// A jid; WAHA's clients may leave the server out.
    fn jid(&self) -> String {
        if self.id.contains('@') { self.id.clone() } else { format!("{}@g.us", self.id) }
    }
}

#[derive(Deserialize)]
pub struct Wanted {
    #[serde(flatten)]
    page: page::Page,
    #[serde(rename = "sortBy")]
    sort_by: Option<String>,
    #[serde(rename = "sortOrder")]
    sort_order: Option<page::Order>,
    /// `participants`: without them.
    exclude: Option<String>,
}

/// `GET /api/{session}/groups`
pub async fn list(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Value>>, Problem> {
    let mut groups = app.fleet.known(&tenant).await?.groups().await?;
    match wanted.sort_by.as_deref() {
        None | Some("" | "id") => {}
        Some("subject") => groups.sort_by_key(|group| group.subject.to_lowercase()),
        Some(_) => return Err(flaw("sortBy", "id or subject")),
    }
    wanted.sort_order.unwrap_or_default().apply(&mut groups);
    let bare = wanted.exclude.is_some_and(|exclude| exclude.split(',').any(|part| part == "participants"));
    let form = |group| {
        let mut form = waha::group::group(group);
        if bare {
            form["participants"] = json!([]);
        }
        form
    };
    Ok(Json(wanted.page.cut(groups)?.iter().map(form).collect()))
}

/// `GET /api/{session}/groups/count`
pub async fn count(State(app): State<App>, For { tenant, .. }: For<Reading>) -> Result<Json<Value>, Problem> {
    let groups = app.fleet.known(&tenant).await?.groups().await?;
    Ok(Json(json!({ "count": groups.len() })))
}

/// `POST /api/{session}/groups/refresh`: nothing is kept that could be old.
pub async fn refresh(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    app.fleet.known(&tenant).await?.groups().await?;
    Ok(created())
}

#[derive(Deserialize)]
pub struct New {
    name: Option<String>,
    participants: Option<Vec<Participant>>,
}

#[derive(Deserialize)]
pub struct Participant {
    id: String,
}

/// `POST /api/{session}/groups`
pub async fn create(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let members = people(&app, new.participants)?;
    let session = app.fleet.known(&tenant).await?;
    let group = session.create_group(&new.name.unwrap_or_default(), &members).await?;
    Ok((StatusCode::CREATED, Json(waha::group::group(&group))))
}

/// `GET /api/{session}/groups/{id}`
pub async fn one(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<GroupPath>,
) -> Result<Json<Value>, Problem> {
    let group = app.fleet.known(&tenant).await?.group(&named.jid()).await?;
    Ok(Json(waha::group::group(&group)))
}

/// `DELETE /api/{session}/groups/{id}`
pub async fn delete(_: For<Controlling>) -> Result<Json<Value>, Problem> {
    Err(Problem::not_implemented("WhatsApp has no way to delete a group: remove its members and leave it"))
}

/// `POST /api/{session}/groups/{id}/leave`
pub async fn leave(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    app.fleet.known(&tenant).await?.leave_group(&named.jid()).await?;
    Ok(created())
}

#[derive(Deserialize)]
pub struct Invitation {
    code: Option<String>,
}

/// `GET /api/{session}/groups/join-info`
pub async fn join_info(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Query(invitation): Query<Invitation>,
) -> Result<Json<Value>, Problem> {
    let code = invitation.code.unwrap_or_default();
    let group = app.fleet.known(&tenant).await?.invited_to(&code).await?;
    Ok(Json(waha::group::group(&group)))
}

/// `POST /api/{session}/groups/join`
pub async fn join(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(invitation): Body<Invitation>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let code = invitation.code.unwrap_or_default();
    let joined = app.fleet.known(&tenant).await?.join_group(&code).await?;
    Ok((StatusCode::CREATED, Json(waha::group::joined(&joined))))
}

/// `GET /api/{session}/groups/{id}/invite-code`
pub async fn invite_code(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<Json<String>, Problem> {
    Ok(Json(app.fleet.known(&tenant).await?.invite_code(&named.jid(), false).await?))
}

/// `POST /api/{session}/groups/{id}/invite-code/revoke`
pub async fn renew_invite_code(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<(StatusCode, Json<String>), Problem> {
    let code = app.fleet.known(&tenant).await?.invite_code(&named.jid(), true).await?;
    Ok((StatusCode::CREATED, Json(code)))
}

#[derive(Deserialize)]
pub struct Texts {
    subject: Option<String>,
    description: Option<String>,
}

/// `PUT /api/{session}/groups/{id}/subject`
pub async fn set_subject(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
    Body(texts): Body<Texts>,
) -> Result<Json<Value>, Problem> {
    let subject = texts.subject.ok_or_else(|| flaw("subject", "is required"))?;
    app.fleet.known(&tenant).await?.set_group_subject(&named.jid(), &subject).await?;
    Ok(done())
}

/// `PUT /api/{session}/groups/{id}/description`
pub async fn set_description(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
    Body(texts): Body<Texts>,
) -> Result<Json<Value>, Problem> {
    let description = texts.description.ok_or_else(|| flaw("description", "is required; empty takes it away"))?;
    app.fleet.known(&tenant).await?.set_group_description(&named.jid(), &description).await?;
    Ok(done())
}

/// `GET /api/{session}/groups/{id}/picture`
pub async fn picture(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<GroupPath>,
) -> Result<Json<Value>, Problem> {
    let url = app.fleet.known(&tenant).await?.group_picture(&named.jid()).await?;
    Ok(Json(json!({ "url": url.unwrap_or_default() })))
}

/// `PUT /api/{session}/groups/{id}/picture`
pub async fn set_picture(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
    Body(body): Body<Picture>,
) -> Result<Json<Value>, Problem> {
    let session = app.fleet.known(&tenant).await?;
    session.set_group_picture(&named.jid(), files::small(&app, body.file, MAX_PICTURE).await?).await?;
    Ok(done())
}

/// `DELETE /api/{session}/groups/{id}/picture`
pub async fn remove_picture(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<Json<Value>, Problem> {
    app.fleet.known(&tenant).await?.remove_group_picture(&named.jid()).await?;
    Ok(done())
}

/// One of WAHA's settings of a group, by the name of its field.
macro_rules! setting {
    ($show:ident, $set:ident, $name:literal, $path:literal, $field:ident, $of:expr, $setting:expr) => {
        #[doc = concat!("`GET /api/{session}/groups/{id}/settings/security/", $path, "`")]
        pub async fn $show(
            State(app): State<App>,
            For { tenant, .. }: For<Reading>,
            Path(named): Path<GroupPath>,
        ) -> Result<Json<Value>, Problem> {
            let settings = app.fleet.known(&tenant).await?.group(&named.jid()).await?.settings;
            let of: fn(crate::session::groups::Settings) -> bool = $of;
            Ok(Json(json!({ $name: of(settings) })))
        }

        #[doc = concat!("`PUT /api/{session}/groups/{id}/settings/security/", $path, "`")]
        pub async fn $set(
            State(app): State<App>,
            For { tenant, .. }: For<Controlling>,
            Path(named): Path<GroupPath>,
            Body(new): Body<NewSetting>,
        ) -> Result<Json<Value>, Problem> {
            let on = new.$field.ok_or_else(|| flaw($name, "true or false is required"))?;
            app.fleet.known(&tenant).await?.set_in_group(&named.jid(), $setting(on)).await?;
            Ok(done())
        }
    };
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSetting {
    admins_only: Option<bool>,
    members_can_add_new_member: Option<bool>,
    members_can_share_history: Option<bool>,
    new_members_approval_required: Option<bool>,
}

setting!(
    info_by_admins,
    set_info_by_admins,
    "adminsOnly",
    "info-admin-only",
    admins_only,
    |settings| settings.info_by_admins,
    Setting::InfoByAdmins
);
setting!(
    messages_by_admins,
    set_messages_by_admins,
    "adminsOnly",
    "messages-admin-only",
    admins_only,
    |settings| settings.messages_by_admins,
    Setting::MessagesByAdmins
);
setting!(
    members_add,
    set_members_add,
    "membersCanAddNewMember",
    "member-add-mode",
    members_can_add_new_member,
    |settings| settings.members_add,
    Setting::MembersAdd
);
setting!(
    history,
    set_history,
    "membersCanShareHistory",
    "member-share-history-mode",
    members_can_share_history,
    |settings| settings.members_share_history,
    Setting::MembersShareHistory
);
setting!(
    approval,
    set_approval,
    "newMembersApprovalRequired",
    "membership-approval",
    new_members_approval_required,
    |settings| settings.approval,
    Setting::Approval
);

/// `GET /api/{session}/groups/{id}/participants` and `…/participants/v2`
pub async fn members(
    State(app): State<App>,
    For { tenant, .. }: For<Reading>,
    Path(named): Path<GroupPath>,
) -> Result<Json<Vec<Value>>, Problem> {
    let group = app.fleet.known(&tenant).await?.group(&named.jid()).await?;
    Ok(Json(group.members.iter().map(waha::group::member).collect()))
}

#[derive(Deserialize)]
pub struct Members {
    participants: Option<Vec<Participant>>,
}

macro_rules! change {
    ($name:ident, $path:literal, $change:expr) => {
        #[doc = concat!("`POST /api/{session}/groups/{id}/", $path, "`: what came of it for each.")]
        pub async fn $name(
            State(app): State<App>,
            For { tenant, .. }: For<Controlling>,
            Path(named): Path<GroupPath>,
            Body(members): Body<Members>,
        ) -> Result<(StatusCode, Json<Vec<Value>>), Problem> {
            let who = people(&app, members.participants)?;
            let session = app.fleet.known(&tenant).await?;
            changed(&session, &named, $change, &who).await
        }
    };
}

change!(add, "participants/add", Change::Add);
change!(remove, "participants/remove", Change::Remove);
change!(promote, "admin/promote", Change::Promote);
change!(demote, "admin/demote", Change::Demote);
change!(approve, "participants/join-requests/approve", Change::Approve);
change!(reject, "participants/join-requests/reject", Change::Reject);

async fn changed(
    session: &Session,
    named: &GroupPath,
    change: Change,
    who: &[String],
) -> Result<(StatusCode, Json<Vec<Value>>), Problem> {
    let changed = session.change_group(&named.jid(), change, who).await?;
    Ok((StatusCode::CREATED, Json(changed.iter().map(waha::group::changed).collect())))
}

/// `GET /api/{session}/groups/{id}/participants/join-requests`
pub async fn join_requests(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<Json<Vec<Value>>, Problem> {
    let requests = app.fleet.known(&tenant).await?.join_requests(&named.jid()).await?;
    Ok(Json(requests.iter().map(waha::group::request).collect()))
}

fn people(app: &App, participants: Option<Vec<Participant>>) -> Result<Vec<String>, Problem> {
    let participants = participants.unwrap_or_default();
    participants.iter().map(|participant| chat(app, "participants", &participant.id)).collect()
}

fn done() -> Json<Value> {
    Json(json!({ "success": true }))
}

fn created() -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, done())
}
