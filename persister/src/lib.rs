//! The persister: brings the log into the store, each event once, each row only forward.
//!
//! - [`run`] joins the group and keeps one owner per assigned partition (`owners`);
//! - `owner` is one partition of the room events: where it starts (`base`), what it makes of records (`ledger`,
//!   `states`), what it has in flight (`task`), and how rows follow (`moves`);
//! - `reads` is one partition of the read positions;
//! - `mail` is what events send to inboxes: letters that are events themselves;
//! - `readers` moves the sets of readers in Redis along;
//! - `shelf` writes to the store for as long as it takes.
//!
//! Event rows may be written in any order, as nothing follows from them. Rows that say "stored up to here" move only
//! over the contiguous stored prefix of the partition: first the read positions of senders and joiners, mentions
//! and changes of messages, then rooms
//! with the standings that changed, then the partition's own row, and last the group's offset, which is a hint.
//! Whatever stops in between is done again from the partition's row, and comes to the same rows.

mod ledger;
mod mail;
mod metrics;
mod moves;
mod owner;
mod owners;
mod readers;
mod reads;
mod service;
mod shelf;
mod states;

pub use service::{RunError, run};
