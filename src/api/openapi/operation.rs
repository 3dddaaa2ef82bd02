//! The input and output of a route's handler, as its own types tell it: each extractor says what it reads of a request and how it
//! may refuse, each answer its statuses and forms. A handler with a type that says nothing does not compile as a route.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::schemas::Schemas;
use crate::api::{
    App,
    auth::{Caller, MaybeCaller, Scope},
    problem::Problem,
};

/// An argument of a handler: says what it reads of a request.
pub trait Takes {
    fn takes(operation: &mut Operation<'_>);
}

/// An answer of a handler: says its statuses and forms.
pub trait Gives {
    fn gives(operation: &mut Operation<'_>);
}

/// A handler all of whose arguments and whose answer say what they are. `T` is as in axum's [`axum::handler::Handler`].
pub trait Described<T> {
    fn describe(operation: &mut Operation<'_>);
}

/// The place of a parameter.
#[derive(Debug, Clone, Copy)]
pub enum ParameterIn {
    Path,
    Query,
}

/// A route's entry in the document while it is written.
pub struct Operation<'a> {
    schemas: &'a mut Schemas,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    pub(super) answers: BTreeMap<u16, Value>,
    pub(super) problems: BTreeSet<u16>,
    pub(super) scope: Option<Scope>,
}

impl<'a> Operation<'a> {
    pub(super) fn new(schemas: &'a mut Schemas) -> Self {
        let (parameters, answers, problems) = Default::default();
        Self { schemas, parameters, body: None, answers, problems, scope: None }
    }

    /// The fields of `T`, each a parameter.
    pub fn parameters<T: JsonSchema>(&mut self, place: ParameterIn) {
        self.parameters.extend(self.schemas.parameters::<T>(place));
    }

    pub fn parameter(&mut self, parameter: Value) {
        self.parameters.push(parameter);
    }

    /// A body of JSON.
    pub fn takes_json<T: JsonSchema>(&mut self) {
        let schema = self.schemas.request::<T>();
        self.takes_body("application/json", schema);
    }

    pub fn takes_body(&mut self, media_type: &str, schema: Schema) {
        let body = self.body.get_or_insert_with(|| json!({ "required": true, "content": {} }));
        body["content"][media_type] = json!({ "schema": schema });
    }

    /// An answer of JSON.
    pub fn gives_json<T: JsonSchema>(&mut self, status: StatusCode) {
        let schema = self.schemas.answer::<T>();
        self.gives_body(status, "application/json", schema);
    }

    pub fn gives_body(&mut self, status: StatusCode, media_type: &str, schema: Schema) {
        self.gives_nothing(status)["content"][media_type] = json!({ "schema": schema });
    }

    /// An answer without a body.
    pub fn gives_nothing(&mut self, status: StatusCode) -> &mut Value {
        let reason = status.canonical_reason().unwrap_or_default();
        self.answers.entry(status.as_u16()).or_insert_with(|| json!({ "description": reason }))
    }

    /// Statuses with which it may answer a [`Problem`].
    pub fn may_fail(&mut self, statuses: &[u16]) {
        self.problems.extend(statuses);
    }

    /// It is about one tenant, for whom the caller needs this scope.
    pub fn needs(&mut self, scope: Scope) {
        self.scope = Some(scope);
        // Not a tenant's name, another's tenant, none of that name, one that cannot be opened.
        self.may_fail(&[400, 403, 404, 409]);
    }

    /// Every status with which it may answer.
    pub(super) fn statuses(&self) -> BTreeSet<u16> {
        self.answers.keys().chain(&self.problems).copied().collect()
    }

    /// The responses object: problems are components.
    pub(super) fn responses(&self) -> Map<String, Value> {
        let mut responses: Map<String, Value> =
            self.answers.iter().map(|(status, answer)| (status.to_string(), answer.clone())).collect();
        for status in &self.problems {
            let component = json!({ "$ref": format!("#/components/responses/{status}") });
            responses.entry(status.to_string()).or_insert(component);
        }
        responses
    }
}

impl Takes for State<App> {
    fn takes(_: &mut Operation<'_>) {}
}

/// The gate finds it out; the gate's answers are those of the route's access.
impl Takes for Caller {
    fn takes(_: &mut Operation<'_>) {}
}

impl Takes for MaybeCaller {
    fn takes(_: &mut Operation<'_>) {}
}

/// Headers that every client sends, like `Accept`. One of our own is an extractor of its own.
impl Takes for HeaderMap {
    fn takes(_: &mut Operation<'_>) {}
}

impl<T: JsonSchema> Gives for Json<T> {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_json::<T>(StatusCode::OK);
    }
}

/// Of a handler that only refuses.
impl Gives for std::convert::Infallible {
    fn gives(_: &mut Operation<'_>) {}
}

impl<T: Gives> Gives for Result<T, Problem> {
    fn gives(operation: &mut Operation<'_>) {
        T::gives(operation);
        operation.may_fail(&[503]);
    }
}

macro_rules! described {
    ($marker:ident: $($argument:ident),*) => {
        impl<F, Answering, Answer, $marker, $($argument,)*> Described<($marker, $($argument,)*)> for F
        where
            F: FnOnce($($argument),*) -> Answering,
            Answering: Future<Output = Answer>,
            Answer: Gives,
            $($argument: Takes,)*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($argument::takes(operation);)*
                Answer::gives(operation);
            }
        }
    };
}

impl<F, Answering, Answer> Described<((),)> for F
where
    F: FnOnce() -> Answering,
    Answering: Future<Output = Answer>,
    Answer: Gives,
{
    fn describe(operation: &mut Operation<'_>) {
        Answer::gives(operation);
    }
}

described!(M: A);
described!(M: A, B);
described!(M: A, B, C);
described!(M: A, B, C, D);
described!(M: A, B, C, D, E);
described!(M: A, B, C, D, E, G);
described!(M: A, B, C, D, E, G, H);
