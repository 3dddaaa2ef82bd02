//! The needs that are no condition of the alerts: a vault that has lost something, and bots that are stuck. The keyed `/health` counts
//! both. Pure.

use std::collections::BTreeMap;

use super::AttentionNeeded;
use crate::{journal::Loss, telemetry::alerts::AlertLanguage, tenant::TenantId};

/// The findings of this process.
#[derive(Default)]
pub(super) struct UnalertedFindings {
    /// Tenants whose vault has lost something that is not written anew yet.
    pub losses: Vec<(TenantId, Loss)>,
    /// The faults since the start, by kind, as `/health` has them.
    pub incidents: BTreeMap<&'static str, u64>,
    pub stuck_bots: Vec<TenantId>,
}

#[derive(Clone, Copy)]
enum UnalertedNeed {
    StateLost,
    VaultLoss,
    VaultMended,
    BotStuck,
}

impl UnalertedNeed {
    fn key(self) -> &'static str {
        match self {
            Self::StateLost => "state_lost",
            Self::VaultLoss => "vault_loss",
            Self::VaultMended => "vault_mended",
            Self::BotStuck => "bot_stuck",
        }
    }

    /// Title and advice.
    #[rustfmt::skip]
    fn words(self, language: AlertLanguage) -> (&'static str, &'static str) {
        let (spanish, english) = match self {
            Self::StateLost => (
                ("La bóveda perdió el estado de un restaurante", "Nadie más lo tenía. Restaura una copia de seguridad del restaurante, o que escanee de nuevo; averigua quién cambió la bóveda."),
                ("The vault has lost a tenant's state", "Nobody else had it. Restore a backup of the tenant, or let it scan again; find out who changed the vault."),
            ),
            Self::VaultLoss => (
                ("La bóveda perdió una parte de este restaurante", "Se está escribiendo de nuevo: no detengas el proceso hasta que termine. Averigua quién cambió la bóveda."),
                ("The vault has lost a part of this tenant", "It is being written anew: do not stop the process before that is over. Find out who changed the vault."),
            ),
            Self::VaultMended => (
                ("La bóveda había perdido algo", "Este proceso lo escribió de nuevo. Averigua quién restauró una copia anterior, o borró algo; si pasa con el proceso detenido, no hay quien lo reponga."),
                ("The vault had lost something", "This process has written it anew. Find out who restored an older copy, or deleted something: while no process runs nobody can mend it."),
            ),
            Self::BotStuck => (
                ("El bot está atascado", "Desde hace un minuto no responde a nadie: es un error del programa. Reinicia el proceso y envíanos el registro."),
                ("The bot is stuck", "It has answered nobody for a minute: that is a bug. Restart the process, and report it with the log."),
            ),
        };
        match language {
            AlertLanguage::Spanish => spanish,
            AlertLanguage::English => english,
        }
    }

    fn needed(self, tenant: Option<&TenantId>, reason: Option<String>, language: AlertLanguage) -> AttentionNeeded {
        let (title, advice) = self.words(language);
        let tenant = tenant.map(ToString::to_string);
        AttentionNeeded { tenant, condition: self.key(), title, advice, reason, since: None }
    }
}

impl UnalertedFindings {
    /// The losses that were found since the start.
    pub fn vault_losses(&self) -> u64 {
        self.count("vault_losses")
    }

    fn count(&self, incident: &str) -> u64 {
        self.incidents.get(incident).copied().unwrap_or_default()
    }

    /// The worst first.
    pub fn needs(&self, language: AlertLanguage) -> Vec<AttentionNeeded> {
        let since_start = |count: u64| Some(format!("{count} since the start"));
        let mut needs = Vec::new();
        let lost = self.count("states_lost");
        if lost > 0 {
            needs.push(UnalertedNeed::StateLost.needed(None, since_start(lost), language));
        }
        needs.extend(self.losses.iter().map(|(tenant, loss)| {
            let reason = format!("the vault has lost {loss}");
            UnalertedNeed::VaultLoss.needed(Some(tenant), Some(reason), language)
        }));
        needs.extend(self.stuck_bots.iter().map(|tenant| UnalertedNeed::BotStuck.needed(Some(tenant), None, language)));
        // While there is one that is not mended, that one is the news.
        if self.vault_losses() > 0 && self.losses.is_empty() {
            needs.push(UnalertedNeed::VaultMended.needed(None, since_start(self.vault_losses()), language));
        }
        needs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_stuck_bots_need_somebody_and_nothing_else_does() {
        let needed = |findings: &UnalertedFindings| {
            let needs = findings.needs(AlertLanguage::English).into_iter();
            needs.map(|one| (one.condition, one.tenant, one.reason)).collect::<Vec<_>>()
        };
        assert!(needed(&UnalertedFindings::default()).is_empty());
        let mut findings = UnalertedFindings {
            incidents: BTreeMap::from([("moved", 7), ("vault_losses", 0)]),
            ..UnalertedFindings::default()
        };
        assert!(needed(&findings).is_empty());
        findings.incidents.insert("vault_losses", 2);
        assert_eq!(needed(&findings), [("vault_mended", None, Some("2 since the start".to_owned()))]);
        findings.incidents.insert("states_lost", 1);
        findings.losses.push(("trattoria".parse().unwrap(), Loss::Record));
        findings.stuck_bots.push("osteria".parse().unwrap());
        let (trattoria, osteria) = (Some("trattoria".to_owned()), Some("osteria".to_owned()));
        let expected = [
            ("state_lost", None, Some("1 since the start".to_owned())),
            ("vault_loss", trattoria, Some("the vault has lost the tenant's record".to_owned())),
            ("bot_stuck", osteria, None),
        ];
        assert_eq!(needed(&findings), expected);
        let told = |language| findings.needs(language).into_iter().map(|one| one.title).collect::<Vec<_>>();
        assert_eq!(told(AlertLanguage::Spanish)[2], "El bot está atascado");
        assert_eq!(told(AlertLanguage::English)[2], "The bot is stuck");
    }
}
