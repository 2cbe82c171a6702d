//! Everything Roomlog can decide without I/O: bytes, events and `now` in, values and actions out.
//!
//! No clock, no randomness, no async runtime and no serialization framework lives here, so all of it is
//! proved by properties and seeded simulation.

pub mod account;
pub mod amendment;
pub mod code;
pub mod event;
pub mod fresh;
pub mod friendship;
pub mod gap;
pub mod ids;
pub mod inbox;
pub mod interest;
pub mod lag;
pub mod limits;
pub mod media;
pub mod partition;
pub mod permission;
pub mod prefix;
pub mod presence;
pub mod push;
pub mod renewal;
pub mod resend;
pub mod resume;
pub mod room_log;
pub mod room_state;
pub mod session;
pub mod signal;
pub mod silence;
pub mod slow_mode;
pub mod standing;
pub mod stomp;
pub mod unread;
