//! The routes of the service that this daemon replaces, with its paths, fields and texts; without its holes. A connect never
//! wipes credentials that WhatsApp has not rejected, and a send that failed is never a success.

mod connection;
mod form;
mod reading;
mod sending;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::{
    connection::{clean_session, connect, disconnect, qr, request_code, status, still_looks},
    reading::{conversations, messages, profile, stats},
    sending::{send, send_message, test_message},
};
use super::{
    auth::Names,
    problem::{FieldError, Problem},
};
use crate::tenant::{InvalidTenantId, TenantId};

/// The input of a request that is about a tenant and says nothing else.
#[derive(Deserialize, JsonSchema)]
pub struct OfTenant {
    #[serde(rename = "tenantId")]
    #[schemars(with = "TenantId")]
    tenant_id: Option<String>,
}

impl Names for OfTenant {
    fn tenant(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        misnamed("tenantId es requerido", error)
    }
}

/// The texts of the old service for a tenant that is missing, or cannot be one.
pub fn misnamed(missing: &str, error: Option<InvalidTenantId>) -> Problem {
    let field = |message: String| vec![FieldError { field: "tenantId".into(), message }];
    match error {
        None => Problem::invalid(missing, field("is required".into())),
        Some(error) => Problem::invalid("tenantId no es válido", field(error.to_string())),
    }
}
