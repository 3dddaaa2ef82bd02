//! What becomes of each tenant: checked, written, told. Owns what is printed, and the counts at the end.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Mutex,
};

use super::owner::LivingDaemons;
use crate::{
    import::{
        CounterMargin, Finality, ImportFailure, ImportOutcome, ImportReport, ImportWriter, Occupancy, RefusedImport,
        SettledTenant, SourceTenant, TenantCopy,
    },
    sync::lock,
    tenant::TenantId,
};

pub struct Importer {
    /// None: there is no vault yet, and a look makes none.
    writer: Option<ImportWriter>,
    /// None: nobody else can have the vault.
    others: Option<LivingDaemons>,
    finality: Finality,
    margin: CounterMargin,
    /// The only tenant's number, where somebody says it.
    number: Option<String>,
    is_dry: bool,
    json: bool,
    /// By the public half of the noise key: where this command brings it, or would.
    devices: Mutex<BTreeMap<[u8; 32], TenantId>>,
    outcomes: BTreeMap<ImportOutcome, usize>,
    /// By their codes: why tenants failed, or were left out.
    reasons: BTreeMap<&'static str, usize>,
}

impl Importer {
    pub fn new(
        writer: Option<ImportWriter>,
        others: Option<LivingDaemons>,
        finality: Finality,
        margin: CounterMargin,
        number: Option<String>,
        is_dry: bool,
        json: bool,
    ) -> Self {
        let (outcomes, reasons) = (BTreeMap::new(), BTreeMap::new());
        Self { writer, others, finality, margin, number, is_dry, json, devices: Mutex::default(), outcomes, reasons }
    }

    pub async fn take(&mut self, tenant: SourceTenant, id: TenantId) {
        let report = self.bring(tenant, id).await;
        self.tell(&report);
    }

    /// The same without a word. Several at once, each for a tenant of its own.
    pub async fn bring(&self, tenant: SourceTenant, id: TenantId) -> ImportReport {
        let SourceTenant { name, number, copy, .. } = tenant;
        let number = self.number.as_deref().or(number.as_deref());
        match copy.and_then(|copy| copy.verify(number).map(|()| copy)) {
            Ok(copy) => self.import(&name, id, copy).await,
            Err(error) => ImportReport::failed(&name, Some(id), ImportFailure::from(&error)),
        }
    }

    async fn import(&self, name: &str, id: TenantId, copy: TenantCopy) -> ImportReport {
        let settled = copy.settle(self.finality, self.margin);
        let device = settled.copy.device.noise_key.public;
        let reserved = self.reserve(device, &id);
        let written = match (&self.writer, &reserved) {
            (_, Err(elsewhere)) => Err(RefusedImport::DeviceElsewhere {
                tenant: elsewhere.to_string(),
                how: "this command brings it there",
            }),
            (Some(writer), Ok(_)) if self.is_dry => writer.inspect(&id, &settled).await,
            (Some(writer), Ok(_)) => self.write(writer, &id, &settled).await,
            (None, Ok(_)) => Ok(Occupancy::Free),
        };
        // One that may be there yet keeps its place.
        if reserved == Ok(true) && !matches!(written, Ok(_) | Err(RefusedImport::Unconfirmed)) {
            self.devices().remove(&device);
        }
        let sessions_in_vault = match (&self.writer, &written) {
            // Only told: where it cannot be read, it is not.
            (Some(writer), Ok(Occupancy::SameDevice)) => writer.count_sessions(&id).await.ok(),
            _ => None,
        };
        let mut report = match written {
            Ok(Occupancy::SameDevice) => ImportReport::new(name, Some(id), ImportOutcome::AlreadyImported),
            Ok(Occupancy::Free) if self.is_dry => ImportReport::new(name, Some(id), ImportOutcome::Importable),
            Ok(Occupancy::Free) => ImportReport::new(name, Some(id), ImportOutcome::Imported),
            Err(error) => ImportReport::failed(name, Some(id), ImportFailure::from(&error)),
        };
        report.describe(&settled.copy, self.finality);
        report.sessions_in_vault = sessions_in_vault;
        report
    }

    async fn write(
        &self,
        writer: &ImportWriter,
        id: &TenantId,
        settled: &SettledTenant,
    ) -> Result<Occupancy, RefusedImport> {
        // A takeover ends the session of whoever has the tenant.
        if writer.inspect(id, settled).await? == Occupancy::SameDevice {
            return Ok(Occupancy::SameDevice);
        }
        if let Some(others) = &self.others
            && others.have(writer, id).await?
        {
            return Err(RefusedImport::Taken);
        }
        writer.write_inspected(id, settled).await
    }

    /// True: the device is this tenant's from here on; false: it was before. Else it is that other one's.
    fn reserve(&self, device: [u8; 32], id: &TenantId) -> Result<bool, TenantId> {
        match self.devices().entry(device) {
            Entry::Vacant(place) => {
                place.insert(id.clone());
                Ok(true)
            }
            Entry::Occupied(place) if place.get() == id => Ok(false),
            Entry::Occupied(place) => Err(place.get().clone()),
        }
    }

    fn devices(&self) -> std::sync::MutexGuard<'_, BTreeMap<[u8; 32], TenantId>> {
        lock(&self.devices)
    }

    pub fn leave_out(&mut self, name: &str, code: &'static str, detail: &str) {
        self.tell(&ImportReport::left_out(name, code, detail));
    }

    pub fn refuse_name(&mut self, tenant: &SourceTenant) {
        let reason = match &tenant.copy {
            Err(error) => ImportFailure::from(error),
            Ok(_) => ImportFailure {
                code: "no_tenant_id",
                detail: "its name is no tenant's id: say where it goes with --tenant or --map".to_owned(),
            },
        };
        self.tell(&ImportReport::failed(&tenant.name, None, reason));
    }

    pub fn miss(&mut self, name: &str, id: TenantId) {
        let reason = ImportFailure { code: "not_found", detail: "the source does not have it".to_owned() };
        self.tell(&ImportReport::failed(name, Some(id), reason));
    }

    pub fn tell(&mut self, report: &ImportReport) {
        *self.outcomes.entry(report.outcome).or_default() += 1;
        if let Some(reason) = &report.reason {
            *self.reasons.entry(reason.code).or_default() += 1;
        }
        if self.json {
            println!("{}", serde_json::to_string(report).expect("a report is plain data, which JSON always takes"));
        } else {
            println!("{report}");
        }
    }

    /// What is said of all, and how many of them failed.
    pub fn end(self) -> (usize, usize) {
        let all: usize = self.outcomes.values().sum();
        if !self.json && all > 1 {
            let outcomes: Vec<_> =
                self.outcomes.iter().map(|(outcome, count)| format!("{count} {}", outcome.word())).collect();
            let reasons: Vec<_> = self.reasons.iter().map(|(code, count)| format!("{count} {code}")).collect();
            let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
            println!("{all} tenants: {}{reasons}", outcomes.join(", "));
        }
        (self.outcomes.get(&ImportOutcome::Failed).copied().unwrap_or(0), all)
    }
}
