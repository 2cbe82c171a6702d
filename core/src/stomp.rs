//! The STOMP codec: bytes to frames and back, incremental, bounded and without I/O.

mod decode;
mod encode;
mod error;
mod escape;
mod frame;
mod heartbeat;
pub mod message;
mod partial;

pub use decode::{Bounds, Decoder};
pub use encode::{FrameWriter, encode};
pub use error::{Bound, Fault, StompError};
pub use frame::{Command, Frame, Headers, Version};
pub use heartbeat::{Cadence, HeartBeat, HeartBeatError};
pub use message::{Envelope, Mark, MessageFrame, Provenance};

#[cfg(test)]
mod tests;
