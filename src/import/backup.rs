//! A tenant as a file that only the master key opens: its whole state and its history, to be restored into another vault.
//!
//! Owns the file's format, and what of it comes back. A backup is older than the tenant that it is of: what was sent since used counters
//! that the backup does not know. So its Signal sessions and sender keys never come back ([`super::Finality::MayBeStale`]), contacts make
//! new ones at the price of one retry, and pre-keys begin far from the old ids. The file is sealed piece by piece, each for its place, so
//! that one that was cut, altered or put together does not open.
//!
//! | bytes | what |
//! |---|---|
//! | 18 | `sessiond tenant 1\n` |
//! | 1 + n | the tenant's id, preceded by its length |
//! | 16 | the file's own number, random |
//! | 1 + 4 + n, repeated | 1 for the last piece; the length of what follows; a piece, sealed |
//!
//! The plaintext of a piece is a list of [`BackupItem`]s, each preceded by its length.

use bytes::{Buf as _, Bytes, BytesMut};
use jiff::Timestamp;
use prost::Message;

use super::{
    CounterMargin, Finality, ImportError, RefusedImport, SettledTenant, TenantCopy, owners::owners_lost_records,
    writer::ImportWriter,
};
use crate::{
    journal::{self, Archive, Record},
    message::{SegmentReferences, StoredSegment},
    seal::{Digest, Keyring, Kind, SealPosition, TenantSeal, UnsealError},
    store::{self, ACCOUNT_CHANGE, PAIRING, REJECTED, STOPPED, StoreError, key, space},
    tenant::TenantId,
    vault::{Seq, VaultError},
};

const MAGIC: &[u8] = b"sessiond tenant 1\n";

/// A piece is closed when it has so many bytes. A single item may be larger.
const PIECE: usize = 4 << 20;

/// What the import writes itself, from the device; what does not come back; and what never left.
const NOT_KEPT: [space::Space; 11] = [
    space::DEVICE,
    space::IDENTITIES,
    space::SESSIONS,
    space::SENDER_KEYS,
    space::PRE_KEYS,
    space::SYNC_KEYS,
    space::LID_MAPPINGS,
    space::TC_TOKENS,
    space::DEVICE_LISTS,
    space::EXPORTED,
    space::SEGMENTS,
];

/// A record of the state, or a segment of the history.
#[derive(Clone, PartialEq, Message)]
struct BackupItem {
    #[prost(uint32, tag = "1")]
    space: u32,
    #[prost(bytes = "bytes", tag = "2")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    value: Bytes,
    /// Of a segment, whose reference is the value: its plaintext.
    #[prost(bytes = "bytes", optional, tag = "4")]
    segment: Option<Bytes>,
}

/// A tenant's state, and its history in plain.
pub struct TenantBackup {
    pub tenant: TenantId,
    pub(super) records: Vec<Record>,
    pub(super) segments: Vec<StoredSegment>,
    /// Segments that the vault had lost when the backup was made, or whose references this build does not know.
    pub lost_segments: usize,
}

/// Why there is no backup, or none that comes back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("there is no such tenant")]
    Unknown,
    #[error("the tenant is not linked: there is no session to keep")]
    NotLinked,
    #[error("the tenant's state in the vault cannot be read: {0}")]
    Damaged(String),
    #[error("this is no backup of a tenant: {0}")]
    NoBackup(&'static str),
    #[error("the backup does not open: {0}")]
    Sealed(UnsealError),
    #[error("the device in the backup is not whole: {0}")]
    NotWhole(ImportError),
    #[error(transparent)]
    Vault(VaultError),
}

impl BackupError {
    /// Stable; for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_tenant",
            Self::NotLinked => "not_linked",
            Self::Damaged(_) => "tenant_damaged",
            Self::NoBackup(_) => "no_backup",
            Self::Sealed(UnsealError::UnknownKey { .. }) => "unknown_key",
            Self::Sealed(_) => "backup_damaged",
            Self::NotWhole(_) => "not_whole",
            Self::Vault(_) => "vault_down",
        }
    }
}

impl From<VaultError> for BackupError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Malformed(what) => Self::Damaged(what),
            error => Self::Vault(error),
        }
    }
}

impl From<journal::OpenError> for BackupError {
    fn from(error: journal::OpenError) -> Self {
        match error {
            journal::OpenError::Vault(error) => error.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl ImportWriter {
    /// Reads a tenant. Takes nothing over, writes nothing: its owner goes on.
    pub async fn back_up(&self, tenant: &TenantId) -> Result<TenantBackup, BackupError> {
        let backup = self.read_once(tenant).await?;
        if backup.lost_segments == 0 {
            return Ok(backup);
        }
        drop(backup);
        // Its owner may have sealed them anew since their references were read, or have deleted them. What is lost now is lost.
        self.read_once(tenant).await
    }

    async fn read_once(&self, tenant: &TenantId) -> Result<TenantBackup, BackupError> {
        let record = self.vault.tenant(tenant).await?;
        let context = self.context(tenant, record.as_ref());
        let records = journal::look(&context).await?;
        if records.is_empty() && record.is_none() {
            return Err(BackupError::Unknown);
        }
        if !store::is_paired(&records)? {
            return Err(BackupError::NotLinked);
        }
        let archive = Archive::of(&context);
        let (mut segments, mut lost_segments) = (Vec::new(), 0);
        for segment in SegmentReferences::of(&records) {
            let Some(segment) = segment else {
                lost_segments += 1;
                continue;
            };
            match segment.read(&archive).await {
                Ok(segment) => segments.push(segment),
                // Retention has deleted it meanwhile, or the vault lost it.
                Err(error) if error.is_lost() => lost_segments += 1,
                Err(error) => return Err(BackupError::Vault(VaultError::Unavailable(error.to_string()))),
            }
        }
        Ok(TenantBackup { tenant: tenant.clone(), records, segments, lost_segments })
    }
}

impl TenantBackup {
    /// The file.
    pub fn seal(&self, keyring: &Keyring) -> Vec<u8> {
        #[expect(clippy::disallowed_methods, reason = "no two backups have the same")]
        let number: [u8; 16] = rand::random();
        let (seal, id) = (keyring.tenant(&self.tenant), self.tenant.as_str().as_bytes());
        let mut file = MAGIC.to_vec();
        file.push(u8::try_from(id.len()).expect("a tenant's id has at most 64 characters"));
        file.extend(id);
        file.extend(number);
        let mut pieces = vec![BytesMut::new()];
        for item in self.items() {
            if pieces.last().is_some_and(|piece| piece.len() >= PIECE) {
                pieces.push(BytesMut::new());
            }
            if let Some(piece) = pieces.last_mut() {
                // BytesMut grows as needed, so there is always room.
                let _ = item.encode_length_delimited(piece);
            }
        }
        let last = pieces.len() - 1;
        for (n, piece) in pieces.iter().enumerate() {
            let sealed = seal.seal(&place(number, n, n == last), piece);
            file.push(u8::from(n == last));
            file.extend((sealed.len() as u32).to_be_bytes());
            file.extend(sealed);
        }
        file
    }

    fn items(&self) -> impl Iterator<Item = BackupItem> {
        let record = |record: &Record| BackupItem {
            space: record.space.0.into(),
            key: Bytes::copy_from_slice(&record.key),
            value: record.value.clone(),
            segment: None,
        };
        let segment = |segment: &StoredSegment| BackupItem {
            space: space::SEGMENTS.0.into(),
            key: Bytes::copy_from_slice(&segment.key()),
            value: segment.reference().into(),
            segment: Some(segment.plain.clone().into()),
        };
        let records = self.records.iter().filter(|record| record.space != space::SEGMENTS);
        records.map(record).chain(self.segments.iter().map(segment))
    }

    /// Reads a file.
    pub fn open(keyring: &Keyring, file: &[u8]) -> Result<Self, BackupError> {
        let mut rest = file.strip_prefix(MAGIC).ok_or(BackupError::NoBackup("it begins with other words"))?;
        let short = || BackupError::NoBackup("it ends too early");
        let id = take(&mut rest, 1).ok_or_else(short)?[0];
        let id = take(&mut rest, usize::from(id)).and_then(|id| std::str::from_utf8(id).ok()).ok_or_else(short)?;
        let tenant: TenantId = id.parse().map_err(|_| BackupError::NoBackup("it names no tenant"))?;
        let number = take(&mut rest, 16).and_then(|number| number.try_into().ok()).ok_or_else(short)?;
        let seal = keyring.tenant(&tenant);
        let mut backup = Self { tenant, records: Vec::new(), segments: Vec::new(), lost_segments: 0 };
        for n in 0.. {
            let is_last = take(&mut rest, 1).ok_or_else(short)?[0] != 0;
            let length = take(&mut rest, 4).and_then(|length| length.try_into().ok()).ok_or_else(short)?;
            let sealed = take(&mut rest, u32::from_be_bytes(length) as usize).ok_or_else(short)?;
            backup.read_piece(&seal, &place(number, n, is_last), sealed)?;
            if is_last {
                break;
            }
        }
        if rest.is_empty() { Ok(backup) } else { Err(BackupError::NoBackup("something follows its end")) }
    }

    fn read_piece(&mut self, seal: &TenantSeal, place: &SealPosition, sealed: &[u8]) -> Result<(), BackupError> {
        let mut plain = Bytes::from(seal.open(place, sealed).map_err(BackupError::Sealed)?);
        let strange = || BackupError::NoBackup("a newer version wrote it");
        while plain.has_remaining() {
            let item = BackupItem::decode_length_delimited(&mut plain).map_err(|_| strange())?;
            let record = Record {
                space: space::Space(u8::try_from(item.space).map_err(|_| strange())?),
                key: item.key.as_ref().into(),
                value: item.value,
            };
            match item.segment {
                None => self.records.push(record),
                Some(plain) => {
                    self.segments.push(StoredSegment::new(&record, plain.to_vec()).ok_or_else(strange)?);
                }
            }
        }
        Ok(())
    }

    /// Decides what comes back.
    pub fn settle(self) -> Result<SettledTenant, BackupError> {
        let mut copy = TenantCopy::of_state(&self.records).map_err(BackupError::NotWhole)?;
        copy.verify(None).map_err(BackupError::NotWhole)?;
        copy.sender_keys.clear();
        let mut settled = copy.settle(Finality::MayBeStale, CounterMargin::default());
        let stopped = key::text(STOPPED);
        settled.stays_away = self.records.iter().any(|record| record.space == space::SETTINGS && record.key == stopped);
        settled.backup = Some(self);
        Ok(settled)
    }

    /// What comes back beside the device, for a tenant that has this state. Where it has a history of its own: nothing; or, of one that
    /// was deleted, what its owner had written. Segments are written into the archive.
    pub(super) async fn kept(
        &self,
        state: &[Record],
        archive: &Archive,
        now: Timestamp,
    ) -> Result<Vec<Record>, RefusedImport> {
        let history = [space::EVENTS, space::SEGMENTS, space::INBOX, space::OUTBOX];
        if state.iter().any(|record| history.contains(&record.space)) {
            return Ok(match store::account_of(state)? {
                Some(_) => Vec::new(),
                None => owners_lost_records(&self.records, state, now),
            });
        }
        let marks = [STOPPED, ACCOUNT_CHANGE, PAIRING, REJECTED].map(key::text);
        let is_mark = |record: &&Record| record.space == space::SETTINGS && marks.contains(&record.key);
        let records = self.records.iter().filter(|record| !NOT_KEPT.contains(&record.space) && !is_mark(record));
        let mut kept: Vec<_> = records.cloned().collect();
        for segment in &self.segments {
            kept.push(segment.write(archive).await?);
        }
        Ok(kept)
    }
}

fn place(number: [u8; 16], n: usize, is_last: bool) -> SealPosition {
    SealPosition {
        kind: Kind::Backup { number: hex::encode(number).into() },
        seq: Seq(0),
        part: n as u32,
        // How many there are is known at the last.
        parts: if is_last { n as u32 + 1 } else { 0 },
        epoch: Seq(0),
        previous: Digest::ZERO,
    }
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::MasterKey;

    fn keyring(byte: &str) -> Keyring {
        Keyring::new(vec![byte.repeat(32).parse::<MasterKey>().unwrap()])
    }

    #[test]
    fn a_backup_opens_whole_and_with_its_key_only() {
        let record = |n: u8| Record { space: space::Space(77), key: [n].into(), value: vec![n; PIECE / 2].into() };
        let records: Vec<_> = (0..5).map(record).collect();
        let (tenant, segments) = ("trattoria".parse().unwrap(), Vec::new());
        let backup = TenantBackup { tenant, records: records.clone(), segments, lost_segments: 0 };
        let file = backup.seal(&keyring("5e"));
        let opened = TenantBackup::open(&keyring("5e"), &file).unwrap();
        assert_eq!((opened.tenant.as_str(), &opened.records), ("trattoria", &records));
        let code = |keyring: &Keyring, file: &[u8]| TenantBackup::open(keyring, file).err().map(|error| error.code());
        assert_eq!(code(&keyring("7a"), &file), Some("unknown_key"));
        assert_eq!(code(&keyring("5e"), &file[..file.len() - 1]), Some("no_backup"));
        assert_eq!(code(&keyring("5e"), &[&file[..], b"x"].concat()), Some("no_backup"));
        assert_eq!(code(&keyring("5e"), b"something else"), Some("no_backup"));
        let mut altered = file.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(code(&keyring("5e"), &altered), Some("backup_damaged"));
        // The first piece alone, said to be the last.
        let head = MAGIC.len() + 1 + "trattoria".len() + 16;
        let length = u32::from_be_bytes(file[head + 1..head + 5].try_into().unwrap()) as usize;
        let mut cut = file[..head + 5 + length].to_vec();
        cut[head] = 1;
        assert_eq!(code(&keyring("5e"), &cut), Some("backup_damaged"));
    }
}
