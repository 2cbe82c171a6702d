//! A member of a group, and what passes between it and its group.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

/// What a member asks when it joins.
#[derive(Clone, Debug)]
pub(in crate::kafka) struct Join {
    /// The id given to the member before, or empty.
    pub(in crate::kafka) member: String,
    /// The fixed name of a static member.
    pub(in crate::kafka) instance: Option<String>,
    pub(in crate::kafka) client: String,
    pub(in crate::kafka) host: String,
    /// How long the member may be silent.
    pub(in crate::kafka) session: Duration,
    /// How long a rebalance waits for the member to join again.
    pub(in crate::kafka) rebalance: Duration,
    pub(in crate::kafka) protocol_type: String,
    /// Assignment strategies in the member's order, each with the member's subscription.
    pub(in crate::kafka) protocols: Vec<(String, Bytes)>,
    /// Whether a new member must come back with the id it is given (newer clients do).
    pub(in crate::kafka) must_know_id: bool,
    /// Whether a leader may be told to skip the assignment (newer clients only).
    pub(in crate::kafka) can_skip_assignment: bool,
}

/// The answer to a join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kafka) struct Joined {
    pub(in crate::kafka) error: i16,
    pub(in crate::kafka) generation: i32,
    pub(in crate::kafka) protocol: String,
    pub(in crate::kafka) leader: String,
    pub(in crate::kafka) member: String,
    pub(in crate::kafka) skip_assignment: bool,
    /// Id, instance and subscription of all members, for the leader only.
    pub(in crate::kafka) members: Vec<(String, Option<String>, Bytes)>,
}

/// The answer to a sync: the member's assignment or an error code.
pub(in crate::kafka) type Synced = Result<Bytes, i16>;

pub(in crate::kafka) struct Member {
    pub(in crate::kafka) instance: Option<String>,
    pub(in crate::kafka) client: String,
    pub(in crate::kafka) host: String,
    pub(in crate::kafka) session: Duration,
    pub(in crate::kafka) rebalance: Duration,
    pub(in crate::kafka) protocols: Vec<(String, Bytes)>,
    pub(in crate::kafka) assignment: Bytes,
    pub(in crate::kafka) last_seen: Instant,
    pub(in crate::kafka) joining: Option<oneshot::Sender<Joined>>,
    pub(in crate::kafka) syncing: Option<oneshot::Sender<Synced>>,
}

// === impl Joined ===

impl Joined {
    pub(in crate::kafka) fn refused(error: i16, member: &str) -> Joined {
        let (generation, member) = (-1, member.into());
        Joined {
            error,
            generation,
            member,
            ..Joined::default()
        }
    }
}

// === impl Member ===

impl Member {
    pub(in crate::kafka) fn new(
        join: Join,
        now: Instant,
        reply: oneshot::Sender<Joined>,
    ) -> Member {
        Member {
            instance: join.instance,
            client: join.client,
            host: join.host,
            session: join.session,
            rebalance: join.rebalance,
            protocols: join.protocols,
            assignment: Bytes::new(),
            last_seen: now,
            joining: Some(reply),
            syncing: None,
        }
    }

    /// The member's subscription under an assignment strategy.
    pub(in crate::kafka) fn subscription(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found
            .map(|(_, subscription)| subscription.clone())
            .unwrap_or_default()
    }

    pub(in crate::kafka) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Whether the member's time is over. One that waits for an answer is alive as long as its connection is.
    pub(in crate::kafka) fn is_gone(&self, now: Instant) -> bool {
        match (&self.joining, &self.syncing) {
            (Some(reply), _) => reply.is_closed(),
            (None, Some(reply)) if !reply.is_closed() => false,
            _ => now > self.last_seen + self.session,
        }
    }
}
