//! The gateway: STOMP over WebSocket and REST in front, the log and the fanouts behind.
//!
//! A connection is a task: bytes go through its [`Session`](roomlog_core::session::Session), whose actions it
//! carries out. Rooms live in the hub's shards, which check every request against the room's state, put its
//! events in order without hole or repeat, and hand them to the outboxes of connections.

mod accounts;
mod address;
mod amending;
mod attachments;
mod auth;
mod bulletin;
mod clock;
mod connection;
mod devices;
mod doors;
mod friend_list;
mod friends;
mod gateway;
mod http;
mod hub;
mod inbox;
mod metrics;
mod notices;
mod outbox;
mod presence;
mod profile;
mod publish;
mod rate;
mod readers;
mod reads;
mod room_list;
mod run;
mod trace;
mod users;

pub use auth::token::{Holder, MintError, mint};
pub use run::{RunError, run};

use roomlog_core::ids::UserId;
use roomlog_platform::config::{Config, ConfigError, Jwt, Span};

/// The OpenAPI document of the REST interface, as pretty JSON that ends in a line break.
pub fn openapi() -> String {
    format!("{:#}\n", http::openapi())
}

/// Refuses what only a gateway can't be started with: no keys to check tokens with, or unusable ones. Nothing is sent.
///
/// # Errors
/// Names the key, its value and what was expected.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    auth::Verifier::new(&config.jwt).map(drop)
}

/// Makes an access token for a user; see [`mint`].
///
/// # Errors
/// Where no secret is configured.
pub fn mint_token(jwt: &Jwt, user: &UserId, role: &str, ttl: Span) -> Result<String, MintError> {
    let holder = Holder {
        user,
        role,
        name: None,
        session: None,
    };
    mint(jwt, holder, ttl)
}
