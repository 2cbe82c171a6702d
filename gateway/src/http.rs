//! The public listener: REST below `/api/v1`, the WebSocket upgrade, health and the first page.

mod accounts;
mod amendments;
mod attachments;
mod devices;
mod direct;
mod documents;
mod entity_tag;
mod friends;
mod history;
mod inbox;
mod joining;
mod limits;
mod listener;
mod me;
mod members;
mod messages;
mod meter;
mod notices;
mod openapi;
mod page;
mod presence;
mod problem;
mod readers;
mod request;
mod rooms;
mod settings;
mod shape;
mod upgrade;
mod users;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::any,
};
use roomlog_core::code::Code;
use roomlog_platform::shutdown::Shutdown;
use tokio::net::TcpListener;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{problem::Problem, shape::Ready};
use crate::gateway::Gateway;

/// What a JSON body may hold beyond the text it carries.
const BODY_SLACK_BYTES: usize = 16 << 10;
/// How long a browser may remember what cross-origin requests are allowed.
const CORS_AGE: Duration = Duration::from_secs(3_600);

/// Serves until the stop, and with it what is not the gateway's own.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    beside: Router,
    stop: Shutdown,
) {
    listener::serve(listener, routes(gateway).merge(beside), stop).await;
}

/// The OpenAPI document, from the routes themselves.
pub(crate) fn openapi() -> serde_json::Value {
    openapi::document(documented(api()).into_openapi())
}

/// What is below `/api/v1`.
fn api() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(accounts::guest))
        .routes(routes!(accounts::sign_up))
        .routes(routes!(accounts::log_in))
        .routes(routes!(accounts::refresh))
        .routes(routes!(accounts::log_out))
        .routes(routes!(accounts::ticket))
        .routes(routes!(me::show, me::alter))
        .routes(routes!(attachments::grant_picture))
        .routes(routes!(attachments::grant))
        .routes(routes!(attachments::show))
        .routes(routes!(attachments::picture))
        .routes(routes!(users::search))
        .routes(routes!(users::show))
        .routes(routes!(friends::list))
        .routes(routes!(friends::ask, friends::end))
        .routes(routes!(inbox::page))
        .routes(routes!(inbox::read))
        .routes(routes!(inbox::tell_all))
        .routes(routes!(limits::show))
        .routes(routes!(rooms::list, rooms::create))
        .routes(routes!(rooms::show, settings::alter, rooms::delete))
        .routes(routes!(joining::join))
        .routes(routes!(joining::leave))
        .routes(routes!(members::list))
        .routes(routes!(members::put, members::remove))
        .routes(routes!(notices::post))
        .routes(routes!(direct::open))
        .routes(routes!(history::page, messages::post))
        .routes(routes!(amendments::edit, amendments::delete))
        .routes(routes!(readers::list))
        .routes(routes!(amendments::react, amendments::unreact))
        .routes(routes!(messages::read))
        .routes(routes!(devices::keep, devices::forget))
        .routes(routes!(devices::notifications, devices::set_notifications))
        .routes(routes!(presence::room))
        .routes(routes!(presence::viewers))
        .routes(routes!(presence::query))
        .routes(routes!(messages::trace))
}

/// Everything programs ask for.
fn documented(api: OpenApiRouter<Arc<Gateway>>) -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .nest("/api/v1", api)
        .routes(routes!(live))
        .routes(routes!(ready))
}

fn routes(gateway: Arc<Gateway>) -> Router {
    let api = api()
        .layer(middleware::from_fn(meter::shown))
        .layer(cors(&gateway.config.gateway.allowed_origins));
    let (router, document) = documented(api).split_for_parts();
    router
        .merge(documents::routes(&openapi::document(document)))
        .route("/ws", any(upgrade::upgrade))
        .route("/ws/websocket", any(upgrade::upgrade))
        .merge(page::routes())
        .fallback(|| async { Problem::new(Code::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(
            gateway.limits.frame_body_bytes_max + BODY_SLACK_BYTES,
        ))
        .layer(middleware::map_response(closing_when_unread))
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

/// What is left of a body that is too large is never read, so the client must not send its next request behind it.
async fn closing_when_unread(mut response: Response) -> Response {
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn method_not_allowed() -> Response {
    Problem::new(Code::BadRequest, "this path has no such method")
        .under(StatusCode::METHOD_NOT_ALLOWED)
}

/// Whether the process lives.
#[utoipa::path(
    get, path = "/health/live", tag = "health", operation_id = "isLive", security(()),
    responses((status = 200, description = "It does.")),
)]
async fn live() -> StatusCode {
    StatusCode::OK
}

/// Whether it takes clients.
#[utoipa::path(
    get, path = "/health/ready", tag = "health", operation_id = "isReady", security(()),
    responses(
        (status = 200, body = Ready, description = "It does."),
        (status = 503, body = Ready, description = "It starts, or goes away."),
    ),
)]
async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    let is_ready = gateway.readiness.is_ready() && !gateway.drain.has_begun();
    let status = match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let waiting_for = gateway.readiness.waiting_for();
    (status, Json(Ready { waiting_for })).into_response()
}
