//! SQLite's way to [`PageFile`]: a VFS (<https://sqlite.org/vfs.html>) that opens the file that it is handed, and no other.
//!
//! The one place with unsafe code: SQLite asks for its files through a C interface, and rusqlite has no safe one. (The
//! crates that have, need libclang at build time or are not kept any more.) Here are the translations only; what is read
//! and written is decided in [`super::pages`].
//!
//! There is one connection a file, which has it for itself, and its rollback journal is in memory. So nothing is locked, no
//! second file is looked for, and nothing is synced: the working copy does not outlive the process.

#![expect(unsafe_code, reason = "SQLite's interface to files is C")]

use std::{
    cell::Cell,
    ffi::{CStr, c_char, c_int, c_void},
    ptr, slice,
    sync::LazyLock,
};

use rusqlite::{Connection, OpenFlags, ffi};

use super::pages::{PAGE, PageFile};

const NAME: &CStr = c"working-copy";

thread_local! {
    /// The file for the connection that this thread is opening.
    static HANDED: Cell<Option<Box<PageFile>>> = const { Cell::new(None) };
}

/// A connection to this file, which ends with it.
pub(super) fn connect(file: PageFile) -> rusqlite::Result<Connection> {
    if *REGISTERED != ffi::SQLITE_OK {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(*REGISTERED), None));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    HANDED.set(Some(Box::new(file)));
    // The name is not looked at.
    let connection = Connection::open_with_flags_and_vfs("session.db", flags, NAME);
    HANDED.set(None);
    connection
}

/// Once a process; it stays.
static REGISTERED: LazyLock<c_int> = LazyLock::new(|| {
    // SAFETY: a null name asks for the default VFS, which lives as long as the process.
    let system = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
    if system.is_null() {
        return ffi::SQLITE_ERROR;
    }
    let vfs = Box::new(ffi::sqlite3_vfs {
        // Up to the clock: the calls of version 3 replace system calls, of which there are none here.
        iVersion: 2,
        szOsFile: size_of::<OpenFile>() as c_int,
        mxPathname: 64,
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        // Clock, sleep and random numbers are the system's. None of these looks at the VFS that it is called with.
        // SAFETY: not null, see above, and only written by SQLite's own start, which is over.
        ..unsafe { *system }
    });
    // SAFETY: leaked, so it lives as long as the process, as SQLite wants it.
    unsafe { ffi::sqlite3_vfs_register(Box::leak(vfs), 0) }
});

/// One open file, as SQLite allocates it for us; SQLite knows the first field.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    /// Ours, from [`open`] to [`close`].
    file: *mut PageFile,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without shared memory and without mapped files, which would be read past the check.
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

// SAFETY of all below: SQLite calls them as its documentation says. `file` is what it has allocated by `szOsFile`; after an
// `open` that went well it holds a `PageFile` until `close`, the last call. One thread at a time uses a connection.

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    _: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let is_database = flags & ffi::SQLITE_OPEN_MAIN_DB != 0;
    let handed = if is_database { HANDED.try_with(Cell::take).ok().flatten() } else { None };
    let Some(handed) = handed else {
        // SAFETY: see above. Without methods SQLite does not call `close`.
        unsafe { (*file).pMethods = ptr::null() };
        return ffi::SQLITE_CANTOPEN;
    };
    let opened = OpenFile { base: ffi::sqlite3_file { pMethods: &raw const METHODS }, file: Box::into_raw(handed) };
    // SAFETY: see above.
    unsafe {
        file.cast::<OpenFile>().write(opened);
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: made by `Box::into_raw` in `open`, and this is the last call.
    drop(unsafe { Box::from_raw((*file.cast::<OpenFile>()).file) });
    ffi::SQLITE_OK
}

/// # Safety
/// `file` is open, see above.
unsafe fn page_file<'a>(file: *mut ffi::sqlite3_file) -> &'a PageFile {
    // SAFETY: see above.
    unsafe { &*(*file.cast::<OpenFile>()).file }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, amount: c_int, offset: i64) -> c_int {
    let (into, amount) = (into.cast::<u8>(), amount as usize);
    // SAFETY: SQLite's buffer has so many bytes, and nobody else looks at them. A slice must not be of what was never
    // written, hence the zeros.
    let buffer = unsafe {
        into.write_bytes(0, amount);
        slice::from_raw_parts_mut(into, amount)
    };
    // SAFETY: see above.
    match unsafe { page_file(file) }.read(offset as u64, buffer) {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, amount: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite's buffer has so many bytes, which it has written.
    let page = unsafe { slice::from_raw_parts(from.cast::<u8>(), amount as usize) };
    // SAFETY: see above.
    match unsafe { page_file(file) }.write(offset as u64, page) {
        Ok(()) => ffi::SQLITE_OK,
        Err(_) => ffi::SQLITE_IOERR_WRITE,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: see above.
    match unsafe { page_file(file) }.truncate(size as u64) {
        Ok(()) => ffi::SQLITE_OK,
        Err(_) => ffi::SQLITE_IOERR_TRUNCATE,
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: see above; `size` is SQLite's to be written.
    unsafe { *size = page_file(file).size() as i64 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn sync(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: SQLite's to be written.
    unsafe { *reserved = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    PAGE as c_int
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    0
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, _: *const c_char, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

/// There is no journal of a crash: a file that was left behind is never opened.
unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, _: *const c_char, _: c_int, exists: *mut c_int) -> c_int {
    // SAFETY: SQLite's to be written.
    unsafe { *exists = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    full: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's names end with a zero, and `full` has so many bytes.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes_with_nul();
        if name.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(name.as_ptr().cast(), full, name.len());
    }
    ffi::SQLITE_OK
}
