//! WAHA's folder of sessions: NOWEB keeps Baileys folders in `noweb/<session>`, GOWS whatsmeow databases in `gows/<session>/gows.db`.

use std::path::Path;

use super::{ImportError, ImportLimits, ImportOrigin, SourceTenant, baileys, files, source::TenantSink, whatsmeow};

/// What WAHA calls an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WahaEngine {
    Noweb,
    Gows,
}

/// Reads `.sessions`, one engine's folder in it, or one session's.
pub fn read(root: &Path, limits: &ImportLimits, take: &mut dyn FnMut(SourceTenant)) -> Result<(), ImportError> {
    let mut sink = TenantSink::new(limits, take);
    if let Some(engine) = engine_of(root) {
        read_session(root, engine, &mut sink)?;
    } else {
        let mut engines = vec![root.to_owned()];
        engines
            .extend(["noweb", "gows"].map(|engine| root.join(engine)).into_iter().filter(|path| is_own_folder(path)));
        for folder in engines {
            for session in files::folders(&folder, limits)? {
                if let Some(engine) = engine_of(&session) {
                    read_session(&session, engine, &mut sink)?;
                }
            }
        }
    }
    if sink.found() == 0 { Err(ImportError::OtherFormat("WAHA's folder of sessions")) } else { Ok(()) }
}

fn read_session(folder: &Path, engine: WahaEngine, sink: &mut TenantSink) -> Result<(), ImportError> {
    let limits = sink.limits();
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match engine {
        WahaEngine::Noweb => {
            let copy = baileys::folder::read(folder, ImportOrigin::Waha, &limits);
            sink.put(SourceTenant::new(name, copy))
        }
        WahaEngine::Gows => {
            // A session's own database holds one device; damage of it is this session's, not the others'.
            let mut put = Ok(());
            let read = whatsmeow::read(&folder.join("gows.db"), ImportOrigin::Waha, &limits, &mut |mut tenant| {
                tenant.name.clone_from(&name);
                if put.is_ok() {
                    put = sink.put(tenant);
                }
            });
            put?;
            match read {
                Ok(()) => Ok(()),
                Err(error) => sink.put(SourceTenant::new(name, Err(error))),
            }
        }
    }
}

fn engine_of(folder: &Path) -> Option<WahaEngine> {
    if baileys::folder::is_one(folder) {
        return Some(WahaEngine::Noweb);
    }
    folder.join("gows.db").symlink_metadata().is_ok_and(|file| !file.is_dir()).then_some(WahaEngine::Gows)
}

fn is_own_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}
