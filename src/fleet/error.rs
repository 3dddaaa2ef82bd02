//! The fleet's errors.

/// Why the fleet did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FleetError {
    #[error("the daemon is stopping")]
    Draining,
    #[error("there is no such session")]
    Unknown,
    /// Not in this process, whether or not the directory knows it.
    #[error("the session is not open")]
    NotOpen,
    /// The tenant's state is damaged or another process has it; in words for operators.
    #[error("the tenant cannot be opened: {0}")]
    Failed(String),
    #[error("the vault does not answer")]
    VaultDown,
    /// It is begun, and goes on.
    #[error("the vault did not confirm it in time")]
    Unconfirmed,
    /// Its session ended, and the next is being opened.
    #[error("the session is being restored")]
    Restoring,
    /// To another process.
    #[error("moved")]
    Moved,
    /// To another gateway; where and when.
    #[error("the tenant was {0}")]
    Exported(String),
}
