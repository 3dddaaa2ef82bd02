//! The bot: understands what customers order by WhatsApp. Everything here is pure, and reads no clock and no file.
//!
//! [`Parser`] holds a menu and turns a message and an [`OrderState`] into an [`Understanding`]. Text goes through
//! `text` (folding, sounds, tokens), `reading` (spelling against the menu's `index`), `mention` (which items),
//! `phrase` (how many), `notes` (prepared how) and `turn` (what happens to the basket).

mod address;
pub mod basket;
mod commands;
pub mod conversation;
pub mod evaluation;
pub mod external;
mod index;
pub mod intent;
pub mod language_model;
mod lexicon;
mod mention;
pub mod menu;
pub mod money;
mod notes;
pub mod order;
pub mod owner_records;
pub mod payment;
mod phrase;
mod reading;
pub mod restaurant;
pub mod rules;
pub mod service;
mod slots;
mod synonyms;
#[cfg(test)]
mod tests;
mod text;
pub mod texts;
mod turn;
mod understand;

pub use understand::{OrderState, Parser, Understanding};
