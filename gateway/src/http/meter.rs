//! What is left of a client's rate, shown with every answer: `RateLimit-Limit`, `RateLimit-Remaining` and
//! `RateLimit-Reset` (draft-ietf-httpapi-ratelimit-headers-06).

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use roomlog_core::code::Refusal;

use super::problem::Problem;
use crate::{
    address::{Origin, Peer},
    gateway::Gateway,
    rate::{Empty, Left},
    users::User,
};

pub(super) const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
pub(super) const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
pub(super) const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Carries what is left of a request's rate from where it is counted to its answer. A request that is counted twice
/// shows what was counted last.
#[derive(Clone, Default)]
pub(super) struct Meter(Arc<Mutex<Reading>>);

#[derive(Default)]
struct Reading {
    left: Option<Left>,
    /// Whose request it is, as long as nothing was counted: it is to count as an event, and may turn out to be none.
    uncounted: Option<Arc<User>>,
}

// === impl Meter ===

impl Meter {
    /// Notes what was counted, and refuses where it was too much.
    pub(super) fn note(&self, counted: Result<Option<Left>, Empty>) -> Result<(), Problem> {
        let left = match &counted {
            Ok(left) => *left,
            Err(empty) => Some(empty.left),
        };
        let mut reading = self.reading();
        reading.uncounted = None;
        if left.is_some() {
            reading.left = left;
        }
        drop(reading);
        counted
            .map(drop)
            .map_err(|empty| Refusal::from(empty).into())
    }

    /// The request is to be an event of this user's, and is counted when that is made.
    pub(super) fn expect_event(&self, user: &Arc<User>) {
        self.reading().uncounted = Some(Arc::clone(user));
    }

    /// Counts what was to be an event and did not come to that as the request it was.
    fn settle(&self) -> Result<(), Problem> {
        let uncounted = self.reading().uncounted.take();
        match uncounted {
            Some(user) => self.note(user.request()),
            None => Ok(()),
        }
    }

    fn left(&self) -> Option<Left> {
        self.reading().left
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Sync> FromRequestParts<S> for Meter {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

impl FromRequestParts<Arc<Gateway>> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Infallible> {
        let peer = parts.extensions.get().copied();
        // Every connection has one; without it, all would share a limit, which is on the safe side.
        let peer = peer.unwrap_or(Peer(std::net::Ipv4Addr::UNSPECIFIED.into()));
        let trusted = gateway.config.bounds.trusted_proxies;
        Ok(Self::of(peer, &parts.headers, trusted))
    }
}

/// Gives a request its meter, and its answer what the meter shows.
pub(super) async fn shown(mut request: Request, next: Next) -> Response {
    let meter = Meter::default();
    request.extensions_mut().insert(meter.clone());
    let mut response = next.run(request).await;
    if let Err(too_many) = meter.settle() {
        response = too_many.into_response();
    }
    if let Some(left) = meter.left() {
        let headers = response.headers_mut();
        headers.insert(LIMIT, HeaderValue::from(left.limit));
        headers.insert(REMAINING, HeaderValue::from(left.remaining));
        headers.insert(RESET, HeaderValue::from(left.full_in_s));
    }
    response
}
