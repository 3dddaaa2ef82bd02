//! Tokens that are good, and tokens that are not.
