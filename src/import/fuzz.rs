//! Entrances for fuzzing: each reader, with what must hold whatever the bytes are. A target panics when it does not.

use std::{
    fs,
    path::{Component, Path},
};

use super::{
    CounterMargin, Finality, ImportError, ImportLimits, ImportOrigin, SourceFormat, SourceTenant, TenantCopy, baileys,
    entrance, evolution, export,
    json::{self, JsonBudget},
    signal::{LocalDevice, go_sender_key, go_session, node_sender_key, node_session},
    whatsmeow,
};

/// Small, so that a bomb is found to be one soon.
fn limits() -> ImportLimits {
    ImportLimits {
        entry_bytes: 1 << 16,
        tenant_bytes: 1 << 18,
        entries: 1_000,
        values: 10_000,
        source_bytes: 1 << 20,
        tenants: 10,
        ..ImportLimits::default()
    }
}

/// A copy, whole or not, can be settled; what was settled has records that the library reads; and it can be exported.
fn use_copy(read: Result<TenantCopy, ImportError>) {
    match read {
        Ok(copy) => {
            let _ = copy.verify(Some("573001112233"));
            let _ = format!("{copy:?} {:?}", copy.tally);
            let settled = copy.settle(Finality::Final, CounterMargin::default());
            for (address, record) in &settled.sessions {
                let record = whatsapp_rust::wacore::libsignal::protocol::SessionRecord::deserialize(record);
                assert!(record.is_ok_and(|record| record.session_state().is_some()), "{address}");
            }
            assert!(export::baileys_folder(settled.copy, CounterMargin::default()).files.len() >= 2);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn use_tenant(tenant: SourceTenant) {
    use_copy(tenant.copy);
}

pub fn document(bytes: &[u8]) {
    use_copy(baileys::document::read(bytes, ImportOrigin::Baileys, &limits()));
}

pub fn realtime(bytes: &[u8]) {
    let origin = ImportOrigin::RealtimeDatabase;
    let _ = baileys::realtime::read(bytes, origin, &limits(), &mut use_tenant);
    let _ = baileys::realtime::read_newest(std::io::Cursor::new(bytes), origin, &limits(), &mut use_tenant);
    // As the live database answers for its two places.
    use_tenant(baileys::realtime::read_places("t", &[bytes, bytes], origin, &limits()));
    use_tenant(baileys::realtime::read_places("t", &[&b"null"[..], bytes], origin, &limits()));
}

/// Separates the files of [`folder`], and a file's name from its bytes.
const SEPARATORS: (u8, u8) = (0x1e, 0x1f);

/// Files of a folder, as every reader of folders finds them.
pub fn folder(bytes: &[u8]) {
    let Ok(root) = tempfile::tempdir() else { return };
    for file in bytes.split(|byte| *byte == SEPARATORS.0).take(50) {
        let mut parts = file.splitn(2, |byte| *byte == SEPARATORS.1);
        let name = parts.next().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        let path = Path::new(name);
        let is_within = path.components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !is_within || path.components().count() > 4 {
            continue;
        }
        let path = root.path().join(path);
        if path.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok()) {
            let _ = fs::write(path, parts.next().unwrap_or_default());
        }
    }
    // Evolution's folders are Baileys'.
    for format in [SourceFormat::Baileys, SourceFormat::Waha, SourceFormat::Whatsmeow] {
        let _ = entrance::read(format, root.path(), None, &limits(), &mut use_tenant);
    }
    let rows = root.path().join("rows");
    let _ = entrance::read(SourceFormat::Evolution, &rows, Some(root.path()), &limits(), &mut use_tenant);
}

pub fn firestore(bytes: &[u8]) {
    let _ = baileys::firestore::read(bytes, &limits(), &mut use_tenant);
}

pub fn rows(bytes: &[u8]) {
    let _ = evolution::rows::read(bytes, None, &limits(), &mut use_tenant);
}

pub fn redis(bytes: &[u8]) {
    let _ = evolution::redis::read(bytes, &limits(), &mut use_tenant);
}

pub fn database(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let file = folder.path().join("any.db");
    if fs::write(&file, bytes).is_ok() {
        let _ = whatsmeow::read(&file, ImportOrigin::Whatsmeow, &limits(), &mut use_tenant);
    }
}

/// The four converters.
pub fn session(bytes: &[u8]) {
    let budget = JsonBudget::new(&limits());
    let local = LocalDevice { identity: [9; 32], registration_id: 7 };
    let _ = go_session::convert(bytes, &local, &budget);
    let _ = go_sender_key::convert(bytes, &budget);
    if let Ok(node) = json::read(bytes, "a session", &budget) {
        if let Ok(session) = node_session::convert(&node, &local) {
            assert!(session.record.current_session.is_some());
        }
        let _ = node_sender_key::convert(node, &budget);
    }
}
