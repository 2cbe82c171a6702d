//! One consumer group: who is in it, which generation it is in, and when a rebalance is complete.
//!
//! The classic protocol: all members join, the leader gets the list of them, hands out the assignment, all fetch theirs.
//! Time comes in as an argument; answers that have to wait go out by one-shot channels.

mod member;
mod rebalance;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::error_code;
pub(super) use member::{Join, Joined, Member, Synced};

/// Members per group; one more is refused.
const MEMBERS_MAX: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody is in it; committed offsets may still be.
    Empty,
    /// Waiting for the members to join again.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

pub(super) struct Group {
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) protocol_type: String,
    pub(super) protocol: String,
    leader: String,
    pub(super) members: BTreeMap<String, Member>,
    /// Ids given to members that have not come back with them yet, and when they lapse.
    expected: HashMap<String, Instant>,
    /// The first rebalance of an empty group waits until then, so that members started together get one assignment.
    not_before: Instant,
    /// When the present phase of the rebalance goes on without those who are missing.
    deadline: Instant,
    /// How long that first rebalance waits.
    initial_delay: Duration,
}

// === impl State ===

impl State {
    /// The name that tools show.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

// === impl Group ===

impl Group {
    pub(super) fn new(initial_delay: Duration, now: Instant) -> Group {
        Group {
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            expected: HashMap::new(),
            not_before: now,
            deadline: now,
            initial_delay,
        }
    }

    /// Whether nothing would be lost by forgetting the group.
    pub(super) fn is_idle(&self) -> bool {
        self.members.is_empty() && self.expected.is_empty()
    }

    /// A member joins or joins again; the answer comes when the rebalance is complete, or at once.
    pub(super) fn join(
        &mut self,
        join: Join,
        fresh_id: String,
        now: Instant,
        reply: oneshot::Sender<Joined>,
    ) {
        if let Err(error) = self.check_join(&join) {
            answer(reply, Joined::refused(error, &join.member));
        } else if join.member.is_empty() {
            self.join_new(join, fresh_id, now, reply);
        } else if self.members.contains_key(&join.member) {
            self.join_again(join, now, reply);
        } else {
            self.expected.remove(&join.member);
            let id = join.member.clone();
            self.admit(id, join, now, reply);
        }
    }

    fn check_join(&self, join: &Join) -> Result<(), i16> {
        let is_known = self.members.contains_key(&join.member);
        if !is_known && self.members.len() + self.expected.len() >= MEMBERS_MAX {
            return Err(error_code::GROUP_MAX_SIZE_REACHED);
        }
        if join.protocols.is_empty() || join.protocol_type.is_empty() {
            return Err(error_code::INCONSISTENT_GROUP_PROTOCOL);
        }
        let others = self.members.iter().filter(|(id, _)| **id != join.member);
        let others: Vec<&Member> = others.map(|(_, member)| member).collect();
        let shared = |(name, _): &(String, Bytes)| others.iter().all(|other| other.supports(name));
        let same_type = others.is_empty() || self.protocol_type == join.protocol_type;
        if !same_type || !join.protocols.iter().any(shared) {
            return Err(error_code::INCONSISTENT_GROUP_PROTOCOL);
        }
        if join.member.is_empty() {
            return Ok(());
        }
        self.check_instance(&join.member, join.instance.as_deref())?;
        if is_known || self.expected.contains_key(&join.member) {
            Ok(())
        } else {
            Err(error_code::UNKNOWN_MEMBER_ID)
        }
    }

    fn join_new(&mut self, join: Join, id: String, now: Instant, reply: oneshot::Sender<Joined>) {
        let instance = join.instance.as_deref();
        if let Some(old) = instance.and_then(|instance| self.member_of_instance(instance)) {
            return self.replace_static(&old, id, join, now, reply);
        }
        if join.must_know_id && join.instance.is_none() {
            self.expected.insert(id.clone(), now + join.session);
            return answer(reply, Joined::refused(error_code::MEMBER_ID_REQUIRED, &id));
        }
        self.admit(id, join, now, reply);
    }

    fn admit(&mut self, id: String, join: Join, now: Instant, reply: oneshot::Sender<Joined>) {
        self.protocol_type.clone_from(&join.protocol_type);
        self.members.insert(id, Member::new(join, now, reply));
        self.prepare(now);
        self.try_complete(now);
    }

    fn join_again(&mut self, join: Join, now: Instant, reply: oneshot::Sender<Joined>) {
        let id = join.member.clone();
        let is_leader = self.leader == id;
        let state = self.state;
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let is_same = member.protocols == join.protocols;
        member.last_seen = now;
        member.session = join.session;
        member.rebalance = join.rebalance;
        member.protocols = join.protocols;
        // A repeated request whose answer got lost gets the same answer; the leader of a stable group asks for a rebalance.
        let repeats = state == State::CompletingRebalance || (state == State::Stable && !is_leader);
        if is_same && repeats {
            let joined = self.joined(&id);
            return answer(reply, joined);
        }
        if let Some(older) = member.joining.replace(reply) {
            answer(older, Joined::refused(error_code::UNKNOWN_MEMBER_ID, &id));
        }
        self.prepare(now);
        self.try_complete(now);
    }

    /// A static member is back under a new id: it keeps its place and its partitions, the old id is fenced.
    fn replace_static(
        &mut self,
        old: &str,
        id: String,
        join: Join,
        now: Instant,
        reply: oneshot::Sender<Joined>,
    ) {
        let Some(mut replaced) = self.members.remove(old) else {
            return;
        };
        if let Some(reply) = replaced.joining.take() {
            answer(reply, Joined::refused(error_code::FENCED_INSTANCE_ID, old));
        }
        if let Some(reply) = replaced.syncing.take() {
            answer(reply, Err(error_code::FENCED_INSTANCE_ID));
        }
        let was_leader = self.leader == old;
        let can_skip = join.can_skip_assignment;
        let mut member = Member::new(join, now, reply);
        member.assignment = replaced.assignment;
        let reply = member.joining.take();
        self.members.insert(id.clone(), member);
        if was_leader {
            self.leader.clone_from(&id);
        }
        let goes_on = self.state == State::Stable && self.choose_protocol() == self.protocol;
        if !goes_on {
            if let Some(member) = self.members.get_mut(&id) {
                member.joining = reply;
            }
            self.prepare(now);
            return self.try_complete(now);
        }
        let mut joined = self.joined(&id);
        if was_leader && can_skip {
            joined.skip_assignment = true;
        } else if was_leader {
            // An older client that finds itself leader would hand out partitions anew; told the old leader's id, it just syncs.
            joined.leader = old.into();
            joined.members.clear();
        }
        if let Some(reply) = reply {
            answer(reply, joined);
        }
    }

    /// A member asks for its assignment; the leader brings those of all.
    pub(super) fn sync(
        &mut self,
        (member, instance): (&str, Option<&str>),
        generation: i32,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
        reply: oneshot::Sender<Synced>,
    ) {
        if let Err(error) = self.check_member(member, instance, generation) {
            return answer(reply, Err(error));
        }
        let is_leader = self.leader == member;
        let Some(known) = self.members.get_mut(member) else {
            return;
        };
        known.last_seen = now;
        match self.state {
            State::Stable => answer(reply, Ok(known.assignment.clone())),
            State::CompletingRebalance => {
                if let Some(older) = known.syncing.replace(reply) {
                    answer(older, Err(error_code::UNKNOWN_MEMBER_ID));
                }
                if is_leader {
                    self.assign(assignments, now);
                }
            }
            State::Empty | State::PreparingRebalance => {
                answer(reply, Err(error_code::REBALANCE_IN_PROGRESS));
            }
        }
    }

    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Instant) {
        let mut assignments: HashMap<String, Bytes> = assignments.into_iter().collect();
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
            if let Some(reply) = member.syncing.take() {
                member.last_seen = now;
                answer(reply, Ok(member.assignment.clone()));
            }
        }
        self.state = State::Stable;
    }

    /// A sign of life; answers with what the member should know.
    pub(super) fn heartbeat(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> i16 {
        match self.check_member(member, instance, generation) {
            Err(error) => error,
            Ok(()) => {
                self.touch(member, now);
                match self.state {
                    State::PreparingRebalance => error_code::REBALANCE_IN_PROGRESS,
                    _ => error_code::NONE,
                }
            }
        }
    }

    /// Whether this member may commit offsets now. Outside a generation only an empty group takes them.
    pub(super) fn check_commit(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), i16> {
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.check_member(member, instance, generation)?;
        self.touch(member, now);
        // Members commit what they give away while the rebalance is being prepared, not after it.
        match self.state {
            State::CompletingRebalance => Err(error_code::REBALANCE_IN_PROGRESS),
            _ => Ok(()),
        }
    }

    /// A member, named by id or by instance, leaves.
    pub(super) fn leave(&mut self, member: &str, instance: Option<&str>, now: Instant) -> i16 {
        let id = match instance {
            Some(instance) if member.is_empty() => self.member_of_instance(instance),
            _ => Some(member.into()),
        };
        let Some(id) = id else {
            return error_code::UNKNOWN_MEMBER_ID;
        };
        if self.expected.remove(&id).is_some() {
            return error_code::NONE;
        }
        if let Err(error) = self.check_instance(&id, instance) {
            return error;
        }
        if !self.members.contains_key(&id) {
            return error_code::UNKNOWN_MEMBER_ID;
        }
        self.remove(&id, now);
        self.try_complete(now);
        error_code::NONE
    }

    /// Refuses everybody who waits, as the broker stops or the group is deleted.
    pub(super) fn release(&mut self) {
        for member in self.members.values_mut() {
            member.joining = None;
            member.syncing = None;
        }
    }

    fn member_of_instance(&self, instance: &str) -> Option<String> {
        let same = |member: &Member| member.instance.as_deref() == Some(instance);
        let found = self.members.iter().find(|(_, member)| same(member));
        found.map(|(id, _)| id.clone())
    }

    /// A static member's name belongs to one id at a time.
    fn check_instance(&self, member: &str, instance: Option<&str>) -> Result<(), i16> {
        let Some(instance) = instance else {
            return Ok(());
        };
        match self.member_of_instance(instance) {
            Some(id) if id == member => Ok(()),
            Some(_) => Err(error_code::FENCED_INSTANCE_ID),
            None => Err(error_code::UNKNOWN_MEMBER_ID),
        }
    }

    fn check_member(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), i16> {
        self.check_instance(member, instance)?;
        if !self.members.contains_key(member) {
            return Err(error_code::UNKNOWN_MEMBER_ID);
        }
        if generation != self.generation {
            return Err(error_code::ILLEGAL_GENERATION);
        }
        Ok(())
    }

    fn touch(&mut self, member: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member) {
            member.last_seen = now;
        }
    }
}

/// Answers a request; whoever asked may be gone by now, which the next tick notices.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}

#[cfg(test)]
mod tests;
