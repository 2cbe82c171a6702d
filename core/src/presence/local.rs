//! The users of one gateway: their sessions, what they look at, and what is to be declared of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::ids::{RoomKey, UserId};

use super::{
    Standing,
    belonging::{Belonging, Recent},
};

/// Rooms one user is declared in, as many as a user may have, and left since they came. Beyond it they are not shown as
/// online in further ones.
const ROOMS_MAX: usize = 5_000;

/// One session of a user on this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client said goodbye: it is gone at once.
    Explicit,
    /// The connection broke: it counts as there for a moment, as it may come back.
    Lost,
}

/// What the owners of a room are told of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The room.
    pub key: RoomKey,
    /// The user.
    pub user: UserId,
    /// How they stand there, as far as this gateway knows.
    pub standing: Standing,
}

/// What follows from a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell the owners.
    Declare(Declaration),
    /// Find out how a user who is here belongs to a room: something may have changed that.
    Doubt(UserId, RoomKey),
    /// A user has a first session here: their rooms are to be looked up, their lease to be written.
    Arrived(UserId),
    /// A user has no session here any more: their lease is over.
    Left(UserId),
}

/// The users of one gateway.
#[derive(Debug)]
pub struct Local {
    users: HashMap<UserId, User>,
    /// The latest moves of everyone: who comes may have joined a moment ago, and the store may not know it yet.
    recent: Recent,
    /// Moves heard of in rooms nobody here looks at: whether the rooms' states allowed them has yet to be found out.
    rumours: Recent,
    /// How long a lost session counts as there.
    hold_ms: u64,
}

#[derive(Debug, Default)]
struct User {
    sessions: BTreeMap<SessionId, Session>,
    rooms: BTreeMap<RoomKey, Belonging>,
}

#[derive(Debug, Default)]
struct Session {
    focus: BTreeSet<RoomKey>,
    /// It was lost and counts as there until then.
    until_ms: Option<u64>,
}

// === impl Local ===

impl Local {
    /// No users; a session whose connection broke counts as there for `hold_ms`.
    pub fn new(hold_ms: u64) -> Self {
        Self {
            users: HashMap::new(),
            recent: Recent::default(),
            rumours: Recent::default(),
            hold_ms,
        }
    }

    /// A session begins.
    pub fn open(&mut self, user: &UserId, session: SessionId) -> Vec<Effect> {
        let is_first = !self.users.contains_key(user);
        let known = self.users.entry(user.clone()).or_default();
        known.sessions.entry(session).or_default().until_ms = None;
        if !is_first {
            return Vec::new();
        }
        let recent: Vec<_> = self.recent.of(user).collect();
        let declared = self.found(user, recent);
        let doubts = self.rumours.of(user);
        let doubts = doubts.map(|(key, _)| Effect::Doubt(user.clone(), key));
        // What is declared now comes before anything that is found out later.
        let arrived = declared.into_iter().chain([Effect::Arrived(user.clone())]);
        arrived.chain(doubts).collect()
    }

    /// A session ends.
    pub fn close(
        &mut self,
        user: &UserId,
        session: SessionId,
        ending: Ending,
        now_ms: u64,
    ) -> Vec<Effect> {
        let until_ms = now_ms + self.hold_ms;
        self.change(user, |known| match ending {
            Ending::Explicit => drop(known.sessions.remove(&session)),
            Ending::Lost => {
                if let Some(lost) = known.sessions.get_mut(&session) {
                    lost.until_ms = Some(until_ms);
                }
            }
        })
    }

    /// A session looks at a room, or away from it.
    pub fn focus(
        &mut self,
        user: &UserId,
        session: SessionId,
        key: &RoomKey,
        on: bool,
    ) -> Vec<Effect> {
        self.change(user, |known| {
            let Some(session) = known.sessions.get_mut(&session) else {
                return;
            };
            if !on {
                session.focus.remove(key);
            } else if session.focus.len() < ROOMS_MAX {
                session.focus.insert(key.clone());
            }
        })
    }

    /// A user joined a room or ceased to be a member, at this place in its log. What is known to have happened later
    /// holds against it, so that it does not matter in which order this is heard.
    pub fn moved(&mut self, user: &UserId, key: &RoomKey, belonging: Belonging) -> Vec<Effect> {
        self.recent.note(user, key, belonging);
        self.found(user, [(key.clone(), belonging)])
    }

    /// An event says that a user moved into a room or out of it, and nobody here can judge whether the room's state
    /// allowed it.
    pub fn heard(&mut self, user: &UserId, key: &RoomKey, belonging: Belonging) -> Vec<Effect> {
        let known = self.users.get(user);
        let at = known.and_then(|known| Some(known.rooms.get(key)?.at));
        if at.is_some_and(|at| at >= belonging.at) {
            return Vec::new();
        }
        self.rumours.note(user, key, belonging);
        match known {
            Some(_) => vec![Effect::Doubt(user.clone(), key.clone())],
            None => Vec::new(),
        }
    }

    /// How a user belongs to rooms, as the store has it or a room's state is: it may be behind what is known here.
    pub fn found(
        &mut self,
        user: &UserId,
        rooms: impl IntoIterator<Item = (RoomKey, Belonging)>,
    ) -> Vec<Effect> {
        let rooms: Vec<_> = rooms.into_iter().collect();
        for (key, belonging) in &rooms {
            if self.rumours.forget(user, key, belonging.at) {
                self.recent.note(user, key, *belonging);
            }
        }
        self.change(user, |known| {
            for (key, belonging) in rooms {
                known.belongs(key, belonging);
            }
        })
    }

    /// Ends the sessions that were lost and did not come back in time.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Effect> {
        let is_over = |session: &Session| session.until_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let late = self.users.iter();
        let late = late.filter(|(_, known)| known.sessions.values().any(is_over));
        let late: Vec<UserId> = late.map(|(user, _)| user.clone()).collect();
        let mut effects = Vec::new();
        for user in late {
            effects.extend(self.change(&user, |known| {
                known.sessions.retain(|_, session| !is_over(session));
            }));
        }
        effects
    }

    /// Everything that is true now, for an owner that knows nothing yet.
    pub fn declarations(&self) -> impl Iterator<Item = Declaration> + '_ {
        self.users.iter().flat_map(|(user, known)| {
            known.stands().map(move |(key, standing)| Declaration {
                key,
                user: user.clone(),
                standing,
            })
        })
    }

    /// The users who are here, whose leases are to be renewed.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.users.keys()
    }

    /// Whether a user is here.
    pub fn has(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// Whether a session looks at a room.
    pub fn is_focused(&self, user: &UserId, session: SessionId, key: &RoomKey) -> bool {
        let known = self.users.get(user);
        let session = known.and_then(|known| known.sessions.get(&session));
        session.is_some_and(|session| session.focus.contains(key))
    }

    /// Changes what is known of a user and says what is different after it.
    fn change(&mut self, user: &UserId, change: impl FnOnce(&mut User)) -> Vec<Effect> {
        let Some(known) = self.users.get_mut(user) else {
            return Vec::new();
        };
        let before: BTreeMap<_, _> = known.stands().collect();
        change(known);
        let after: BTreeMap<_, _> = known.stands().collect();
        let has_left = known.sessions.is_empty();
        if has_left {
            self.users.remove(user);
        }
        let gone = before.keys().filter(|key| !after.contains_key(*key));
        let gone = gone.map(|key| (key, Standing::NONE));
        let changed = after.iter().map(|(key, standing)| (key, *standing));
        let changed = changed.filter(|(key, standing)| before.get(*key) != Some(standing));
        let declarations = gone.chain(changed).map(|(key, standing)| {
            Effect::Declare(Declaration {
                key: key.clone(),
                user: user.clone(),
                standing,
            })
        });
        declarations
            .chain(has_left.then(|| Effect::Left(user.clone())))
            .collect()
    }
}

// === impl User ===

impl User {
    fn belongs(&mut self, key: RoomKey, belonging: Belonging) {
        let is_known = match self.rooms.get(&key) {
            Some(known) if known.at >= belonging.at => return,
            known => known.is_some(),
        };
        if !belonging.is_in {
            for session in self.sessions.values_mut() {
                session.focus.remove(&key);
            }
        }
        if is_known || self.rooms.len() < ROOMS_MAX {
            self.rooms.insert(key, belonging);
        }
    }

    /// How the user stands in each room where that is not nothing.
    fn stands(&self) -> impl Iterator<Item = (RoomKey, Standing)> + '_ {
        let focused: BTreeSet<&RoomKey> = self
            .sessions
            .values()
            .flat_map(|session| &session.focus)
            .collect();
        let online = !self.sessions.is_empty();
        let rooms: BTreeSet<&RoomKey> = self.rooms.keys().chain(focused.iter().copied()).collect();
        rooms.into_iter().filter_map(move |key| {
            let standing = Standing {
                online: online && self.rooms.get(key).is_some_and(|known| known.is_in),
                viewing: focused.contains(key),
            };
            (standing != Standing::NONE).then(|| (key.clone(), standing))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Seq;

    const HOLD_MS: u64 = 10;

    fn user(number: u8) -> UserId {
        UserId::parse(&format!("u{number}")).unwrap()
    }

    fn room(number: u8) -> RoomKey {
        RoomKey::parse(&format!("r{number}")).unwrap()
    }

    fn belonging(at: u64, is_in: bool) -> Belonging {
        Belonging { is_in, at: Seq(at) }
    }

    fn joined(numbers: &[u8]) -> Vec<(RoomKey, Belonging)> {
        let rooms = numbers.iter();
        rooms
            .map(|number| (room(*number), belonging(1, true)))
            .collect()
    }

    fn online(effects: &[Effect]) -> Vec<bool> {
        let declared = effects.iter().filter_map(|effect| match effect {
            Effect::Declare(declaration) => Some(declaration.standing.online),
            _ => None,
        });
        declared.collect()
    }

    #[test]
    fn an_explicit_close_of_the_last_session_is_offline_at_once() {
        let mut local = Local::new(HOLD_MS);
        let alice = user(1);
        assert_eq!(
            local.open(&alice, SessionId(1)),
            [Effect::Arrived(alice.clone())]
        );
        assert_eq!(online(&local.found(&alice, joined(&[1]))), [true]);
        assert_eq!(local.open(&alice, SessionId(2)), []);
        assert_eq!(local.close(&alice, SessionId(1), Ending::Explicit, 0), []);
        let effects = local.close(&alice, SessionId(2), Ending::Explicit, 0);
        assert_eq!(online(&effects), [false]);
        assert_eq!(effects.last(), Some(&Effect::Left(alice)));
    }

    #[test]
    fn a_reconnect_in_time_changes_nothing() {
        let mut local = Local::new(HOLD_MS);
        let alice = user(1);
        local.open(&alice, SessionId(1));
        local.found(&alice, joined(&[1]));
        assert_eq!(local.close(&alice, SessionId(1), Ending::Lost, 0), []);
        assert_eq!(local.open(&alice, SessionId(2)), []);
        assert_eq!(local.expire(HOLD_MS), []);
        assert_eq!(local.close(&alice, SessionId(2), Ending::Lost, 20), []);
        assert_eq!(online(&local.expire(20 + HOLD_MS)), [false]);
    }

    #[test]
    fn who_leaves_a_room_is_not_there_any_more() {
        let mut local = Local::new(HOLD_MS);
        let alice = user(1);
        local.open(&alice, SessionId(1));
        local.found(&alice, joined(&[1, 2]));
        local.focus(&alice, SessionId(1), &room(1), true);
        let effects = local.moved(&alice, &room(1), belonging(2, false));
        let gone = Declaration {
            key: room(1),
            user: alice,
            standing: Standing::NONE,
        };
        assert_eq!(effects, [Effect::Declare(gone)]);
        // A store that is behind does not bring them back.
        assert_eq!(local.found(&user(1), joined(&[1])), []);
    }

    #[test]
    fn who_joined_before_they_came_is_there_at_once() {
        let mut local = Local::new(HOLD_MS);
        let alice = user(1);
        assert_eq!(local.moved(&alice, &room(1), belonging(1, true)), []);
        local.moved(&alice, &room(2), belonging(1, true));
        local.moved(&alice, &room(2), belonging(2, false));
        let effects = local.open(&alice, SessionId(1));
        assert_eq!(effects.last(), Some(&Effect::Arrived(alice.clone())));
        assert_eq!(online(&effects), [true]);
        assert_eq!(online(&local.found(&alice, joined(&[1, 3]))), [true]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Open(u8, u64),
        Close(u8, u64, bool),
        Focus(u8, u64, u8, bool),
        Moved(u8, u8, u64),
        Found(u8, u8, u64),
        Wait(u64),
    }

    /// What the log of a room says at each place: who was in at one event is out at the next.
    fn logged(at: u64) -> Belonging {
        belonging(at, at % 2 == 1)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0_u8..3, 0_u64..4).prop_map(|(user, session)| Step::Open(user, session)),
            (0_u8..3, 0_u64..4, any::<bool>())
                .prop_map(|(user, session, lost)| Step::Close(user, session, lost)),
            (0_u8..3, 0_u64..4, 0_u8..3, any::<bool>())
                .prop_map(|(user, session, room, on)| Step::Focus(user, session, room, on)),
            (0_u8..3, 0_u8..3, 1_u64..6).prop_map(|(user, room, at)| Step::Moved(user, room, at)),
            (0_u8..3, 0_u8..3, 0_u64..6).prop_map(|(user, room, at)| Step::Found(user, room, at)),
            (0_u64..15).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..80)
    }

    /// A naive account of the same: every session, and the newest event of each user and room.
    #[derive(Default)]
    struct Recount {
        sessions: BTreeMap<(u8, u64), Option<u64>>,
        moved: BTreeMap<(u8, u8), u64>,
        found: BTreeMap<(u8, u8), u64>,
    }

    impl Recount {
        fn take(&mut self, step: &Step, now_ms: u64) {
            match *step {
                Step::Open(who, session) => {
                    self.sessions.insert((who, session), None);
                }
                Step::Close(who, session, false) => {
                    self.sessions.remove(&(who, session));
                }
                Step::Close(who, session, true) => {
                    let known = self.sessions.entry((who, session));
                    known.and_modify(|until| *until = Some(now_ms + HOLD_MS));
                }
                Step::Moved(who, key, at) => {
                    let known = self.moved.entry((who, key)).or_default();
                    *known = at.max(*known);
                }
                Step::Found(who, key, at) if self.is_here(who) => {
                    let known = self.found.entry((who, key)).or_default();
                    *known = at.max(*known);
                }
                Step::Found(..) | Step::Focus(..) => {}
                Step::Wait(_) => self
                    .sessions
                    .retain(|_, until| until.is_none_or(|at_ms| at_ms > now_ms)),
            }
            // What the store said is read again when they come back.
            let sessions = &self.sessions;
            self.found
                .retain(|(who, _), _| sessions.keys().any(|(here, _)| here == who));
        }

        fn is_here(&self, who: u8) -> bool {
            self.sessions.keys().any(|(here, _)| *here == who)
        }

        fn online(&self) -> BTreeSet<(UserId, RoomKey)> {
            let places = self.moved.keys().chain(self.found.keys());
            let online = places.filter(|place| {
                let newest = self.moved.get(place).max(self.found.get(place));
                self.is_here(place.0) && newest.is_some_and(|at| logged(*at).is_in)
            });
            online.map(|(who, key)| (user(*who), room(*key))).collect()
        }
    }

    proptest! {
        /// What was declared, change by change, is at any time what an owner would be told that knows nothing, and who
        /// is online is who has a session and is a member by the newest event that was heard of.
        #[test]
        fn declared_changes_add_up_to_the_state(steps in steps()) {
            let mut local = Local::new(HOLD_MS);
            let (mut declared, mut recount) = (BTreeMap::new(), Recount::default());
            let mut now_ms = 0;
            for step in steps {
                if let Step::Wait(ms) = step {
                    now_ms += ms;
                }
                recount.take(&step, now_ms);
                let effects = match step {
                    Step::Open(who, session) => local.open(&user(who), SessionId(session)),
                    Step::Close(who, session, lost) => {
                        let ending = if lost { Ending::Lost } else { Ending::Explicit };
                        local.close(&user(who), SessionId(session), ending, now_ms)
                    }
                    Step::Focus(who, session, key, on) => {
                        local.focus(&user(who), SessionId(session), &room(key), on)
                    }
                    Step::Moved(who, key, at) => local.moved(&user(who), &room(key), logged(at)),
                    Step::Found(who, key, at) => {
                        local.found(&user(who), [(room(key), logged(at))])
                    }
                    Step::Wait(_) => local.expire(now_ms),
                };
                for effect in effects {
                    if let Effect::Declare(Declaration { key, user, standing }) = effect {
                        let before = declared.insert((user.clone(), key.clone()), standing);
                        prop_assert_ne!(before.unwrap_or_default(), standing, "only changes are declared");
                        if standing == Standing::NONE {
                            declared.remove(&(user, key));
                        }
                    }
                }
                let whole: BTreeMap<_, _> = local
                    .declarations()
                    .map(|it| ((it.user, it.key), it.standing))
                    .collect();
                prop_assert_eq!(&declared, &whole);
                let online = whole.into_iter().filter(|(_, standing)| standing.online);
                let online: BTreeSet<_> = online.map(|(place, _)| place).collect();
                prop_assert_eq!(online, recount.online());
            }
        }
    }
}
