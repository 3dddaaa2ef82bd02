//! Channels: those that the tenant follows or has made.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        App,
        answer::Created,
        auth::{Controlling, For, ReadingData},
        input::{Body, Path, Query},
        problem::Problem,
    },
    Success, flaw, own_jid,
};
use crate::waha::{
    self, Source, View,
    channel::{ChannelMessage, Role, WAChannel},
};

#[derive(Deserialize, JsonSchema)]
pub struct ChannelListQuery {
    /// Those in which the tenant is this.
    role: Option<Role>,
}

/// `GET /api/{session}/channels`
pub async fn list(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Query(wanted): Query<ChannelListQuery>,
) -> Result<Json<Vec<WAChannel>>, Problem> {
    let channels = app.fleet.open_known(&tenant).await?.channels().await?;
    let channels = channels.into_iter().map(WAChannel::from);
    Ok(Json(channels.filter(|channel| wanted.role.is_none_or(|role| role == channel.role)).collect()))
}

#[derive(Deserialize, JsonSchema)]
pub struct NewChannel {
    #[schemars(required, length(min = 1, max = 100), example = &"Trattoria")]
    name: Option<String>,
    #[schemars(length(max = 2048))]
    description: Option<String>,
}

/// `POST /api/{session}/channels`
pub async fn create(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(new): Body<NewChannel>,
) -> Result<Created<WAChannel>, Problem> {
    let name = new.name.ok_or_else(|| flaw("name", "is required"))?;
    let session = app.fleet.open_known(&tenant).await?;
    Ok(Created(session.create_channel(&name, new.description.as_deref()).await?.into()))
}

#[derive(Deserialize, JsonSchema)]
pub struct ChannelPath {
    #[schemars(example = "120363000000000001@newsletter")]
    id: String,
}

/// `GET /api/{session}/channels/{id}`: by its id, or by the code with which its link ends.
pub async fn one(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<ChannelPath>,
) -> Result<Json<WAChannel>, Problem> {
    Ok(Json(app.fleet.open_known(&tenant).await?.channel(&named.id).await?.into()))
}

#[derive(Deserialize, JsonSchema)]
pub struct ChannelPage {
    /// 10 where it is absent.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
}

/// `GET /api/{session}/channels/{id}/messages/preview`: what it wrote last, followed or not. Files are not fetched.
pub async fn posts(
    State(app): State<App>,
    For { tenant, .. }: For<ReadingData>,
    Path(named): Path<ChannelPath>,
    Query(page): Query<ChannelPage>,
) -> Result<Json<Vec<ChannelMessage>>, Problem> {
    let limit = page.limit.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(flaw("limit", "from 1 to 100"));
    }
    let session = app.fleet.open_known(&tenant).await?;
    let me = own_jid(&session);
    let view = View { me: &me, source: Source::App, delivery: None, failure: None, media_url: None };
    let posts = session.posts(&named.id, limit).await?.into_iter().map(|post| ChannelMessage {
        message: waha::WAMessage::new(&post.message, view),
        reactions: post.reactions,
        view_count: post.views,
    });
    Ok(Json(posts.collect()))
}

/// `DELETE /api/{session}/channels/{id}`
pub async fn delete(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Path(named): Path<ChannelPath>,
) -> Result<Json<Success>, Problem> {
    app.fleet.open_known(&tenant).await?.delete_channel(&named.id).await?;
    Ok(Json(Success::YES))
}

/// An act of a follower, on or off.
macro_rules! follower {
    ($name:ident, $path:literal, $call:ident, $on:literal) => {
        #[doc = concat!("`POST /api/{session}/channels/{id}/", $path, "`")]
        pub async fn $name(
            State(app): State<App>,
            For { tenant, .. }: For<Controlling>,
            Path(named): Path<ChannelPath>,
        ) -> Result<Created<Success>, Problem> {
            app.fleet.open_known(&tenant).await?.$call(&named.id, $on).await?;
            Ok(Created(Success::YES))
        }
    };
}

follower!(follow, "follow", follow_channel, true);
follower!(unfollow, "unfollow", follow_channel, false);
follower!(mute, "mute", mute_channel, true);
follower!(unmute, "unmute", mute_channel, false);
