//! What a thread that uses the file has found out of it since somebody looked: that it may be damaged, or has another check value. Looks at
//! no file.

use std::cell::Cell;

use rusqlite::ErrorCode;

use super::probe::is_damage;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suspicion {
    None,
    /// The disk fails, or the connection does.
    Failure,
    Damage,
}

thread_local! {
    /// The suspicion against this thread's file since the last look: SQLite reports it with any request.
    pub(super) static SUSPICION: Cell<Suspicion> = const { Cell::new(Suspicion::None) };
    /// This thread has put another check value into its file, since it was read last.
    pub(super) static HAS_NEW_CHECK_VALUE: Cell<bool> = const { Cell::new(false) };
}

/// The file is known by its check value, and that is another one when the transaction is over.
pub(super) fn note_check_value() {
    HAS_NEW_CHECK_VALUE.set(true);
}

/// Takes note of an error that may come from the file.
pub(super) fn suspect(error: &rusqlite::Error) {
    let suspicion = match error.sqlite_error_code() {
        _ if is_damage(error) => Suspicion::Damage,
        Some(ErrorCode::SystemIoFailure) => Suspicion::Failure,
        _ => Suspicion::None,
    };
    SUSPICION.set(SUSPICION.get().max(suspicion));
}

/// SQLite does not trust the file since the last look: nothing of the transaction may be answered.
pub(super) fn is_suspect() -> bool {
    SUSPICION.get() != Suspicion::None
}
