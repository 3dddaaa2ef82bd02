//! The messages that a customer or a phone's owner can write: every kind, in a form that tests read and JSON carries.
//!
//! In JSON `kind` says which, `data` is a file in base64: `{"kind": "image", "data": "…", "caption": "Margherita"}`.
//! A message is named by its id: that of the poll voted on, of the message reacted to, edited, revoked or quoted.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer};
use waproto::whatsapp as wa;

use crate::account::Form;

/// A file to send.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct File {
    /// In JSON base64.
    #[serde(deserialize_with = "from_base64")]
    pub data: Vec<u8>,
    /// A usual one of the kind when absent.
    pub mimetype: Option<String>,
    pub caption: Option<String>,
    pub file_name: Option<String>,
    /// How long it plays.
    pub seconds: Option<u32>,
    /// A JPEG, in JSON base64.
    #[serde(deserialize_with = "from_base64")]
    pub thumbnail: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Card {
    pub name: String,
    pub vcard: String,
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Say {
    Text {
        text: String,
        /// Numbers that the text mentions.
        #[serde(default)]
        mentions: Vec<String>,
    },
    Image(File),
    Video(File),
    /// A video that plays as an animation.
    Gif(File),
    /// A round video note.
    VideoNote(File),
    Audio(File),
    Voice(File),
    Document(File),
    Sticker(File),
    Location {
        latitude: f64,
        longitude: f64,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        address: Option<String>,
    },
    LiveLocation {
        latitude: f64,
        longitude: f64,
        #[serde(default)]
        caption: Option<String>,
        #[serde(default)]
        sequence: i64,
    },
    Contact(Card),
    Contacts {
        name: String,
        contacts: Vec<Card>,
    },
    Poll {
        name: String,
        options: Vec<String>,
        /// How many one may choose; 0 is any number.
        #[serde(default)]
        selectable: u32,
    },
    /// No option takes a vote back.
    Vote {
        of: String,
        options: Vec<String>,
        /// The names that the vote is sealed with; those of the chat, when absent.
        #[serde(default)]
        creator: Option<Form>,
        #[serde(default)]
        voter: Option<Form>,
    },
    /// An empty emoji takes a reaction back.
    Reaction {
        of: String,
        emoji: String,
    },
    Edit {
        of: String,
        text: String,
    },
    Revoke {
        of: String,
    },
    ButtonsResponse {
        id: String,
        text: String,
    },
    ListResponse {
        id: String,
        title: String,
    },
    Order {
        id: String,
        title: String,
        items: i32,
        /// In thousandths of the currency.
        total: i64,
        currency: String,
        token: String,
    },
    /// From the catalogue of whom it is written to.
    Product {
        id: String,
        retailer_id: String,
        title: String,
        /// In thousandths of the currency.
        price: i64,
        currency: String,
    },
    /// Anything, from somebody who came over an advertisement.
    FromAdvertisement {
        title: String,
        source_id: String,
        click_id: String,
        say: Box<Say>,
    },
    /// Anything, with a message quoted.
    Reply {
        of: String,
        say: Box<Say>,
    },
    /// Disappears after that many seconds.
    Ephemeral {
        seconds: u32,
        say: Box<Say>,
    },
    ViewOnce {
        say: Box<Say>,
    },
    /// A message with one field that no client knows.
    Unknown {
        field: u32,
    },
    /// Any message; in JSON the base64 of its protobuf.
    Raw {
        #[serde(deserialize_with = "protobuf")]
        message: Box<wa::Message>,
    },
    /// Bytes where a message's protobuf should be.
    Garbage {
        bytes: Vec<u8>,
    },
}

impl Say {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), mentions: Vec::new() }
    }

    pub fn image(data: impl Into<Vec<u8>>) -> Self {
        Self::Image(File::new(data))
    }

    pub fn video(data: impl Into<Vec<u8>>) -> Self {
        Self::Video(File::new(data))
    }

    pub fn audio(data: impl Into<Vec<u8>>) -> Self {
        Self::Audio(File::new(data))
    }

    pub fn voice(data: impl Into<Vec<u8>>) -> Self {
        Self::Voice(File { seconds: Some(3), ..File::new(data) })
    }

    pub fn sticker(data: impl Into<Vec<u8>>) -> Self {
        Self::Sticker(File::new(data))
    }

    pub fn document(file_name: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Self::Document(File { file_name: Some(file_name.into()), ..File::new(data) })
    }

    pub fn poll(name: impl Into<String>, options: &[&str], selectable: u32) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self::Poll { name: name.into(), options, selectable }
    }

    pub fn vote(of: impl Into<String>, options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self::Vote { of: of.into(), options, creator: None, voter: None }
    }

    /// Of a vote: which of their names it is sealed with.
    pub fn sealed_with(mut self, of_creator: Form, of_voter: Form) -> Self {
        if let Self::Vote { creator, voter, .. } = &mut self {
            (*creator, *voter) = (Some(of_creator), Some(of_voter));
        }
        self
    }

    pub fn reaction(of: impl Into<String>, emoji: impl Into<String>) -> Self {
        Self::Reaction { of: of.into(), emoji: emoji.into() }
    }

    pub fn edit(of: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Edit { of: of.into(), text: text.into() }
    }

    pub fn revoke(of: impl Into<String>) -> Self {
        Self::Revoke { of: of.into() }
    }

    /// Quotes a message.
    pub fn reply_to(self, of: impl Into<String>) -> Self {
        Self::Reply { of: of.into(), say: Box::new(self) }
    }

    pub fn ephemeral(self, seconds: u32) -> Self {
        Self::Ephemeral { seconds, say: Box::new(self) }
    }

    pub fn view_once(self) -> Self {
        Self::ViewOnce { say: Box::new(self) }
    }

    /// Of a file; nothing else has one.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        if let Some(file) = self.file_mut() {
            file.caption = Some(caption.into());
        }
        self
    }

    pub fn mimetype(mut self, mimetype: impl Into<String>) -> Self {
        if let Some(file) = self.file_mut() {
            file.mimetype = Some(mimetype.into());
        }
        self
    }

    fn file_mut(&mut self) -> Option<&mut File> {
        match self {
            Self::Image(file)
            | Self::Video(file)
            | Self::Gif(file)
            | Self::VideoNote(file)
            | Self::Audio(file)
            | Self::Voice(file)
            | Self::Document(file)
            | Self::Sticker(file) => Some(file),
            _ => None,
        }
    }
}

impl File {
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }
}

impl From<&str> for Say {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Say {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&String> for Say {
    fn from(text: &String) -> Self {
        Self::text(text)
    }
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)
}

fn protobuf<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<wa::Message>, D::Error> {
    let bytes = from_base64(deserializer)?;
    waproto::codec::message_decode(&bytes).map(Box::new).map_err(serde::de::Error::custom)
}
