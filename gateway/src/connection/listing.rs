//! A connection's subscriptions to its user's lists, of rooms and of friends.

use std::sync::Arc;

use futures_util::FutureExt as _;
use roomlog_core::{
    session::{AckMode, Done, Mark, RequestId, SubIndex, Subscribe},
    stomp::Envelope,
};

use super::{Connection, Outcome, requests::not_signed_in};
use crate::{hub::Subscriber, outbox::Delivery};

/// One subscription to a list.
#[derive(Debug)]
pub(super) struct Listing {
    of: Listed,
    envelope: Envelope,
    ack: AckMode,
}

/// What is on a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Listed {
    Rooms,
    Friends,
}

impl Connection {
    /// Grants a subscription to a list; by way of the event loop, as the session is being asked.
    pub(super) fn list(&mut self, subscribe: Subscribe, of: Listed) {
        if self.member.is_none() {
            return self.finish(subscribe.request, Err(not_signed_in()));
        }
        let (index, request) = (subscribe.index, subscribe.request);
        let listing = Listing {
            of,
            envelope: subscribe.envelope,
            ack: subscribe.ack,
        };
        self.listings.insert(index, listing);
        self.doing
            .push(std::future::ready(Outcome::Lists(index, request)).boxed());
    }

    /// The RECEIPT goes out before the snapshot.
    pub(super) fn lists(&mut self, index: SubIndex, request: RequestId, now_ms: u64) {
        self.complete(request, Ok(Done::Plain), now_ms);
        self.begin_listing(index);
    }

    /// Changes were dropped as the client was too slow: a snapshot takes their place.
    pub(super) fn list_anew(&mut self) {
        let indices: Vec<SubIndex> = self.listings.keys().copied().collect();
        for index in indices {
            self.begin_listing(index);
        }
    }

    fn begin_listing(&mut self, index: SubIndex) {
        let (Some(member), Some(listing)) = (&self.member, self.listings.get(&index)) else {
            return;
        };
        let subscriber = Subscriber {
            connection: self.id,
            index,
            user: member.caller.user.clone(),
            envelope: listing.envelope.clone(),
            outbox: Arc::clone(&self.outbox),
        };
        let gateway = &self.gateway;
        let begun = match listing.of {
            Listed::Rooms => gateway
                .room_lists
                .subscribe(member.caller.clone(), subscriber),
            Listed::Friends => gateway.friend_lists.subscribe(subscriber),
        };
        if let Err(refusal) = begun {
            // Silence would look like an empty list.
            self.send_away(&refusal);
        }
    }

    /// Ends a subscription; `true` if it was one to a list.
    pub(super) fn stop_listing(&mut self, index: SubIndex) -> bool {
        let (Some(member), Some(listing)) = (&self.member, self.listings.remove(&index)) else {
            return false;
        };
        let (gateway, user) = (&self.gateway, &member.caller.user);
        match listing.of {
            Listed::Rooms => gateway.room_lists.unsubscribe(user, self.id, index),
            Listed::Friends => gateway.friend_lists.unsubscribe(user, self.id, index),
        }
        true
    }

    /// Writes a part of a list; gives the delivery back where it is none.
    pub(super) fn deliver_listing(&mut self, delivery: Delivery) -> Option<Delivery> {
        let Some(listing) = self.listings.get(&delivery.index) else {
            return Some(delivery);
        };
        if listing.ack != AckMode::Auto {
            self.session
                .delivered(delivery.index, Mark::Number(delivery.seq.0));
        }
        self.wire.push(delivery.frame);
        None
    }
}
