//! Tenants of a database that lives, in batches: each is read and written with some others, and told in order.
//!
//! Promises: who is not connected there is not read beyond that; a batch of which nothing could be read ends the command, which goes on
//! from there when it is repeated, since a tenant that is in stays as it is.

use anyhow::bail;
use futures::future::join_all;
use tracing::info;

use super::{ImportOptions, Importer, TenantChoice};
use crate::{
    config::Config,
    import::{ImportError, ImportFailure, ImportReport, LiveSource, SourceFormat, SourceTenant},
    tenant::TenantId,
};

/// Tenants at a time, as the old service itself brought them back.
const BATCH: usize = 5;

pub async fn bring(
    import: &mut Importer,
    config: &Config,
    options: &ImportOptions,
    choice: &TenantChoice,
    url: Option<&str>,
) -> anyhow::Result<()> {
    let source = match options.from {
        SourceFormat::Firestore => LiveSource::firestore(&config.import, &config.outbound).await?,
        _ => LiveSource::realtime(&config.import, &config.outbound, url).await?,
    };
    let names: Vec<(String, Option<TenantId>)> = match choice {
        TenantChoice::One(id) => vec![(id.to_string(), Some(id.clone()))],
        TenantChoice::Map(map) => map.iter().map(|(name, id)| (name.clone(), Some(id.clone()))).collect(),
        TenantChoice::OwnNames => {
            let names = source.names().await.map_err(|error| anyhow::anyhow!(ImportFailure::from(&error).detail))?;
            let named = names.into_iter().map(|name| {
                let id = name.parse().ok();
                (name, id)
            });
            named.collect()
        }
    };
    let only_connected = matches!(choice, TenantChoice::OwnNames);
    let (tenants, batches) = (names.len(), names.len().div_ceil(BATCH));
    info!(tenants, batches, "the live database is read");
    for (at, batch) in names.chunks(BATCH).enumerate() {
        let found = join_all(batch.iter().map(|(name, _)| source.tenant(name, only_connected))).await;
        let is_silent =
            |tenant: &SourceTenant| matches!(&tenant.copy, Err(ImportError::Live(error)) if error.is_transient());
        let is_cut_off = !found.is_empty() && found.iter().all(is_silent);
        let importer = &*import;
        let ends = found.into_iter().zip(batch).map(|(tenant, (_, id))| async move {
            match id {
                _ if only_connected && tenant.connected == Some(false) => BatchEnd::NotConnected(tenant),
                None => BatchEnd::NoId(tenant),
                Some(id) => BatchEnd::Brought(Box::new(importer.bring(tenant, id.clone()).await)),
            }
        });
        let ends = join_all(ends).await;
        for end in ends {
            match end {
                BatchEnd::NotConnected(tenant) => {
                    import.leave_out(&tenant.name, "not_connected", "it was not connected there");
                }
                BatchEnd::NoId(tenant) => import.refuse_name(&tenant),
                BatchEnd::Brought(report) => import.tell(&report),
            }
        }
        info!(batch = at + 1, batches, done = tenants.min((at + 1) * BATCH), tenants, "brought");
        if is_cut_off {
            let left = tenants.saturating_sub((at + 1) * BATCH);
            bail!(
                "the database does not answer any more: {left} more tenants were not looked at; the same command goes on"
            );
        }
    }
    Ok(())
}

/// What became of one of a batch.
enum BatchEnd {
    NotConnected(SourceTenant),
    NoId(SourceTenant),
    Brought(Box<ImportReport>),
}
