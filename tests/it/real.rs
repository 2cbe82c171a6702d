//! What only real servers and several processes can show.

mod drain;
mod probes;
mod scale;
mod servers;
mod snapshot;
mod store_stall;
