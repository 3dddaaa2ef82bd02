//! Compression within what is sealed, by zstd.
//!
//! Each thread keeps its contexts: made anew for every entry they cost more than the work itself, some hundred KiB that the allocator takes
//! from the system and gives back.

use std::{cell::RefCell, io};

use zstd::bulk::{Compressor, Decompressor};

/// What is larger has a context of its own: a context stays as large as the largest that it has had.
const SMALL: usize = 64 * 1024;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

pub(super) fn compress(plain: &[u8]) -> io::Result<Vec<u8>> {
    let make = || Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL);
    if plain.len() > SMALL {
        return make()?.compress(plain);
    }
    COMPRESSOR.with_borrow_mut(|kept| with(kept, make, |compressor| compressor.compress(plain)))
}

/// At most `length` bytes, or an error.
pub(super) fn decompress(compressed: &[u8], length: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| with(kept, Decompressor::new, |context| context.decompress(compressed, length)))
}

/// A context that has failed is made anew.
fn with<C, T>(
    kept: &mut Option<C>,
    make: impl FnOnce() -> io::Result<C>,
    work: impl FnOnce(&mut C) -> io::Result<T>,
) -> io::Result<T> {
    let mut context = kept.take().map_or_else(make, Ok)?;
    let done = work(&mut context)?;
    *kept = Some(context);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_context_after_the_other_is_as_good_as_new() {
        for length in [0, 1, 200, 5_000, SMALL, SMALL + 1, 3_000] {
            let plain: Vec<u8> = (0..length).map(|n| (n * n / 7) as u8).collect();
            let compressed = compress(&plain).unwrap();
            assert_eq!(zstd::bulk::decompress(&compressed, length).unwrap(), plain, "{length}");
            assert!(decompress(&compressed[..compressed.len() - 1], length).is_err());
            assert!(length == 0 || decompress(&compressed, length - 1).is_err());
            assert_eq!(decompress(&compressed, length).unwrap(), plain);
        }
    }
}
