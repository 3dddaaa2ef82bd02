//! The vault on this machine: one SQLite file.
