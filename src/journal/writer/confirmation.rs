//! Whether the vault still has the journal's end, and nobody has taken over: the answer to who asks for a confirmation. Appends nothing.

use super::Writer;
use crate::{
    journal::{ConfirmError, JournalClosedError, damage::Loss},
    vault::{Heading, VaultError},
};

/// The end of the journal, as it was found.
enum JournalEnd {
    Ours,
    /// Another owner's takeover.
    Successor,
    /// Not even ours.
    Nothing,
}

impl Writer {
    /// Asks whether the next number is free, so no one has taken over, and the last one is there. Nothing is in flight, so what is
    /// behind our last document is not ours.
    pub(super) async fn confirm(&mut self, thorough: bool) -> Result<(), JournalClosedError> {
        // Who asks from now on has to be asked for again.
        let confirmations = std::mem::take(&mut self.shared.book().confirmations);
        let sent = self.cx.clock.instant();
        let answer = self.ask_for_successor(thorough).await;
        let told = match answer {
            Ok(JournalEnd::Successor) => return Err(JournalClosedError::Fenced),
            Ok(JournalEnd::Nothing) => {
                self.lose(Loss::Entry(self.head.last));
                Err(VaultError::Unavailable("it has lost what was in it".into()).into())
            }
            Ok(JournalEnd::Ours) => {
                let mut book = self.shared.book();
                book.confirmed_at = sent;
                book.outage = false;
                Ok(())
            }
            Err(error) => {
                if matches!(error, VaultError::Unavailable(_)) {
                    self.suffer(error.to_string());
                }
                Err(ConfirmError::Vault(error))
            }
        };
        for confirmation in confirmations {
            let _ = confirmation.send(told.clone());
        }
        Ok(())
    }

    async fn ask_for_successor(&self, thorough: bool) -> Result<JournalEnd, VaultError> {
        let (vault, tenant) = (&self.cx.vault, &self.cx.tenant);
        if thorough && vault.takeovers(tenant).await?.iter().any(|(seq, _)| *seq > self.head.epoch) {
            return Ok(JournalEnd::Successor);
        }
        let last = self.head.last;
        let ours = |found: &Heading| {
            let same_time = found.at.as_microsecond() == self.written_at.as_microsecond();
            found.seq == last && found.writer == self.cx.writer && same_time
        };
        Ok(match &vault.headings(tenant, last, 2).await?[..] {
            [first] if ours(first) => JournalEnd::Ours,
            [first, ..] if ours(first) => JournalEnd::Successor,
            // Something behind it may be a takeover: whoever rebuilds finds out.
            _ => JournalEnd::Nothing,
        })
    }

    pub(super) async fn confirm_patiently(&mut self) -> Result<(), JournalClosedError> {
        let asleep_until = self.shared.book().confirmed_at;
        let mut unanswered = 0;
        loop {
            self.confirm(true).await?;
            if self.loss.is_some() || self.shared.book().confirmed_at != asleep_until {
                return Ok(());
            }
            self.back_off(unanswered).await?;
            unanswered += 1;
        }
    }
}
