//! What describes the API: the OpenAPI and AsyncAPI documents for programs, and a page that shows them to people.

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::Value;

/// The AsyncAPI document; a test holds its destinations against the code.
const ASYNCAPI: &str = include_str!("../../../docs/asyncapi.json");

/// The documents at `/api` and, as some tools look for them, below the version.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(openapi: &Value) -> Router<S> {
    let openapi: Arc<str> = openapi.to_string().into();
    let openapi = get(move || std::future::ready(document(openapi.to_string())));
    let asyncapi = get(|| async { document(ASYNCAPI) });
    Router::new()
        .route("/api/openapi.json", openapi.clone())
        .route("/api/v1/openapi.json", openapi)
        .route("/api/asyncapi.json", asyncapi.clone())
        .route("/api/v1/asyncapi.json", asyncapi)
}

/// Anybody may read how the API works, from any page.
fn document(text: impl Into<axum::body::Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, text.into()).into_response()
}
