//! The table of routes. What it takes to come in stands beside each path, and the router is made from nothing else: a route that
//! nobody decided about cannot exist.

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, MethodRouter, on},
};

use super::{
    App,
    auth::{self, Access, Action},
    problem::Problem,
};

/// One way into the API.
pub struct Route {
    method: Method,
    path: &'static str,
    access: Access,
    /// What it counts as for the limits.
    action: Option<Action>,
    handle: MethodRouter<App>,
}

/// A route as others see it: for the matrix of who may do what, and for the document that describes the API.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listed {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
}

impl Route {
    pub fn get<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Self {
        Self::on(Method::GET, MethodFilter::GET, path, access, handler)
    }

    pub fn post<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Self {
        Self::on(Method::POST, MethodFilter::POST, path, access, handler)
    }

    pub fn put<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Self {
        Self::on(Method::PUT, MethodFilter::PUT, path, access, handler)
    }

    pub fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, access: Access, handler: H) -> Self {
        Self::on(Method::DELETE, MethodFilter::DELETE, path, access, handler)
    }

    fn on<H: Handler<T, App>, T: 'static>(
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        access: Access,
        handler: H,
    ) -> Self {
        Self { method, path, access, action: None, handle: on(filter, handler) }
    }

    /// Counts against the caller's limit for pairing.
    pub fn pairs(self) -> Self {
        Self { action: Some(Action::Pairing), ..self }
    }

    /// Counts against the caller's limit for sending.
    pub fn sends(self) -> Self {
        Self { action: Some(Action::Sending), ..self }
    }

    pub fn listed(&self) -> Listed {
        Listed { method: self.method.clone(), path: self.path, access: self.access }
    }
}

/// Every route behind its gate.
pub fn router(routes: Vec<Route>, app: &App) -> Router<App> {
    routes
        .into_iter()
        .fold(Router::new(), |router, Route { path, access, action, handle, .. }| {
            let app = app.clone();
            let gate = middleware::from_fn(move |request: Request, next| {
                auth::pass(app.clone(), access, action, request, next)
            });
            router.route(path, handle.route_layer(gate))
        })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .fallback(|| async { Problem::not_found() })
}
