//! Letters: what comes into a user's inbox, and which events of rooms send some.
//!
//! An inbox is a log like a room's, under the key `@` and the user's id. A letter never carries what was said: it
//! points at the event, so that a deletion there holds for the inbox too. Its id follows from its cause, so that a
//! letter sent twice is shown once.

use sha2::{Digest as _, Sha256};

use crate::{
    event::{Body, Event, Kind, MemberChange},
    ids::{MessageId, RoomId, RoomKey, Seq, UserId},
    unread::named_by,
};

/// What a letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum About {
    /// The user is asked into a room.
    Invitation,
    /// A message names the user.
    Mention,
    /// Something was announced: in a room, or to everyone.
    Notice,
    /// The sender wants to be friends, or agreed to.
    FriendRequest,
}

/// One letter; its sender is who caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What it is about.
    pub about: About,
    /// The room it is about; `None` for people and for notices to everyone.
    pub room: Option<RoomId>,
    /// The event there.
    pub seq: Option<Seq>,
    /// The text of a notice to everyone; empty for all others.
    pub text: String,
    /// Of a friend request: whether the sender agreed to the reader's.
    pub accepted: bool,
}

// === impl About ===

impl About {
    /// The type of the event that carries such a letter.
    pub fn kind(self) -> Kind {
        match self {
            Self::Invitation => Kind::Invitation,
            Self::Mention => Kind::Mention,
            Self::Notice => Kind::Notice,
            Self::FriendRequest => Kind::FriendRequest,
        }
    }

    /// What events of this type are about, where they are letters.
    pub fn of(kind: Kind) -> Option<Self> {
        [
            Self::Invitation,
            Self::Mention,
            Self::Notice,
            Self::FriendRequest,
        ]
        .into_iter()
        .find(|about| about.kind() == kind)
    }
}

// === impl Letter ===

impl Letter {
    /// A letter that points at an event of a room.
    pub fn pointing(about: About, room: RoomId, seq: Seq) -> Self {
        Self {
            room: Some(room),
            seq: Some(seq),
            ..Self::of_people(about)
        }
    }

    /// A letter about nothing but its sender.
    pub fn of_people(about: About) -> Self {
        Self {
            about,
            room: None,
            seq: None,
            text: String::new(),
            accepted: false,
        }
    }

    /// The event that brings the letter to its reader, from whoever caused `cause`. Equal causes give equal ids.
    pub fn to(self, reader: &UserId, sender: crate::event::Sender, cause: &str) -> Event {
        Event {
            key: RoomKey::inbox(reader),
            id: id_of(self.about, cause),
            sender,
            body: Body::Letter(self),
            headers: Vec::new(),
            by_admin: false,
        }
    }
}

/// The letters an event of a room sends, once it stands there. Whether a named user may know of the room is for the
/// sender to find out; a notice goes to all members, whom this does not know.
pub fn letters(event: &Event, seq: Seq) -> Vec<(UserId, Letter)> {
    let Some(room) = event.key.room() else {
        return Vec::new();
    };
    let letter = |about| Letter::pointing(about, room.clone(), seq);
    match &event.body {
        Body::Message(_) => {
            let mut named: Vec<&UserId> = named_by(event).collect();
            named.sort_unstable();
            named.dedup();
            let letters = named.into_iter();
            letters
                .map(|user| (user.clone(), letter(About::Mention)))
                .collect()
        }
        Body::Member(member) if member.change == MemberChange::Invited => {
            vec![(member.user.clone(), letter(About::Invitation))]
        }
        _ => Vec::new(),
    }
}

/// Names the cause of a letter that points at an event.
pub fn cause(key: &RoomKey, seq: Seq) -> String {
    format!("{}/{}", key.as_str(), seq.0)
}

/// Sixty-four hexadecimal digits of a hash of the cause, so that any cause fits into an id.
fn id_of(about: About, cause: &str) -> MessageId {
    let hash = Sha256::digest(format!("{}/{cause}", about.kind().as_str()));
    let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    MessageId::parse(&text).expect("hexadecimal digits are visible ASCII, and 64 of them fit")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::{MemberEvent, Message};

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn event(key: &str, body: Body) -> Event {
        Event::by(user("alice"), key, body)
    }

    fn naming(users: &[&str]) -> Body {
        Body::Message(Message {
            text: "hello".into(),
            mentions: users.iter().map(|id| user(id)).collect(),
            ..Message::default()
        })
    }

    #[test]
    fn each_named_user_gets_one_letter_without_the_text_and_the_author_none() {
        let sent = letters(
            &event("r", naming(&["bob", "alice", "carol", "bob"])),
            Seq(7),
        );
        let readers: Vec<&str> = sent.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(readers, ["bob", "carol"]);
        let (_, letter) = &sent[0];
        assert_eq!(
            (letter.about, letter.seq, letter.text.as_str()),
            (About::Mention, Some(Seq(7)), "")
        );
    }

    #[test]
    fn an_invitation_goes_to_the_invited_and_other_changes_to_nobody() {
        let change = |change| {
            Body::Member(MemberEvent {
                user: user("bob"),
                change,
            })
        };
        let sent = letters(&event("r", change(MemberChange::Invited)), Seq(2));
        assert_eq!((sent.len(), sent[0].1.about), (1, About::Invitation));
        assert!(letters(&event("r", change(MemberChange::Joined)), Seq(2)).is_empty());
        assert!(
            letters(&event("@bob", naming(&["carol"])), Seq(2)).is_empty(),
            "no letter sends another"
        );
    }

    #[test]
    fn one_cause_gives_one_id_and_two_give_two() {
        let room = RoomKey::parse("r").unwrap();
        let sender = event("r", Body::Unreadable).sender;
        let to = |about, seq| {
            Letter::of_people(about).to(&user("bob"), sender.clone(), &cause(&room, Seq(seq)))
        };
        assert_eq!(to(About::Mention, 1), to(About::Mention, 1));
        assert_ne!(to(About::Mention, 1).id, to(About::Mention, 2).id);
        assert_ne!(to(About::Mention, 1).id, to(About::Invitation, 1).id);
        assert_eq!(to(About::Mention, 1).key, RoomKey::inbox(&user("bob")));
    }
}
