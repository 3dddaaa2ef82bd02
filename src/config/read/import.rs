//! `import`: the old service, whose tenants come at the start.

use super::{SettingReader, is_safe};
use crate::config::{Credentials, Import, Secret};

impl SettingReader<'_> {
    pub(super) fn import(&mut self, account: Option<(Secret, String)>) -> Option<Import> {
        let on_start = self.parsed("import.on_start", "off or rtdb", |text| match text {
            "off" => Some(false),
            "rtdb" => Some(true),
            _ => None,
        });
        // A token goes there that opens the project's databases.
        let database_url = self.parsed("import.database_url", "an https address (http on loopback)", |text| {
            if text.is_empty() {
                Some(None)
            } else {
                is_safe(text).then(|| Some(text.trim_end_matches('/').to_owned()))
            }
        });
        let deadline = self.duration("import.deadline", 1..=600);
        if on_start == Some(true) && database_url == Some(None) {
            self.mistake(
                "import.database_url",
                "must be set for import.on_start: the old service has it as FIREBASE_DATABASE_URL",
            );
        }
        let project = self.text("vault.firestore.project");
        let project = if project.is_empty() { account.as_ref().map_or(project, |a| a.1.clone()) } else { project };
        let emulator = self.text("vault.firestore.emulator");
        let credentials = match (account, emulator.is_empty()) {
            (Some((json, _)), _) => Credentials::ServiceAccount(json),
            (None, false) => Credentials::Emulator(emulator),
            (None, true) => Credentials::ApplicationDefault,
        };
        Some(Import {
            on_start: on_start?,
            database_url: database_url?,
            project,
            firestore_database: self.text("import.firestore_database"),
            credentials,
            deadline: deadline?,
        })
    }
}
