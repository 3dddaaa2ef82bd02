//! Messages that belong to another one: pictures of an album, and files that a phone sends after a message. Pure.

use whatsapp_rust::waproto::whatsapp::{self as wa, message_association::AssociationType};

use super::{Parties, named_mark, unwrapped};
use crate::message::Content;

/// The id of the album that it belongs to: its pictures come one by one, after a mark that says how many.
pub fn album(message: &wa::Message) -> Option<Box<str>> {
    const LONGEST_ID: usize = 128;
    let mut albums = associations(message).filter(|it| it.association_type == Some(AssociationType::MEDIA_ALBUM));
    let id = albums.next()?.parent_message_key.as_option()?.id.as_deref()?;
    (1..=LONGEST_ID).contains(&id.len()).then(|| id.into())
}

/// A file that a phone sends after a message which it belongs to, and shows as a part of it: a person sent one message. A picture in HD
/// comes twice so, the small one first.
pub(super) fn companion_file(message: &wa::Message, parties: &Parties<'_>) -> Option<Content> {
    // A new type does not compile before it has its line.
    let named = associations(message).find_map(|it| {
        let name = match it.association_type? {
            AssociationType::HD_IMAGE_DUAL_UPLOAD => "hd_image",
            AssociationType::HD_VIDEO_DUAL_UPLOAD => "hd_video",
            AssociationType::HEVC_VIDEO_DUAL_UPLOAD => "hevc_video",
            AssociationType::MOTION_PHOTO => "motion_photo",
            AssociationType::MEDIA_POLL => "poll_option_image",
            AssociationType::EVENT_COVER_IMAGE => "event_cover_image",
            // Messages of their own.
            AssociationType::UNKNOWN
            | AssociationType::MEDIA_ALBUM
            | AssociationType::BOT_PLUGIN
            | AssociationType::STICKER_ANNOTATION
            | AssociationType::VIEW_ALL_REPLIES
            | AssociationType::POLL_ADD_OPTION => return None,
            // Statuses that follow from others.
            AssociationType::STATUS_POLL
            | AssociationType::STATUS_EXTERNAL_RESHARE
            | AssociationType::STATUS_ADD_YOURS
            | AssociationType::STATUS_NOTIFICATION
            | AssociationType::STATUS_LINK_ACTION
            | AssociationType::STATUS_ADD_YOURS_AI_IMAGINE
            | AssociationType::STATUS_QUESTION
            | AssociationType::STATUS_ADD_YOURS_DIWALI
            | AssociationType::STATUS_REACTION => return None,
        };
        Some((name, it.parent_message_key.as_option()))
    });
    let (name, parent) = named.or_else(|| {
        let name = unwrapped(message).find_map(|message| match message {
            message if message.poll_creation_option_image_message.is_set() => Some("poll_option_image"),
            message if message.event_cover_image.is_set() => Some("event_cover_image"),
            _ => None,
        });
        Some((name?, None))
    })?;
    Some(named_mark(name, parent.and_then(|key| parties.target(key))))
}

/// What its wrappers and itself say of the message that it belongs to.
fn associations(message: &wa::Message) -> impl Iterator<Item = &wa::MessageAssociation> {
    unwrapped(message).filter_map(|message| message.message_context_info.as_option()?.message_association.as_option())
}
