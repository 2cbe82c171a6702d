//! Refusals as RFC 9457 problem documents.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use roomlog_core::code::{Code, Refusal};
use serde_json::json;

use crate::{accounts::store_refusal, auth::AuthError, metrics};

/// What a handler answers when it does not do what it was asked to.
#[derive(Debug)]
pub(super) struct Problem(Refusal);

/// What a handler answers.
pub(super) type Answer = Result<Response, Problem>;

// === impl Problem ===

impl Problem {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Refusal::new(code, message))
    }

    /// Whether it is this refusal.
    pub(super) fn is(&self, code: Code) -> bool {
        self.0.code == code
    }

    /// The document under this status, where none of the codes has it.
    pub(super) fn under(self, status: StatusCode) -> Response {
        let Refusal {
            code,
            message,
            retry_after_ms,
        } = self.0;
        metrics::refusal(code);
        let mut body = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code.as_str(),
            "detail": message,
        });
        if let Some(ms) = retry_after_ms {
            body["retry_after_ms"] = ms.into();
        }
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(ms) = retry_after_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// The store did not do its part.
    pub(super) fn store(error: &roomlog_platform::dynamo::StoreError) -> Self {
        Self(store_refusal(error))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        tracing::info!(%error, "a request was not signed in");
        Self(error.refusal())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.under(status)
    }
}
