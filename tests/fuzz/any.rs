//! The one of the fuzz targets that `FUZZ_TARGET` names.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sessiond::fuzz::{TARGETS, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

fn target() -> &'static Target {
    let named = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let known = || TARGETS.map(|target| target.name).join(", ");
    TARGETS.iter().find(|target| target.name == named).unwrap_or_else(|| panic!("FUZZ_TARGET is one of {}", known()))
}

fuzz_target!(|data: &[u8]| (TARGET.get_or_init(target).run)(data));
