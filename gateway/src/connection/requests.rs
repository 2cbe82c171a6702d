//! Carries out what a session asks for, and tells it what came of it.

use std::sync::Arc;

use axum::extract::ws::close_code;
use futures_util::FutureExt as _;
use roomlog_core::{
    code::{Code, Refusal},
    ids::{RoomId, RoomKey, Seq},
    presence::Ending,
    session::{Action, Credential, Done, Publish, RequestId, SubIndex, Subscribe, Topic, Verb},
};
use roomlog_schemas::json;

use super::{
    Connection, Member, Outcome,
    listing::Listed,
    subscription::{self, Subscription},
};
use crate::{
    auth::{AuthError, Identity, Verifier},
    clock,
    gateway::Gateway,
    hub::Caller,
    users::{Socket, User},
};

impl Connection {
    pub(super) fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.carry_out(action);
        }
    }

    pub(super) fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send(frame) => self.write(frame),
            Action::Authenticate { credential } => self.authenticate(credential),
            Action::Reauthenticate {
                request,
                credential,
            } => self.reauthenticate(request, credential),
            Action::Publish(_) | Action::Commit { .. } => {
                self.deferred.push(action);
                self.let_go();
            }
            Action::Subscribe(subscribe) => self.subscribe(subscribe),
            Action::Unsubscribe { request, index } => self.unsubscribe(request, index),
            Action::MarkRead {
                request,
                topic,
                seq,
            } => match topic {
                Topic::Room(room) => self.mark_read(request, (&room).into(), seq),
                Topic::Inbox => match self.inbox() {
                    Some(key) => self.mark_read(request, key, seq),
                    None => self.finish(request, Err(not_signed_in())),
                },
                _ => self.finish(request, Ok(Done::Plain)),
            },
            Action::Close { code, reason } => {
                if code == close_code::NORMAL {
                    self.ending = Ending::Explicit;
                }
                self.closing = Some((code, reason));
            }
        }
    }

    pub(super) fn conclude(&mut self, outcome: Outcome, now_ms: u64) {
        match outcome {
            Outcome::SignedIn(Ok((user, identity))) => self.signed_in(user, &identity, now_ms),
            Outcome::SignedIn(Err(error)) => {
                tracing::info!(%error, "a sign-in was refused");
                self.send_away(&error.refusal());
            }
            Outcome::Completed(request, outcome) => self.complete(request, outcome, now_ms),
            Outcome::Begun(index, request, begun) => self.begun(index, request, begun, now_ms),
            Outcome::Pulled(index, batch) => self.pulled(index, batch, now_ms),
            Outcome::Granted(index, request, granted) => {
                self.granted(index, request, granted, now_ms)
            }
            Outcome::Lists(index, request) => self.lists(index, request, now_ms),
            Outcome::Listens(index, listens) => self.listens(index, listens),
            Outcome::Produced {
                request,
                key,
                id,
                sent_ms,
                outcome,
            } => {
                match &outcome {
                    Ok(()) => {
                        crate::metrics::receipt(sent_ms);
                        self.resends.acknowledged(&key, &id);
                    }
                    Err(refusal) if refusal.code == Code::LogUnavailable => {
                        self.resends.unknown(key, id);
                    }
                    Err(_) => {}
                }
                self.complete(request, outcome.map(|()| Done::Plain), now_ms);
            }
            Outcome::Marked(unmarked) => self.marked(unmarked),
            Outcome::Checked { ask, checked } => self.checked(ask, checked, now_ms),
        }
    }

    /// Completes a request that needs nothing from outside. By way of the event loop, since the session is not to be
    /// called while its actions are carried out.
    pub(super) fn finish(&mut self, request: RequestId, outcome: Result<Done, Refusal>) {
        self.doing
            .push(std::future::ready(Outcome::Completed(request, outcome)).boxed());
    }

    fn authenticate(&mut self, credential: Option<Credential>) {
        let (gateway, upgraded) = (Arc::clone(&self.gateway), self.upgraded.clone());
        self.upgraded.ticket = None;
        self.doing.push(
            async move {
                let signed_in = match (upgraded.identity, credential, upgraded.ticket) {
                    (Some(identity), ..) => Ok(identity),
                    (None, Some(credential), _) => check(&gateway, &credential).await,
                    (None, None, Some(ticket)) => {
                        let now_s = clock::unix_ms() / 1_000;
                        let tickets = &gateway.tickets;
                        tickets.redeem(&ticket, &gateway.source, now_s).await
                    }
                    (None, None, None) => Err(AuthError::Malformed),
                };
                Outcome::SignedIn(match signed_in {
                    Ok(identity) => {
                        let user = gateway.user_of(&identity).await;
                        Ok((user, identity))
                    }
                    Err(error) => Err(error),
                })
            }
            .boxed(),
        );
    }

    fn signed_in(&mut self, user: Arc<User>, identity: &Identity, now_ms: u64) {
        let socket = Socket {
            id: self.id,
            session: identity.session.clone(),
            outbox: Arc::downgrade(&self.outbox),
        };
        let seat = match self.gateway.users.seat(&user, socket) {
            Ok(seat) => seat,
            Err(refusal) => return self.send_away(&refusal),
        };
        // Only now, as from here on the end of the sign-in finds this connection.
        if self.gateway.users.ended.holds(identity) {
            return self.send_away(&AuthError::SignedOut.refusal());
        }
        let caller = Caller {
            user: user.id.clone(),
            is_admin: identity.is_admin,
        };
        let expires_ms = clock::monotonic_of_unix_s(identity.expires_at_s);
        let actions = self
            .session
            .authenticated(&user.id, Some(expires_ms), now_ms);
        self.gateway.presence.open(&user.id, self.id);
        self.member = Some(Member {
            user,
            caller,
            _seat: seat,
        });
        self.perform(actions);
    }

    fn reauthenticate(&mut self, request: RequestId, credential: Credential) {
        let Some(member) = &self.member else {
            return;
        };
        let (gateway, user, connection) =
            (Arc::clone(&self.gateway), Arc::clone(&member.user), self.id);
        self.doing.push(
            async move {
                let outcome = match check(&gateway, &credential).await {
                    Ok(identity) if identity.user == user.id => {
                        user.rebind(connection, identity.session);
                        Ok(Done::Authenticated {
                            expires_at_ms: Some(clock::monotonic_of_unix_s(identity.expires_at_s)),
                        })
                    }
                    Ok(_) => Err(Refusal::new(
                        Code::Unauthenticated,
                        "the token is another user's",
                    )),
                    Err(error) => Err(error.refusal()),
                };
                Outcome::Completed(request, outcome)
            }
            .boxed(),
        );
    }

    /// Carries out what waits for nothing any more. Whoever subscribes and sends at once sees what was sent, as it comes
    /// after the subscription's head.
    pub(super) fn let_go(&mut self) {
        while !self.is_checking {
            let starting = &self.starting;
            let is_held = |room: &RoomId| {
                starting
                    .iter()
                    .any(|(_, key)| key.as_str() == room.as_str())
            };
            match self.deferred.pop(is_held) {
                Some(Action::Publish(publish)) => self.publish(publish),
                Some(Action::Commit { request, publishes }) => self.commit(request, publishes),
                _ => return,
            }
        }
    }

    fn publish(&mut self, publish: Publish) {
        let request = publish.request;
        match publish.verb {
            Verb::Post | Verb::Edit | Verb::Delete | Verb::React => self.send_event(publish),
            Verb::Read => match json::parse_read(&publish.body) {
                Ok(seq) => self.mark_read(request, (&publish.room).into(), seq),
                Err(refusal) => self.finish(request, Err(refusal)),
            },
            Verb::Typing | Verb::Focus | Verb::Unfocus => {
                self.signal(publish, clock::monotonic_ms());
            }
        }
    }

    fn subscribe(&mut self, subscribe: Subscribe) {
        if let Err(empty) = self.subscribes.take(1) {
            return self.finish(subscribe.request, Err(empty.into()));
        }
        match &subscribe.topic {
            Topic::Rooms => return self.list(subscribe, Listed::Rooms),
            Topic::Friends => return self.list(subscribe, Listed::Friends),
            Topic::Signals(room) => {
                let key = RoomKey::from(room);
                return self.listen(subscribe, key);
            }
            _ => {}
        }
        let Subscribe {
            request,
            index,
            topic,
            start,
            envelope,
            ack,
        } = subscribe;
        let key = match topic {
            Topic::Room(room) => Some(RoomKey::from(room)),
            Topic::Inbox => self.inbox(),
            _ => None,
        };
        let (Some(key), Some(member)) = (key, &self.member) else {
            let refusal = Refusal::new(
                Code::BadDestination,
                "this server does not serve this destination",
            );
            return self.finish(request, Err(refusal));
        };
        self.starting.push((index, key.clone()));
        let starting = Subscription::starting(key.clone(), envelope, ack);
        self.subscriptions.insert(index, starting);
        let (gateway, caller) = (Arc::clone(&self.gateway), member.caller.clone());
        self.doing.push(
            async move {
                let begun = subscription::begin(&gateway, &caller, &key, start).await;
                Outcome::Begun(index, request, begun)
            }
            .boxed(),
        );
    }

    /// The log of the user's own letters.
    fn inbox(&self) -> Option<RoomKey> {
        let member = self.member.as_ref()?;
        Some(RoomKey::inbox(&member.user.id))
    }

    /// From here on nothing is written for this subscription, whatever is still under way.
    fn unsubscribe(&mut self, request: RequestId, index: SubIndex) {
        if self.stop_listing(index) {
            return self.finish(request, Ok(Done::Plain));
        }
        let events = self.subscriptions.remove(&index);
        let events = events.map(|it| (it.key, it.envelope));
        let signals = self.listening.remove(&index);
        let signals = signals.map(|it| (it.key, it.envelope));
        let Some((key, envelope)) = events.or(signals) else {
            return self.finish(request, Ok(Done::Plain));
        };
        self.catches_up(index);
        let (gateway, connection) = (Arc::clone(&self.gateway), self.id);
        self.doing.push(
            async move {
                gateway.hub.leave(key, connection, index, envelope).await;
                Outcome::Completed(request, Ok(Done::Plain))
            }
            .boxed(),
        );
    }

    fn mark_read(&mut self, request: RequestId, key: RoomKey, seq: Seq) {
        let Some(member) = &self.member else {
            return self.finish(request, Err(not_signed_in()));
        };
        let (gateway, caller) = (Arc::clone(&self.gateway), member.caller.clone());
        self.doing.push(
            async move {
                let marked = gateway.mark_read(&caller, &key, seq).await;
                Outcome::Completed(request, marked.map(|_| Done::Plain))
            }
            .boxed(),
        );
    }
}

async fn check(gateway: &Gateway, credential: &Credential) -> Result<Identity, AuthError> {
    let token = match credential {
        Credential::Authorization(value) => Verifier::bearer(value.expose())?,
        Credential::Passcode(token) => token.expose(),
    };
    gateway.identify(token).await
}

pub(super) fn not_signed_in() -> Refusal {
    Refusal::new(Code::Unauthenticated, "not signed in")
}
