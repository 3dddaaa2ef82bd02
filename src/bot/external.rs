//! An external bot: a service of the owner's that answers what the rules do not. Pure. Owns the setting and the forms that are exchanged;
//! `service::asking` asks it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{conversation::MAX_REPLIES, rules::MAX_REPLY_CHARS};

pub const MAX_TIMEOUT_SECONDS: u32 = 30;
pub const MAX_KEY_CHARS: usize = 200;
pub const MAX_URL_CHARS: usize = 2_000;
/// Bytes of an answer.
pub const MAX_ANSWER_BYTES: usize = 64 << 10;

/// What a reader gets in the place of the key. Sent back, it keeps the key on the same server.
pub const MASK: &str = "********";

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalBot {
    pub url: String,
    /// Signs requests as it signs those of webhooks; empty: they are not signed.
    #[serde(default)]
    pub key: String,
    /// With all tries.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// The answer where there is none in time; empty: none.
    #[serde(default)]
    pub fallback: String,
}

fn default_timeout() -> u32 {
    10
}

/// Without the key.
impl fmt::Debug for ExternalBot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalBot").field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExternalBotError {
    #[error("a URL has {MAX_URL_CHARS} characters at the most")]
    Url,
    #[error("a key has {MAX_KEY_CHARS} characters at the most")]
    Key,
    #[error("the time needs to be between 1 and {MAX_TIMEOUT_SECONDS} seconds")]
    Timeout,
    #[error("the answer has {MAX_REPLY_CHARS} characters at the most")]
    Fallback,
}

impl ExternalBot {
    /// Every mistake, by its field. Whether the URL may be asked is the network's to say.
    pub fn flaws(&self) -> Vec<(&'static str, ExternalBotError)> {
        let checks = [
            ("url", self.url.chars().count() <= MAX_URL_CHARS, ExternalBotError::Url),
            ("key", self.key.chars().count() <= MAX_KEY_CHARS, ExternalBotError::Key),
            ("timeoutSeconds", (1..=MAX_TIMEOUT_SECONDS).contains(&self.timeout_seconds), ExternalBotError::Timeout),
            ("fallback", self.fallback.chars().count() <= MAX_REPLY_CHARS, ExternalBotError::Fallback),
        ];
        checks.into_iter().filter(|(_, is_valid, _)| !is_valid).map(|(field, _, error)| (field, error)).collect()
    }
}

/// What it is asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalQuestion<'a> {
    pub event: &'static str,
    /// The same at every repeat.
    pub id: &'a str,
    pub session: &'a str,
    pub chat_id: &'a str,
    pub name: Option<&'a str>,
    /// What the customer said in one turn, oldest first.
    pub messages: Vec<QuestionMessage<'a>>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

#[derive(Debug, Serialize)]
pub struct QuestionMessage<'a> {
    pub text: &'a str,
}

/// What it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalAnswer {
    pub replies: Vec<String>,
    /// A human is to answer from here on.
    pub human: bool,
}

#[derive(Deserialize)]
struct AnswerForm {
    #[serde(default)]
    replies: Vec<ReplyForm>,
    #[serde(default)]
    human: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ReplyForm {
    Text(String),
    Message { text: String },
}

impl ExternalAnswer {
    /// `None`: it is no answer. An empty body says nothing.
    pub fn read(body: &[u8]) -> Option<Self> {
        if body.trim_ascii().is_empty() {
            return Some(Self::default());
        }
        // A list would be read as the fields in their order.
        let answer: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
        let AnswerForm { replies, human } = serde_json::from_value(answer.into()).ok()?;
        let text = |reply| match reply {
            ReplyForm::Text(text) | ReplyForm::Message { text } => text,
        };
        let replies: Vec<String> = replies.into_iter().map(text).filter(|text| !text.trim().is_empty()).collect();
        let is_small = |text: &String| text.chars().count() <= MAX_REPLY_CHARS;
        (replies.len() <= MAX_REPLIES && replies.iter().all(is_small)).then_some(Self { replies, human })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_lists_of_replies_and_nothing_else() {
        let read = |body: &str| ExternalAnswer::read(body.as_bytes());
        let replies = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let said = ExternalAnswer { replies: replies(&["Hola", "¿Cómo está?"]), human: false };
        assert_eq!(read(r#"{"replies":["Hola",{"text":"¿Cómo está?"}," "]}"#), Some(said));
        assert_eq!(read(" "), Some(ExternalAnswer::default()));
        assert_eq!(read(r#"{"human":true}"#), Some(ExternalAnswer { replies: Vec::new(), human: true }));
        let long = format!(r#"{{"replies":["{}"]}}"#, "x".repeat(MAX_REPLY_CHARS + 1));
        for body in ["null", "[]", "<html>", r#"{"replies":"Hola"}"#, r#"{"replies":[1]}"#, &long] {
            assert_eq!(read(body), None, "{body}");
        }
        assert_eq!(read(&format!(r#"{{"replies":[{}]}}"#, [r#""a""#; MAX_REPLIES + 1].join(","))), None);
    }

    #[test]
    fn a_key_is_not_shown() {
        let bot: ExternalBot =
            serde_json::from_str(r#"{"url":"https://bot.example.com/","key":"very-secret"}"#).unwrap();
        assert_eq!((bot.timeout_seconds, bot.flaws()), (10, vec![]));
        assert!(!format!("{bot:?}").contains("very-secret"));
        let wrong = ExternalBot { timeout_seconds: 31, key: "k".repeat(201), ..bot };
        let fields: Vec<_> = wrong.flaws().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["key", "timeoutSeconds"]);
    }
}
