//! The WebSocket upgrade: who may connect from where, and which subprotocol is spoken.

use std::sync::Arc;

use axum::{
    extract::{Query, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use roomlog_core::{
    code::{Code, Refusal},
    stomp::Version,
};
use serde::Deserialize;

use super::problem::{Answer, Problem};
use crate::{
    address::Origin,
    auth::Verifier,
    connection::{Connection, Upgraded},
    gateway::Gateway,
};

/// Bytes read from a socket at once. Most frames are small, and an idle connection holds this much.
const READ_BUFFER_BYTES: usize = 2 << 10;
/// Bytes gathered before a write begins without a flush.
const WRITE_BUFFER_BYTES: usize = 8 << 10;
/// Bytes a socket holds at most; the outbox keeps them below this.
const WRITE_BUFFER_BYTES_MAX: usize = 256 << 10;
/// Connections of one gateway; beyond it clients are sent elsewhere.
const CONNECTIONS_MAX: usize = 150_000;
/// How long such clients should wait.
const COME_BACK_MS: u64 = 2_000;

/// The query of an upgrade.
#[derive(Deserialize)]
pub(super) struct Parameters {
    ticket: Option<String>,
}

pub(super) async fn upgrade(
    State(gateway): State<Arc<Gateway>>,
    Query(Parameters { ticket }): Query<Parameters>,
    from: Origin,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    if !is_allowed_origin(&headers, &gateway.config.gateway.allowed_origins) {
        return Err(Problem::new(Code::Forbidden, "this origin may not connect"));
    }
    if gateway.drain.has_begun() || gateway.connections.len() >= CONNECTIONS_MAX {
        let refusal = Refusal::retry_after(
            Code::Draining,
            "this server takes no more connections",
            COME_BACK_MS,
        );
        return Err(refusal.into());
    }
    gateway.doors.connect(from).map_err(Refusal::from)?;
    let identity = match headers.get(header::AUTHORIZATION) {
        None => None,
        Some(value) => {
            let value = value
                .to_str()
                .map_err(|_| Problem::new(Code::Unauthenticated, "no valid credential"))?;
            Some(gateway.sign_in(Verifier::bearer(value)?).await?.1)
        }
    };
    let upgrade = match upgrade {
        Ok(upgrade) => configured(upgrade, &gateway),
        Err(rejection) => return Ok(no_upgrade(rejection)),
    };
    let upgraded = Upgraded {
        identity,
        ticket,
        version: chosen_version(&upgrade),
    };
    Ok(start(gateway, upgrade, upgraded))
}

/// What asked is no WebSocket client, or speaks another version; RFC 6455, section 4.4 has the answer to that.
fn no_upgrade(rejection: WebSocketUpgradeRejection) -> Response {
    let is_other_version = matches!(
        rejection,
        WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_)
    );
    let mut response = rejection.into_response();
    if is_other_version {
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        let version = HeaderValue::from_static("13");
        let headers = response.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_VERSION, version);
    }
    response
}

fn configured(upgrade: WebSocketUpgrade, gateway: &Gateway) -> WebSocketUpgrade {
    let message_bytes_max = gateway.limits.websocket_message_bytes_max;
    upgrade
        .protocols(Version::ALL.map(Version::subprotocol))
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(message_bytes_max)
        .max_frame_size(message_bytes_max)
}

/// The version that the chosen subprotocol stands for. Where none of ours was offered none is named, and CONNECT
/// negotiates freely.
fn chosen_version(upgrade: &WebSocketUpgrade) -> Option<Version> {
    let chosen = upgrade.selected_protocol()?;
    Version::ALL
        .into_iter()
        .find(|version| chosen == version.subprotocol())
}

fn start(gateway: Arc<Gateway>, upgrade: WebSocketUpgrade, upgraded: Upgraded) -> Response {
    let connections = gateway.connections.clone();
    upgrade.on_upgrade(move |socket| {
        let connection = Connection::new(gateway, socket, upgraded);
        connections.track_future(Box::pin(connection.run()))
    })
}

/// Whether a browser page of this origin may connect. Programs send no origin; they hold no one else's credentials.
fn is_allowed_origin(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let is_listed = allowed
        .iter()
        .any(|allowed| allowed == "*" || allowed == origin);
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let is_own = host.is_some_and(|host| {
        let authority = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    });
    is_listed || is_own
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn from(origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "chat.example:8080".parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        is_allowed_origin(&headers, &["https://app.com".to_owned()])
    }

    #[test]
    fn programs_the_own_page_and_listed_origins_may_connect() {
        for good in [
            None,
            Some("http://chat.example:8080"),
            Some("https://app.com"),
        ] {
            assert!(from(good), "{good:?}");
        }
    }

    #[test]
    fn other_origins_may_not_connect() {
        for bad in [
            "null",
            "",
            "https://evil.com",
            "https://sub.app.com",
            "https://app.com.evil.com",
            "http://app.com",
            "https://app.com:8443",
            "http://chat.example",
            "http://chat.example:8080.evil.com",
            "ftp://chat.example:8080",
        ] {
            assert!(!from(Some(bad)), "{bad:?}");
        }
    }
}
