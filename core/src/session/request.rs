//! Requests the shell has not completed yet, and the receipts that wait for them.

use std::collections::BTreeMap;

use crate::code::Refusal;

use super::{
    action::{RequestId, SubIndex},
    transaction::HeldAck,
};

/// All open requests of a session.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next: u64,
    open: BTreeMap<RequestId, Request>,
    /// Commits that are not over: they outlive their own request until their steps are done.
    commits: BTreeMap<RequestId, Commit>,
}

/// One open request.
#[derive(Debug)]
pub(super) struct Request {
    /// The header `receipt`.
    pub(super) receipt: Option<String>,
    pub(super) purpose: Purpose,
}

/// What a request is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Nothing but its receipt depends on it.
    Plain,
    /// A subscription, taken back when it is refused.
    Subscribe(SubIndex),
    /// A COMMIT as a whole.
    Commit,
    /// One effect of this COMMIT.
    Step(RequestId),
}

/// A COMMIT that is not over.
#[derive(Debug)]
pub(super) struct Commit {
    /// COMMIT's own receipt, the last one.
    pub(super) receipt: Option<String>,
    /// ACKs that take effect once the SENDs have.
    pub(super) acks: Vec<HeldAck>,
    /// Receipts of NACKs, which wait for the SENDs too.
    pub(super) receipts: Vec<String>,
    /// Steps not done yet.
    pub(super) waiting: usize,
    /// Whether the shell has taken the transaction as a whole.
    pub(super) taken: bool,
    /// The first refusal of a step.
    pub(super) failure: Option<Refusal>,
}

// === impl Requests ===

impl Requests {
    /// Opens a request.
    pub(super) fn open(&mut self, receipt: Option<String>, purpose: Purpose) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        if let Purpose::Step(commit) = purpose
            && let Some(commit) = self.commits.get_mut(&commit)
        {
            commit.waiting += 1;
        }
        self.open.insert(id, Request { receipt, purpose });
        id
    }

    /// Opens a COMMIT.
    pub(super) fn open_commit(&mut self, commit: Commit) -> RequestId {
        let id = self.open(None, Purpose::Commit);
        self.commits.insert(id, commit);
        id
    }

    /// Takes out a request that is completed.
    pub(super) fn close(&mut self, id: RequestId) -> Option<Request> {
        self.open.remove(&id)
    }

    /// A COMMIT that is not over.
    pub(super) fn commit_mut(&mut self, id: RequestId) -> Option<&mut Commit> {
        self.commits.get_mut(&id)
    }

    /// Takes out a COMMIT that is over, with whatever of it is still open.
    pub(super) fn close_commit(&mut self, id: RequestId) -> Option<Commit> {
        self.open.retain(|own, request| {
            *own != id && !matches!(request.purpose, Purpose::Step(commit) if commit == id)
        });
        self.commits.remove(&id)
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether all are completed.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.commits.is_empty()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.commits.clear();
    }
}
