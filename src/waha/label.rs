//! WAHA's form of labels. WhatsApp has numbers for colours; the values are those of WhatsApp Web's palette.

use schemars::JsonSchema;
use serde::Serialize;

use super::id::chat_id;
use crate::message::synced;

/// By WhatsApp's number.
const COLORS: [&str; 20] = [
    "#ff9485", "#64c4ff", "#ffd429", "#dfaef0", "#99b6c1", "#55ccb3", "#ff9dff", "#d3a91d", "#6d7cce", "#d7e752",
    "#00d0e2", "#ffc5c7", "#93ceac", "#f74848", "#00a0f2", "#83e422", "#ffaf04", "#b5ebff", "#9ba6ff", "#9368cf",
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WALabel {
    pub id: String,
    pub name: String,
    /// WhatsApp's number of it.
    pub color: i32,
    pub color_hex: &'static str,
}

impl From<&synced::Label> for WALabel {
    fn from(label: &synced::Label) -> Self {
        let hex = usize::try_from(label.color).ok().and_then(|color| COLORS.get(color)).copied();
        let color_hex = hex.unwrap_or("#000000");
        Self { id: label.id.clone(), name: label.name.clone(), color: label.color, color_hex }
    }
}

/// A label on a chat, or taken off it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LabelChatAssociation")]
pub struct LabelOfChat {
    label_id: String,
    chat_id: String,
    label: WALabel,
}

impl LabelOfChat {
    pub fn new(label: WALabel, chat: &str) -> Self {
        Self { label_id: label.id.clone(), chat_id: chat_id(chat), label }
    }
}

/// WhatsApp's number of a colour; `None`: it has no such.
pub fn color(hex: &str) -> Option<i32> {
    let at = COLORS.iter().position(|known| known.eq_ignore_ascii_case(hex))?;
    i32::try_from(at).ok()
}
