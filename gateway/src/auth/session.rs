//! Which sign-in a token comes from, and which sign-ins are over before their tokens are.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use roomlog_core::ids::UserId;

use super::Identity;

/// Ended sign-ins remembered until their last token is over. The bulletin takes fewer in an hour; beyond it those
/// whose time is over are forgotten first, and then new ones are not noted any more.
const ENDED_MAX: usize = 1_000_000;

/// The sign-in behind a token of ours. Tokens of an identity provider and of an operator's tool have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRef {
    /// Its id.
    pub(crate) id: Arc<str>,
    /// The user's sessions version when it began.
    pub(crate) version: u64,
}

/// The end of sign-ins before their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// One of a user's.
    One(UserId, Arc<str>),
    /// All of a user's that began under an earlier version.
    Before(UserId, u64),
}

/// Sign-ins that are over although their tokens are not.
#[derive(Debug, Default)]
pub(crate) struct Ended(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// By session, until when it is remembered, in seconds since the Unix epoch.
    sessions: HashMap<Arc<str>, u64>,
    /// By user: the version below which they are over, and until when that is remembered.
    users: HashMap<UserId, (u64, u64)>,
}

// === impl SessionRef ===

impl SessionRef {
    /// The reference a token carries.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, version) = text.split_once('/')?;
        Some(Self {
            id: id.into(),
            version: version.parse().ok()?,
        })
    }
}

impl fmt::Display for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.id, self.version)
    }
}

// === impl Ending ===

impl Ending {
    /// Whose sign-ins end.
    pub(crate) fn user(&self) -> &UserId {
        match self {
            Self::One(user, _) | Self::Before(user, _) => user,
        }
    }

    /// Whether it ends this sign-in of that user.
    pub(crate) fn concerns(&self, session: &SessionRef) -> bool {
        match self {
            Self::One(_, id) => *id == session.id,
            Self::Before(_, version) => session.version < *version,
        }
    }
}

// === impl Ended ===

impl Ended {
    /// Remembers an ending until this time, in seconds since the Unix epoch.
    pub(crate) fn note(&self, ending: &Ending, until_s: u64, now_s: u64) {
        let mut entries = self.lock();
        if entries.len() >= ENDED_MAX {
            entries.sessions.retain(|_, until_s| *until_s > now_s);
            entries.users.retain(|_, (_, until_s)| *until_s > now_s);
        }
        if entries.len() >= ENDED_MAX {
            tracing::error!("too many sign-outs to remember; a token may live on until it expires");
            return;
        }
        match ending {
            Ending::One(_, id) => {
                entries.sessions.insert(Arc::clone(id), until_s);
            }
            Ending::Before(user, version) => {
                let entry = entries.users.entry(user.clone()).or_default();
                *entry = (entry.0.max(*version), entry.1.max(until_s));
            }
        }
    }

    /// Whether the sign-in behind a token is over.
    pub(crate) fn holds(&self, identity: &Identity) -> bool {
        let Some(session) = &identity.session else {
            return false;
        };
        let entries = self.lock();
        let version = entries.users.get(&identity.user).map_or(0, |entry| entry.0);
        session.version < version || entries.sessions.contains_key(&session.id)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn len(&self) -> usize {
        self.sessions.len() + self.users.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn identity(session: Option<&str>) -> Identity {
        Identity {
            user: UserId::parse("alice").unwrap(),
            name: None,
            is_admin: false,
            expires_at_s: 1_000,
            session: session.map(|text| SessionRef::parse(text).unwrap()),
        }
    }

    #[test]
    fn one_sign_in_ends_or_all_that_began_before() {
        let ended = Ended::default();
        let alice = UserId::parse("alice").unwrap();
        ended.note(&Ending::One(alice.clone(), "a".into()), 1_000, 0);
        assert!(ended.holds(&identity(Some("a/0"))));
        assert!(!ended.holds(&identity(Some("b/0"))));
        ended.note(&Ending::Before(alice, 2), 1_000, 0);
        assert!(ended.holds(&identity(Some("b/1"))));
        assert!(!ended.holds(&identity(Some("b/2"))));
        assert!(!ended.holds(&identity(None)));
    }
}
