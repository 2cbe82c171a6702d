//! The JSON clients see and write.

mod body;
mod parse;

pub use body::{Newest, Place, deleted_body, event_body, newest_body, unreadable_body};
pub use parse::{
    Written, checked_emoji, parse_delete, parse_edit, parse_id, parse_message, parse_reaction,
    parse_read, parse_text,
};
