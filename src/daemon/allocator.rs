//! Gives memory that is free again back to the system.
//!
//! glibc takes a large block from the system and gives it back when it is freed, but only until the first: then it takes blocks of that
//! size, up to 32 MiB, from its arenas, where a small one behind them keeps them (`mallopt(3)`, dynamic mmap threshold). So one long
//! text would stay as large as it was at its peak. A threshold that is set stays where it is.
#![expect(unsafe_code, reason = "glibc's interface to its allocator is C")]

/// Blocks from this size on are the system's, in bytes. Smaller ones come and go with every message.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 128 * 1024;

/// Once, before there are threads.
pub fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` has no conditions but to be called by one thread at a time. It says 0 where it does not know the parameter:
    // then everything stays as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}
