//! Tenants come from other gateways and go to them, without a scan and without a counter that is used twice.

mod adopted;
mod import_claims;
mod import_command;
mod import_edges;
mod import_http;
pub mod import_live;
mod import_menu;
mod import_outage;
mod import_start;
mod move_in;
mod move_in_shapes;
mod move_out;
