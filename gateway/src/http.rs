//! The public listener: REST below `/api/v1`, the WebSocket upgrade, health and the first page.

mod accounts;
mod amendments;
mod direct;
mod entity_tag;
mod history;
mod listener;
mod members;
mod messages;
mod meter;
mod notices;
mod page;
mod presence;
mod problem;
mod request;
mod rooms;
mod upgrade;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{any, get, patch, post, put},
};
use roomlog_core::{code::Code, limits::Limits};
use roomlog_platform::shutdown::Shutdown;
use serde_json::json;
use tokio::net::TcpListener;
use tower_http::cors::{AllowOrigin, CorsLayer};

use self::problem::{Answer, Problem};
use crate::gateway::Gateway;

/// What a JSON body may hold beyond the text it carries.
const BODY_SLACK_BYTES: usize = 16 << 10;
/// How long a browser may remember what cross-origin requests are allowed.
const CORS_AGE: Duration = Duration::from_secs(3_600);

/// Serves until the stop.
pub(crate) async fn serve(listener: TcpListener, gateway: Arc<Gateway>, stop: Shutdown) {
    listener::serve(listener, routes(gateway), stop).await;
}

fn routes(gateway: Arc<Gateway>) -> Router {
    let api = Router::new()
        .route("/auth/guest", post(accounts::guest))
        .route("/auth/signup", post(accounts::sign_up))
        .route("/auth/login", post(accounts::log_in))
        .route("/auth/refresh", post(accounts::refresh))
        .route("/auth/logout", post(accounts::log_out))
        .route("/ws-tickets", post(accounts::ticket))
        .route("/me", get(accounts::me))
        .route("/limits", get(limits))
        .route("/rooms", get(rooms::list).post(rooms::create))
        .route(
            "/rooms/{id}",
            get(rooms::show).patch(rooms::alter).delete(rooms::delete),
        )
        .route("/rooms/{id}/join", post(rooms::join))
        .route("/rooms/{id}/leave", post(rooms::leave))
        .route("/rooms/{id}/members", get(members::list))
        .route(
            "/rooms/{id}/members/{user}",
            put(members::put).delete(members::remove),
        )
        .route("/rooms/{id}/notices", post(notices::post))
        .route("/dm/{user}", post(direct::open))
        .route(
            "/rooms/{id}/messages",
            get(history::page).post(messages::post),
        )
        .route(
            "/rooms/{id}/messages/{seq}",
            patch(amendments::edit).delete(amendments::delete),
        )
        .route(
            "/rooms/{id}/messages/{seq}/reactions/{emoji}",
            put(amendments::react).delete(amendments::unreact),
        )
        .route("/rooms/{id}/read", post(messages::read))
        .route("/rooms/{id}/presence", get(presence::room))
        .route("/rooms/{id}/viewers", get(presence::viewers))
        .route("/presence/query", post(presence::query))
        .route("/trace/{id}", get(messages::trace))
        .layer(middleware::from_fn(meter::shown))
        .layer(cors(&gateway.config.gateway.allowed_origins));
    Router::new()
        .nest("/api/v1", api)
        .route("/ws", any(upgrade::upgrade))
        .route("/ws/websocket", any(upgrade::upgrade))
        .route("/health/live", get(|| async { StatusCode::OK }))
        .route("/health/ready", get(ready))
        .merge(page::routes())
        .fallback(|| async { Problem::new(Code::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(
            gateway.limits.frame_body_bytes_max + BODY_SLACK_BYTES,
        ))
        .with_state(gateway)
}

/// Pages of the listed origins may use the API; no cookie is ever looked at.
fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let origins = origins
            .iter()
            .filter_map(|origin| HeaderValue::from_str(origin).ok());
        AllowOrigin::list(origins)
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            header::HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([
            header::ETAG,
            header::RETRY_AFTER,
            meter::LIMIT,
            meter::REMAINING,
            meter::RESET,
        ])
        .max_age(CORS_AGE)
}

async fn method_not_allowed() -> Response {
    let mut response =
        Problem::new(Code::BadRequest, "this path has no such method").into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    let is_ready = gateway.readiness.is_ready() && !gateway.drain.has_begun();
    let status = match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (
        status,
        Json(json!({ "waiting_for": gateway.readiness.waiting_for() })),
    )
        .into_response()
}

async fn limits(State(gateway): State<Arc<Gateway>>) -> Answer {
    let limits = &gateway.limits;
    Ok(Json(json!({
        "text_bytes_max": limits.text_bytes_max,
        "frame_body_bytes_max": limits.frame_body_bytes_max,
        "headers_max": limits.headers_max,
        "header_line_bytes_max": limits.header_line_bytes_max,
        "headers_bytes_max": limits.headers_bytes_max,
        "unauthenticated_frame_bytes_max": limits.unauthenticated_frame_bytes_max,
        "websocket_message_bytes_max": limits.websocket_message_bytes_max,
        "meta_bytes_max": limits.meta_bytes_max,
        "mentions_max": limits.mentions_max,
        "attachments_max": limits.attachments_max,
        "attachment_bytes_max": limits.attachment_bytes_max,
        "avatar_bytes_max": limits.avatar_bytes_max,
        "own_headers_max": limits.own_headers_max,
        "own_headers_bytes_max": limits.own_headers_bytes_max,
        "subscriptions_max": limits.subscriptions_max,
        "transactions_max": limits.transactions_max,
        "transaction_frames_max": limits.transaction_frames_max,
        "sends_per_second": limits.sends_per_second,
        "sends_burst": limits.sends_burst,
        "requests_per_second": limits.requests_per_second,
        "requests_burst": limits.requests_per_second.saturating_mul(Limits::REQUESTS_BURST_S),
        "frames_per_second": limits.frames_per_second,
        "frames_burst": limits.frames_per_second.saturating_mul(Limits::FRAMES_BURST_S),
        "subscribes_per_second": limits.subscribes_per_second,
        "sign_ins_per_minute": limits.sign_ins_per_minute,
        "guests_per_minute": limits.guests_per_minute,
        "connects_per_minute": limits.connects_per_minute,
        "rooms_per_user_max": limits.rooms_per_user_max,
        "members_per_room_max": limits.members_per_room_max,
        "connections_per_user_max": limits.connections_per_user_max,
        "connect_timeout_ms": limits.connect_timeout_ms,
        "history_max": limits.history_max,
        "resume_events_max": limits.resume_events_max,
    }))
    .into_response())
}
