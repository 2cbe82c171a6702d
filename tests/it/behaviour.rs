//! What a client can rely on, the same on every stack.

mod accounts;
mod acknowledging;
mod attachments;
mod connect;
mod doors;
mod framing;
mod heart_beat;
mod identity_provider;
mod inbox;
mod leaving;
mod limits;
mod members;
mod messages;
mod presence;
mod profiles;
mod rates;
mod refusal;
mod rest;
mod rooms;
mod secrets;
mod send;
mod signals;
mod subscribe;
pub(crate) mod tools;
mod transaction;
mod unread;
mod websocket;
