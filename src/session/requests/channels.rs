//! Channels: those that the tenant follows or has made. WhatsApp has the state; nothing of it is kept here.

use whatsapp_rust::{
    Jid, NewsletterMetadata, NewsletterRole, NewsletterVerification, Server,
    wacore::iq::{mex::MexDoc, mex_operations::delete_newsletter as deletion},
};

use super::pace::RequestKind;
use crate::session::{RequestError, Session};

const MAX_NAME: usize = 100;
const MAX_DESCRIPTION: usize = 2048;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// A jid.
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    /// The last part of the channel's link.
    pub invite: Option<String>,
    pub verified: bool,
    pub subscribers: u64,
    pub role: ChannelRole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelRole {
    Owner,
    Admin,
    Subscriber,
    Guest,
}

impl Session {
    pub async fn channels(&self) -> Result<Vec<Channel>, RequestError> {
        let found =
            self.ask(RequestKind::Query, |client| async move { client.newsletter().list_subscribed().await }).await?;
        let mut channels: Vec<_> = found.into_iter().map(Channel::from).collect();
        channels.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(channels)
    }

    /// By its id, or by the code with which its link ends.
    pub async fn channel(&self, id: &str) -> Result<Channel, RequestError> {
        if !id.contains('@') && id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let code = id.to_owned();
            let found =
                self.ask(RequestKind::Query, |client| async move {
                    client.newsletter().get_metadata_by_invite(&code).await
                })
                .await;
            return found.map(Channel::from).map_err(|refused| refused.about("channel"));
        }
        let jid = channel(id)?;
        let found =
            self.ask(RequestKind::Query, |client| async move { client.newsletter().get_metadata(&jid).await }).await;
        found.map(Channel::from).map_err(|refused| refused.about("channel"))
    }

    pub async fn create_channel(&self, name: &str, description: Option<&str>) -> Result<Channel, RequestError> {
        if !super::is_name(name, MAX_NAME) {
            return Err(RequestError::Input { field: "name", expected: "from 1 to 100 characters" });
        }
        if description.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION || !super::is_whole(text)) {
            return Err(RequestError::Input { field: "description", expected: "at most 2048 characters" });
        }
        let made = self
            .ask(RequestKind::Change, |client| async move { client.newsletter().create(name, description).await })
            .await?;
        Ok(made.into())
    }

    pub async fn delete_channel(&self, id: &str) -> Result<(), RequestError> {
        let jid = channel(id)?;
        let doc = MexDoc { name: deletion::NAME, id: deletion::DOC_ID };
        let variables = deletion::Variables { newsletter_id: Some(jid.to_string()) };
        let answer: deletion::Response =
            self.query(doc, variables).await.map_err(|refused| refused.about("channel"))?;
        answer.xwa2_newsletter_delete_v2.map(drop).ok_or(RequestError::Unknown("channel"))
    }

    pub async fn follow_channel(&self, id: &str, on: bool) -> Result<(), RequestError> {
        let jid = channel(id)?;
        let followed = self.ask(RequestKind::Change, |client| async move {
            let channels = client.newsletter();
            if on { channels.join(&jid).await.map(drop) } else { channels.leave(&jid).await }
        });
        followed.await.map_err(|refused| refused.about("channel"))
    }

    pub async fn mute_channel(&self, id: &str, muted: bool) -> Result<(), RequestError> {
        let jid = channel(id)?;
        let set = self
            .ask(RequestKind::Change, |client| async move { client.newsletter().set_follower_mute(&jid, muted).await })
            .await;
        set.map_err(|refused| refused.about("channel"))
    }
}

pub(in crate::session) fn channel(id: &str) -> Result<Jid, RequestError> {
    let flaw =
        RequestError::Input { field: "id", expected: "expected a channel's id like 120363000000000000@newsletter" };
    let jid = id.parse::<Jid>().ok().filter(|jid| jid.server == Server::Newsletter);
    jid.filter(|jid| !jid.user.is_empty() && jid.user.bytes().all(|byte| byte.is_ascii_digit())).ok_or(flaw)
}

impl From<NewsletterMetadata> for Channel {
    fn from(channel: NewsletterMetadata) -> Self {
        Self {
            id: channel.jid.to_non_ad_string(),
            name: channel.name,
            description: channel.description,
            invite: channel.invite_code,
            verified: channel.verification == NewsletterVerification::Verified,
            subscribers: channel.subscriber_count,
            role: match channel.role {
                Some(NewsletterRole::Owner) => ChannelRole::Owner,
                Some(NewsletterRole::Admin) => ChannelRole::Admin,
                Some(NewsletterRole::Subscriber) => ChannelRole::Subscriber,
                _ => ChannelRole::Guest,
            },
        }
    }
}
