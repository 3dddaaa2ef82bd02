//! One entrance for all sources on disk: what the command line names, and what it leads to.

use std::{
    fs::File,
    io::{Seek, SeekFrom},
    path::Path,
};

use serde::Deserialize;

use super::{
    ImportError, ImportLimits, ImportOrigin, SourceTenant, TenantFinder, baileys, evolution, files, source::TenantSink,
    waha, whatsmeow,
};

/// What a source is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SourceFormat {
    /// A folder of credentials and keys, a folder of such folders, or one JSON.
    Baileys,
    /// Evolution API: rows of its table `Session` as CSV or JSON, its folder, or a dump of its Redis hash.
    Evolution,
    /// WAHA's folder of sessions, NOWEB or GOWS.
    Waha,
    /// whatsmeow's SQLite, a dump of its PostgreSQL, or a folder with its tables as CSV.
    Whatsmeow,
    /// An export of Firebase's Realtime Database.
    #[serde(rename = "rtdb")]
    #[value(name = "rtdb")]
    RealtimeDatabase,
    /// An export of Firestore's documents.
    Firestore,
}

/// Reads a source: a file or a folder. `keys` is Evolution's folder of instances, where its rows are one file and its keys many.
///
/// # Errors
/// The source as a whole cannot be read. What is wrong with one tenant is in what `take` gets.
pub fn read(
    format: SourceFormat,
    source: &Path,
    keys: Option<&Path>,
    limits: &ImportLimits,
    take: &mut dyn FnMut(SourceTenant),
) -> Result<(), ImportError> {
    let is_folder = source.is_dir();
    match format {
        SourceFormat::Baileys if is_folder => folders(source, ImportOrigin::Baileys, limits, take),
        SourceFormat::Baileys => {
            let text = files::read_required(source, "the source", limits.tenant_bytes)?;
            let copy = baileys::document::read(&text, ImportOrigin::Baileys, limits);
            take(SourceTenant::new("", copy));
            Ok(())
        }
        SourceFormat::Evolution if is_folder => folders(source, ImportOrigin::Evolution, limits, take),
        SourceFormat::Evolution => match evolution::rows::read(open(source)?, keys, limits, take) {
            // No rows: a dump of the hash? That has its keys in it.
            Err(ImportError::OtherFormat(_)) if keys.is_none() => {
                let text = files::read_required(source, "the source", limits.tenant_bytes)?;
                evolution::redis::read(&text, limits, take)
            }
            result => result,
        },
        SourceFormat::Waha => waha::read(source, limits, take),
        SourceFormat::Whatsmeow => whatsmeow::read(source, ImportOrigin::Whatsmeow, limits, take),
        SourceFormat::RealtimeDatabase => {
            baileys::realtime::read_newest(open(source)?, ImportOrigin::RealtimeDatabase, limits, take)
        }
        SourceFormat::Firestore => {
            let mut file = open(source)?;
            match baileys::firestore::read(&file, limits, take) {
                // Plain JSON of the collection.
                Err(ImportError::OtherFormat(_)) => {
                    file.seek(SeekFrom::Start(0))?;
                    baileys::realtime::read_newest(file, ImportOrigin::Firestore, limits, take)
                }
                result => result,
            }
        }
    }
}

/// Reads the one tenant of a source, or the one of this name, or of this number (digits). Of a source that ends early nobody knows
/// whether it has one.
pub fn read_one(
    format: SourceFormat,
    source: &Path,
    keys: Option<&Path>,
    (name, number): (Option<&str>, Option<&str>),
    limits: &ImportLimits,
) -> Result<SourceTenant, ImportError> {
    let mut finder = TenantFinder::new(name, number);
    read(format, source, keys, limits, &mut |tenant| finder.look(tenant))?;
    finder.end()
}

/// A folder of Baileys, or a folder of such folders, named by their tenants.
fn folders(
    root: &Path,
    origin: ImportOrigin,
    limits: &ImportLimits,
    take: &mut dyn FnMut(SourceTenant),
) -> Result<(), ImportError> {
    let mut sink = TenantSink::new(limits, take);
    let own = [root.to_owned()];
    let below = files::folders(root, limits)?;
    let is_one = baileys::folder::is_one(root);
    let candidates = if is_one { &own[..] } else { &below[..] };
    for folder in candidates.iter().filter(|folder| baileys::folder::is_one(folder)) {
        let name = folder.file_name().filter(|_| !is_one).map(|name| name.to_string_lossy().into_owned());
        let copy = baileys::folder::read(folder, origin, limits);
        sink.put(SourceTenant::new(name.unwrap_or_default(), copy))?;
    }
    if sink.found() == 0 { Err(ImportError::NoCredentials) } else { Ok(()) }
}

fn open(source: &Path) -> Result<File, ImportError> {
    files::open(source)?.ok_or(ImportError::Link { what: "the source" })
}
