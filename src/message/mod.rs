//! Messages: one normalised form for all that passes, the inbox (what came), the outbox (what goes), and the event log that
//! consumers read. Owns these records in the tenant's store; never speaks to WhatsApp and never sends.

mod address;
mod blank;
mod bounded;
pub mod card;
mod changes;
pub mod cleared;
mod closed;
mod closed_orders;
mod content;
mod draft;
mod emoji;
mod event_body;
mod failure;
mod feed;
mod group;
pub mod history;
mod inbox;
mod lives;
mod log;
pub mod media;
mod news;
mod oldest;
mod outbox;
pub mod past;
pub mod phone;
mod resealing;
mod segments;
pub mod status;
pub mod synced;
pub mod timer;
mod traffic;

pub use self::{
    address::Address,
    blank::is_blank,
    bounded::MAX_TEXT,
    closed::FormerConversations,
    closed_orders::ClosedOrders,
    content::{
        Advertisement, CatalogOrder, ChoiceOption, Contact, Content, LinkPreview, Location, Media, MessageTarget, Poll,
        Product, Quoted,
    },
    draft::{ALL, Draft, Flaw, Happening, Humanize, Mentions, SendRequest},
    event_body::{Event, EventBody, EventId, OrderChange},
    failure::{Failure, FailureReason},
    feed::{ConnectionState, Feed, FeedItem},
    group::{Group, GroupChange, GroupSetting, GroupSettings, Member, Move, Rank},
    inbox::{Found, Inbox, Incoming},
    log::{Cursor, Log, PublishWhen, Retention},
    news::{Call, CallStage, LabelChange, LabelNews, StatePoint},
    outbox::{
        Acceptance, Accepted, BacklogSize, BotDecision, Outbox, OutboxError, Outgoing, Unsettled, WaitingMessage,
    },
    resealing::{ResealError, SegmentReferences, StoredSegment, reseal_state},
    segments::SegmentCache,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::{
    Store, StoreError,
    key::{self, Key},
};

/// A message as consumers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// WhatsApp's id; unique within (chat, sender).
    pub id: String,
    /// The conversation: the phone number's jid where it is known, else as WhatsApp addressed it. The inbox goes by it.
    pub chat: String,
    /// The author, as a jid.
    pub sender: String,
    /// As WhatsApp addressed it: what replies and receipts go by.
    pub addressed: Addressed,
    pub from_me: bool,
    pub is_group: bool,
    /// When it was written, seconds since 1970, by WhatsApp's clock.
    pub timestamp: i64,
    /// The name that the sender chose.
    pub push_name: String,
    pub content: Content,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<Quoted>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// Jids that it mentions, and [`ALL`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// The advertisement over which its sender came to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertisement: Option<Box<Advertisement>>,
    /// WhatsApp's id of the album that it is a picture or video of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<Box<str>>,
    /// It was larger than what is shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// The jids of a message as they came, a LID where WhatsApp says LID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressed {
    pub chat: String,
    pub sender: String,
    /// The other name, number or LID, of the person: of the chat's, or in a group of the sender. Where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate: Option<String>,
}

impl Message {
    /// Takes away what it said, and what it answered: it was deleted for everyone. Who wrote it, where and when stays.
    fn erase(&mut self) {
        self.content = Content::Text { text: String::new(), preview: None };
        self.quoted = None;
        self.mentions.clear();
        self.advertisement = None;
        self.truncated = false;
    }

    /// Names the author of each message that it speaks of as that message does: by the number, where it is known. WhatsApp names him by
    /// the LID in most groups, and who joins the two by WAHA's ids would not find the one.
    pub async fn name_authors(&mut self, store: &Store) -> Result<(), StoreError> {
        let quoted = self.quoted.as_mut().map(|quoted| &mut quoted.target.sender);
        let about = self.content.target_mut().map(|target| &mut target.sender);
        let authors: Vec<&mut String> = quoted.into_iter().chain(about).collect();
        for author in authors {
            if author.ends_with("@lid") {
                let name = store.names(author.as_str()).await?.swap_remove(0);
                *author = name;
            }
        }
        Ok(())
    }

    /// The keys that its record may have: by the names of its event, which are canonical, and as earlier builds filed it.
    fn inbox_keys(&self) -> [Key; 2] {
        [(&self.chat, &self.sender), (&self.addressed.chat, &self.addressed.sender)]
            .map(|(chat, sender)| key::inbox(chat, &self.id, sender))
    }
}

/// How far a message that we sent has come. Only grows, but for `Failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Durable here; not yet confirmed by WhatsApp.
    Accepted,
    /// WhatsApp has it.
    Sent,
    /// A device of the recipient has it.
    Delivered,
    Read,
    /// A voice message or a video was played.
    Played,
    /// It is not sent any more; [`Failure`] says why.
    Failed,
}

impl Delivery {
    /// The steps between this one and a later one, which nobody may have told: whoever reads in an open chat says nothing of the delivery.
    fn steps_until(self, later: Self) -> impl Iterator<Item = Self> {
        let steps = [Self::Sent, Self::Delivered, Self::Read, Self::Played].into_iter();
        steps.filter(move |step| later != Self::Failed && self < *step && *step < later)
    }

    /// The word in events and problems.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
        }
    }
}
