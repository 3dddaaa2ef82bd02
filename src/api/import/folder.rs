//! The source of an import while it is on this machine: a folder that nobody else may read, gone with the request.
//!
//! Owns the names: what a request calls a file stays within the folder, whatever it is called. Files are made anew and nothing is ever
//! followed or written over.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::{
    api::{
        problem::{FieldError, Problem},
        upload::disk,
    },
    import::{ImportLimits, SourceFormat},
    message::media::{DiskReserve, SPOOL_STEP as STEP},
};

/// The cost of a file beside its bytes: a block of the disk.
const FILE_COST: u64 = 4096;
/// Bytes of a name, and folders within each other.
const LONGEST: usize = 1024;
const DEEPEST: usize = 10;

pub struct UploadFolder {
    /// None: it is being removed.
    folder: Option<TempDir>,
    reserve: DiskReserve,
    left: u64,
    limits: ImportLimits,
    /// In the order in which they came.
    files: Vec<PathBuf>,
}

impl UploadFolder {
    pub fn create(home: &Path, reserve: DiskReserve, limits: ImportLimits) -> io::Result<Self> {
        reserve.allow(0)?;
        // Whoever wipes the data folder while we run does not end imports. A tenant's name never begins so.
        std::fs::create_dir_all(home)?;
        let folder = tempfile::Builder::new().prefix(".import-").tempdir_in(home)?;
        Ok(Self { folder: Some(folder), reserve, left: limits.source_bytes, limits, files: Vec::new() })
    }

    fn path(&self) -> &Path {
        self.folder.as_ref().expect("it is removed only when it is dropped").path()
    }

    /// A new file under the name that the request has for it.
    pub async fn file(&mut self, name: &str) -> Result<UploadFile<'_>, Problem> {
        let relative = relative(name).map_err(|message| wrong_file(name, message))?;
        if self.files.len() == self.limits.entries {
            return Err(Problem::too_much(self.limits.entries as u64, "files", "the source"));
        }
        self.spend(FILE_COST)?;
        let path = self.path().join(&relative);
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(|error| unmade(name, error))?;
        }
        let made = tokio::fs::File::options().write(true).create_new(true).open(&path).await;
        let file = made.map_err(|error| unmade(name, error))?;
        self.files.push(relative);
        Ok(UploadFile { folder: self, file, unchecked: 0 })
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Problem> {
        let limit = self.limits.source_bytes;
        self.left = self.left.checked_sub(bytes).ok_or_else(|| Problem::too_large(limit, "the source"))?;
        Ok(())
    }

    /// The path for the reader: the only file, or the folder that all lie in. `keys`: a folder within, of Evolution's.
    pub fn source(&self, from: SourceFormat, keys: Option<&str>) -> Result<(PathBuf, Option<PathBuf>), Problem> {
        let keys = keys.map(|keys| relative(keys).map_err(|message| flaw("keys", message))).transpose()?;
        if keys.as_ref().is_some_and(|keys| !self.files.iter().any(|file| file.starts_with(keys))) {
            return Err(flaw("keys", "no file came that lies in this folder"));
        }
        let mains: Vec<&PathBuf> = self
            .files
            .iter()
            .filter(|file| keys.as_ref().is_none_or(|keys| !file.starts_with(keys)))
            .filter(|file| from != SourceFormat::Whatsmeow || !is_journal(file))
            .collect();
        let source = match (&mains[..], from) {
            ([], _) => return Err(flaw("files", "expected at least one file")),
            // A session is known by its folder.
            (_, SourceFormat::Waha) => self.path().join(common_folder(&mains)),
            // Its tables.
            (_, SourceFormat::Whatsmeow) if mains.iter().all(|file| has_extension(file, &["csv"])) => {
                self.path().join(common_folder(&mains))
            }
            ([one], _) => self.path().join(one),
            (_, SourceFormat::Whatsmeow) => {
                let databases: Vec<_> = mains.iter().filter(|file| is_database(file)).collect();
                let [one] = databases[..] else {
                    return Err(flaw(
                        "files",
                        "expected one database: a file that ends in .db, .sqlite or .sql, or its tables, which end in .csv",
                    ));
                };
                self.path().join(one)
            }
            _ => self.path().join(common_folder(&mains)),
        };
        Ok((source, keys.map(|keys| self.path().join(keys))))
    }
}

impl Drop for UploadFolder {
    fn drop(&mut self) {
        let folder = self.folder.take();
        // Tens of thousands of files take a moment.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(folder))),
            Err(_) => drop(folder),
        }
    }
}

/// A file of it while it comes.
pub struct UploadFile<'f> {
    folder: &'f mut UploadFolder,
    file: tokio::fs::File,
    unchecked: u64,
}

impl UploadFile<'_> {
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        let bytes = chunk.len() as u64;
        self.folder.spend(bytes)?;
        self.unchecked += bytes;
        if self.unchecked >= STEP {
            self.folder.reserve.allow_soon(self.unchecked).await.map_err(disk)?;
            self.unchecked = 0;
        }
        self.file.write_all(chunk).await.map_err(disk)
    }

    pub async fn finish(mut self) -> Result<(), Problem> {
        self.file.flush().await.map_err(disk)
    }
}

/// A path within the folder, as browsers and programs of every system write it.
fn relative(name: &str) -> Result<PathBuf, &'static str> {
    if name.len() > LONGEST {
        return Err("the name is too long");
    }
    if name.chars().any(char::is_control) {
        return Err("the name has a control character");
    }
    let name = name.replace('\\', "/");
    let mut path = PathBuf::new();
    for part in Path::new(&name).components() {
        match part {
            Component::Normal(part) if part.len() <= 255 => path.push(part),
            Component::Normal(_) => return Err("the name is too long"),
            Component::CurDir => {}
            _ => return Err("expected a path within the folder that was chosen"),
        }
    }
    match path.components().count() {
        0 => Err("expected a name"),
        1..=DEEPEST => Ok(path),
        _ => Err("there are too many folders within each other"),
    }
}

fn common_folder(files: &[&PathBuf]) -> PathBuf {
    let folder = |file: &PathBuf| file.parent().map(Path::to_owned).unwrap_or_default();
    let mut common = files.first().map(|file| folder(file)).unwrap_or_default();
    while !files.iter().all(|file| file.starts_with(&common)) {
        common.pop();
    }
    common
}

fn is_journal(file: &Path) -> bool {
    let name = file.to_string_lossy();
    ["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end))
}

fn is_database(file: &Path) -> bool {
    has_extension(file, &["db", "sqlite", "sqlite3", "sql"])
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|extension| extensions.contains(&&*extension))
}

fn unmade(name: &str, error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            wrong_file(name, "the name is there twice")
        }
        _ => disk(error),
    }
}

fn wrong_file(name: &str, message: &str) -> Problem {
    let field: String = name.chars().filter(|character| !character.is_control()).take(120).collect();
    let field = if field.is_empty() { "files".to_owned() } else { field };
    Problem::invalid(
        format!("{field}: {message}"),
        vec![FieldError { field: field.into(), message: message.to_owned() }],
    )
}

pub fn flaw(field: &'static str, message: &str) -> Problem {
    Problem::invalid(
        format!("{field}: {message}"),
        vec![FieldError { field: field.into(), message: message.to_owned() }],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(home: &Path, limits: ImportLimits) -> UploadFolder {
        let spool = crate::message::media::Spool::new(home.join("spool"), 0).unwrap();
        UploadFolder::create(home, spool.reserve().clone(), limits).unwrap()
    }

    async fn put(folder: &mut UploadFolder, name: &str, bytes: &[u8]) -> Result<(), Problem> {
        let mut file = folder.file(name).await?;
        file.write(bytes).await?;
        file.finish().await
    }

    #[tokio::test]
    async fn no_name_leads_out_and_none_is_written_over() {
        let home = tempfile::tempdir().unwrap();
        let mut upload = folder(home.path(), ImportLimits::of_upload());
        let deep = "a/".repeat(DEEPEST) + "b";
        let long = "x".repeat(300);
        for name in ["../x", "/etc/x", "a/../../x", "a\\..\\..\\x", "", ".", "a\u{0}b", "a\nb", &deep, &long] {
            assert!(put(&mut upload, name, b"1").await.is_err(), "{name:?}");
        }
        put(&mut upload, "s/creds.json", b"1").await.unwrap();
        put(&mut upload, "s\\./key.json", b"1").await.unwrap();
        for name in ["s/creds.json", "s", "s/key.json/x", "./s//key.json"] {
            assert!(put(&mut upload, name, b"2").await.is_err(), "{name:?}");
        }
        assert_eq!(std::fs::read(upload.path().join("s/creds.json")).unwrap(), b"1");
        let path = upload.path().to_owned();
        drop(upload);
        let gone = async {
            while path.exists() {
                tokio::task::yield_now().await
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
        assert!(!home.path().join("x").exists());
    }

    #[tokio::test]
    async fn bytes_and_files_are_counted() {
        let home = tempfile::tempdir().unwrap();
        let limits = ImportLimits { source_bytes: 3 * FILE_COST + 10, entries: 3, ..ImportLimits::of_upload() };
        let mut upload = folder(home.path(), limits);
        put(&mut upload, "a", &[0; 10]).await.unwrap();
        assert!(put(&mut upload, "b", &[0; 2 * FILE_COST as usize]).await.is_err());
        let mut upload = folder(home.path(), ImportLimits { source_bytes: 1 << 20, ..limits });
        for name in ["a", "b", "c"] {
            put(&mut upload, name, b"").await.unwrap();
        }
        assert!(put(&mut upload, "d", b"").await.is_err());
    }

    #[tokio::test]
    async fn a_source_is_the_file_or_the_folder_that_was_meant() {
        use SourceFormat::{Baileys, Evolution, Waha, Whatsmeow};
        let home = tempfile::tempdir().unwrap();
        for (from, keys, files, expected) in [
            (Baileys, None, &["creds.json"][..], Some("creds.json")),
            (Baileys, None, &["s/t/creds.json", "s/t/pre-key-1.json"], Some("s/t")),
            (Baileys, None, &["s/t/creds.json", "s/u/creds.json"], Some("s")),
            (Baileys, None, &["export.json"], Some("export.json")),
            (Waha, None, &["gows/x/gows.db"], Some("gows/x")),
            (Waha, None, &["gows.db", "gows.db-wal"], Some("")),
            (Whatsmeow, None, &["wm.db", "wm.db-wal", "wm.db-shm"], Some("wm.db")),
            (Whatsmeow, None, &["d/wm.db", "d/readme.txt"], Some("d/wm.db")),
            (Whatsmeow, None, &["d/wm.db", "d/other.DB"], None),
            (Whatsmeow, None, &["t/whatsmeow_device.csv", "t/whatsmeow_sessions.CSV"], Some("t")),
            (Whatsmeow, None, &["whatsmeow_device.csv"], Some("")),
            (Whatsmeow, None, &["wm.db", "notes.csv"], Some("wm.db")),
            (Whatsmeow, None, &[], None),
            (Evolution, Some("instances"), &["rows.csv", "instances/1/session-1.0.json"], Some("rows.csv")),
            (Evolution, Some("../x"), &["rows.csv"], None),
            (Evolution, Some("instance"), &["rows.csv", "instances/1/session-1.0.json"], None),
        ] {
            let mut upload = folder(home.path(), ImportLimits::of_upload());
            for name in files {
                put(&mut upload, name, b"").await.unwrap();
            }
            let found = upload.source(from, keys);
            let relative = found.ok().map(|(source, _)| source.strip_prefix(upload.path()).unwrap().to_owned());
            assert_eq!(relative, expected.map(PathBuf::from), "{from:?} {files:?}");
        }
    }
}
