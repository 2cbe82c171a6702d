//! What describes the API to programs.

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::Value;

/// The document at `/api` and, as some tools look for them, below the version.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(openapi: &Value) -> Router<S> {
    let openapi: Arc<str> = openapi.to_string().into();
    let openapi = get(move || std::future::ready(document(openapi.to_string())));
    Router::new()
        .route("/api/openapi.json", openapi.clone())
        .route("/api/v1/openapi.json", openapi)
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
