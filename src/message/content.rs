//! The content of a message, in one form for every kind. Media keys and paths, by which WhatsApp's clients fetch and
//! decrypt a file, are not here: they stay in the inbox, with the whole message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The content of a message, by `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    Text {
        text: String,
        /// The sender's preview of the page that a link in it leads to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preview: Option<Box<LinkPreview>>,
    },
    Image(Media),
    Video(Media),
    /// Music, or speech: see [`Media::voice`].
    Audio(Media),
    Document(Media),
    Sticker(Media),
    Location(Location),
    Contact {
        contacts: Vec<Contact>,
    },
    Poll(Poll),
    Vote {
        poll: MessageTarget,
        /// The names of the options chosen now, all of them; empty when the vote was taken back.
        options: Vec<String>,
    },
    Reaction {
        target: MessageTarget,
        /// Empty when the reaction was taken back.
        emoji: String,
    },
    /// Another message now says this instead.
    Edit {
        target: MessageTarget,
        content: Box<Content>,
    },
    /// Another message was deleted for everyone.
    Revoke {
        target: MessageTarget,
    },
    /// Another message stands on top of the chat from now on, or does no more.
    Pin {
        target: MessageTarget,
        on: bool,
    },
    /// Another message stays when the chat's messages disappear, or no longer does.
    Keep {
        target: MessageTarget,
        on: bool,
    },
    /// An answer by a button, from a list or from a business's flow.
    Choice {
        id: String,
        text: String,
        /// The other data of a flow, as its JSON came: a form that was filled in, an address.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        parameters: String,
    },
    /// A cart from the business's catalogue.
    Order(CatalogOrder),
    /// Something from a business's catalogue.
    Product(Product),
    /// A kind that we have no form for, by the name of its field in the protocol; with its text or caption if it has one.
    Unknown {
        name: String,
        text: String,
        /// The options, where it is a business's message with buttons or a list.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        choices: Vec<ChoiceOption>,
    },
    /// Messages of the chat disappear so many seconds after they were sent, from now on; 0: they stay.
    Timer {
        seconds: u32,
    },
    /// Something of the chat's that nobody wrote, by WhatsApp's name for it: that an album follows, that an option was added to a poll,
    /// that the tenant was named in a status.
    Mark {
        name: String,
        /// The message that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<MessageTarget>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// It could not be decrypted; asked for again.
    Undecryptable,
}

/// A button, or a row of a list: `POST /api/send/buttons/reply` takes its id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChoiceOption {
    pub id: String,
    pub text: String,
}

/// Which message is meant: as its chat and id name it, and by whom it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Target")]
pub struct MessageTarget {
    pub id: String,
    pub from_me: bool,
    /// A jid.
    pub sender: String,
}

/// A file, without its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Media {
    #[serde(rename = "mimetype")]
    pub mime: String,
    /// As the sender claims, bytes; checked when it is fetched.
    pub size: Option<u64>,
    /// SHA-256 of the file, hex.
    pub sha256: Option<String>,
    pub caption: String,
    pub file_name: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub seconds: Option<u32>,
    /// Recorded speech, not a file.
    pub voice: bool,
    /// A sticker that moves, or a video without sound that repeats.
    pub animated: bool,
    /// To be seen once.
    pub view_once: bool,
    /// A small JPEG (PNG for a sticker), base64.
    pub thumbnail: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Location {
    /// Degrees.
    pub latitude: f64,
    pub longitude: f64,
    pub name: String,
    pub address: String,
    /// The sender's words beside the name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// It moves: more of them follow.
    pub live: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    pub name: String,
    pub vcard: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Poll {
    pub name: String,
    pub options: Vec<String>,
    /// How many may be chosen; 0: any number.
    pub choose: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Order")]
#[serde(default)]
pub struct CatalogOrder {
    pub id: String,
    pub title: String,
    pub text: String,
    pub items: i32,
    /// In thousandths of the currency's unit.
    pub total_1000: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// WhatsApp tells the cart's contents to whoever shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Product {
    /// WhatsApp's.
    pub id: String,
    /// The business's own, as its catalogue has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retailer_id: Option<String>,
    pub title: String,
    /// All texts of it: title, description, and the words that came with it.
    pub text: String,
    /// In thousandths of the currency's unit.
    pub price_1000: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The business that has it in its catalogue, a jid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// The advertisement over which somebody came to write. Its texts and links are what the message claims.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Advertisement {
    pub title: String,
    pub body: String,
    /// The page that shows it.
    pub url: String,
    /// `ad` or `post`.
    pub source_type: String,
    /// The advertisement's id at its network.
    pub source_id: String,
    /// `facebook`, `instagram` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_app: Option<String>,
    /// This click's id (`ctwaClid`). The network counts an order by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_url: Option<String>,
    /// The business's own words in the link.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// The preview of the page that a link leads to, in the sender's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkPreview {
    /// The link, as it stands in the text.
    pub url: String,
    pub title: String,
    pub description: String,
}

/// The message that a message answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quoted {
    #[serde(flatten)]
    pub target: MessageTarget,
    /// As far as the quote carries it.
    pub content: Box<Content>,
}

impl Content {
    /// It has no form, and no name either.
    pub fn unknown() -> Self {
        Self::nameable("unknown", "")
    }

    /// It has no form, but a name.
    pub fn nameable(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Unknown { name: name.into(), text: text.into(), choices: Vec::new() }
    }

    /// A text and no more.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), preview: None }
    }

    /// The readable part: the text, the caption, a name; empty when there is none.
    pub fn text(&self) -> &str {
        match self {
            Self::Text { text, .. }
            | Self::Choice { text, .. }
            | Self::Unknown { text, .. }
            | Self::Mark { text, .. } => text,
            Self::Image(media)
            | Self::Video(media)
            | Self::Audio(media)
            | Self::Document(media)
            | Self::Sticker(media) => &media.caption,
            Self::Location(location) => &location.name,
            Self::Contact { contacts } => contacts.first().map_or("", |contact| &contact.name),
            Self::Poll(poll) => &poll.name,
            Self::Reaction { emoji, .. } => emoji,
            Self::Edit { content, .. } => content.text(),
            Self::Order(order) => &order.text,
            Self::Product(product) => &product.text,
            Self::Vote { .. }
            | Self::Revoke { .. }
            | Self::Pin { .. }
            | Self::Keep { .. }
            | Self::Timer { .. }
            | Self::Undecryptable => "",
        }
    }

    /// True for something of the chat's that is no message of a person.
    pub fn is_mark(&self) -> bool {
        matches!(self, Self::Pin { .. } | Self::Keep { .. } | Self::Timer { .. } | Self::Mark { .. })
    }

    /// Says what an edit says from now on. Of a file only the caption can change: an edit of it says the caption alone, or as a text.
    pub fn amend(&mut self, edit: Self) {
        match self {
            Self::Image(media)
            | Self::Video(media)
            | Self::Audio(media)
            | Self::Document(media)
            | Self::Sticker(media) => edit.text().clone_into(&mut media.caption),
            content if edit.media().is_some() => *content = Self::plain(edit.text()),
            content => *content = edit,
        }
    }

    /// The other message that it is about, where it names one.
    pub(super) fn target_mut(&mut self) -> Option<&mut MessageTarget> {
        match self {
            Self::Vote { poll: target, .. }
            | Self::Reaction { target, .. }
            | Self::Edit { target, .. }
            | Self::Revoke { target }
            | Self::Pin { target, .. }
            | Self::Keep { target, .. } => Some(target),
            Self::Mark { target, .. } => target.as_mut(),
            _ => None,
        }
    }

    /// The file, when it is one.
    pub fn media(&self) -> Option<&Media> {
        match self {
            Self::Image(media)
            | Self::Video(media)
            | Self::Audio(media)
            | Self::Document(media)
            | Self::Sticker(media) => Some(media),
            _ => None,
        }
    }
}
