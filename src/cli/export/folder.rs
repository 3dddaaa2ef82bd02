//! The folder that a device leaves in: nobody's but its owner's, and of use only when it is whole.
//!
//! Owns the order of the writes. The credentials are written last, under another name, and renamed: a folder with `creds.json` is whole. A
//! marker says that the folder is this export's, until it is finished; a folder with anything else in it is refused.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde_json::Value;

use crate::{crash, tenant::TenantId};

const CREDS: &str = "creds.json";
const UNFINISHED_CREDS: &str = "creds.json.unfinished";
const MARKER: &str = ".sessiond-export";

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{} is there, and not empty: name a folder that is not there yet", .0.display())]
    NotEmpty(PathBuf),
    #[error("{}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
}

impl FolderError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotEmpty(_) => "folder_not_empty",
            Self::Disk { .. } => "folder_unwritable",
        }
    }
}

pub struct ExportFolder {
    path: PathBuf,
    tenant: TenantId,
    is_finished: bool,
}

impl ExportFolder {
    /// Whether the tenant may be written there. Changes nothing.
    pub fn look(path: &Path, tenant: &TenantId) -> Result<Self, FolderError> {
        let mut folder = Self { path: path.to_owned(), tenant: tenant.clone(), is_finished: false };
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(folder),
            Err(error) => return Err(folder.disk(error)),
        };
        let mut is_empty = true;
        for entry in entries {
            is_empty = false;
            folder.is_finished |= entry.map_err(|error| folder.disk(error))?.file_name() == CREDS;
        }
        let is_ours = || fs::read_to_string(path.join(MARKER)).is_ok_and(|named| named == tenant.as_str());
        if is_empty || is_ours() { Ok(folder) } else { Err(FolderError::NotEmpty(path.to_owned())) }
    }

    /// An earlier try has written all of it.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// The same, of this device.
    pub fn is_finished_with(&self, device: &[u8; 32]) -> bool {
        let creds = fs::read(self.path.join(CREDS)).ok().and_then(|creds| serde_json::from_slice::<Value>(&creds).ok());
        let key = creds.as_ref().and_then(|creds| creds["noiseKey"]["public"]["data"].as_str());
        key.and_then(|key| BASE64.decode(key).ok()).is_some_and(|key| key == device)
    }

    /// Makes the folder and its marker; removes what a try that died has left.
    pub fn begin(&self) -> Result<(), FolderError> {
        if self.is_finished {
            return Ok(());
        }
        self.begun().map_err(|error| self.disk(error))
    }

    fn begun(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        // One that was there may be open to others.
        fs::set_permissions(&self.path, Permissions::from_mode(0o700))?;
        let marker = self.path.join(MARKER);
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path != marker {
                fs::remove_file(path)?;
            }
        }
        if !marker.exists() {
            self.put(MARKER, self.tenant.as_str().as_bytes())?;
        }
        self.sync()
    }

    /// Writes all of it.
    pub fn write(&self, files: &[(String, Bytes)]) -> Result<(), FolderError> {
        self.written(files).map_err(|error| self.disk(error))
    }

    fn written(&self, files: &[(String, Bytes)]) -> io::Result<()> {
        for (name, content) in files.iter().filter(|(name, _)| name != CREDS) {
            self.put(name, content)?;
            crash::point("export_file");
        }
        let creds = files.iter().find(|(name, _)| name == CREDS);
        let (_, creds) = creds.ok_or_else(|| io::Error::other("the device is missing in the vault"))?;
        self.put(UNFINISHED_CREDS, creds)?;
        self.sync()?;
        crash::point("export_unfinished");
        fs::rename(self.path.join(UNFINISHED_CREDS), self.path.join(CREDS))?;
        self.sync()
    }

    /// It is its owner's from now on.
    pub fn finish(&self) -> Result<(), FolderError> {
        let removed = fs::remove_file(self.path.join(MARKER));
        removed.and_then(|()| self.sync()).map_err(|error| self.disk(error))
    }

    /// Names are those of the copy: none has a separator in it.
    fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path.join(name))?;
        file.write_all(content)?;
        file.sync_all()
    }

    /// The names, and that of the folder itself.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    }

    fn disk(&self, source: io::Error) -> FolderError {
        FolderError::Disk { path: self.path.clone(), source }
    }
}
