//! Presence as the link carries it.

use bytes::Bytes;
use prost::Message as _;
use roomlog_core::{
    ids::{RoomKey, UserId},
    presence::{Declaration, RoomChange, Standing, View},
};

use super::{WireError, proto};

/// What an owner says of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Who is there: it replaces everything said before.
    Whole(RoomKey, View),
    /// Who came, went or looks.
    Change(RoomChange),
}

// === impl Said ===

impl Said {
    /// Encodes who is in a room.
    pub fn encode_whole(key: &RoomKey, view: &View) -> Bytes {
        let everyone = view.online.union(&view.viewing);
        let users = everyone.map(|user| proto::UserPresence {
            user: user.as_str().to_owned(),
            online: view.online.contains(user),
            viewing: view.viewing.contains(user),
        });
        let record = proto::RoomPresence {
            room: key.as_str().to_owned(),
            whole: true,
            sample: view.is_sample,
            online_total: view.online_total,
            viewing_total: view.viewing_total,
            users: users.collect(),
        };
        record.encode_to_vec().into()
    }

    /// Encodes what changed in a room.
    pub fn encode_change(change: &RoomChange) -> Bytes {
        if let Some(whole) = &change.whole {
            return Self::encode_whole(&change.key, whole);
        }
        let users = change.users.iter();
        let users = users.map(|(user, standing)| proto::UserPresence {
            user: user.as_str().to_owned(),
            online: standing.online,
            viewing: standing.viewing,
        });
        let record = proto::RoomPresence {
            room: change.key.as_str().to_owned(),
            whole: false,
            sample: false,
            online_total: change.online_total,
            viewing_total: change.viewing_total,
            users: users.collect(),
        };
        record.encode_to_vec().into()
    }

    /// Decodes what an owner says.
    ///
    /// # Errors
    /// When the bytes are nothing this version understands.
    pub fn decode(record: &[u8]) -> Result<Self, WireError> {
        let record = proto::RoomPresence::decode(record)
            .map_err(|error| WireError::Malformed(error.to_string()))?;
        let key = RoomKey::parse(&record.room)?;
        let users = record.users.into_iter().map(|user| {
            let standing = Standing {
                online: user.online,
                viewing: user.viewing,
            };
            Ok((UserId::parse(&user.user)?, standing))
        });
        let users: Vec<(UserId, Standing)> = users.collect::<Result<_, WireError>>()?;
        if !record.whole {
            return Ok(Self::Change(RoomChange {
                key,
                users,
                whole: None,
                online_total: record.online_total,
                viewing_total: record.viewing_total,
            }));
        }
        let of = |is_in: fn(Standing) -> bool| {
            let users = users.iter().filter(|(_, standing)| is_in(*standing));
            users.map(|(user, _)| user.clone()).collect()
        };
        let view = View {
            online: of(|standing| standing.online),
            online_total: record.online_total,
            viewing: of(|standing| standing.viewing),
            viewing_total: record.viewing_total,
            is_sample: record.sample,
        };
        Ok(Self::Whole(key, view))
    }

    /// The room.
    pub fn key(&self) -> &RoomKey {
        match self {
            Self::Whole(key, _) => key,
            Self::Change(change) => &change.key,
        }
    }
}

// === impl Declaration ===

impl From<Declaration> for proto::Declaration {
    fn from(declaration: Declaration) -> Self {
        Self {
            room: declaration.key.as_str().to_owned(),
            user: declaration.user.as_str().to_owned(),
            online: declaration.standing.online,
            viewing: declaration.standing.viewing,
        }
    }
}

impl TryFrom<proto::Declaration> for Declaration {
    type Error = WireError;

    fn try_from(declaration: proto::Declaration) -> Result<Self, WireError> {
        Ok(Self {
            key: RoomKey::parse(&declaration.room)?,
            user: UserId::parse(&declaration.user)?,
            standing: Standing {
                online: declaration.online,
                viewing: declaration.viewing,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn presence_survives_the_wire() {
        let (key, user) = (
            RoomKey::parse("room").unwrap(),
            UserId::parse("alice").unwrap(),
        );
        let view = View {
            online: [user.clone()].into(),
            online_total: 7,
            viewing: [UserId::parse("bob").unwrap()].into(),
            viewing_total: 5,
            is_sample: true,
        };
        let whole = Said::Whole(key.clone(), view.clone());
        assert_eq!(Said::decode(&Said::encode_whole(&key, &view)), Ok(whole));
        let standing = Standing {
            online: true,
            viewing: false,
        };
        let change = RoomChange {
            key,
            users: vec![(user, standing)],
            whole: None,
            online_total: 2,
            viewing_total: 1,
        };
        assert_eq!(
            Said::decode(&Said::encode_change(&change)),
            Ok(Said::Change(change))
        );
        assert!(Said::decode(&[0xff]).is_err());
    }
}
