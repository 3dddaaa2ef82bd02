//! Encryption of what goes to the vault.
