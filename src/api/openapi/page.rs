//! The document as it is served, and a page that shows it: files of our own, compiled in, that load nothing from elsewhere.

use std::{
    io::{self, Write as _},
    marker::PhantomData,
    sync::LazyLock,
};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
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

/// The document, as JSON: half a megabyte, or a tenth of that for whoever takes it packed.
pub struct OpenApiDocument {
    is_packed: bool,
}

impl IntoResponse for OpenApiDocument {
    fn into_response(self) -> Response {
        static JSON: LazyLock<Bytes> = LazyLock::new(|| crate::api::document().to_string().into());
        static PACKED: LazyLock<Option<Bytes>> = LazyLock::new(|| packed(&JSON).ok());
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-cache"),
            (header::VARY, "accept-encoding"),
        ];
        if self.is_packed
            && let Some(packed) = &*PACKED
        {
            return (headers, [(header::CONTENT_ENCODING, "gzip")], packed.clone()).into_response();
        }
        (headers, JSON.clone()).into_response()
    }
}

impl Gives for OpenApiDocument {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_body(StatusCode::OK, "application/json", json_schema!({ "type": "object" }));
    }
}

pub async fn document(headers: HeaderMap) -> OpenApiDocument {
    OpenApiDocument { is_packed: takes_gzip(&headers) }
}

fn packed(bytes: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.into())
}

/// Only for who names it: what comes without the header may be read by a person.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|codings| codings.to_str().ok());
    named.flat_map(|codings| codings.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_none_or(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::{body::to_bytes, http::HeaderValue};
    use flate2::read::GzDecoder;

    use super::*;

    #[tokio::test]
    async fn the_document_comes_packed_to_whoever_takes_that() {
        let answer = async |accepted: Option<&'static str>| {
            let accepted = accepted.map(|codings| (header::ACCEPT_ENCODING, HeaderValue::from_static(codings)));
            let answer = document(accepted.into_iter().collect()).await.into_response();
            let is_packed = answer.headers().contains_key(header::CONTENT_ENCODING);
            (is_packed, to_bytes(answer.into_body(), usize::MAX).await.unwrap())
        };
        let (is_packed, plain) = answer(None).await;
        assert!(!is_packed);
        for refused in ["br", "gzip;q=0", "deflate, gzip; q=0.0"] {
            assert_eq!(answer(Some(refused)).await, (false, plain.clone()), "{refused}");
        }
        for taken in ["gzip", "br, GZIP;q=0.5", "gzip, deflate, br"] {
            let (is_packed, packed) = answer(Some(taken)).await;
            assert!(is_packed && packed.len() < plain.len() / 5, "{taken}: {}", packed.len());
            let mut unpacked = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == plain, "{taken}");
        }
    }
}
