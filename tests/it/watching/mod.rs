//! What operators are shown and told.

pub mod alerts;
mod dashboards;
mod log_events;
mod log_filter;
mod mail;
mod metrics;
mod traces;
