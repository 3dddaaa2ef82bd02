//! Groups.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        App,
        answer::Created,
        auth::{Controlling, For, ReadingData},
        input::{Body, Path, Query},
        problem::Problem,
    },
    CountResponse, Success,
    chats::PictureUrl,
    conversations, flaw,
    page::{self, ListOrder},
    picture,
    profile::{MAX_PICTURE, NewPicture},
};
use crate::{
    message::phone,
    session::{
        Session,
        groups::{GroupSetting, GroupSettings, MemberChange},
    },
    tenant::TenantId,
    waha::group::{GroupChangeResult, GroupInfo, GroupJoinRequest, GroupParticipant, Joined},
};

#[derive(Deserialize, JsonSchema)]
pub struct GroupPath {
    #[schemars(example = "120363000000000001@g.us")]
    id: String,
}

impl GroupPath {
    /// A jid; WAHA's clients may leave the server out.
    fn jid(&self) -> String {
        let id = phone::cleaned(&self.id);
        if id.contains('@') { id } else { format!("{id}@g.us") }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupListQuery {
    limit: Option<usize>,
    offset: Option<usize>,
    sort_by: Option<GroupOrder>,
    sort_order: Option<ListOrder>,
    /// `participants`: without them.
    exclude: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum GroupOrder {
    Id,
    Subject,
}

/// `GET /api/{session}/groups`
pub async fn list(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Query(wanted): Query<GroupListQuery>,
) -> Result<Json<Vec<GroupInfo>>, Problem> {
    let mut groups = app.fleet.open_known(&tenant).await?.groups().await?;
    if let Some(GroupOrder::Subject) = wanted.sort_by {
        groups.sort_by_key(|group| group.subject.to_lowercase());
    }
    if wanted.exclude.is_some_and(|exclude| exclude.split(',').any(|part| part == "participants")) {
        groups.iter_mut().for_each(|group| group.members.clear());
    }
    let groups = page::cut(groups, wanted.sort_order, wanted.limit, wanted.offset);
    Ok(Json(groups.into_iter().map(GroupInfo::from).collect()))
}

/// `GET /api/{session}/groups/count`
pub async fn count(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Json<CountResponse>, Problem> {
    Ok(Json(CountResponse::of(&app.fleet.open_known(&tenant).await?.groups().await?)))
}

/// `POST /api/{session}/groups/refresh`: nothing is kept that could be old.
pub async fn refresh(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
) -> Result<Created<Success>, Problem> {
    app.fleet.open_known(&tenant).await?.groups().await?;
    Ok(Created(Success::YES))
}

#[derive(Deserialize, JsonSchema)]
pub struct NewGroup {
    #[schemars(required, length(min = 1, max = 100), example = &"Cocina")]
    name: Option<String>,
    #[schemars(required, length(max = 1023))]
    participants: Option<Vec<GroupParticipantId>>,
}

#[derive(Deserialize, JsonSchema)]
pub struct GroupParticipantId {
    #[schemars(example = "573009998877@c.us")]
    id: String,
}

/// `POST /api/{session}/groups`: `notAdded` names whom WhatsApp did not let in.
pub async fn create(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(new): Body<NewGroup>,
) -> Result<Created<GroupInfo>, Problem> {
    let members = new.participants.ok_or_else(|| flaw("participants", "is required"))?;
    let members = people(&app, &tenant, Some(members)).await?;
    let session = app.fleet.open_known(&tenant).await?;
    let made = session.create_group(&new.name.unwrap_or_default(), &members).await?;
    Ok(Created(made.into()))
}

/// `GET /api/{session}/groups/{id}`
pub async fn one(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<GroupPath>,
) -> Result<Json<GroupInfo>, Problem> {
    Ok(Json(app.fleet.open_known(&tenant).await?.group(&named.jid()).await?.into()))
}

/// `POST /api/{session}/groups/{id}/leave`
pub async fn leave(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<Created<Success>, Problem> {
    app.fleet.open_known(&tenant).await?.leave_group(&named.jid()).await?;
    Ok(Created(Success::YES))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "GroupInvitation")]
pub struct Invitation {
    /// The code, or the link with it.
    #[schemars(required, example = "https://chat.whatsapp.com/AbCdEf123456")]
    code: Option<String>,
}

/// `GET /api/{session}/groups/join-info`
pub async fn join_info(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Query(invitation): Query<Invitation>,
) -> Result<Json<GroupInfo>, Problem> {
    let code = invitation.code.unwrap_or_default();
    Ok(Json(app.fleet.open_known(&tenant).await?.invited_to(&code).await?.into()))
}

/// `POST /api/{session}/groups/join`
pub async fn join(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(invitation): Body<Invitation>,
) -> Result<Created<Joined>, Problem> {
    let code = invitation.code.unwrap_or_default();
    Ok(Created(app.fleet.open_known(&tenant).await?.join_group(&code).await?.into()))
}

/// `GET /api/{session}/groups/{id}/invite-code`
pub async fn invite_code(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<Json<String>, Problem> {
    Ok(Json(app.fleet.open_known(&tenant).await?.invite_code(&named.jid(), false).await?))
}

/// `POST /api/{session}/groups/{id}/invite-code/revoke`
pub async fn renew_invite_code(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<Created<String>, Problem> {
    Ok(Created(app.fleet.open_known(&tenant).await?.invite_code(&named.jid(), true).await?))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "GroupSubject")]
pub struct NewSubject {
    #[schemars(required, length(min = 1, max = 100))]
    subject: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "GroupDescription")]
pub struct NewDescription {
    /// Empty takes it away.
    #[schemars(required, length(max = 2048))]
    description: Option<String>,
}

/// `PUT /api/{session}/groups/{id}/subject`
pub async fn set_subject(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
    Body(texts): Body<NewSubject>,
) -> Result<Json<Success>, Problem> {
    let subject = texts.subject.ok_or_else(|| flaw("subject", "is required"))?;
    app.fleet.open_known(&tenant).await?.set_group_subject(&named.jid(), &subject).await?;
    Ok(Json(Success::YES))
}

/// `PUT /api/{session}/groups/{id}/description`
pub async fn set_description(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
    Body(texts): Body<NewDescription>,
) -> Result<Json<Success>, Problem> {
    let description = texts.description.ok_or_else(|| flaw("description", "is required; empty takes it away"))?;
    app.fleet.open_known(&tenant).await?.set_group_description(&named.jid(), &description).await?;
    Ok(Json(Success::YES))
}

/// `GET /api/{session}/groups/{id}/picture`
pub async fn picture(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<GroupPath>,
) -> Result<Json<PictureUrl>, Problem> {
    Ok(Json(PictureUrl::new(app.fleet.open_known(&tenant).await?.group_picture(&named.jid()).await?)))
}

/// `PUT /api/{session}/groups/{id}/picture`
pub async fn set_picture(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
    Body(body): Body<NewPicture>,
) -> Result<Json<Success>, Problem> {
    let session = app.fleet.open_known(&tenant).await?;
    session.set_group_picture(&named.jid(), picture::small(&app, &session, body.file, MAX_PICTURE).await?).await?;
    Ok(Json(Success::YES))
}

/// `DELETE /api/{session}/groups/{id}/picture`
pub async fn remove_picture(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<Json<Success>, Problem> {
    app.fleet.open_known(&tenant).await?.remove_group_picture(&named.jid()).await?;
    Ok(Json(Success::YES))
}

/// One of WAHA's settings of a group, which is an object with one field.
macro_rules! setting {
    ($show:ident, $set:ident, $form:ident, $schema:literal, $name:literal, $path:literal, $of:expr, $setting:expr) => {
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[schemars(rename = $schema)]
        pub struct $form {
            #[serde(rename = $name)]
            on: bool,
        }

        #[doc = concat!("`GET /api/{session}/groups/{id}/settings/security/", $path, "`")]
        pub async fn $show(
            State(app): State<App>,
            For { tenant, .. }: For<ReadingData>,
            Path(named): Path<GroupPath>,
        ) -> Result<Json<$form>, Problem> {
            let of: fn(GroupSettings) -> bool = $of;
            Ok(Json($form { on: of(app.fleet.open_known(&tenant).await?.group(&named.jid()).await?.settings) }))
        }

        #[doc = concat!("`PUT /api/{session}/groups/{id}/settings/security/", $path, "`")]
        pub async fn $set(
            State(app): State<App>,
            For { tenant, .. }: For<Controlling>,
            Path(named): Path<GroupPath>,
            Body(new): Body<$form>,
        ) -> Result<Json<Success>, Problem> {
            app.fleet.open_known(&tenant).await?.set_in_group(&named.jid(), $setting(new.on)).await?;
            Ok(Json(Success::YES))
        }
    };
}

setting!(
    info_by_admins,
    set_info_by_admins,
    InfoByAdmins,
    "GroupInfoByAdmins",
    "adminsOnly",
    "info-admin-only",
    |settings| settings.info_by_admins,
    GroupSetting::InfoByAdmins
);
setting!(
    messages_by_admins,
    set_messages_by_admins,
    MessagesByAdmins,
    "GroupMessagesByAdmins",
    "adminsOnly",
    "messages-admin-only",
    |settings| settings.messages_by_admins,
    GroupSetting::MessagesByAdmins
);
setting!(
    members_add,
    set_members_add,
    MembersAdd,
    "GroupMembersAdd",
    "membersCanAddNewMember",
    "member-add-mode",
    |settings| settings.members_add,
    GroupSetting::MembersAdd
);
setting!(
    history,
    set_history,
    MembersShareHistory,
    "GroupMembersShareHistory",
    "membersCanShareHistory",
    "member-share-history-mode",
    |settings| settings.members_share_history,
    GroupSetting::MembersShareHistory
);
setting!(
    approval,
    set_approval,
    Approval,
    "GroupApproval",
    "newMembersApprovalRequired",
    "membership-approval",
    |settings| settings.approval,
    GroupSetting::Approval
);

/// `GET /api/{session}/groups/{id}/participants` and `…/participants/v2`
pub async fn members(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<GroupPath>,
) -> Result<Json<Vec<GroupParticipant>>, Problem> {
    let group = app.fleet.open_known(&tenant).await?.group(&named.jid()).await?;
    Ok(Json(group.members.iter().map(GroupParticipant::from).collect()))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "GroupMembers")]
pub struct Members {
    #[schemars(required, length(min = 1, max = 1023))]
    participants: Option<Vec<GroupParticipantId>>,
}

macro_rules! change {
    ($name:ident, $path:literal, $change:expr) => {
        #[doc = concat!("`POST /api/{session}/groups/{id}/", $path, "`: what came of it for each.")]
        pub async fn $name(
            State(app): State<App>,
            For { tenant, .. }: For<Controlling>,
            Path(named): Path<GroupPath>,
            Body(members): Body<Members>,
        ) -> Result<Created<Vec<GroupChangeResult>>, Problem> {
            let who = people(&app, &tenant, members.participants).await?;
            let session = app.fleet.open_known(&tenant).await?;
            changed(&session, &named, $change, &who).await
        }
    };
}

change!(add, "participants/add", MemberChange::Add);
change!(remove, "participants/remove", MemberChange::Remove);
change!(promote, "admin/promote", MemberChange::Promote);
change!(demote, "admin/demote", MemberChange::Demote);
change!(approve, "participants/join-requests/approve", MemberChange::Approve);
change!(reject, "participants/join-requests/reject", MemberChange::Reject);

async fn changed(
    session: &Session,
    named: &GroupPath,
    change: MemberChange,
    who: &[String],
) -> Result<Created<Vec<GroupChangeResult>>, Problem> {
    let changed = session.change_group(&named.jid(), change, who).await?;
    Ok(Created(changed.iter().map(GroupChangeResult::from).collect()))
}

/// `GET /api/{session}/groups/{id}/participants/join-requests`
pub async fn join_requests(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<GroupPath>,
) -> Result<Json<Vec<GroupJoinRequest>>, Problem> {
    let requests = app.fleet.open_known(&tenant).await?.join_requests(&named.jid()).await?;
    Ok(Json(requests.iter().map(GroupJoinRequest::from).collect()))
}

async fn people(
    app: &App,
    tenant: &TenantId,
    participants: Option<Vec<GroupParticipantId>>,
) -> Result<Vec<String>, Problem> {
    let participants = participants.unwrap_or_default().into_iter().map(|participant| participant.id);
    conversations(app, tenant, "participants", &participants.collect::<Vec<_>>()).await
}
