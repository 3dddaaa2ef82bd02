//! How the tenant shows itself to others: name, about, picture.

use super::pace::RequestKind;
use crate::{
    message::media,
    session::{RequestError, Session},
};

/// How the tenant shows itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// A jid.
    pub id: String,
    pub name: String,
    /// The picture's URL, good for a while.
    pub picture: Option<String>,
}

/// WhatsApp's limits.
const MAX_NAME: usize = 25;
const MAX_ABOUT: usize = 139;

/// WhatsApp takes pictures of some 100 KB; what is much larger is no picture for a profile.
const MAX_PICTURE: usize = 1024 * 1024;

impl Session {
    pub async fn profile(&self) -> Result<Profile, RequestError> {
        let id = self.me().ok_or_else(|| self.not_ready_error(RequestError::NotConnected))?;
        // Its own: no number is tried.
        let picture = self.picture_as(RequestKind::Query, &id).await?;
        Ok(Profile { id, name: self.status().push_name.unwrap_or_default(), picture })
    }

    pub async fn set_name(&self, name: &str) -> Result<(), RequestError> {
        if !super::is_name(name, MAX_NAME) {
            return Err(RequestError::Input { field: "name", expected: "from 1 to 25 characters" });
        }
        self.ask(RequestKind::Change, |client| async move { client.profile().set_push_name(name).await }).await?;
        self.0.set_status(|status| status.push_name = Some(name.to_owned()));
        Ok(())
    }

    /// An empty one takes it away.
    pub async fn set_about(&self, about: &str) -> Result<(), RequestError> {
        if about.chars().count() > MAX_ABOUT || !super::is_whole(about) {
            return Err(RequestError::Input { field: "status", expected: "at most 139 characters" });
        }
        self.ask(RequestKind::Change, |client| async move { client.profile().set_status_text(about).await }).await
    }

    pub async fn set_picture(&self, picture: Vec<u8>) -> Result<(), RequestError> {
        let jpeg = self.portrait(picture).await?;
        self.ask(RequestKind::Change, |client| async move { client.profile().set_profile_picture(jpeg).await }).await?;
        Ok(())
    }

    pub async fn remove_picture(&self) -> Result<(), RequestError> {
        self.ask(RequestKind::Change, |client| async move { client.profile().remove_profile_picture().await }).await?;
        Ok(())
    }

    /// A picture of a profile or a group: WhatsApp takes JPEG alone, and says no word of it otherwise.
    pub(in crate::session) async fn portrait(&self, picture: Vec<u8>) -> Result<Vec<u8>, RequestError> {
        if picture.len() > MAX_PICTURE {
            return Err(RequestError::Input { field: "file", expected: "at most 1 MiB" });
        }
        if picture.starts_with(&[0xFF, 0xD8, 0xFF]) {
            return Ok(picture);
        }
        // Decoded pictures are large: not many at once.
        let _turn = self.0.env.decoding.acquire().await;
        let jpeg = tokio::task::spawn_blocking(move || media::portrait(&picture)).await.ok().flatten();
        jpeg.ok_or(RequestError::Input { field: "file", expected: "expected a JPEG, PNG or WebP picture" })
    }
}
