//! Says first of all that there is no such tenant: what else is wrong with a request for one helps nobody. It is looked up only when a
//! request was refused, so that a good one costs nothing.

use std::sync::{Arc, OnceLock};

use axum::{
    http::{Extensions, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value};

use super::{super::problem::Problem, Caller};
use crate::{fleet::Fleet, tenant::TenantId};

/// The tenant that a request names, once it is known that the caller may hear whether there is one.
#[derive(Debug, Clone, Default)]
pub struct NamedTenant(Arc<OnceLock<TenantId>>);

impl NamedTenant {
    /// `None`: the route makes tenants, or is of another contract.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    pub fn note(named: Option<&Self>, tenant: &TenantId) {
        if let Some(Self(named)) = named {
            let _ = named.set(tenant.clone());
        }
    }

    /// The same of a body that may turn out to be wrong: by its `session`.
    pub fn note_session_of(&self, body: &Map<String, Value>, caller: Option<&Caller>) {
        let session = body.get("session").and_then(Value::as_str);
        let tenant = session.and_then(|session| session.parse::<TenantId>().ok());
        if let Some(tenant) = tenant.filter(|tenant| caller.is_some_and(|caller| caller.sees(tenant))) {
            let _ = self.0.set(tenant);
        }
    }

    /// The answer, or else that there is no such tenant, where that is the reason before all others.
    pub async fn answer(&self, fleet: &Fleet, answer: Response) -> Response {
        let is_refusal = matches!(
            answer.status(),
            StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY
        );
        let Some(tenant) = self.0.get().filter(|_| is_refusal) else { return answer };
        if fleet.status(tenant).is_some() {
            return answer;
        }
        match fleet.is_absent(tenant).await {
            Ok(true) => Problem::unknown_tenant().into_response(),
            _ => answer,
        }
    }
}
