//! `messages`: how long they are kept, and what a phone is asked for.

use super::Reader;
use crate::config::History;

impl Reader<'_> {
    pub(super) fn history(&mut self) -> Option<History> {
        let kib = (self.count("messages.history_chat_kib", 1..=4096), self.count("messages.history_kib", 1..=4096));
        let parallel = self.count("messages.history_parallel", 1..=256);
        let patience = self.duration("messages.history_patience", 1..=300);
        Some(History { per_chat: kib.0? * 1024, per_tenant: kib.1? * 1024, parallel: parallel?, patience: patience? })
    }
}
