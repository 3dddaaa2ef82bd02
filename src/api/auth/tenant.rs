//! The tenant that a path names: a handler that takes one of these has asked the caller for it.

use std::marker::PhantomData;

use axum::{
    RequestPartsExt as _,
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::Deserialize;

use super::{
    super::problem::{FieldError, Problem},
    Caller, Scope,
};
use crate::tenant::{InvalidTenantId, TenantId};

/// What a handler is about to do.
pub trait Purpose {
    const SCOPE: Scope;
}

pub struct Reading;
pub struct Sending;
pub struct Controlling;

impl Purpose for Reading {
    const SCOPE: Scope = Scope::Read;
}

impl Purpose for Sending {
    const SCOPE: Scope = Scope::Send;
}

impl Purpose for Controlling {
    const SCOPE: Scope = Scope::Control;
}

/// The tenant in `{session}`, for whom the caller may do that.
pub struct For<P> {
    pub tenant: TenantId,
    purpose: PhantomData<P>,
}

#[derive(Deserialize)]
struct Named {
    session: String,
}

impl<P: Purpose, S: Send + Sync> FromRequestParts<S> for For<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let Path(Named { session }) = parts.extract().await.map_err(|_| named("is required"))?;
        let tenant: TenantId = session.parse().map_err(|error: InvalidTenantId| named(error.to_string()))?;
        caller.permit(&tenant, P::SCOPE)?;
        Ok(Self { tenant, purpose: PhantomData })
    }
}

fn named(message: impl Into<String>) -> Problem {
    let message = message.into();
    Problem::invalid(format!("session: {message}"), vec![FieldError { field: "session".into(), message }])
}
