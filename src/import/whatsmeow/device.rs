//! `whatsmeow_device`: one row a device, private halves only.

use rusqlite::{Row, types::FromSql};

use super::database::ForeignDatabase;
use crate::import::{
    AccountProof, AddressServer, DeviceCopy, EntryError, ImportError, ImportLimits, KeyHalves, KeyMaterial,
    SignalAddress, key,
};

const TABLE: &str = "whatsmeow_device";
const COLUMNS: [&str; 17] = [
    "jid",
    "lid",
    "registration_id",
    "noise_key",
    "identity_key",
    "signed_pre_key",
    "signed_pre_key_id",
    "signed_pre_key_sig",
    "adv_key",
    "adv_details",
    "adv_account_sig",
    "adv_account_sig_key",
    "adv_device_sig",
    "platform",
    "business_name",
    "push_name",
    "lid_migration_ts",
];
/// The longest JID that is taken.
const JID: usize = 100;

/// The devices' JIDs.
pub fn jids(database: &ForeignDatabase, limits: &ImportLimits) -> Result<Vec<String>, ImportError> {
    if database.columns(TABLE)?.is_empty() {
        return Err(ImportError::OtherFormat("whatsmeow's tables"));
    }
    let mut jids = Vec::new();
    // One more than are taken: then the source has too many.
    database.select(TABLE, &["jid"], None, limits.tenants.saturating_add(1), |row| {
        jids.extend(row.get::<_, Option<String>>(0)?.filter(|jid| jid.len() <= JID));
        Ok(())
    })?;
    Ok(jids)
}

pub fn read(database: &ForeignDatabase, jid: &str) -> Result<DeviceCopy, ImportError> {
    let mut device = None;
    database.select(TABLE, &COLUMNS, Some(("jid", jid)), 1, |row| {
        device = Some(read_row(row).map_err(ImportError::Credentials)?);
        Ok(())
    })?;
    device.ok_or(ImportError::NoCredentials)
}

fn read_row(row: &Row) -> Result<DeviceCopy, EntryError> {
    let me = SignalAddress::from_jid(&column::<String>(row, "jid")?).map_err(|_| EntryError::Invalid("jid"))?;
    if me.server != AddressServer::Phone {
        return Err(EntryError::Invalid("jid"));
    }
    let lid = optional::<String>(row, "lid")?.and_then(|lid| SignalAddress::from_jid(&lid).ok());
    let lid = lid.map(|lid| SignalAddress { server: AddressServer::Lid, device: me.device, ..lid });
    let pair = |name| KeyHalves::from_private(&column::<Vec<u8>>(row, name)?).map_err(|_| EntryError::Invalid(name));
    let text =
        |name| Ok::<_, EntryError>(optional::<String>(row, name)?.filter(|text| !text.is_empty() && text.len() <= 400));
    let signature = column::<Vec<u8>>(row, "signed_pre_key_sig")?;
    Ok(DeviceCopy {
        noise_key: pair("noise_key")?,
        identity_key: pair("identity_key")?,
        signed_pre_key: pair("signed_pre_key")?,
        signed_pre_key_id: number(row, "signed_pre_key_id")?,
        signed_pre_key_signature: signature.try_into().map_err(|_| EntryError::Invalid("signed_pre_key_sig"))?,
        registration_id: number(row, "registration_id")?,
        adv_secret: optional::<Vec<u8>>(row, "adv_key")?
            .and_then(|key| <[u8; 32]>::try_from(key).ok())
            .map(KeyMaterial::new),
        account: AccountProof {
            details: column(row, "adv_details")?,
            account_key: key::public_key(&column::<Vec<u8>>(row, "adv_account_sig_key")?)?,
            account_signature: column(row, "adv_account_sig")?,
            device_signature: column(row, "adv_device_sig")?,
        },
        me,
        lid,
        push_name: text("push_name")?.or(text("business_name")?),
        platform: text("platform")?,
        // Both by the table of pre-keys.
        next_pre_key_id: 1,
        first_unuploaded_pre_key_id: 1,
        routing_info: None,
        nct_salt: None,
        lid_migrated: optional::<i64>(row, "lid_migration_ts")?.is_some_and(|since| since > 0),
    })
}

fn place(name: &'static str) -> usize {
    COLUMNS.iter().position(|column| *column == name).expect("a column of the list")
}

fn optional<T: FromSql>(row: &Row, name: &'static str) -> Result<Option<T>, EntryError> {
    row.get(place(name)).map_err(|_| EntryError::Invalid(name))
}

fn column<T: FromSql>(row: &Row, name: &'static str) -> Result<T, EntryError> {
    optional(row, name)?.ok_or(EntryError::Missing(name))
}

fn number(row: &Row, name: &'static str) -> Result<u32, EntryError> {
    u32::try_from(column::<i64>(row, name)?).map_err(|_| EntryError::Invalid(name))
}
