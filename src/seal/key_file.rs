//! Files with a secret in them: the vault's key, the admin key. Written aside, forced to the disk and linked into place: a half-written
//! secret never bears the name, the name is given once, and after a power cut it is there or is not.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use zeroize::Zeroizing;

use super::MasterKey;

/// Reads the master key from a file; where there is none, makes one that only its owner can read. Of several processes that do so at the
/// same time all get the same key.
pub fn load_or_create_key_file(path: &Path) -> io::Result<MasterKey> {
    let made = || {
        #[expect(clippy::disallowed_methods, reason = "a key is made here")]
        let key = MasterKey::generate(&mut rand::rng());
        let text = Zeroizing::new(hex::encode(key.bytes()));
        Ok((key, text))
    };
    load_or_create(path, read_key_file, made)
}

/// Reads the master key from a file that there must be.
pub fn read_key_file(path: &Path) -> io::Result<MasterKey> {
    let text = Zeroizing::new(fs::read_to_string(path)?);
    text.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Puts the key back into its file, where that is gone or has another; the other is set aside. True: it was needed.
#[expect(clippy::disallowed_methods, reason = "the name of what is set aside")]
pub fn restore_key_file(path: &Path, key: &MasterKey) -> io::Result<bool> {
    match read_key_file(path) {
        Ok(found) if found.bytes() == key.bytes() => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => fs::rename(path, path.with_extension(format!("key.{:016x}", rand::random::<u64>())))?,
    }
    let text = Zeroizing::new(hex::encode(key.bytes()));
    create(path, &text).map(|()| true)
}

/// What `read` says, or what was made and written, with its text.
pub fn load_or_create<T>(
    path: &Path,
    read: impl Fn(&Path) -> io::Result<T>,
    make: impl FnOnce() -> io::Result<(T, Zeroizing<String>)>,
) -> io::Result<T> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => {
            warn_if_others_can_read(path);
            return found;
        }
    }
    let (made, text) = make()?;
    match create(path, &text) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        created => created.map(|()| made),
    }
}

fn warn_if_others_can_read(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(
            event = "secret_file_open",
            file = %path.display(),
            mode = format!("{:03o}", mode & 0o777),
            "others can read this secret: chmod 600"
        );
    }
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    #[expect(clippy::disallowed_methods, reason = "the name of a file for a moment")]
    let aside = folder.join(format!(".{}.{:016x}", std::process::id(), rand::random::<u64>()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written = writeln!(file, "{text}").and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&aside, path));
    fs::remove_file(&aside)?;
    written?;
    File::open(folder)?.sync_all()
}
