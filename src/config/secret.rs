//! Texts that must not be shown.

use std::{fmt, fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use rand::RngCore as _;
use subtle::ConstantTimeEq;

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

/// Reads the secret in `file`; makes a random one, readable by the owner alone, when there is no such file.
pub fn load_or_create_secret(file: &Path) -> std::io::Result<Secret> {
    match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => return Ok(Secret::new(text.trim())),
        Ok(_) => return Err(std::io::Error::other("the file is empty")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut bytes = [0; 24];
    rand::rng().fill_bytes(&mut bytes);
    let secret = Secret::new(hex::encode(bytes));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(file, "{}", secret.expose())?;
    file.sync_all()?;
    Ok(secret)
}
