//! The JSON clients see and write.

mod body;
mod parse;

pub use body::{Place, event_body, unreadable_body};
pub use parse::{Written, parse_delete, parse_edit, parse_message, parse_reaction, parse_read};
