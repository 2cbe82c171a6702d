//! What a connection does with signals: it sends some, and listens to those of rooms.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use roomlog_core::{
    code::{Code, Refusal},
    ids::RoomKey,
    session::{AckMode, Done, Mark, Publish, RequestId, SubIndex, Subscribe, Verb},
    signal::Signal,
    stomp::Envelope,
};
use serde::Deserialize;

use super::{Connection, Outcome, requests::not_signed_in};
use crate::{
    hub::{Purpose, Subscriber},
    outbox::Delivery,
};

/// One subscription to a room's signals.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) key: RoomKey,
    pub(super) envelope: Envelope,
    ack: AckMode,
    /// Whether it was granted.
    is_granted: bool,
}

/// The body of a typing signal; an empty one says yes.
#[derive(Deserialize)]
struct TypingJson {
    #[serde(default = "yes")]
    on: bool,
}

fn yes() -> bool {
    true
}

impl Connection {
    /// Begins to grant a subscription to a room's signals.
    pub(super) fn listen(&mut self, subscribe: Subscribe, key: RoomKey) {
        let Some(member) = &self.member else {
            return self.finish(subscribe.request, Err(not_signed_in()));
        };
        let (index, request) = (subscribe.index, subscribe.request);
        let (gateway, caller) = (Arc::clone(&self.gateway), member.caller.clone());
        let listening = Listening {
            key: key.clone(),
            envelope: subscribe.envelope,
            ack: subscribe.ack,
            is_granted: false,
        };
        self.listening.insert(index, listening);
        self.doing.push(
            async move {
                let entered = gateway.hub.enter(&key, &caller, Purpose::READ, None).await;
                Outcome::Granted(index, request, entered.map(drop))
            }
            .boxed(),
        );
    }

    /// A subscription was granted or not: the RECEIPT goes out before its snapshot.
    pub(super) fn granted(
        &mut self,
        index: SubIndex,
        request: RequestId,
        granted: Result<(), Refusal>,
        now_ms: u64,
    ) {
        if granted.is_err() {
            self.listening.remove(&index);
        }
        self.complete(request, granted.map(|()| Done::Plain), now_ms);
        if let Some(listening) = self.listening.get_mut(&index) {
            listening.is_granted = true;
            self.begin_listening(index);
        }
    }

    /// Signals were dropped as the client was too slow: all its subscriptions to signals begin anew.
    pub(super) fn begin_anew(&mut self) {
        let granted = self.listening.iter().filter(|(_, it)| it.is_granted);
        let indices: Vec<SubIndex> = granted.map(|(index, _)| *index).collect();
        for index in indices {
            self.begin_listening(index);
        }
    }

    fn begin_listening(&mut self, index: SubIndex) {
        let (Some(member), Some(listening)) = (&self.member, self.listening.get(&index)) else {
            return;
        };
        let (gateway, caller) = (Arc::clone(&self.gateway), member.caller.clone());
        let key = listening.key.clone();
        let subscriber = Subscriber {
            connection: self.id,
            index,
            user: caller.user.clone(),
            envelope: listening.envelope.clone(),
            outbox: Arc::clone(&self.outbox),
        };
        self.doing.push(
            async move {
                let listens = gateway.hub.listen(&key, &caller, subscriber).await;
                Outcome::Listens(index, listens)
            }
            .boxed(),
        );
    }

    pub(super) fn listens(&mut self, index: SubIndex, listens: Result<(), Refusal>) {
        match listens {
            Err(refusal) if refusal.retry_after_ms.is_some() => {
                // Silence would look like a quiet room.
                if self.listening.contains_key(&index) {
                    self.send_away(&refusal);
                }
            }
            // The membership ended meanwhile, and with it what may be heard.
            Err(_) | Ok(()) => {}
        }
    }

    /// Writes a signal, if the delivery is one.
    pub(super) fn deliver_signal(&mut self, delivery: Delivery) {
        let Some(listening) = self.listening.get(&delivery.index) else {
            return;
        };
        if listening.ack != AckMode::Auto {
            self.session
                .delivered(delivery.index, Mark::Number(delivery.seq.0));
        }
        self.wire.push(delivery.frame);
    }

    /// Carries out a SEND of a signal.
    pub(super) fn signal(&mut self, publish: Publish, now_ms: u64) {
        let Some(member) = &self.member else {
            return self.finish(publish.request, Err(not_signed_in()));
        };
        let (gateway, caller) = (Arc::clone(&self.gateway), member.caller.clone());
        let (request, key) = (publish.request, RoomKey::from(&publish.room));
        let (connection, looks) = (self.id, publish.verb == Verb::Focus);
        if publish.verb != Verb::Typing {
            self.looking.turn(&key, looks);
        }
        let typing = match publish.verb {
            Verb::Typing => match typing(&publish.body) {
                Ok(on) if self.typing.is_news(&publish.room, on, now_ms) => Some(on),
                Ok(_) => return self.finish(request, Ok(Done::Plain)),
                Err(refusal) => return self.finish(request, Err(refusal)),
            },
            _ => None,
        };
        self.doing.push(
            async move {
                let outcome = match typing {
                    Some(on) => {
                        let user = caller.user.clone();
                        gateway
                            .hub
                            .signal(&key, &caller, Signal::Typing { user, on })
                            .await
                    }
                    None => {
                        let entered = gateway.hub.enter(&key, &caller, Purpose::READ, None).await;
                        if entered.is_ok() {
                            let user = &caller.user;
                            gateway.presence.focus(user, connection, &key, looks);
                        }
                        entered.map(drop)
                    }
                };
                Outcome::Completed(request, outcome.map(|()| Done::Plain))
            }
            .boxed(),
        );
    }
}

fn typing(body: &Bytes) -> Result<bool, Refusal> {
    if body.is_empty() {
        return Ok(true);
    }
    serde_json::from_slice(body)
        .map(|TypingJson { on }| on)
        .map_err(|_| {
            Refusal::new(
                Code::BadRequest,
                "expected an empty body or {\"on\":true or false}",
            )
        })
}
