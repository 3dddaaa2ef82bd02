//! The journal's rules, over every home of the vault and over thousands of schedules.

mod damage;
mod model;
mod rules;
mod snapshots;
