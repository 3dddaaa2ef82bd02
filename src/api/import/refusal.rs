//! The reasons why an import was refused, as problems: under the codes of the command's `--json`, where the API has no other word for it
//! already.

use std::io;

use crate::{
    api::{
        problem::{FieldError, Problem},
        upload::disk,
    },
    fleet::FleetError,
    import::{CopyFlaw, ImportError, RefusedImport},
    store::StoreError,
    vault::VaultError,
};

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let said = error.to_string();
        let problem = match error {
            ImportError::Io(error) if is_ours(&error) => return disk(error),
            ImportError::Io(_)
            | ImportError::Link { .. }
            | ImportError::NotAFile(_)
            | ImportError::OtherFormat(_)
            // What a request brings is never live.
            | ImportError::Live(_) => {
                Self::unprocessable("other_format", "The source is not what `from` says")
            }
            ImportError::Json { .. } => Self::unprocessable("no_json", "The source is no JSON"),
            ImportError::TooLarge { what, limit, unit } => return Self::too_much(limit, unit, what),
            ImportError::TooSlow { .. } => Self::unprocessable("too_slow", "The source takes too long to read"),
            ImportError::NoCredentials => {
                Self::unprocessable("no_credentials", "The source has no credentials of a linked device")
            }
            ImportError::Credentials(_) => Self::unprocessable("damaged_credentials", "The credentials are damaged"),
            ImportError::NotPaired(_) => Self::unprocessable("never_paired", "The device was never linked"),
            ImportError::NotWhole(flaws) => {
                Self::unprocessable("not_whole", "The copy is not whole, or of another number")
                    .naming(flaws.iter().map(field).collect())
            }
            ImportError::OlderCopy | ImportError::TwiceInSource => {
                Self::unprocessable("twice_in_source", "The source has the tenant more than once")
            }
            ImportError::SeveralTenants { .. } => {
                Self::unprocessable("several_tenants", "The source has several tenants")
                    .naming(vec![FieldError { field: "name".into(), message: "is required".to_owned() }])
            }
            ImportError::NotInSource => Self::unprocessable("not_in_source", "The source has no such tenant")
                .naming(vec![FieldError { field: "name".into(), message: "names no tenant of the source".to_owned() }]),
            ImportError::Sqlite(_) => Self::unprocessable("damaged_database", "The database cannot be read"),
        };
        problem.detailed(said)
    }
}

/// A file that is not there, or is a folder, is the source's. Else it is our disk.
fn is_ours(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, IsADirectory, NotADirectory, NotFound, UnexpectedEof};
    !matches!(error.kind(), InvalidData | InvalidInput | IsADirectory | NotADirectory | NotFound | UnexpectedEof)
}

fn field(flaw: &CopyFlaw) -> FieldError {
    let field = match flaw {
        CopyFlaw::Halves(name) => *name,
        CopyFlaw::SignedPreKey => "the signed pre-key",
        CopyFlaw::AccountSignature | CopyFlaw::DeviceSignature => "account",
        CopyFlaw::OtherNumber { .. } => "expectedNumber",
    };
    FieldError { field: field.into(), message: flaw.to_string() }
}

impl From<RefusedImport> for Problem {
    fn from(refused: RefusedImport) -> Self {
        let said = refused.to_string();
        match refused {
            RefusedImport::Linked => Self::conflict(
                "already_linked",
                "The tenant is linked already",
                "unlink it first, or import to another tenant",
            ),
            RefusedImport::OtherAccount { .. } => {
                Self::conflict("other_account", "The copy is another account's than the tenant", said)
            }
            RefusedImport::DeviceElsewhere { .. } => {
                Self::conflict("device_elsewhere", "The device is another tenant's", said)
            }
            RefusedImport::UsedHere => Self::conflict(
                "used_here",
                "The tenant has sent with these keys from here",
                "import it without stopped, so that no session comes along",
            ),
            RefusedImport::Taken => Self::owned_elsewhere(),
            RefusedImport::Damaged(reason) => FleetError::Failed(reason).into(),
            RefusedImport::Vault(error @ VaultError::Unavailable(_)) => {
                tracing::warn!(event = "import_unwritten", %error, "an import was not written");
                FleetError::VaultDown.into()
            }
            RefusedImport::Vault(error) => {
                tracing::warn!(event = "import_unwritten", %error, "an import was not written");
                FleetError::Failed("the vault refuses".to_owned()).into()
            }
            RefusedImport::Unconfirmed => StoreError::Unconfirmed.into(),
            RefusedImport::Unwritable(_) => {
                Self::unprocessable("not_whole", "The copy is not whole, or of another number").detailed(said)
            }
        }
    }
}
