//! SENDs of events: prepared, checked against what came before, and produced in their order.

use std::sync::Arc;

use futures_util::FutureExt as _;
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body, Event},
    ids::{MessageId, RoomKey},
    permission::Action,
    session::{ContentType, Done, Publish, RequestId},
};

use super::{Ask, Connection, Outcome, requests::not_signed_in};
use crate::{
    amending::{pace, purpose_of, stands_alone},
    clock,
    gateway::Gateway,
    hub::{Caller, Purpose},
    publish::{Draft, Record},
    users::User,
};

/// An event that is about to be produced.
pub(super) struct Prepared {
    request: RequestId,
    event: Event,
    record: Record,
}

/// An event that may be produced.
pub(super) struct Checked {
    request: RequestId,
    record: Record,
    purpose: Purpose,
}

impl Connection {
    /// Produces an event, after a look at those it is about.
    pub(super) fn send_event(&mut self, publish: Publish) {
        let request = publish.request;
        match self.prepare(publish) {
            Ok(Prepared { event, record, .. }) if stands_alone(&event) && self.is_paced(&event) => {
                self.produce(request, record, Purpose::POST);
            }
            Ok(prepared) => self.check(Ask::Send(request), vec![prepared]),
            Err(refusal) => self.finish(request, Err(refusal)),
        }
    }

    /// Checks all of a transaction before any of it is produced.
    pub(super) fn commit(&mut self, request: RequestId, publishes: Vec<Publish>) {
        let prepared: Result<Vec<_>, Refusal> = publishes
            .into_iter()
            .map(|publish| self.prepare(publish))
            .collect();
        match prepared {
            Ok(prepared) => self.check(Ask::Commit(request), prepared),
            Err(refusal) => self.finish(request, Err(refusal)),
        }
    }

    /// The event a SEND stands for, if it may be produced now.
    fn prepare(&self, publish: Publish) -> Result<Prepared, Refusal> {
        let member = self.member.as_ref().ok_or_else(not_signed_in)?;
        let draft = Draft {
            room: &publish.room,
            verb: publish.verb,
            id: publish.id,
            content_type: Some(match publish.content_type {
                ContentType::Text => "text/plain",
                ContentType::Json => "application/json",
            }),
            headers: publish.headers,
            body: &publish.body,
        };
        let event = draft.event(member.user.sender(), &self.gateway.limits)?;
        if !self.resends.allow(&event.key, &event.id) {
            return Err(Refusal::retry_after(
                Code::LogUnavailable,
                "an earlier message was not acknowledged, send that one again first",
                1_000,
            ));
        }
        let record = record_of(&self.gateway, &event);
        Ok(Prepared {
            request: publish.request,
            record,
            event,
        })
    }

    /// Counts an event against the user's rate. One that does not pass may yet be a retry of what another gateway sent.
    fn is_paced(&self, event: &Event) -> bool {
        let send = (&event.key, &event.id);
        let member = self.member.as_ref();
        member.is_some_and(|member| member.user.pace([send]).is_ok())
    }

    /// Counts and checks events; what is sent after them waits, so that nothing overtakes them.
    fn check(&mut self, ask: Ask, prepared: Vec<Prepared>) {
        let Some(member) = &self.member else {
            return self.finish(ask.request(), Err(not_signed_in()));
        };
        self.is_checking = true;
        let (user, caller) = (Arc::clone(&member.user), member.caller.clone());
        let gateway = Arc::clone(&self.gateway);
        self.doing.push(
            async move {
                let checked = check_all(&gateway, &user, &caller, prepared).await;
                Outcome::Checked { ask, checked }
            }
            .boxed(),
        );
    }

    pub(super) fn checked(
        &mut self,
        ask: Ask,
        checked: Result<Vec<Checked>, Refusal>,
        now_ms: u64,
    ) {
        self.is_checking = false;
        match checked {
            Ok(events) => {
                for Checked {
                    request,
                    record,
                    purpose,
                } in events
                {
                    self.produce(request, record, purpose);
                }
                if let Ask::Commit(request) = ask {
                    self.complete(request, Ok(Done::Plain), now_ms);
                }
            }
            Err(refusal) => self.complete(ask.request(), Err(refusal), now_ms),
        }
        self.let_go();
    }

    /// Submits a record; the order of these calls is the order in the log, room by room.
    fn produce(&mut self, request: RequestId, record: Record, purpose: Purpose) {
        let Some(member) = &self.member else {
            return;
        };
        let (key, id, sent_ms) = (record.key.clone(), record.id.clone(), clock::monotonic_ms());
        let gateway = Arc::clone(&self.gateway);
        let submitted = gateway.hub.produce(&member.caller, purpose, record, None);
        self.doing.push(
            async move {
                let outcome = match submitted.await {
                    Ok(acknowledgement) => gateway
                        .acknowledged(&id, acknowledgement.arrives().await)
                        .map(drop),
                    Err(refusal) => Err(refusal),
                };
                Outcome::Produced {
                    request,
                    key,
                    id,
                    sent_ms,
                    outcome,
                }
            }
            .boxed(),
        );
    }
}

// === impl Ask ===

impl Ask {
    /// The request that is told of a refusal.
    fn request(self) -> RequestId {
        match self {
            Self::Send(request) | Self::Commit(request) => request,
        }
    }
}

/// A SEND's event for the log; a client may have begun a trace.
fn record_of(gateway: &Gateway, event: &Event) -> Record {
    let traceparent = event.headers.iter().find(|(name, _)| name == "traceparent");
    let traceparent = traceparent.map(|(_, value)| value.as_str());
    Record::of(event, &gateway.origin, traceparent)
}

fn has_files(event: &Event) -> bool {
    matches!(&event.body, Body::Message(message) if !message.attachments.is_empty())
}

/// The events, if their sender is not too fast, what each is about is there, and its room agrees.
async fn check_all(
    gateway: &Gateway,
    user: &User,
    caller: &Caller,
    prepared: Vec<Prepared>,
) -> Result<Vec<Checked>, Refusal> {
    let events: Vec<&Event> = prepared.iter().map(|prepared| &prepared.event).collect();
    pace(gateway, user, caller, &events).await?;
    let mut posts: Vec<(RoomKey, Vec<MessageId>)> = Vec::new();
    let mut checked = Vec::with_capacity(prepared.len());
    for Prepared {
        request,
        mut event,
        mut record,
    } in prepared
    {
        if has_files(&event) {
            gateway.attach(&mut event).await?;
            record = record_of(gateway, &event);
        }
        let purpose = purpose_of(gateway, caller, &event).await?;
        if !matches!(purpose, Purpose::May(Action::Post)) {
            let entered = gateway.hub.enter(&event.key, caller, purpose.clone(), None);
            entered.await?;
        } else if let Some((_, ids)) = posts.iter_mut().find(|(key, _)| *key == event.key) {
            ids.push(event.id);
        } else {
            posts.push((event.key, vec![event.id]));
        }
        checked.push(Checked {
            request,
            record,
            purpose,
        });
    }
    for (key, ids) in posts {
        gateway.hub.may_post(&key, caller, ids).await?;
    }
    Ok(checked)
}
