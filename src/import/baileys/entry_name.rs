//! Names of Baileys' keys: `<type>-<id>`, in a file's name as well.

use crate::import::{EntryError, EntryKind, SignalAddress, address, json};

/// Longest first where one begins like another.
const TYPES: [(&str, EntryKind); 10] = [
    ("sender-key-memory", EntryKind::SenderKeyMemory),
    ("sender-key", EntryKind::SenderKey),
    ("app-state-sync-version", EntryKind::SyncVersion),
    ("app-state-sync-key", EntryKind::SyncKey),
    ("identity-key", EntryKind::Identity),
    ("lid-mapping", EntryKind::LidMapping),
    ("device-list", EntryKind::DeviceList),
    ("pre-key", EntryKind::PreKey),
    ("session", EntryKind::Session),
    ("tctoken", EntryKind::ContactToken),
];

/// The types as old single files name them.
const OLD_TYPES: [(&str, EntryKind); 6] = [
    ("preKeys", EntryKind::PreKey),
    ("sessions", EntryKind::Session),
    ("senderKeys", EntryKind::SenderKey),
    ("appStateSyncKeys", EntryKind::SyncKey),
    ("appStateVersions", EntryKind::SyncVersion),
    ("senderKeyMemory", EntryKind::SenderKeyMemory),
];

/// What the old service's hydrator put before every name, whatever its type.
const HYDRATED: &str = "app-state-sync-key-";

/// A name's type and id; none for names of no type that Baileys has.
pub fn parse(name: &str) -> Option<(EntryKind, &str)> {
    let hydrated = name.strip_prefix(HYDRATED).and_then(typed);
    hydrated.or_else(|| typed(name))
}

/// What a file of a folder is; none for the credentials.
pub fn of_file(name: &str) -> Option<EntryKind> {
    parse(name.strip_suffix(".json")?).map(|(kind, _)| kind)
}

/// A type alone, as in `{"keys": {"pre-key": {"1": …}}}`.
pub fn parse_type(name: &str) -> Option<EntryKind> {
    let found = TYPES.iter().chain(&OLD_TYPES).find(|(known, _)| *known == name);
    found.map(|(_, kind)| *kind)
}

fn typed(name: &str) -> Option<(EntryKind, &str)> {
    TYPES.iter().find_map(|(known, kind)| {
        let id = name.strip_prefix(known)?.strip_prefix('-')?;
        (!id.is_empty()).then_some((*kind, id))
    })
}

/// `<group>::<user>::<device>`, and `--` for `::` in a file's name: the last two, since old groups have hyphens of their own.
/// The flag is false where the user's domain is not named.
pub fn sender_key(id: &str) -> Result<(String, SignalAddress, bool), EntryError> {
    let separator = if id.contains("::") { "::" } else { "--" };
    let mut parts = id.rsplitn(3, separator);
    let (device, user, group) = (parts.next(), parts.next(), parts.next());
    let (Some(device), Some(user), Some(group)) = (device, user, group) else { return Err(EntryError::Address) };
    // No name of the Realtime Database has a dot.
    let group = group.strip_suffix("@g_us").map_or_else(|| group.to_owned(), |id| format!("{id}@g.us"));
    if !address::is_group(&group) {
        return Err(EntryError::Address);
    }
    let (sender, is_named) = SignalAddress::from_baileys(&format!("{user}.{device}"))?;
    Ok((group, sender, is_named))
}

/// The id of an app-state key is base64, whose slash no file's name has, nor a name of the Realtime Database.
pub fn sync_key(id: &str) -> Result<Vec<u8>, EntryError> {
    let base64 = id.replace("__", "/");
    let decoded = json::base64_bytes(base64.as_bytes());
    let decoded = decoded.or_else(|| json::base64_bytes(base64.replace('_', "/").as_bytes()));
    decoded.ok_or(EntryError::Invalid("the key's id"))
}

/// As Baileys names a file.
pub fn file_name(name: &str) -> String {
    format!("{}.json", name.replace('/', "__").replace(':', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_apart() {
        for (name, kind, id) in [
            ("pre-key-12", EntryKind::PreKey, "12"),
            ("session-573001112233.0", EntryKind::Session, "573001112233.0"),
            ("sender-key-memory-1@g.us", EntryKind::SenderKeyMemory, "1@g.us"),
            ("sender-key-1@g.us--2--0", EntryKind::SenderKey, "1@g.us--2--0"),
            ("app-state-sync-key-AAAAAB__x", EntryKind::SyncKey, "AAAAAB__x"),
            ("app-state-sync-version-regular_low", EntryKind::SyncVersion, "regular_low"),
            ("lid-mapping-5_reverse", EntryKind::LidMapping, "5_reverse"),
            ("tctoken-5@lid", EntryKind::ContactToken, "5@lid"),
            ("identity-key-5_1.0", EntryKind::Identity, "5_1.0"),
            ("device-list-5", EntryKind::DeviceList, "5"),
            ("app-state-sync-key-pre-key-12", EntryKind::PreKey, "12"),
            ("app-state-sync-key-app-state-sync-key-AAAA", EntryKind::SyncKey, "AAAA"),
        ] {
            assert_eq!(parse(name), Some((kind, id)), "{name}");
        }
        for name in ["creds", "bridge-session-1.0", "pre-key-", "session", "", "../session-1.0"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn names_of_sender_keys_are_split_at_their_end() {
        for (id, group, sender) in [
            ("120363000000000005@g.us--180000000142543_1--3", "120363000000000005@g.us", "180000000142543:3@lid.0"),
            ("120363000000000005@g_us--180000000142543_1--3", "120363000000000005@g.us", "180000000142543:3@lid.0"),
            ("573001112233-1600000000@g.us--573001112233--0", "573001112233-1600000000@g.us", "573001112233@c.us.0"),
            ("573001112233-1600000000@g.us::573001112233::0", "573001112233-1600000000@g.us", "573001112233@c.us.0"),
        ] {
            let (found, address, _) = sender_key(id).expect(id);
            assert_eq!((found.as_str(), address.to_string().as_str()), (group, sender));
        }
        for id in ["", "--", "1@g.us--2", "1@g.us--2--", "x--2--0", "status@broadcast--2--0", "a@g.us--2--0"] {
            assert!(sender_key(id).is_err(), "{id}");
        }
    }

    #[test]
    fn names_survive_a_file_system() {
        let id = "AB/CD+";
        let name = file_name(&format!("app-state-sync-key-{id}="));
        assert_eq!(name, "app-state-sync-key-AB__CD+=.json");
        let (_, back) = parse(name.trim_end_matches(".json")).expect("its own name");
        assert_eq!(sync_key(back), sync_key(id));
        assert_eq!(sync_key("AB_CD+"), sync_key(id), "as exporters of the Realtime Database write a slash");
    }
}
