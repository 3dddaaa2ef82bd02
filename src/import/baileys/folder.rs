//! A multi-file folder (`useMultiFileAuthState`): `creds.json` and a file a key.
//!
//! The listing is bounded and sorted, files are opened as [`crate::import::files`] says. Sub-folders are not entered.

use std::path::Path;

use super::{Assembly, assembly::CREDENTIALS, entry_name};
use crate::import::{EntryKind, ImportError, ImportLimits, ImportOrigin, TenantCopy, files};

const SUFFIX: &str = ".json";

/// Reads a folder with its credentials.
pub fn read(folder: &Path, origin: ImportOrigin, limits: &ImportLimits) -> Result<TenantCopy, ImportError> {
    let mut assembly = Assembly::new(origin, limits);
    add_credentials(&mut assembly, folder, limits)?;
    add_keys(&mut assembly, folder, limits)?;
    assembly.finish()
}

/// Whether it looks like one, by the one file that all have.
pub fn is_one(folder: &Path) -> bool {
    folder.join("creds.json").symlink_metadata().is_ok_and(|creds| !creds.is_dir())
}

pub fn add_credentials(assembly: &mut Assembly, folder: &Path, limits: &ImportLimits) -> Result<(), ImportError> {
    let creds = match files::read_required(&folder.join("creds.json"), "creds.json", limits.entry_bytes) {
        Err(ImportError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound && folder.is_dir() => {
            return Err(ImportError::NoCredentials);
        }
        creds => creds?,
    };
    assembly.add_text(CREDENTIALS, &creds)
}

/// Adds the keys only: for stores that have their credentials elsewhere.
pub fn add_keys(assembly: &mut Assembly, folder: &Path, limits: &ImportLimits) -> Result<(), ImportError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        if names.len() == limits.entries {
            return Err(ImportError::TooLarge { what: "the source", limit: limits.entries as u64, unit: "files" });
        }
        names.push(entry?.file_name());
    }
    names.sort_unstable();
    for file in names {
        let name = file.to_str().and_then(|file| file.strip_suffix(SUFFIX));
        let Some(name) = name.filter(|name| *name != CREDENTIALS) else {
            if file != "creds.json" {
                assembly.ignore(EntryKind::Unknown);
            }
            continue;
        };
        let Some((kind, _)) = entry_name::parse(name) else {
            assembly.ignore(EntryKind::Unknown);
            continue;
        };
        // Of these no more is said than that they are there.
        if matches!(kind, EntryKind::SenderKeyMemory | EntryKind::SyncVersion) {
            assembly.ignore(kind);
            continue;
        }
        match files::read_entry(&folder.join(&file), limits.entry_bytes) {
            Ok(Some(text)) => assembly.add_text(name, &text)?,
            Ok(None) => {}
            Err(reason) => assembly.leave_out(kind, name, reason),
        }
    }
    Ok(())
}
