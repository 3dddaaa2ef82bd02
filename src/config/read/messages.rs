//! `messages`: how long they are kept, and what a phone is asked for.

use super::SettingReader;
use crate::config::{History, MessagesConfig};

impl SettingReader<'_> {
    pub(super) fn messages(&mut self) -> Option<MessagesConfig> {
        let country = self.parsed("messages.country", "two letters like CO", |text| text.parse().ok());
        let keep = self.duration("messages.keep", 3600..=31_536_000);
        let keep_events = self.count("messages.keep_events", 100..=1_000_000);
        let live_events = self.count("messages.live_events", 20..=10_000);
        let keep_whole = self.duration("messages.keep_whole", 3600..=31_536_000);
        let history = self.history();
        let ttl = self.duration("messages.ttl", 1..=604_800);
        let edit_window = self.duration("messages.edit_window", 1..=2_592_000);
        let keep_mib = self.count("messages.keep_mib", 1..=100_000);
        let keep_whole_mib = self.count("messages.keep_whole_mib", 1..=1024);
        let waiting_mib = self.count("messages.waiting_mib", 1..=1024);
        Some(MessagesConfig {
            country: country?,
            keep: keep?,
            keep_events: keep_events?,
            keep_bytes: keep_mib? << 20,
            live_events: live_events?,
            keep_whole: keep_whole?,
            keep_whole_bytes: keep_whole_mib? << 20,
            history: history?,
            ttl: ttl?,
            waiting_bytes: waiting_mib? << 20,
            edit_window: edit_window?,
        })
    }

    fn history(&mut self) -> Option<History> {
        let kib = (self.count("messages.history_chat_kib", 1..=4096), self.count("messages.history_kib", 1..=4096));
        let parallel = self.count("messages.history_parallel", 1..=256);
        let patience = self.duration("messages.history_patience", 1..=300);
        Some(History { per_chat: kib.0? * 1024, per_tenant: kib.1? * 1024, parallel: parallel?, patience: patience? })
    }
}
