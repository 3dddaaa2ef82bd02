//! What clients of the old service, of WAHA and of the console rely on, and what pages say of it.

mod console;
mod console_words;
mod face;
mod guide;
mod map;
mod matrix;
mod old_contract;
mod old_page;
mod openapi;
mod railway;
pub mod waha;
mod waha_routes;
mod waha_sessions;
