//! A tenant of another gateway comes in by a request: for hosted platforms without a shell.
//!
//! The source lies on the disk while it is read ([`UploadFolder`]), in the folder of this process's working copies, so that no crash
//! leaves it there beyond the next start. Reading runs on a thread of its own and ends in time. Nothing of a source is ever logged.

mod folder;
mod order;
mod refusal;
mod request;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::{Duration, Instant},
};

use axum::{Json, extract::State};
use tokio::time::timeout;

use self::{folder::UploadFolder, order::ImportOrder, request::ImportRequest};
use super::{App, problem::Problem};
use crate::{
    fleet::{FleetError, MoveInError},
    import::{
        self, CounterMargin, Finality, ImportError, ImportLimits, ImportOutcome, ImportReport, Occupancy,
        RefusedImport, SettledTenant,
    },
    tenant::TenantId,
};

/// For reading a source. Real ones take some seconds at most.
const READ_LIMIT: Duration = Duration::from_secs(90);

/// For the vault to take it. It may be there later all the same: the same import again finds out.
const WRITE_LIMIT: Duration = Duration::from_secs(180);

/// `POST /api/sessions/{session}/import`: the object that the command prints with `--json`.
pub async fn import(State(app): State<App>, request: ImportRequest) -> Result<Json<ImportReport>, Problem> {
    let ImportRequest { tenant, order, folder, .. } = request;
    let (source, keys) = folder.source(order.from, order.keys.as_deref())?;
    let is_dry = order.dry_run;
    let connect = order.connect;
    let (name, settled) = settle(folder, source, keys, order).await?;
    let mut report = ImportReport::new(&name, Some(tenant.clone()), ImportOutcome::Importable);
    report.describe(&settled.copy, settled.finality);
    report.outcome = match (bring(&app, &tenant, settled, is_dry).await?, is_dry) {
        (Occupancy::Free, true) => ImportOutcome::Importable,
        (Occupancy::Free, false) => ImportOutcome::Imported,
        (Occupancy::SameDevice, _) => {
            if connect && !is_dry {
                app.fleet.connect(&tenant).await?;
            }
            ImportOutcome::AlreadyImported
        }
    };
    Ok(Json(report))
}

async fn bring(app: &App, tenant: &TenantId, settled: SettledTenant, is_dry: bool) -> Result<Occupancy, Problem> {
    if is_dry {
        return Ok(app.fleet.inspect_move_in(tenant, &settled).await?);
    }
    let moved = timeout(WRITE_LIMIT, app.fleet.move_in(tenant, settled)).await;
    Ok(moved.unwrap_or(Err(RefusedImport::Unconfirmed.into()))?)
}

/// Reads the source, checks the copy, decides about its counters. The folder is gone afterwards, whoever waits.
async fn settle(
    folder: UploadFolder,
    source: PathBuf,
    keys: Option<PathBuf>,
    order: ImportOrder,
) -> Result<(String, SettledTenant), Problem> {
    let limits = ImportLimits { until: Some(Instant::now() + READ_LIMIT), ..ImportLimits::of_upload() };
    let read = move || {
        let read = || {
            let chosen = (order.name.as_deref(), order.expected_number.as_deref());
            let read = import::read_one(order.from, &source, keys.as_deref(), chosen, &limits)?;
            let copy = read.copy?;
            // What the caller says counts; else what the source says.
            copy.verify(order.expected_number.as_deref().or(read.number.as_deref()))?;
            let finality = if order.stopped { Finality::Final } else { Finality::MayBeStale };
            let mut settled = copy.settle(finality, order.margin.unwrap_or_default());
            settled.stays_away = !order.connect;
            Ok::<_, ImportError>((read.name, settled))
        };
        // What a stranger's file breaks is that file's, and not ours.
        let read = catch_unwind(AssertUnwindSafe(read));
        drop(folder);
        read.unwrap_or(Err(ImportError::OtherFormat("a source that can be read")))
    };
    // A thread may be at it a little longer than its limits say: it looks at the clock between two entries.
    match timeout(READ_LIMIT + Duration::from_secs(5), tokio::task::spawn_blocking(read)).await {
        Ok(Ok(read)) => Ok(read?),
        Ok(Err(_)) => Err(FleetError::Draining.into()),
        Err(_) => Err(ImportError::TooSlow { seconds: READ_LIMIT.as_secs() }.into()),
    }
}

impl From<MoveInError> for Problem {
    fn from(refused: MoveInError) -> Self {
        match refused {
            MoveInError::Import(refused) => refused.into(),
            MoveInError::Fleet(error) => error.into(),
        }
    }
}

/// The most that may be skipped is the library's to say.
fn margin(counters: u64) -> Option<CounterMargin> {
    u32::try_from(counters).ok().and_then(CounterMargin::new)
}
