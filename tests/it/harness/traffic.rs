//! Many senders and many followers over several gateways, who carry on through every failure and check what they see.

mod followers;
mod senders;

use std::{collections::BTreeMap, time::Duration};

pub(crate) use self::{
    followers::Followers,
    senders::{Flow, Post, Senders},
};
use super::{
    stomp::StompClient,
    user::{Room, User},
    wait::{self, within},
};

/// A gateway that says nothing for so long, not even a heart-beat, is as good as gone. It offers one a second here; the
/// rest is for two cores that other work shares, and who goes too early only comes back.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest until some gateway takes a connection again.
const RECONNECT_LIMIT: Duration = Duration::from_secs(240);
/// For thousands of messages through processes that are killed meanwhile, on two cores that other work shares.
const FLOW_LIMIT: Duration = Duration::from_secs(900);

/// One event as a follower saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) seq: u64,
    pub(crate) count: u64,
    pub(crate) id: String,
    pub(crate) kind: String,
}

/// What one follower saw of each of its rooms, in order: event n stands at index n - 1.
pub(crate) type Sight = BTreeMap<Room, Vec<Seen>>;

/// A connection to whichever gateway takes it, beginning with the one after the last.
async fn connect(user: &User, gateways: &[String], turn: &mut usize) -> StompClient {
    within("a gateway to take a connection", RECONNECT_LIMIT, async {
        loop {
            let gateway = &gateways[*turn % gateways.len()];
            *turn += 1;
            match StompClient::try_connect_beating(gateway, &user.token).await {
                Ok(client) => return client,
                Err(_) => wait::a_moment().await,
            }
        }
    })
    .await
}

/// The ids of the messages among what was seen.
pub(crate) fn message_ids(events: &[Seen]) -> Vec<&str> {
    let messages = events.iter().filter(|event| event.kind == "message");
    messages.map(|event| event.id.as_str()).collect()
}
