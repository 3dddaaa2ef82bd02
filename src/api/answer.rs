//! Answers that are more than JSON with 200; their types say so, for the document.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::openapi::{Gives, Operation};

/// An answer that is good for a moment: nothing on the way may keep it.
pub struct Fresh<T>(pub T);

impl<T: Serialize> IntoResponse for Fresh<T> {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, "no-store")], Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> Gives for Fresh<T> {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_json::<T>(StatusCode::OK);
    }
}

/// 201, with what was made.
pub struct Created<T>(pub T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> Gives for Created<T> {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_json::<T>(StatusCode::CREATED);
    }
}

/// 201, and nothing to say.
pub struct EmptyCreated;

impl IntoResponse for EmptyCreated {
    fn into_response(self) -> Response {
        StatusCode::CREATED.into_response()
    }
}

impl Gives for EmptyCreated {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_nothing(StatusCode::CREATED);
    }
}

/// 204.
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Gives for NoContent {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_nothing(StatusCode::NO_CONTENT);
    }
}
