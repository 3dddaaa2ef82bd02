//! The document as it is served, and a page that shows it: files of our own, compiled in, that load nothing from elsewhere.

use std::{marker::PhantomData, sync::LazyLock};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use schemars::json_schema;

use super::operation::{Gives, Operation};

/// The policy of the page: it uses its own two files, and reads the document beside it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file that is compiled in.
pub trait File {
    const MEDIA_TYPE: &str;
    const TEXT: &str;
}

macro_rules! files {
    ($($name:ident: $media_type:literal $file:literal)*) => {
        $(pub struct $name;
        impl File for $name {
            const MEDIA_TYPE: &str = $media_type;
            const TEXT: &str = include_str!(concat!("page/", $file));
        })*
    };
}

files! {
    Index: "text/html; charset=utf-8" "index.html"
    Style: "text/css; charset=utf-8" "page.css"
    Script: "text/javascript; charset=utf-8" "page.js"
}

/// One of them.
pub struct ServedPage<F>(PhantomData<F>);

impl<F: File> IntoResponse for ServedPage<F> {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, F::MEDIA_TYPE),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        (headers, F::TEXT).into_response()
    }
}

impl<F: File> Gives for ServedPage<F> {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_body(StatusCode::OK, F::MEDIA_TYPE, json_schema!({ "type": "string" }));
    }
}

pub async fn index() -> ServedPage<Index> {
    ServedPage(PhantomData)
}

pub async fn style() -> ServedPage<Style> {
    ServedPage(PhantomData)
}

pub async fn script() -> ServedPage<Script> {
    ServedPage(PhantomData)
}

/// The document, as JSON.
pub struct OpenApiDocument;

impl IntoResponse for OpenApiDocument {
    fn into_response(self) -> Response {
        static JSON: LazyLock<Bytes> = LazyLock::new(|| crate::api::document().to_string().into());
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
        (headers, JSON.clone()).into_response()
    }
}

impl Gives for OpenApiDocument {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_body(StatusCode::OK, "application/json", json_schema!({ "type": "object" }));
    }
}

pub async fn document() -> OpenApiDocument {
    OpenApiDocument
}
