//! A caller and its rights. Knows nothing of keys, tokens or requests.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};

use super::super::problem::Problem;
use crate::{
    tenant::TenantId,
    vault::access::{ApiKey, Rights},
};

pub use crate::vault::access::Scope;

/// The one who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Has the admin key, or one that was made an admin's.
    Admin,
    /// Has a key: a tenant's, or one for what is counted.
    Key(Arc<ApiKey>),
    /// A person whom Firebase has signed in: may do everything for these tenants.
    User { uid: Arc<str>, tenants: Arc<BTreeSet<TenantId>> },
    /// Nobody that we know, on a route that `auth.legacy_open` opens.
    Anyone,
}

impl Caller {
    /// Refuses what the caller may not do for this tenant. It is decided before the tenant is looked up: the answer is the same whether
    /// or not there is such a tenant.
    pub fn permit(&self, tenant: &TenantId, scope: Scope) -> Result<(), Problem> {
        if !self.sees(tenant) {
            return Err(Problem::forbidden("This tenant is not yours"));
        }
        match self {
            Self::Key(key) if !key.rights.allow(tenant, scope) => Err(Problem::forbidden(match scope {
                Scope::Read => "The key has no scope \"read\"",
                Scope::Send => "The key has no scope \"send\"",
                Scope::Control => "The key has no scope \"control\"",
            })),
            _ => Ok(()),
        }
    }

    /// The tenant is the caller's: for lists, which show nothing else.
    pub fn sees(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Admin | Self::Anyone => true,
            Self::Key(key) => matches!(&key.rights, Rights::Tenant { tenant: own, .. } if own == tenant),
            Self::User { tenants, .. } => tenants.contains(tenant),
        }
    }

    /// Refuses everybody but the operator.
    pub fn permit_admin(&self) -> Result<(), Problem> {
        match self {
            Self::Admin => Ok(()),
            _ => Err(Problem::forbidden("This needs the admin key")),
        }
    }

    /// The metrics name all tenants: no tenant's key opens them.
    pub fn permit_metrics(&self) -> Result<(), Problem> {
        match self {
            Self::Admin => Ok(()),
            Self::Key(key) if key.rights == Rights::Metrics => Ok(()),
            _ => Err(Problem::forbidden("This needs the admin key, or a key for metrics")),
        }
    }
}

/// The caller of an open route, where nobody has to say who it is.
pub struct MaybeCaller(pub Option<Caller>);

impl<S: Sync> FromRequestParts<S> for MaybeCaller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Put there by the gate; an open route has no callers.
        parts.extensions.get().cloned().ok_or_else(Problem::unauthorized)
    }
}
