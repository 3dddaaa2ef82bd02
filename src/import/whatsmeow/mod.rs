//! whatsmeow's database: of bots in Go, evolution-go, go-whatsapp, WAHA's GOWS. In SQLite, or a dump of PostgreSQL.
//!
//! Owns the way from rows to a copy, device by device. [`database`] opens the file without ever writing to it or
//! trusting it.

mod database;
mod device;
mod dump;
mod tables;

use std::path::Path;

use self::database::ForeignDatabase;
use super::{ImportError, ImportLimits, ImportOrigin, SourceTenant, TenantCopy, source::TenantSink};

/// Reads every device of a database; a tenant's name is its device's JID.
pub fn read(
    file: &Path,
    origin: ImportOrigin,
    limits: &ImportLimits,
    take: &mut dyn FnMut(SourceTenant),
) -> Result<(), ImportError> {
    let database = ForeignDatabase::open(file, limits)?;
    let mut sink = TenantSink::new(limits, take);
    let devices = device::jids(&database)?;
    if devices.is_empty() {
        return Err(ImportError::NoCredentials);
    }
    for jid in devices {
        database.begin_tenant()?;
        let copy = read_device(&database, &jid, origin, limits);
        sink.put(SourceTenant::new(jid, copy))?;
    }
    Ok(())
}

fn read_device(
    database: &ForeignDatabase,
    jid: &str,
    origin: ImportOrigin,
    limits: &ImportLimits,
) -> Result<TenantCopy, ImportError> {
    let mut copy = TenantCopy::new(origin, device::read(database, jid)?);
    tables::DeviceTables::new(database, jid, limits).read_into(&mut copy)?;
    copy.complete();
    Ok(copy)
}
