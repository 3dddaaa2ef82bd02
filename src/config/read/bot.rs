//! `bot`: what is kept of it, its mirror, and the language model.

use super::{Secret, SettingReader, is_safe};
use crate::config::{Bot, Import, LanguageModel};

impl SettingReader<'_> {
    pub(super) fn bot(&mut self, import: Option<&Import>) -> Option<Bot> {
        let keep_conversations = self.duration("bot.keep_conversations", 86_400..=315_360_000);
        let keep_orders = self.duration("bot.keep_orders", 86_400..=315_360_000);
        let mirror = self.parsed("bot.mirror", "off or rtdb", |text| match text {
            "off" => Some(false),
            "rtdb" => Some(true),
            _ => None,
        });
        if mirror == Some(true) && import.is_some_and(|import| import.database_url.is_none()) {
            let missing = "must be set for bot.mirror: the old service has it as FIREBASE_DATABASE_URL";
            self.mistake("import.database_url", missing);
        }
        let model = self.language_model();
        Some(Bot {
            keep_conversations: keep_conversations?,
            keep_orders: keep_orders?,
            mirror: mirror?,
            language_model: Some(model?).filter(|model| !model.url.is_empty()),
        })
    }

    /// Without a URL there is none.
    fn language_model(&mut self) -> Option<LanguageModel> {
        // Customers' words go there, and a key.
        let url = self.parsed("bot.language_model.url", "an https address (http on loopback), or nothing", |text| {
            let text = text.trim_end_matches('/');
            (text.is_empty() || is_safe(text)).then(|| text.to_owned())
        });
        let key = self.parsed("bot.language_model.key", "visible ASCII characters, or nothing", |text| {
            text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| Secret::new(text))
        });
        let timeout = self.duration("bot.language_model.timeout", 1..=30);
        let model = self.text("bot.language_model.model");
        if model.is_empty() && url.as_ref().is_some_and(|url| !url.is_empty()) {
            let missing = "must be set: the name by which bot.language_model.url knows the model";
            self.mistake("bot.language_model.model", missing);
            return None;
        }
        let key = Some(key?).filter(|key| !key.expose().is_empty());
        Some(LanguageModel { url: url?, key, model, timeout: timeout? })
    }
}
