//! Rules of an owner whose tenant takes no orders: words, a pattern, the first contact, the hours; and what is answered: a text, a file.
//! Pure.
//!
//! Owns the shapes, their validation, and whether a rule is met; `conversation::ruling` says what follows. A pattern takes time in
//! proportion to the text: it is matched without backtracking.

use std::collections::HashSet;

use regex::{RegexBuilder, RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use super::{text::fold, texts};

pub const MAX_RULES: usize = 50;
const MAX_KEYWORDS: usize = 50;
const MAX_KEYWORD_CHARS: usize = 60;
const MAX_PATTERN_CHARS: usize = 300;
/// Bytes of a pattern that is ready for use.
const MAX_PATTERN_BYTES: usize = 256 << 10;
/// Of all patterns of a tenant together.
const MAX_PATTERNS_BYTES: usize = 1 << 20;
pub const MAX_REPLY_CHARS: usize = 2_000;
pub const MAX_FILE_URL_CHARS: usize = 2_000;
pub const MAX_FILE_NAME_CHARS: usize = 255;
pub const MAX_MIME_CHARS: usize = 127;
const MAX_PAUSE_MINUTES: u32 = 7 * 24 * 60;

/// A rule's answer may name these.
pub const PLACEHOLDERS: [&str; 4] = ["greeting", "name", "restaurant", "opening"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplyRule {
    pub when: RuleTrigger,
    /// A template; see [`PLACEHOLDERS`]. Beside a file it is the caption, and may be left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<RuleFile>,
    /// A human is called, and the bot says nothing more for a while.
    #[serde(default)]
    pub human: bool,
    /// Nobody is told it again within so many minutes.
    #[serde(default)]
    pub pause_minutes: u32,
}

/// A file that a rule sends, where it is. Its bytes say whether it is a picture, a film or a sound; anything else is a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleFile {
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The type of a document; `audio/ogg` makes a sound a voice message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mimetype: Option<String>,
}

/// What a rule says with its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiledReply {
    pub caption: String,
    pub file: RuleFile,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RuleTrigger {
    /// One of these stands in a message, as whole words; accents and capitals do not count.
    Keywords(Vec<String>),
    /// The same of a regular expression.
    Regex(String),
    /// The customer writes for the first time, as far as is known.
    FirstContact,
    /// The tenant's hours are over.
    Away,
    /// Whatever was said.
    Anything,
}

impl RuleFile {
    /// Every mistake, by its field in the rule. Whether the URL may be asked is the network's to say.
    fn flaws(&self) -> Vec<(&'static str, RuleError)> {
        let is_line = |text: &str, most: usize| {
            !text.is_empty() && text.chars().count() <= most && !text.contains(char::is_control)
        };
        let is_name = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
        };
        let is_mime = |mime: &String| {
            let essence = mime.split(';').next().unwrap_or_default();
            let is_pair = essence.split_once('/').is_some_and(|(kind, rest)| is_name(kind) && is_name(rest));
            is_line(mime, MAX_MIME_CHARS) && is_pair
        };
        let is_named = self.filename.as_ref().is_none_or(|name| is_line(name, MAX_FILE_NAME_CHARS));
        let checks = [
            ("file.url", is_line(&self.url, MAX_FILE_URL_CHARS), RuleError::FileUrl),
            ("file.filename", is_named, RuleError::FileName),
            ("file.mimetype", self.mimetype.as_ref().is_none_or(is_mime), RuleError::MimeType),
        ];
        checks.into_iter().filter(|(_, is_valid, _)| !is_valid).map(|(field, _, error)| (field, error)).collect()
    }
}

impl RuleTrigger {
    /// It is said beside another rule's answer.
    pub fn is_greeting(&self) -> bool {
        matches!(self, Self::FirstContact | Self::Away)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("more than {MAX_RULES} rules")]
    TooMany,
    #[error(
        "keywords need to be 1 to {MAX_KEYWORDS}, each with a letter or a digit, of {MAX_KEYWORD_CHARS} characters at the most"
    )]
    Keywords,
    #[error("this is no regular expression, or one that is too large")]
    Regex,
    #[error("with this one the regular expressions of all rules are too large together")]
    TooLarge,
    #[error("an answer needs 1 to {MAX_REPLY_CHARS} characters, or a file")]
    Reply,
    #[error("a file's URL needs 1 to {MAX_FILE_URL_CHARS} characters")]
    FileUrl,
    #[error("a file's name needs 1 to {MAX_FILE_NAME_CHARS} characters on one line")]
    FileName,
    #[error("expected a media type like image/jpeg")]
    MimeType,
    #[error("{{{0}}} is no placeholder of an answer")]
    Placeholder(String),
    #[error("a pause has {MAX_PAUSE_MINUTES} minutes at the most")]
    Pause,
}

/// Every mistake, by its field.
pub fn flaws(rules: &[ReplyRule]) -> Vec<(String, RuleError)> {
    let mut flaws = Vec::new();
    if rules.len() > MAX_RULES {
        flaws.push(("rules".to_owned(), RuleError::TooMany));
        return flaws;
    }
    let mut patterns = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let mut flaw = |field: &str, error| flaws.push((format!("rules[{at}].{field}"), error));
        match &rule.when {
            RuleTrigger::Keywords(words) => {
                let is_word =
                    |word: &String| word.chars().count() <= MAX_KEYWORD_CHARS && !plain(word).trim().is_empty();
                if words.is_empty() || words.len() > MAX_KEYWORDS || !words.iter().all(is_word) {
                    flaw("when.keywords", RuleError::Keywords);
                }
            }
            RuleTrigger::Regex(pattern) if is_pattern(pattern) => patterns.push((at, pattern.as_str())),
            RuleTrigger::Regex(_) => flaw("when.regex", RuleError::Regex),
            RuleTrigger::FirstContact | RuleTrigger::Away | RuleTrigger::Anything => {}
        }
        let is_nothing = rule.reply.trim().is_empty() && rule.file.is_none();
        if is_nothing || rule.reply.chars().count() > MAX_REPLY_CHARS {
            flaw("reply", RuleError::Reply);
        }
        for (field, error) in rule.file.iter().flat_map(RuleFile::flaws) {
            flaw(field, error);
        }
        if let Some(name) = texts::placeholders(&rule.reply).find(|name| !PLACEHOLDERS.contains(name)) {
            flaw("reply", RuleError::Placeholder(name.to_owned()));
        }
        if rule.pause_minutes > MAX_PAUSE_MINUTES {
            flaw("pauseMinutes", RuleError::Pause);
        }
    }
    let (places, patterns): (Vec<usize>, Vec<&str>) = patterns.into_iter().unzip();
    if let Some(at) = places.get(compiled(&patterns).len()) {
        flaws.push((format!("rules[{at}].when.regex"), RuleError::TooLarge));
    }
    flaws
}

/// What is known of a turn.
#[derive(Debug, Clone, Copy)]
pub struct RuledTurn<'a> {
    pub texts: &'a [&'a str],
    pub is_first: bool,
    pub is_away: bool,
}

/// A rule that is ready for use.
#[derive(Debug)]
enum Matcher {
    Keywords(Vec<String>),
    /// By its place among the patterns. One that is not there is too large, an older build's, and never met.
    Pattern(usize),
    FirstContact,
    Away,
    Anything,
    /// It could not be read: an older build's, and never met.
    Never,
}

/// The matchers of all rules, each at its rule's place.
#[derive(Debug, Default)]
pub struct RuleBook {
    matchers: Vec<Matcher>,
    /// One program for all.
    patterns: RegexSet,
}

impl RuleBook {
    pub fn new(rules: &[ReplyRule]) -> Self {
        let mut patterns = Vec::new();
        let matcher = |rule: &ReplyRule| match &rule.when {
            RuleTrigger::Keywords(words) => Matcher::Keywords(words.iter().map(|word| plain(word)).collect()),
            RuleTrigger::Regex(pattern) if is_pattern(pattern) => {
                patterns.push(pattern.clone());
                Matcher::Pattern(patterns.len() - 1)
            }
            RuleTrigger::Regex(_) => Matcher::Never,
            RuleTrigger::FirstContact => Matcher::FirstContact,
            RuleTrigger::Away => Matcher::Away,
            RuleTrigger::Anything => Matcher::Anything,
        };
        let matchers = rules.iter().map(matcher).collect();
        Self { matchers, patterns: compiled(&patterns) }
    }

    /// The places of all rules that are met, in order.
    pub fn met(&self, turn: RuledTurn<'_>) -> Vec<usize> {
        let folded: Vec<String> = turn.texts.iter().map(|text| fold(text)).collect();
        let words: Vec<String> = folded.iter().map(|text| plain(text)).collect();
        let texts = turn.texts.iter().copied().chain(folded.iter().map(String::as_str));
        let found: HashSet<usize> = texts.flat_map(|text| self.patterns.matches(text)).collect();
        let is_met = |matcher: &Matcher| match matcher {
            Matcher::Keywords(keywords) => {
                keywords.iter().any(|keyword| words.iter().any(|text| text.contains(keyword)))
            }
            Matcher::Pattern(pattern) => found.contains(pattern),
            Matcher::FirstContact => turn.is_first,
            Matcher::Away => turn.is_away,
            Matcher::Anything => true,
            Matcher::Never => false,
        };
        self.matchers.iter().enumerate().filter(|(_, matcher)| is_met(matcher)).map(|(at, _)| at).collect()
    }
}

/// Folded words with a blank on each side: one contains another as whole words.
fn plain(text: &str) -> String {
    let folded = fold(text);
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |text, word| text + word + " ")
}

fn is_pattern(pattern: &str) -> bool {
    let is_short = !pattern.is_empty() && pattern.chars().count() <= MAX_PATTERN_CHARS;
    let mut builder = RegexBuilder::new(pattern);
    builder.case_insensitive(true).size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
    is_short && builder.build().is_ok()
}

/// Patterns, each of which is one, as far as all before it leave room.
fn compiled<S: AsRef<str>>(patterns: &[S]) -> RegexSet {
    let first = |count: usize| {
        let mut builder = RegexSetBuilder::new(&patterns[..count]);
        builder.case_insensitive(true).size_limit(MAX_PATTERNS_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        builder.build().ok()
    };
    if let Some(all) = first(patterns.len()) {
        return all;
    }
    let (mut fit, mut room, mut too_many) = (RegexSet::empty(), 0, patterns.len());
    while too_many - room > 1 {
        let count = room.midpoint(too_many);
        match first(count) {
            Some(set) => (fit, room) = (set, count),
            None => too_many = count,
        }
    }
    fit
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(of: serde_json::Value) -> Vec<ReplyRule> {
        serde_json::from_value(of).unwrap()
    }

    #[test]
    fn a_rule_is_met_by_whole_words_whatever_their_accents() {
        let book = RuleBook::new(&rules(json!([
            { "when": { "keywords": ["wi-fi", "contraseña"] }, "reply": "a" },
            { "when": { "regex": r"\b(direcci[oó]n|d[oó]nde est[aá]n)\b" }, "reply": "b" },
            { "when": "firstContact", "reply": "c" },
            { "when": "away", "reply": "d" },
            { "when": "anything", "reply": "e" },
        ])));
        let met = |text: &str| book.met(RuledTurn { texts: &[text], is_first: false, is_away: false });
        assert_eq!(met("¿Cuál es el WI FI?"), [0, 4]);
        assert_eq!(met("la contrasena, porfa"), [0, 4]);
        assert_eq!(met("wififi y contraseñas"), [4]);
        assert_eq!(met("DONDE ESTAN?"), [1, 4]);
        assert_eq!(met("cuál es la dirección"), [1, 4]);
        assert_eq!(book.met(RuledTurn { texts: &[], is_first: true, is_away: true }), [2, 3, 4]);
    }

    #[test]
    fn every_mistake_of_a_rule_has_its_field() {
        let wrong = rules(json!([
            { "when": { "keywords": [] }, "reply": "a" },
            { "when": { "keywords": ["¡!"] }, "reply": "{nombre}" },
            { "when": { "regex": "(" }, "reply": " " },
            { "when": { "regex": r"(\w{100}){100}" }, "reply": "a", "pauseMinutes": 10_081 },
            { "when": "away", "reply": "{greeting}, {name}: abrimos {opening}. {restaurant}", "human": true },
        ]));
        let fields: Vec<_> = flaws(&wrong).into_iter().map(|(field, _)| field).collect();
        let expected = [
            "rules[0].when.keywords",
            "rules[1].when.keywords",
            "rules[1].reply",
            "rules[2].when.regex",
            "rules[2].reply",
            "rules[3].when.regex",
            "rules[3].pauseMinutes",
        ];
        assert_eq!(fields, expected);
        let many = vec![wrong[4].clone(); MAX_RULES + 1];
        assert_eq!(flaws(&many), [("rules".to_owned(), RuleError::TooMany)]);
        assert!(serde_json::from_value::<ReplyRule>(json!({ "when": "sometimes", "reply": "a" })).is_err());
    }

    #[test]
    fn a_rule_says_a_text_or_sends_a_file_or_both() {
        let file = |file: serde_json::Value| json!({ "when": "anything", "file": file });
        let right = rules(json!([
            file(json!({ "url": "https://example.com/menu.png" })),
            { "when": "anything", "reply": "{greeting}", "file": { "url": "https://example.com/a", "filename": "Menú.pdf",
                "mimetype": "application/pdf" } },
        ]));
        assert!(flaws(&right).is_empty(), "{:?}", flaws(&right));
        // It is given back as it came, and what was kept before there were files is read.
        assert_eq!(json!(right[0])["file"], json!({ "url": "https://example.com/menu.png" }));
        assert_eq!((json!(right[0]).get("reply"), rules(json!([right[1].clone()]))), (None, vec![right[1].clone()]));
        let wrong = rules(json!([
            { "when": "anything" },
            file(json!({ "url": "" })),
            file(json!({ "url": "https://example.com/a", "filename": "a\nb", "mimetype": "pdf" })),
            { "when": "anything", "reply": "x".repeat(MAX_REPLY_CHARS + 1), "file": { "url": "https://example.com/a" } },
        ]));
        let fields: Vec<_> = flaws(&wrong).into_iter().map(|(field, _)| field).collect();
        let expected = [
            "rules[0].reply",
            "rules[1].file.url",
            "rules[2].file.filename",
            "rules[2].file.mimetype",
            "rules[3].reply",
        ];
        assert_eq!(fields, expected);
        assert!(serde_json::from_value::<ReplyRule>(file(json!({ "filename": "a" }))).is_err());
    }

    #[test]
    fn patterns_share_their_room() {
        let rule = |pattern: &str| json!({ "when": { "regex": pattern }, "reply": "a" });
        let (zeros, large) = ("0".repeat(2_000), rules(vec![rule("0{2000}"); MAX_RULES].into()));
        assert!(flaws(&large[..1]).is_empty());
        let found = flaws(&large);
        let [(field, RuleError::TooLarge)] = &found[..] else { panic!("{found:?}") };
        let met = RuleBook::new(&large).met(RuledTurn { texts: &[&zeros], is_first: false, is_away: false });
        assert!(!met.is_empty() && met.iter().copied().eq(0..met.len()), "an older build's: the first are met");
        assert_eq!(*field, format!("rules[{}].when.regex", met.len()));
        let usual = rules(vec![rule(r"\b(precio|cu[aá]nto (cuesta|vale)n?)\b"); MAX_RULES].into());
        assert!(flaws(&usual).is_empty());
    }
}
