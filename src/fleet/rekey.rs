//! All that the vault has, sealed with the first of the master keys: after that the others may go.
//!
//! A tenant at a time: its owner writes it anew ([`Session::reseal`]); one that nobody serves is opened for a moment, and closed. What is
//! left is counted afterwards, in the vault itself. The vault's check value goes last, when nothing else is left: so a process with the
//! new key alone starts only where that key is enough. Promises: what breaks it off loses nothing, and the next run does the rest; a
//! tenant that another process has is left to it, and counted.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use rand::{SeedableRng as _, rngs::SmallRng};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};
use ulid::Ulid;

use super::Fleet;
#[cfg(doc)]
use crate::session::Session;
use crate::{
    clock::Clock,
    crash,
    journal::{self, OlderSeals, Policy},
    message::{ResealError, reseal_state},
    seal::Keyring,
    store,
    sync::lock,
    tenant::TenantId,
    vault::{InstanceId, Vault, VaultError},
};

/// One tenant takes no longer: the others wait for it.
const TENANT_LIMIT: Duration = Duration::from_secs(300);

/// So many tenants in a row of which the vault does not answer, and it is believed to be down.
const MAX_UNANSWERED: usize = 3;

/// So many are named that are not done.
const MAX_NAMED: usize = 100;

/// How far it is, or how it ended.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RekeyReport {
    /// It goes on. While it does, the counts are of what was looked at.
    pub running: bool,
    /// It only counts.
    pub check: bool,
    /// Names the key that seals, and tells nothing of it.
    pub first_key: Option<String>,
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    pub finished_at: Option<Timestamp>,
    /// Tenants that may have something in the vault.
    pub tenants: usize,
    /// Of these were looked at.
    pub looked_at: usize,
    /// Documents that another key than the first has sealed. 0, when it has finished without a fault and nothing is undone: the other keys
    /// may go.
    pub left: u64,
    pub left_snapshots: u64,
    pub left_entries: u64,
    pub left_segments: u64,
    /// 1: the vault's check value, which goes last.
    pub left_check_value: u64,
    /// Tenants that are not done, and why; a hundred at the most.
    pub undone: Vec<UndoneTenant>,
    /// Why it did not come to its end.
    pub fault: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UndoneTenant {
    pub tenant: String,
    pub reason: String,
}

impl RekeyReport {
    /// What is left of a tenant. One whose documents are malformed is named; the others go on.
    async fn look_into(&mut self, context: &journal::Context) -> Result<OlderSeals, VaultError> {
        match OlderSeals::count(context).await {
            Err(error @ VaultError::Malformed(_)) => {
                self.leave(context.tenant.as_str(), error.to_string());
                Ok(OlderSeals::default())
            }
            found => found,
        }
    }

    fn count(&mut self, seals: OlderSeals) {
        self.left += seals.total();
        self.left_snapshots += seals.snapshots;
        self.left_entries += seals.entries;
        self.left_segments += seals.segments;
    }

    fn leave(&mut self, tenant: &str, reason: String) {
        warn!(event = "tenant_unrekeyed", %tenant, reason, "the tenant is not sealed anew");
        let is_named = self.undone.last().is_some_and(|last| last.tenant == tenant);
        if !is_named && self.undone.len() < MAX_NAMED {
            self.undone.push(UndoneTenant { tenant: tenant.to_owned(), reason });
        }
    }
}

/// What sealing anew takes.
#[derive(Debug, Clone)]
pub struct Rekeyer {
    pub vault: Arc<dyn Vault>,
    pub keyring: Arc<Keyring>,
    pub clock: Arc<dyn Clock>,
    pub policy: Policy,
}

/// How a tenant is sealed anew; an error says why it is not.
pub type Reseal<'r> = &'r (dyn Fn(TenantId) -> BoxFuture<'static, Result<(), String>> + Send + Sync);

impl Rekeyer {
    /// Looks through all tenants. `reseal`: what to do with one that has something left; without it nothing is done. Tells how far it is.
    pub async fn run(&self, reseal: Option<Reseal<'_>>, tell: impl Fn(&RekeyReport) + Send + Sync) -> RekeyReport {
        let mut report = RekeyReport {
            running: true,
            check: reseal.is_none(),
            first_key: Some(self.keyring.first().to_string()),
            started_at: Some(self.clock.now()),
            ..RekeyReport::default()
        };
        tell(&report);
        if let Err(error) = self.look_through(reseal, &mut report, &tell).await {
            report.fault = Some(error.to_string());
        }
        (report.running, report.finished_at) = (false, Some(self.clock.now()));
        tell(&report);
        report
    }

    async fn look_through(
        &self,
        reseal: Option<Reseal<'_>>,
        report: &mut RekeyReport,
        tell: &(impl Fn(&RekeyReport) + Send + Sync),
    ) -> Result<(), VaultError> {
        let tenants = self.vault.remembered().await?;
        report.tenants = tenants.len();
        let mut unanswered = 0;
        for name in tenants {
            // Under another name nothing is sealed.
            if let Ok(tenant) = name.parse::<TenantId>() {
                match self.look_at(&tenant, reseal, report).await {
                    Err(error @ VaultError::Unavailable(_)) if unanswered + 1 < MAX_UNANSWERED => {
                        unanswered += 1;
                        report.leave(&name, error.to_string());
                    }
                    looked => {
                        looked?;
                        unanswered = 0;
                    }
                }
            }
            report.looked_at += 1;
            tell(report);
        }
        let Some(value) = self.vault.check_value().await?.filter(|value| self.keyring.is_of_older_key(value)) else {
            return Ok(());
        };
        (report.left, report.left_check_value) = (report.left + 1, 1);
        if reseal.is_none() || report.left > 1 || !report.undone.is_empty() {
            return Ok(());
        }
        crash::point("rekeyed_tenants");
        if self.vault.replace_check_value(value, self.keyring.check_value()).await? {
            (report.left, report.left_check_value) = (0, 0);
        }
        Ok(())
    }

    async fn look_at(
        &self,
        tenant: &TenantId,
        reseal: Option<Reseal<'_>>,
        report: &mut RekeyReport,
    ) -> Result<(), VaultError> {
        let context = self.context(tenant);
        let mut found = report.look_into(&context).await?;
        if let Some(reseal) = reseal
            && found.total() > 0
        {
            let done = timeout(TENANT_LIMIT, reseal(tenant.clone())).await;
            if let Err(reason) = done.unwrap_or_else(|_| Err(format!("it took longer than {TENANT_LIMIT:?}"))) {
                report.leave(tenant.as_str(), reason);
            }
            found = report.look_into(&context).await?;
            crash::point("rekeyed_tenant");
        }
        report.count(found);
        Ok(())
    }

    /// Seals a tenant anew that nobody serves. `is_free` is asked once its state was read, and says why not: to a process that takes the
    /// tenant after that it is left.
    pub async fn reseal_unserved(
        &self,
        tenant: &TenantId,
        is_free: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        let context = self.context(tenant);
        let read = journal::prepare(&context).await.map_err(|error| error.to_string())?;
        is_free.await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let opened = journal::open_prepared(context, Some(read.unless_taken()), &tasks, stop.clone()).await;
        let opened = opened.map_err(|error| error.to_string())?;
        let resealed = reseal_state(&opened.journal, opened.records).await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        resealed.map_err(|error| error.to_string())
    }

    /// The writer is nobody who lives: whoever wants the tenant afterwards takes it.
    fn context(&self, tenant: &TenantId) -> journal::Context {
        journal::Context {
            vault: self.vault.clone(),
            seal: self.keyring.tenant(tenant),
            tenant: tenant.clone(),
            writer: InstanceId(Ulid::generate().to_string().into()),
            clock: self.clock.clone(),
            policy: self.policy.clone(),
            rng: SmallRng::from_os_rng(),
            expect_history: false,
            check: Some(store::check),
        }
    }
}

impl Fleet {
    /// Begins, unless it goes on already; how far it is. Goes on when nobody waits any more, until the daemon stops.
    pub fn rekey(self: &Arc<Self>, is_check: bool) -> RekeyReport {
        let mut now = lock(&self.rekeying);
        if now.running {
            return now.clone();
        }
        *now = RekeyReport { running: true, check: is_check, ..RekeyReport::default() };
        let (fleet, told) = (self.clone(), now.clone());
        drop(now);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
            let work = fleet.clone().run_rekeying(is_check);
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                let mut report = lock(&fleet.rekeying);
                (report.running, report.finished_at) = (false, Some(fleet.env.clock.now()));
                report.fault = Some("it crashed, which is a bug".to_owned());
            }
        }));
        told
    }

    async fn run_rekeying(self: Arc<Self>, is_check: bool) {
        let reseal = {
            let fleet = self.clone();
            move |tenant: TenantId| -> BoxFuture<'static, Result<(), String>> {
                let fleet = fleet.clone();
                Box::pin(async move { fleet.reseal(&tenant).await })
            }
        };
        let reseal: Option<Reseal<'_>> = if is_check { None } else { Some(&reseal) };
        let tell = |report: &RekeyReport| {
            *lock(&self.rekeying) = report.clone();
        };
        let RekeyReport { left, undone, .. } = self.rekeyer().run(reseal, tell).await;
        info!(
            event = "rekey_finished",
            left,
            undone = undone.len(),
            check = is_check,
            "looked for what other master keys have sealed"
        );
    }

    /// Of the last one, since this process began.
    pub fn rekey_report(&self) -> RekeyReport {
        lock(&self.rekeying).clone()
    }

    async fn reseal(&self, tenant: &TenantId) -> Result<(), String> {
        let words = |error: ResealError| error.to_string();
        if let Some(session) = self.session(tenant) {
            return session.reseal().await.map_err(words);
        }
        let slot = self.slot(tenant);
        let _opening = match &slot {
            Some(slot) => Some(slot.opening.lock().await),
            None => None,
        };
        match slot.as_ref().and_then(|slot| slot.unclosed()) {
            Some(session) if session.end().is_none() => session.reseal().await.map_err(words),
            // What it has yet to write would be lost.
            Some(_) => Err("its session is being opened anew".into()),
            None => self.rekeyer().reseal_unserved(tenant, self.check_free(tenant)).await,
        }
    }

    /// No other process has it that lives.
    async fn check_free(&self, tenant: &TenantId) -> Result<(), String> {
        match self.living_owner(tenant).await {
            Ok(Some(owner)) if owner != self.env.instance => {
                Err(format!("the process {} has it: ask that one", owner.0))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn rekeyer(&self) -> Rekeyer {
        let env = &self.env;
        let (vault, keyring) = (env.vault.clone(), env.keyring.clone());
        Rekeyer { vault, keyring, clock: env.clock.clone(), policy: env.policy.clone() }
    }
}
