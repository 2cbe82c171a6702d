//! The pages: two people in one room, and how the API works. Everything it needs is here; nothing is loaded from elsewhere.

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

/// What every page says about itself, before where it may be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; frame-src 'self'; \
    base-uri 'none'; form-action 'self'; object-src 'none'; require-trusted-types-for 'script'";

/// Who may show a page in a frame.
#[derive(Clone, Copy)]
enum Framed {
    Nowhere,
    ByOwnPages,
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    const INDEX: &str = include_str!("../../assets/index.html");
    const CHAT: &str = include_str!("../../assets/chat.html");
    const SCRIPT: &str = include_str!("../../assets/chat.js");
    const STYLE: &str = include_str!("../../assets/chat.css");
    const DOCS: &str = include_str!("../../assets/docs.html");
    const DOCS_SCRIPT: &str = include_str!("../../assets/docs.js");
    const DOCS_STYLE: &str = include_str!("../../assets/docs.css");
    Router::new()
        .route(
            "/api/docs",
            get(|headers: HeaderMap| async move { page(DOCS, Framed::Nowhere, &headers) }),
        )
        .route(
            "/assets/docs.js",
            get(|| async { asset(DOCS_SCRIPT, "text/javascript; charset=utf-8") }),
        )
        .route(
            "/assets/docs.css",
            get(|| async { asset(DOCS_STYLE, "text/css; charset=utf-8") }),
        )
        .route(
            "/",
            get(|headers: HeaderMap| async move { page(INDEX, Framed::Nowhere, &headers) }),
        )
        .route(
            "/chat",
            get(|headers: HeaderMap| async move { page(CHAT, Framed::ByOwnPages, &headers) }),
        )
        .route(
            "/assets/chat.js",
            get(|| async { asset(SCRIPT, "text/javascript; charset=utf-8") }),
        )
        .route(
            "/assets/chat.css",
            get(|| async { asset(STYLE, "text/css; charset=utf-8") }),
        )
}

fn page(html: &'static str, framed: Framed, headers: &HeaderMap) -> Response {
    let ancestors = match framed {
        Framed::Nowhere => "'none'",
        Framed::ByOwnPages => "'self'",
    };
    // Older browsers don't take 'self' for a WebSocket.
    let sockets = own_host(headers).map(|host| format!(" ws://{host} wss://{host}"));
    let policy = format!(
        "{POLICY}; connect-src 'self'{}; frame-ancestors {ancestors}",
        sockets.unwrap_or_default()
    );
    let mut response = asset(html, "text/html; charset=utf-8");
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The host the page was asked for under, if it can stand in a policy as it is.
fn own_host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    host.bytes().all(is_plain).then_some(host)
}

fn asset(text: &'static str, content_type: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_host_can_not_write_into_the_policy() {
        let mut headers = HeaderMap::new();
        for (host, expected) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("x; script-src *", false),
            ("x 'unsafe-inline'", false),
        ] {
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(own_host(&headers).is_some(), expected, "{host}");
        }
    }
}
