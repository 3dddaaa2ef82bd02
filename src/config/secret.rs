//! Texts that must not be shown.

use std::{fmt, io, path::Path};

use rand::RngCore as _;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::seal;

/// A secret text. `Debug` hides it; it is compared in constant time; there is no `Display`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for handing it to whoever needs it. Never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The shortest secret that is taken, in characters.
pub const MIN_LENGTH: usize = 16;

/// A client can show it in a header: visible ASCII, with blanks at most inside.
pub fn fits_header(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Puts a secret back into its file, where there is none any more. True: it was needed.
pub fn restore_secret(file: &Path, secret: &Secret) -> io::Result<bool> {
    // A folder that is gone may be on a disk that is away for a while: made anew it would be on another, with a vault in it.
    let has_folder = file.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir());
    if !has_folder || file.try_exists()? {
        return Ok(false);
    }
    let make = || Ok(((), Zeroizing::new(secret.expose().to_owned())));
    seal::load_or_create(file, |file: &Path| std::fs::metadata(file).map(drop), make).map(|()| true)
}

/// Reads the secret in `file`; makes a random one, readable by the owner alone, when there is no such file.
pub fn load_or_create_secret(file: &Path) -> io::Result<Secret> {
    let read = |file: &Path| match std::fs::read_to_string(file)?.trim() {
        text if text.len() < MIN_LENGTH => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("expected at least {MIN_LENGTH} characters")))
        }
        text if !fits_header(text) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "expected visible ASCII: nobody can show it otherwise"))
        }
        text => Ok(Secret::new(text)),
    };
    let make = || {
        let mut bytes = Zeroizing::new([0; 24]);
        #[expect(clippy::disallowed_methods, reason = "a secret is made here")]
        rand::rng().fill_bytes(&mut *bytes);
        let text = Zeroizing::new(hex::encode(*bytes));
        Ok((Secret::new(text.as_str()), text))
    };
    seal::load_or_create(file, read, make)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admin.key");
        let racers: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_create_secret(&file).unwrap())).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert!(racers.iter().all(|secret| *secret == racers[0]), "each took another for the admin key");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left aside");
        std::fs::write(&file, "").unwrap();
        assert!(load_or_create_secret(&file).is_err(), "an empty key opens everything to everybody");
    }

    #[test]
    fn a_secret_comes_back_where_its_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data").join("admin.key");
        let secret = Secret::new("0123456789abcdef0123");
        assert!(!restore_secret(&file, &secret).unwrap(), "its disk may be away");
        std::fs::create_dir(folder.path().join("data")).unwrap();
        assert!(restore_secret(&file, &secret).unwrap());
        assert_eq!(load_or_create_secret(&file).unwrap(), secret);
        std::fs::write(&file, "another key of the operator's").unwrap();
        assert!(!restore_secret(&file, &secret).unwrap(), "written over");
        assert_ne!(load_or_create_secret(&file).unwrap(), secret);
    }
}
