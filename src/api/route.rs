//! The table of routes. What it takes to come in and what it is for stand beside each path, and the router is made from nothing
//! else: a route that nobody decided about cannot exist, nor one that is not in the OpenAPI document.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::Method,
    middleware,
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter, on},
};

use super::{
    App,
    auth::{self, Access, Action, NamedTenant},
    openapi::{self, Described, Operation},
    problem::Problem,
};
use crate::telemetry::metrics::{self, HttpRoute};

/// Routes that belong together, under a heading of the document.
pub struct Section {
    pub name: &'static str,
    pub routes: Vec<Route>,
}

/// One way into the API.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    /// The action that it counts as for the limits.
    pub action: Option<Action>,
    /// Its purpose, in a few words.
    pub summary: &'static str,
    /// Statuses with which it may refuse, beside those that its types name.
    pub also: &'static [u16],
    /// It makes a tenant that is not there.
    pub makes: bool,
    /// Its tenant may be taken from a process that cannot be reached: it begins to link a phone.
    pub may_take: bool,
    /// The input and output of its handler.
    pub describe: fn(&mut Operation<'_>),
    handle: MethodRouter<App>,
}

/// A route as others see it: for the matrix of who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listed {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
}

/// The way to write a [`Route`]; see the table.
macro_rules! by_method {
    ($($name:ident $method:ident),*) => {
        $(pub fn $name<H, T>(path: &'static str, access: Access, handler: H, summary: &'static str) -> Self
        where
            H: Handler<T, App> + Described<T>,
            T: 'static,
        {
            Self {
                method: Method::$method,
                path,
                access,
                action: None,
                summary,
                also: &[],
                makes: false,
                may_take: false,
                describe: H::describe,
                handle: on(MethodFilter::$method, handler),
            }
        })*
    };
}

impl Route {
    by_method!(get GET, post POST, put PUT, delete DELETE);

    /// Begins to link a phone. Counts against the caller's limit for pairing.
    pub fn pairs(self) -> Self {
        Self { may_take: true, ..self.goes_on_pairing() }
    }

    /// A step of a pairing that has begun, in the process where it did: elsewhere there is nothing to go on with. Counts as well.
    pub fn goes_on_pairing(self) -> Self {
        Self { action: Some(Action::Pairing), ..self }
    }

    /// Counts against the caller's limit for sending.
    pub fn sends(self) -> Self {
        Self { action: Some(Action::Sending), ..self }
    }

    /// May refuse with these statuses too.
    pub fn also(self, statuses: &'static [u16]) -> Self {
        Self { also: statuses, ..self }
    }

    /// Makes the tenant that it names.
    pub fn makes(self) -> Self {
        Self { makes: true, ..self }
    }

    pub fn listed(&self) -> Listed {
        Listed { method: self.method.clone(), path: self.path, access: self.access }
    }
}

/// Every route behind its gate. In a debug build, so in every test, an answer with a status that the document does not have is a
/// panic.
pub fn router(sections: Vec<Section>, app: &App) -> Router<App> {
    sections
        .into_iter()
        .flat_map(|section| section.routes)
        .fold(Router::new(), |router, route| {
            let documented = cfg!(debug_assertions).then(|| Arc::new(openapi::operation_statuses(&route)));
            let Route { path, access, action, makes, may_take, handle, method, .. } = route;
            // The old contract has answers of its own.
            let looks_up = access == Access::Keyed && !makes;
            let app = app.clone();
            let meter = Arc::new(HttpRoute::new(&method, path));
            let gate = middleware::from_fn(move |mut request: Request, next| {
                let (app, documented, method) = (app.clone(), documented.clone(), method.clone());
                let (began, meter) = (Instant::now(), meter.clone());
                async move {
                    let named = NamedTenant::default();
                    if looks_up {
                        request.extensions_mut().insert(named.clone());
                    }
                    let fleet = app.fleet.clone();
                    let response = auth::pass(app, (access, action), may_take, request, next).await.into_response();
                    let response = named.answer(&fleet, response).await;
                    meter.answered(response.status(), began.elapsed());
                    if let Some(documented) = documented {
                        let status = response.status().as_u16();
                        assert!(documented.contains(&status), "{method} {path} answers {status}: not in the document");
                    }
                    response
                }
            });
            router.route(path, handle.route_layer(gate))
        })
        .method_not_allowed_fallback(|method: Method| async move { unmatched(&method, Problem::method_not_allowed()) })
        .fallback(|method: Method| async move { unmatched(&method, Problem::not_found()) })
}

/// There is no such route; it counts all the same.
fn unmatched(method: &Method, problem: Problem) -> Response {
    let response = problem.into_response();
    metrics::http_unmatched(method, response.status());
    response
}
