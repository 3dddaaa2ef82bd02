//! The tenant's working copy: one SQLite file, every change numbered.
