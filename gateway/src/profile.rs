//! How a user is shown: changed in one place, and seen at once in every room they are in and on every gateway.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body, Event, MemberChange, MemberEvent},
    ids::RoomId,
};
use roomlog_platform::dynamo::{ProfileChange, UserRow};

use crate::{
    accounts::store_refusal,
    bulletin::Note,
    clock,
    gateway::Gateway,
    hub::{Caller, Purpose},
    publish::{Record, fresh_id},
    users::{Profile, User},
};

/// Rooms told of a change at the same time. The user's other rooms wait: none of them is of more use than another.
const ROOMS_AT_ONCE: usize = 16;

impl Gateway {
    /// Changes how a user is shown. Their rooms learn of a new name or picture by an event each, which follow.
    pub(crate) async fn change_profile(
        self: &Arc<Self>,
        user: &Arc<User>,
        change: &ProfileChange,
    ) -> Result<UserRow, Refusal> {
        let failed = |error| store_refusal(&error);
        let store = &self.source.store;
        let row = match store.update_user(&user.id, change).await.map_err(failed)? {
            Some(row) => Some(row),
            None => {
                // They are known from a token alone, and their row is not written yet.
                let name = user.profile().name.clone();
                let row = UserRow::new(user.id.clone(), name, clock::unix_ms_signed());
                store.create_user(&row).await.map_err(failed)?;
                store.update_user(&user.id, change).await.map_err(failed)?
            }
        };
        let row = row.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such user"))?;
        let shown = Profile::of(&row);
        if *user.profile() != shown {
            user.set_profile(shown);
            let note = Note::Profile(user.id.clone(), clock::unix_ms());
            self.announce(note).await?;
            tokio::spawn(show_in_rooms(Arc::clone(self), Arc::clone(user)));
        }
        Ok(row)
    }
}

/// Tells every room the user is in. What fails is only not live: the next event of theirs carries the name too.
async fn show_in_rooms(gateway: Arc<Gateway>, user: Arc<User>) {
    let caller = Caller {
        user: user.id.clone(),
        is_admin: false,
    };
    // Their list has the rooms they joined a moment ago as well, which the store may not have yet.
    let rooms = match gateway.room_lists.show(caller).await {
        Ok(rooms) => rooms,
        Err(refusal) => {
            tracing::warn!(%refusal, "a changed profile is not shown live");
            return;
        }
    };
    let rooms = rooms.into_iter().filter_map(|item| item.key.room());
    let (gateway, user) = (&*gateway, &*user);
    stream::iter(rooms)
        .for_each_concurrent(ROOMS_AT_ONCE, |room| async move {
            if let Err(refusal) = show_in(gateway, user, room).await {
                tracing::debug!(%refusal, "a changed profile is not shown live in a room");
            }
        })
        .await;
}

async fn show_in(gateway: &Gateway, user: &User, room: RoomId) -> Result<(), Refusal> {
    let event = Event {
        key: room.into(),
        id: fresh_id(),
        sender: user.sender(),
        body: Body::Member(MemberEvent {
            user: user.id.clone(),
            change: MemberChange::Profile,
        }),
        headers: Vec::new(),
        by_admin: false,
    };
    let caller = Caller {
        user: user.id.clone(),
        is_admin: false,
    };
    let record = Record::of(&event, &gateway.origin, None);
    let id = event.id.clone();
    let purpose = Purpose::Change(Box::new(event));
    let produced = gateway.hub.produce(&caller, purpose, record, None).await?;
    gateway.acknowledged(&id, produced.arrives().await)?;
    Ok(())
}
