//! The destinations of SEND and SUBSCRIBE, and their aliases.

use crate::ids::RoomId;

/// What a SEND does in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Say something.
    Post,
    /// Mark read.
    Read,
    /// Say that one is typing.
    Typing,
    /// Look at the room.
    Focus,
    /// Look away.
    Unfocus,
    /// Replace a message's text.
    Edit,
    /// Take a message back.
    Delete,
    /// Set or withdraw a reaction.
    React,
}

/// What can be subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A room's events.
    Room(RoomId),
    /// A room's signals.
    Signals(RoomId),
    /// The user's list of rooms.
    Rooms,
    /// The user's friends.
    Friends,
    /// The user's inbox.
    Inbox,
    /// Refusals of this session's own requests.
    Errors,
}

/// Where a SEND goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Into a room.
    Room(RoomId, Verb),
    /// To the session itself: a fresh token.
    Auth,
}

// === impl Target ===

impl Target {
    /// Reads the destination of a SEND; `None` for an unknown one, whatever is wrong with it.
    pub(super) fn parse(destination: &str) -> Option<Self> {
        if destination == "/app/auth" {
            return Some(Self::Auth);
        }
        for alias in ["/topic/rooms/", "/pub/rooms/"] {
            if let Some(room) = destination.strip_prefix(alias) {
                return Some(Self::Room(RoomId::parse(room).ok()?, Verb::Post));
            }
        }
        let path = destination.strip_prefix("/app/rooms/")?;
        let (room, verb) = match path.split_once('/') {
            None => (path, Verb::Post),
            Some((room, verb)) => (room, Verb::parse(verb)?),
        };
        Some(Self::Room(RoomId::parse(room).ok()?, verb))
    }
}

// === impl Verb ===

impl Verb {
    /// Every verb, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Post,
        Self::Read,
        Self::Typing,
        Self::Focus,
        Self::Unfocus,
        Self::Edit,
        Self::Delete,
        Self::React,
    ];

    /// The canonical destination of a SEND.
    pub fn destination(self, room: &RoomId) -> String {
        match self {
            Self::Post => format!("/app/rooms/{room}"),
            verb => format!("/app/rooms/{room}/{}", verb.word()),
        }
    }

    /// What the destination ends with; nothing for a message.
    fn word(self) -> &'static str {
        match self {
            Self::Post => "",
            Self::Read => "read",
            Self::Typing => "typing",
            Self::Focus => "focus",
            Self::Unfocus => "unfocus",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::React => "react",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let worded = Self::ALL.into_iter().filter(|verb| *verb != Self::Post);
        worded.into_iter().find(|verb| verb.word() == text)
    }
}

// === impl Topic ===

impl Topic {
    /// Reads the destination of a SUBSCRIBE; `None` for an unknown one, whatever is wrong with it.
    pub fn parse(destination: &str) -> Option<Self> {
        match destination {
            "/user/queue/rooms" => return Some(Self::Rooms),
            "/user/queue/friends" => return Some(Self::Friends),
            "/user/queue/inbox" => return Some(Self::Inbox),
            "/user/queue/errors" => return Some(Self::Errors),
            _ => {}
        }
        if let Some(room) = destination.strip_prefix("/sub/rooms/") {
            return RoomId::parse(room).ok().map(Self::Room);
        }
        let path = destination.strip_prefix("/topic/rooms/")?;
        match path.strip_suffix("/signals") {
            Some(room) => RoomId::parse(room).ok().map(Self::Signals),
            None => RoomId::parse(path).ok().map(Self::Room),
        }
    }

    /// The canonical destination, whatever alias the client used.
    pub fn destination(&self) -> String {
        match self {
            Self::Room(room) => format!("/topic/rooms/{room}"),
            Self::Signals(room) => format!("/topic/rooms/{room}/signals"),
            Self::Rooms => "/user/queue/rooms".into(),
            Self::Friends => "/user/queue/friends".into(),
            Self::Inbox => "/user/queue/inbox".into(),
            Self::Errors => "/user/queue/errors".into(),
        }
    }

    /// The `message-id` of the event with this number, or of the n-th MESSAGE where the topic has no log.
    pub fn message_id(&self, number: u64) -> String {
        match self {
            Self::Room(room) => format!("{room}-{number}"),
            Self::Signals(room) => format!("{room}-signals-{number}"),
            Self::Rooms => format!("rooms-{number}"),
            Self::Friends => format!("friends-{number}"),
            Self::Inbox => format!("inbox-{number}"),
            Self::Errors => format!("errors-{number}"),
        }
    }

    /// The `message-id` of a MESSAGE of type `reset` that goes on after this head.
    pub fn reset_id(&self, head: u64) -> String {
        match self {
            Self::Room(room) => format!("{room}-reset-{head}"),
            other => other.message_id(head) + "-reset",
        }
    }

    /// Whether the topic shows a log, so that acknowledging it moves a read position.
    pub fn is_log(&self) -> bool {
        matches!(self, Self::Room(_) | Self::Inbox)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_verb_is_read_from_its_own_destination() {
        let room = RoomId::parse("r").unwrap();
        for verb in Verb::ALL {
            let target = Target::parse(&verb.destination(&room));
            assert_eq!(target, Some(Target::Room(room.clone(), verb)));
        }
    }
}
