//! The tenant that a request names: a handler that takes one of these has asked the caller for it.

use std::marker::PhantomData;

use axum::{
    RequestExt as _, RequestPartsExt as _,
    extract::{self, FromRequest, FromRequestParts, Request},
    http::{Extensions, request::Parts},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        forward::ForwardableRequest,
        input::{Body, Path, Query},
        openapi::{Operation, ParameterIn, Takes},
        problem::{FieldError, Problem},
    },
    Caller, NamedTenant, Scope,
};
use crate::tenant::{InvalidTenantId, TenantId};

/// The action that a handler is about to take.
pub trait Purpose {
    const SCOPE: Scope;

    /// It is looked for here, whoever has the tenant; the handler enters the [`ForwardableRequest`] when it is not here.
    const IS_LOCAL_FIRST: bool = false;
}

pub struct ReadingData;
pub struct ReadingFile;
pub struct Sending;
pub struct Controlling;

impl Purpose for ReadingData {
    const SCOPE: Scope = Scope::Read;
}

impl Purpose for ReadingFile {
    const SCOPE: Scope = Scope::Read;
    const IS_LOCAL_FIRST: bool = true;
}

impl Purpose for Sending {
    const SCOPE: Scope = Scope::Send;
}

impl Purpose for Controlling {
    const SCOPE: Scope = Scope::Control;
}

/// The tenant in `{session}`, after the scope check for purpose `P`.
pub struct For<P> {
    pub tenant: TenantId,
    /// For what may be shown to some and not to others.
    pub caller: Caller,
    pub forwardable: Option<ForwardableRequest>,
    purpose: PhantomData<P>,
}

#[derive(Deserialize, JsonSchema)]
struct SessionPath {
    #[schemars(with = "TenantId")]
    session: String,
}

impl<P: Purpose, S: Send + Sync> FromRequestParts<S> for For<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let extract::Path(SessionPath { session }) = parts.extract().await.map_err(|_| named("is required"))?;
        let tenant: TenantId = session.parse().map_err(|error: InvalidTenantId| named(error.to_string()))?;
        caller.permit(&tenant, P::SCOPE)?;
        NamedTenant::note(NamedTenant::of(&parts.extensions).as_ref(), &tenant);
        let forwardable = ForwardableRequest::of(&parts.extensions);
        if P::IS_LOCAL_FIRST {
            ForwardableRequest::note(forwardable.as_ref(), &tenant);
        } else {
            ForwardableRequest::enter(forwardable.as_ref(), &tenant).await?;
        }
        Ok(Self { tenant, caller, forwardable, purpose: PhantomData })
    }
}

impl<P: Purpose> Takes for For<P> {
    fn takes(operation: &mut Operation<'_>) {
        operation.parameters::<SessionPath>(ParameterIn::Path);
        operation.needs(P::SCOPE);
    }
}

/// The tenant of a request, for all who must know it as soon as it is known and permitted.
pub struct RequestPlace {
    named: Option<NamedTenant>,
    forwardable: Option<ForwardableRequest>,
}

impl RequestPlace {
    pub fn of(extensions: &Extensions) -> Self {
        Self { named: NamedTenant::of(extensions), forwardable: ForwardableRequest::of(extensions) }
    }

    /// An error ends the work here: it is a peer's.
    pub async fn enter(&self, tenant: &TenantId) -> Result<(), Problem> {
        NamedTenant::note(self.named.as_ref(), tenant);
        ForwardableRequest::enter(self.forwardable.as_ref(), tenant).await
    }
}

/// A body or a query with its tenant in it.
pub trait Names {
    fn tenant(&self) -> Option<&str>;

    /// The answer to one that names none, or what cannot be a tenant.
    fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
        named(error.map_or_else(|| "is required".into(), |error| error.to_string()))
    }
}

/// A request ([`Body`], [`Query`] or [`Path`]), and the tenant that it names, for whom the caller may do that.
pub struct TenantRequest<P, A> {
    pub tenant: TenantId,
    pub asked: A,
    purpose: PhantomData<P>,
}

impl<P: Purpose, A: Names> TenantRequest<P, A> {
    async fn permitted(caller: &Caller, place: &RequestPlace, asked: A) -> Result<Self, Problem> {
        let text = asked.tenant().filter(|text| !text.is_empty()).ok_or_else(|| asked.misnamed(None))?;
        let tenant: TenantId = text.parse().map_err(|error| asked.misnamed(Some(error)))?;
        caller.permit(&tenant, P::SCOPE)?;
        place.enter(&tenant).await?;
        Ok(Self { tenant, asked, purpose: PhantomData })
    }
}

impl<P, A, S> FromRequest<S> for TenantRequest<P, A>
where
    P: Purpose,
    A: Names + FromRequest<S, Rejection = Problem> + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Problem> {
        let caller: Caller = request.extract_parts().await?;
        let place = RequestPlace::of(request.extensions());
        Self::permitted(&caller, &place, A::from_request(request, state).await?).await
    }
}

impl<P, A, S> FromRequestParts<S> for TenantRequest<P, A>
where
    P: Purpose,
    A: Names + FromRequestParts<S, Rejection = Problem> + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let place = RequestPlace::of(&parts.extensions);
        Self::permitted(&caller, &place, A::from_request_parts(parts, state).await?).await
    }
}

macro_rules! as_what_is_in {
    ($($wrapper:ident),*) => {
        $(impl<T: Names> Names for $wrapper<T> {
            fn tenant(&self) -> Option<&str> {
                self.0.tenant()
            }

            fn misnamed(&self, error: Option<InvalidTenantId>) -> Problem {
                self.0.misnamed(error)
            }
        })*
    };
}

as_what_is_in!(Body, Query, Path);

impl<P: Purpose, A: Takes> Takes for TenantRequest<P, A> {
    fn takes(operation: &mut Operation<'_>) {
        A::takes(operation);
        operation.needs(P::SCOPE);
    }
}

fn named(message: impl Into<String>) -> Problem {
    let message = message.into();
    Problem::invalid(format!("session: {message}"), vec![FieldError { field: "session".into(), message }])
}
