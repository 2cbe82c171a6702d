//! What all connections and requests of this gateway share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use roomlog_core::{
    code::{Code, Refusal},
    ids::{MessageId, RoomKey, Seq},
    limits::Limits,
    session::SessionConfig,
    unread::ReadPosition,
};
use roomlog_platform::{
    config::Config, kafka::Appended, readiness::Readiness, s3::Files, shutdown::Shutdown,
};
use tokio_util::task::TaskTracker;

use crate::{
    accounts::Accounts,
    auth::{AuthError, Identity, Tickets, Verifier},
    clock,
    doors::Doors,
    friend_list::FriendLists,
    hub::{Caller, ConnectionId, Echo, Hub, Purpose, Source, unsent},
    notices::Notices,
    presence::Presence,
    publish::Record,
    reads::ReadMarks,
    room_list::RoomLists,
    users::{User, Users},
};

/// How long a command waits for its own event to come back before it answers 202.
const ECHO_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// The gateway, as its connections and requests see it.
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) limits: Limits,
    /// Names this gateway in the records it produces.
    pub(crate) origin: String,
    pub(crate) session: Arc<SessionConfig>,
    pub(crate) source: Source,
    pub(crate) hub: Hub,
    pub(crate) verifier: Verifier,
    pub(crate) tickets: Tickets,
    pub(crate) accounts: Accounts,
    pub(crate) users: Users,
    pub(crate) doors: Doors,
    /// Where files are; `None` where none can be uploaded.
    pub(crate) files: Option<Files>,
    pub(crate) reads: ReadMarks,
    pub(crate) notices: Notices,
    pub(crate) presence: Presence,
    pub(crate) room_lists: RoomLists,
    pub(crate) friend_lists: FriendLists,
    pub(crate) readiness: Readiness,
    /// Tells connections to go.
    pub(crate) drain: Shutdown,
    /// The connections that are still there.
    pub(crate) connections: TaskTracker,
    pub(crate) next_connection: AtomicU64,
}

/// What became of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Carried {
    /// It came back numbered.
    Out(Echo, Appended),
    /// The log has it; it has not come back yet.
    Accepted(Appended),
}

// === impl Gateway ===

impl Gateway {
    /// A name for a connection.
    pub(crate) fn connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// Checks an access token and finds its user.
    pub(crate) async fn sign_in(&self, token: &str) -> Result<(Arc<User>, Identity), AuthError> {
        let identity = self.identify(token).await?;
        Ok((self.user_of(&identity).await, identity))
    }

    /// Checks an access token, and that the sign-in it comes from is not over.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, AuthError> {
        let identity = self
            .verifier
            .verify(token, clock::unix_ms() / 1_000)
            .await?;
        if self.users.ended.holds(&identity) {
            return Err(AuthError::SignedOut);
        }
        Ok(identity)
    }

    /// The user of a checked identity.
    pub(crate) async fn user_of(&self, identity: &Identity) -> Arc<User> {
        self.users.sign_in(identity, &self.source.store).await
    }

    /// Appends an event and waits until it comes back numbered.
    pub(crate) async fn carry_out(
        &self,
        caller: &Caller,
        purpose: Purpose,
        record: Record,
    ) -> Result<Carried, Refusal> {
        let id = record.id.clone();
        let (echo, echoed) = tokio::sync::oneshot::channel();
        let acknowledgement = self
            .hub
            .produce(caller, purpose, record, Some(echo))
            .await?;
        let place = self.acknowledged(&id, acknowledgement.arrives().await)?;
        match tokio::time::timeout(ECHO_WAIT, echoed).await {
            Ok(Ok(echo)) if echo.is_void => Err(Refusal::new(
                Code::Conflict,
                "the room's state did not allow this when its turn came",
            )),
            Ok(Ok(echo)) => Ok(Carried::Out(echo, place)),
            Ok(Err(_)) | Err(_) => Ok(Carried::Accepted(place)),
        }
    }

    /// Marks a room read up to a seq, for a member.
    pub(crate) async fn mark_read(
        &self,
        caller: &Caller,
        key: &RoomKey,
        seq: Seq,
    ) -> Result<Seq, Refusal> {
        let at = self.hub.count_at(key, caller, seq).await?;
        if at.seq == Seq::ZERO {
            return Ok(at.seq);
        }
        if key.is_inbox() {
            self.mark_inbox(key, &caller.user, at.seq).await?;
            return Ok(at.seq);
        }
        let count = match at.count {
            Some(count) => count,
            None => crate::hub::page_to_show(&self.source, key, at.seq, at.seq)
                .await
                .and_then(|events| Some(events.first()?.stored.count))
                .ok_or_else(|| {
                    Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
                })?,
        };
        let position = ReadPosition::at(at.seq, count);
        self.reads.mark(key, &caller.user, position).await?;
        Ok(at.seq)
    }

    pub(crate) fn acknowledged(
        &self,
        id: &MessageId,
        outcome: Result<Appended, roomlog_platform::kafka::ProduceError>,
    ) -> Result<Appended, Refusal> {
        let place = outcome.map_err(|error| {
            tracing::warn!(%error, "an event was not acknowledged");
            unsent(&error)
        })?;
        self.source.traces.acknowledged(id, place);
        Ok(place)
    }
}
