//! The room that a task takes for as long as it lives: for tests of those that every session has.

/// The bytes of a future, by the function that makes it. Nobody calls that.
pub(crate) fn future_size<A, F: Future>(_make: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}
