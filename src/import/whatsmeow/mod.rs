//! whatsmeow's database: of bots in Go, evolution-go, go-whatsapp, WAHA's GOWS. In SQLite, a dump of PostgreSQL, or a folder with its
//! tables as CSV.
//!
//! Owns the way from rows to a copy, device by device. [`database`] opens the file without ever writing to it or
//! trusting it.

mod database;
mod device;
mod dump;
mod loaded;
mod tables;

use std::path::Path;

use self::database::ForeignDatabase;
use super::{ImportError, ImportLimits, ImportOrigin, SignalAddress, SourceTenant, TenantCopy, source::TenantSink};

/// Reads every device of a database; a tenant's name is its device's JID.
pub fn read(
    source: &Path,
    origin: ImportOrigin,
    limits: &ImportLimits,
    take: &mut dyn FnMut(SourceTenant),
) -> Result<(), ImportError> {
    let database = ForeignDatabase::open(source, limits)?;
    let mut sink = TenantSink::new(limits, take);
    let devices = device::jids(&database, limits)?;
    let is_shared = devices.len() > 1;
    if devices.is_empty() {
        return Err(ImportError::NoCredentials);
    }
    for jid in devices {
        database.begin_tenant()?;
        let copy = read_device(&database, &jid, is_shared, origin, limits);
        // Said also of one that is damaged, so that it is found by its number.
        let number = SignalAddress::from_jid(&jid).ok().map(|address| address.user);
        sink.put(SourceTenant { number, ..SourceTenant::new(jid, copy) })?;
    }
    Ok(())
}

fn read_device(
    database: &ForeignDatabase,
    jid: &str,
    is_shared: bool,
    origin: ImportOrigin,
    limits: &ImportLimits,
) -> Result<TenantCopy, ImportError> {
    let mut copy = TenantCopy::new(origin, device::read(database, jid)?);
    tables::DeviceTables::new(database, jid, is_shared, limits).read_into(&mut copy)?;
    copy.complete();
    Ok(copy)
}
