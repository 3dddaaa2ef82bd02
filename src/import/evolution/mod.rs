//! Evolution API: Baileys underneath, kept in up to three places.
//!
//! - Credentials in the table `Session` (PostgreSQL, MySQL), stringified twice: [`rows`] reads an export of it.
//! - Keys in `instances/<instance>/<type>-<id>.json`: given with the rows, or read with [`folder`].
//! - Or both in a Redis hash `<prefix>:instance:<instance>`: [`redis`] reads a dump of it.

pub mod redis;
pub mod rows;

use std::path::Path;

use super::{
    EntryError, EntryKind, ImportError, ImportLimits, ImportOrigin, TenantCopy,
    baileys::{self, Assembly},
};

/// Reads one instance's folder with its credentials: of installations without a database.
pub fn folder(folder: &Path, limits: &ImportLimits) -> Result<TenantCopy, ImportError> {
    baileys::folder::read(folder, ImportOrigin::Evolution, limits)
}

/// Instances are UUIDs; anything that could leave the folder is none.
fn is_instance(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Adds the keys of an instance. Without a folder of them it comes in with its credentials alone, and the report says so.
fn add_keys(
    assembly: &mut Assembly,
    instances: &Path,
    instance: &str,
    limits: &ImportLimits,
) -> Result<(), ImportError> {
    let mut without_keys = |reason| {
        assembly.leave_out(EntryKind::Unknown, instance, reason);
        Ok(())
    };
    if !is_instance(instance) {
        return without_keys(EntryError::Invalid("the instance's name"));
    }
    let folder = instances.join(instance);
    match folder.symlink_metadata() {
        Ok(found) if found.is_dir() => baileys::folder::add_keys(assembly, &folder, limits),
        Ok(_) => Err(ImportError::Link { what: "the instance's folder" }),
        Err(_) => without_keys(EntryError::Missing("the folder of its keys")),
    }
}
