//! The limits clients meet, as they are in force here.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse as _};
use roomlog_core::limits::Limits;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Answer;
use crate::gateway::Gateway;

/// Writes the struct of the answer and how it is made, so that a name is spelled once.
macro_rules! shown {
    ($($name:ident),* $(,)?) => {
        /// Every limit by its name, whose end is its unit.
        #[derive(Debug, Serialize, ToSchema)]
        #[schema(as = Limits)]
        pub(super) struct InForce {
            $($name: u64,)*
            /// Frames of a connection that are read at once.
            frames_burst: u64,
            /// Requests of a user that are served at once.
            requests_burst: u64,
        }

        impl InForce {
            fn of(limits: &Limits) -> Self {
                let frames = u64::from(limits.frames_per_second);
                let requests = u64::from(limits.requests_per_second);
                Self {
                    $($name: wide(limits.$name),)*
                    frames_burst: frames.saturating_mul(Limits::FRAMES_BURST_S.into()),
                    requests_burst: requests.saturating_mul(Limits::REQUESTS_BURST_S.into()),
                }
            }
        }
    };
}

shown!(
    attachment_bytes_max,
    attachments_max,
    avatar_bytes_max,
    connect_timeout_ms,
    connections_per_user_max,
    connects_per_minute,
    frame_body_bytes_max,
    frames_per_second,
    guests_per_minute,
    header_line_bytes_max,
    headers_bytes_max,
    headers_max,
    history_max,
    members_per_room_max,
    mentions_max,
    meta_bytes_max,
    own_headers_bytes_max,
    own_headers_max,
    requests_per_second,
    resume_events_max,
    rooms_per_user_max,
    sends_burst,
    sends_per_second,
    sign_ins_per_minute,
    subscribes_per_second,
    subscriptions_max,
    text_bytes_max,
    transaction_frames_max,
    transactions_max,
    unauthenticated_frame_bytes_max,
    websocket_message_bytes_max,
);

/// A limit of whatever width; one beyond 64 bits is none.
fn wide(limit: impl TryInto<u64>) -> u64 {
    limit.try_into().unwrap_or(u64::MAX)
}

/// Every limit that clients meet.
#[utoipa::path(
    get, path = "/limits", tag = "limits", operation_id = "getLimits", security(()),
    responses((status = 200, body = InForce, description = "Each by its name; the unit ends it.")),
)]
pub(super) async fn show(State(gateway): State<Arc<Gateway>>) -> Answer {
    Ok(Json(InForce::of(&gateway.limits)).into_response())
}
