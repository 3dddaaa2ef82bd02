//! The chats and messages of a list, and their order: the parameters of WAHA's lists, and their meaning here.

use std::collections::HashSet;

use axum::{
    extract::{self, FromRequestParts},
    http::request::Parts,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    super::{
        auth::Names,
        openapi::{Operation, ParameterIn, Takes},
        problem::Problem,
        stream,
    },
    flaw,
};
use crate::{
    message::{Delivery, history},
    session::Session,
    tenant::TenantId,
};

const PAGE: usize = 100;
const MAX_PAGE: usize = 500;
/// The most messages that are left out: they are read all the same.
const MAX_OFFSET: usize = 100_000;
/// Chats that are put in another order than their last messages'.
const MAX_SORTED: usize = 10_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SortOrder {
    Asc,
    #[default]
    Desc,
}

/// WAHA's names; both are the message's time.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
enum MessageSort {
    Timestamp,
    MessageTimestamp,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
enum ChatSort {
    #[default]
    ConversationTimestamp,
    Id,
    Name,
}

/// Messages, the newest first if nothing else is said.
#[derive(Deserialize, JsonSchema)]
pub struct MessageList {
    /// At most 500.
    limit: Option<usize>,
    offset: Option<usize>,
    #[serde(rename = "sortBy")]
    #[expect(dead_code, reason = "it is checked, and has one meaning")]
    sort_by: Option<MessageSort>,
    #[serde(default, rename = "sortOrder")]
    sort_order: SortOrder,
    /// Sent in this second or later, seconds since 1970.
    #[serde(default, rename = "filter.timestamp.gte", deserialize_with = "seconds")]
    #[schemars(with = "Option<f64>", example = 1_795_000_000)]
    since: Option<i64>,
    /// Sent in this second or before.
    #[serde(default, rename = "filter.timestamp.lte", deserialize_with = "seconds")]
    #[schemars(with = "Option<f64>")]
    until: Option<i64>,
    #[serde(rename = "filter.fromMe")]
    from_me: Option<bool>,
    /// As messages show it, by `ack` or by `ackName`: -1 (`ERROR`) to 4 (`PLAYED`).
    #[serde(rename = "filter.ack")]
    #[schemars(regex(pattern = "^(-1|[0-4]|ERROR|PENDING|SERVER|DEVICE|READ|PLAYED)$"), example = &"READ")]
    ack: Option<String>,
}

impl MessageList {
    /// The query, for one chat or for all.
    pub fn query(&self, chat: Option<String>) -> Result<history::MessageQuery, Problem> {
        let expected = || flaw("filter.ack", "expected -1 to 4, or ERROR, PENDING, SERVER, DEVICE, READ, PLAYED");
        let delivery = self.ack.as_deref().map(|ack| delivery(ack).ok_or_else(expected));
        Ok(history::MessageQuery {
            chat,
            offset: self.offset.unwrap_or(0).min(MAX_OFFSET),
            limit: self.limit.unwrap_or(PAGE).min(MAX_PAGE),
            since: self.since,
            until: self.until,
            from_me: self.from_me,
            delivery: delivery.transpose()?,
            oldest_first: self.sort_order == SortOrder::Asc,
            ..history::MessageQuery::default()
        })
    }
}

/// WAHA's document has any number here, and clocks of some languages have fractions of a second: those are left out.
fn seconds<'de, D: Deserializer<'de>>(field: D) -> Result<Option<i64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(field)? else { return Ok(None) };
    let (whole, fraction) = text.split_once('.').unwrap_or((text.as_str(), ""));
    let whole = if fraction.bytes().all(|digit| digit.is_ascii_digit()) { whole } else { text.as_str() };
    whole.parse().map(Some).map_err(D::Error::custom)
}

fn delivery(ack: &str) -> Option<Delivery> {
    Some(match ack {
        "-1" | "ERROR" => Delivery::Failed,
        "0" | "PENDING" => Delivery::Accepted,
        "1" | "SERVER" => Delivery::Sent,
        "2" | "DEVICE" => Delivery::Delivered,
        "3" | "READ" => Delivery::Read,
        "4" | "PLAYED" => Delivery::Played,
        _ => return None,
    })
}

/// The chat, where the path does not say it.
#[derive(Deserialize, JsonSchema)]
pub struct MessagesOfChat {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[serde(rename = "chatId")]
    #[schemars(required, example = "573009998877@c.us")]
    pub chat_id: Option<String>,
}

in_session!(MessagesOfChat: session);

/// Chats, the one with the newest message first if nothing else is said.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatList {
    /// At most 500.
    limit: Option<usize>,
    offset: Option<usize>,
    #[serde(default)]
    sort_by: ChatSort,
    #[serde(default)]
    sort_order: SortOrder,
}

impl ChatList {
    /// Reads these chats; all, if there are none.
    pub async fn read(&self, session: &Session, ids: &HashSet<String>) -> Result<Vec<history::ChatSummary>, Problem> {
        let (offset, limit) = (self.offset.unwrap_or(0), self.limit.unwrap_or(PAGE).min(MAX_PAGE));
        let read = async |offset, limit| {
            let chats = match ids.is_empty() {
                true => session.chats(offset, limit).await,
                false => session.chats_among(ids, offset, limit).await,
            };
            chats.map_err(Problem::unreadable)
        };
        if (self.sort_by, self.sort_order) == Default::default() {
            let _turn = session.look_turn().await.ok_or_else(stream::busy)?;
            return read(offset, limit).await;
        }
        let _turn = session.reading_turn().ok_or_else(stream::busy)?;
        let mut chats = read(0, MAX_SORTED).await?;
        match self.sort_by {
            ChatSort::ConversationTimestamp => {}
            // As the other order has it: the last one first.
            ChatSort::Id => chats.sort_by(|a, b| b.id.cmp(&a.id)),
            ChatSort::Name => {
                chats.sort_by_cached_key(|chat| std::cmp::Reverse(chat.name.as_deref().map(str::to_lowercase)))
            }
        }
        if self.sort_order == SortOrder::Asc {
            chats.reverse();
        }
        Ok(chats.into_iter().skip(offset).take(limit).collect())
    }
}

/// `ids=…&ids=…`, as clients repeat it, or with commas.
pub struct Ids(pub Vec<String>);

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let pairs = extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let extract::Query(pairs) = pairs.map_err(|error| Problem::invalid(error.body_text(), Vec::new()))?;
        let named = pairs.iter().filter(|(name, _)| matches!(name.as_str(), "ids" | "ids[]"));
        let ids = named.flat_map(|(_, ids)| ids.split(',')).map(str::trim).filter(|id| !id.is_empty());
        let ids: Vec<_> = ids.map(str::to_owned).collect();
        if ids.len() > MAX_PAGE {
            return Err(flaw("ids", "expected at most 500"));
        }
        Ok(Self(ids))
    }
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "for the document")]
struct IdsParameter {
    /// Only these chats; may be repeated.
    ids: Option<Vec<String>>,
}

impl Takes for Ids {
    fn takes(operation: &mut Operation<'_>) {
        operation.parameters::<IdsParameter>(ParameterIn::Query);
        operation.may_fail(&[400, 422]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_fractions() {
        let since = |text: &str| {
            let uri = format!("/messages?filter.timestamp.gte={text}").parse().unwrap();
            extract::Query::<MessageList>::try_from_uri(&uri).ok().map(|extract::Query(list)| list.since)
        };
        for text in ["1795000000", "1795000000.0", "1795000000.75"] {
            assert_eq!(since(text), Some(Some(1_795_000_000)), "{text}");
        }
        for text in ["", "soon", "1795000000.x", "1.2.3", "."] {
            assert_eq!(since(text), None, "{text}");
        }
    }
}
