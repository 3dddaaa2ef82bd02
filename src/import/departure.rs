//! A tenant leaves for another gateway: the decision in its journal, and the end of it.
//!
//! Owns [`Departure`]. One entry takes the device and all its keys out of the tenant's state, puts the files of its folder there, marks the
//! tenant as gone ([`Exported`]) and decides that it is not connected. So a counter has one user at every moment:
//!
//! - Whoever dies before that entry is in the vault leaves a tenant that connects as ever, and no file.
//! - Whoever dies after it leaves a tenant that is gone, and the same files in its state: the next try writes the same folder.
//! - [`Departure::complete`] takes the files out, once the folder is on the disk. From then on the folder has the only copy: a second
//!   one would be stale as soon as the first was used.

use bytes::Bytes;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    CounterMargin, ImportError, ImportTally, RefusedImport, TenantCopy,
    export::{BaileysFolder, baileys_folder},
    writer::{ImportWriter, confirm},
};
use crate::{
    crash,
    journal::{self, Change, Journal, OpenError, Opened, Record},
    store::{
        self, Exported, OwnAccount, PAIRING, STOPPED, StoreError, key,
        space::{self, Space},
    },
    tenant::TenantId,
    vault::{Decision, InstanceId, TenantInfo, VaultError},
};

/// What the folder is for, for people.
const BAILEYS: &str = "Baileys";

/// Why a tenant does not leave.
#[derive(Debug, thiserror::Error)]
pub enum RefusedExport {
    #[error("there is no such tenant")]
    Unknown,
    #[error("the tenant is not linked: there is nothing to export")]
    NotLinked,
    #[error("the tenant was {}, and that folder has the only copy: a second one would use its counters again", .0.words())]
    AlreadyExported(Box<Exported>),
    #[error("the process {} lives and has the tenant: stop it first. Nothing was taken out", .owner.0)]
    OwnedElsewhere { owner: InstanceId },
    #[error("the tenant's device is not whole: {0}")]
    NotWhole(ImportError),
    #[error(transparent)]
    Vault(RefusedImport),
}

impl RefusedExport {
    /// Stable; for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_tenant",
            Self::NotLinked => "not_linked",
            Self::AlreadyExported(_) => "already_exported",
            Self::OwnedElsewhere { .. } => "owned_elsewhere",
            Self::NotWhole(_) => "not_whole",
            Self::Vault(refused) => refused.code(),
        }
    }
}

impl From<RefusedImport> for RefusedExport {
    fn from(refused: RefusedImport) -> Self {
        Self::Vault(refused)
    }
}

impl From<VaultError> for RefusedExport {
    fn from(error: VaultError) -> Self {
        Self::Vault(error.into())
    }
}

impl From<OpenError> for RefusedExport {
    fn from(error: OpenError) -> Self {
        Self::Vault(error.into())
    }
}

impl From<StoreError> for RefusedExport {
    fn from(error: StoreError) -> Self {
        Self::Vault(error.into())
    }
}

/// A tenant that is gone, as the vault knows, and whose folder is to be written now. Dropped, it stays so, and can be repeated.
pub struct Departure {
    pub mark: Exported,
    /// Name and content.
    pub files: Vec<(String, Bytes)>,
    /// What was left out; `None`: an earlier try decided that.
    pub tally: Option<ImportTally>,
    journal: Journal,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Departure {
    /// The folder is on the disk, whole: the vault forgets the files.
    pub async fn complete(self) -> Result<(), RefusedExport> {
        let gone = self.files.iter().map(|(name, _)| removed(space::EXPORTED, key::text(name)));
        let mark = Exported { is_written: true, ..self.mark.clone() };
        let changes = gone.chain([marked(&mark)]).collect();
        let confirmed = confirm(&self.journal, self.journal.record(changes, None)).await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        Ok(confirmed?)
    }
}

/// A journal's tasks end with their owner.
impl Drop for Departure {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The mark, the files, and what was left out.
type Decided = (Exported, Vec<(String, Bytes)>, Option<ImportTally>);

impl ImportWriter {
    /// Whether it could leave: its mark, when it has begun to. Takes nothing over, writes nothing.
    pub async fn inspect_departure(&self, tenant: &TenantId) -> Result<Option<Exported>, RefusedExport> {
        let record = self.vault.tenant(tenant).await?.filter(|record| record.deleted_at.is_none());
        let record = record.ok_or(RefusedExport::Unknown)?;
        leaving(&journal::look(&self.context(tenant, Some(&record))).await?)
    }

    /// Takes the tenant over and decides that it is gone, unless that is decided already. Inspect it first: a takeover ends the session of
    /// whoever has the tenant.
    pub async fn depart(&self, tenant: &TenantId, margin: CounterMargin) -> Result<Departure, RefusedExport> {
        let record = self.vault.tenant(tenant).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let opened = journal::open(self.context(tenant, record.as_ref()), &tasks, stop.clone()).await?;
        crash::point("export_taken_over");
        match self.decide(tenant, &opened, margin).await {
            Ok((mark, files, tally)) => {
                crash::point("export_decided");
                Ok(Departure { mark, files, tally, journal: opened.journal, tasks, stop })
            }
            Err(refused) => {
                stop.cancel();
                tasks.close();
                tasks.wait().await;
                Err(refused)
            }
        }
    }

    async fn decide(
        &self,
        tenant: &TenantId,
        Opened { records: state, journal, .. }: &Opened,
        margin: CounterMargin,
    ) -> Result<Decided, RefusedExport> {
        if let Some(mark) = leaving(state)? {
            let files = state.iter().filter(|record| record.space == space::EXPORTED && !record.key.is_empty());
            let named = |file: &Record| (String::from_utf8_lossy(&file.key).into_owned(), file.value.clone());
            return Ok((mark, files.map(named).collect(), None));
        }
        let copy = TenantCopy::of_state(state).map_err(RefusedExport::NotWhole)?;
        copy.verify(None).map_err(RefusedExport::NotWhole)?;
        let now = self.clock.now();
        let mark = Exported {
            to: BAILEYS.to_owned(),
            at: now,
            number: copy.number().to_owned(),
            device: copy.device.noise_key.public,
            is_written: false,
        };
        let account = match store::account_of(state)? {
            Some(account) => account,
            None => OwnAccount::new(copy.number(), copy.device.lid.as_ref().map(|lid| lid.user.clone())),
        };
        let BaileysFolder { files, tally } = baileys_folder(copy, margin);
        let files: Vec<_> = files.into_iter().map(|(name, content)| (name, Bytes::from(content))).collect();
        let credentials: Vec<Space> = space::credentials().collect();
        let marks = [STOPPED, PAIRING].map(key::text);
        let dies = |record: &&Record| {
            credentials.contains(&record.space) || record.space == space::SETTINGS && marks.contains(&record.key)
        };
        let mut changes: Vec<_> =
            state.iter().filter(dies).map(|record| removed(record.space, record.key.clone())).collect();
        let put = |(name, content): &(String, Bytes)| Change {
            space: space::EXPORTED,
            key: key::text(name),
            value: Some(content.clone()),
        };
        changes.extend(files.iter().map(put));
        changes.extend([marked(&mark), account.remembered()]);
        let decision = Decision { whatsapp_connected: Some(false), phone_number: Some(None), connected_at: Some(None) };
        confirm(journal, journal.record(changes, Some(decision))).await?;
        // So that the next daemon opens the tenant, and its consumers learn of it.
        let told = TenantInfo {
            status: Some("exported".to_owned()),
            last_error: Some(Some(mark.words())),
            last_error_at: Some(Some(now)),
            ..TenantInfo::default()
        };
        if let Err(error) = self.vault.notice(tenant, &told).await {
            tracing::warn!(
                event = "departure_unwritten",
                %tenant,
                %error,
                "the tenant's record does not say where it went"
            );
        }
        Ok((mark, files, Some(tally)))
    }
}

/// The mark of a tenant that has begun to leave; `None`: it is linked, and may.
fn leaving(state: &[Record]) -> Result<Option<Exported>, RefusedExport> {
    match Exported::of(state)? {
        Some(mark) if mark.is_written => Err(RefusedExport::AlreadyExported(Box::new(mark))),
        Some(mark) => Ok(Some(mark)),
        None if store::is_paired(state)? => Ok(None),
        None => Err(RefusedExport::NotLinked),
    }
}

fn marked(mark: &Exported) -> Change {
    Change { space: space::EXPORTED, key: key::only(), value: Some(mark.encode().into()) }
}

fn removed(space: Space, key: Box<[u8]>) -> Change {
    Change { space, key, value: None }
}
