//! Inboxes: letters the gateway itself sends, and how far their readers are. Letters that follow from events of rooms
//! are the persister's.

use roomlog_core::{
    code::Refusal,
    event::Sender,
    ids::{Count, RoomKey, Seq, UserId},
    inbox::{About, Letter},
    signal::Signal,
    unread::ReadPosition,
};
use roomlog_platform::dynamo::ReadMark;

use crate::{
    accounts::store_refusal,
    gateway::Gateway,
    hub::{Caller, Purpose},
    publish::Record,
    room_list::Heard,
};

impl Gateway {
    /// Puts a letter into somebody's inbox. Again for the same cause, it is there once.
    pub(crate) async fn leave_letter(
        &self,
        reader: &UserId,
        sender: Sender,
        letter: Letter,
        cause: &str,
    ) -> Result<(), Refusal> {
        let caller = Caller {
            user: sender.id.clone(),
            is_admin: false,
        };
        let event = letter.to(reader, sender, cause);
        let record = Record::of(&event, &self.origin, None);
        let produced = self.hub.produce(&caller, Purpose::Leave, record, None);
        self.acknowledged(&event.id, produced.await?.arrives().await)?;
        Ok(())
    }

    /// Tells somebody that a user wants to be friends, or agreed to.
    pub(crate) async fn tell_of_friend(
        &self,
        reader: &UserId,
        sender: Sender,
        accepted: bool,
        since_ms: i64,
    ) -> Result<(), Refusal> {
        let cause = format!("{}/{reader}/{since_ms}/{accepted}", sender.id);
        let letter = Letter {
            accepted,
            ..Letter::of_people(About::FriendRequest)
        };
        self.leave_letter(reader, sender, letter, &cause).await
    }

    /// How far a user's inbox goes, and how far they have read it. Every letter counts, so that a letter's number is
    /// its seq.
    pub(crate) async fn inbox(&self, caller: &Caller) -> Result<(Seq, Seq), Refusal> {
        let key = RoomKey::inbox(&caller.user);
        let entered = self.hub.enter(&key, caller, Purpose::READ, None).await?;
        let row = [(key, caller.user.clone())];
        let rows = self.source.store.members_among(&row).await;
        let rows = rows.map_err(|error| store_refusal(&error))?;
        let read = rows.first().map_or(Seq::ZERO, |(_, row)| row.read_seq);
        Ok((entered.head, read.min(entered.head)))
    }

    /// Marks an inbox read. Unlike a room's marks nobody else sees these, so that they go to the store directly. The
    /// user's devices hear of it here and as a signal elsewhere; what is lost on the way is read again.
    pub(crate) async fn mark_inbox(
        &self,
        key: &RoomKey,
        user: &UserId,
        seq: Seq,
    ) -> Result<(), Refusal> {
        let at = ReadPosition::at(seq, Count(seq.0));
        let mark = ReadMark {
            key: key.clone(),
            user: user.clone(),
            seq: at.seq,
            count: at.count,
        };
        let moved = self.source.store.move_reads(&[mark]).await;
        moved.map_err(|error| store_refusal(&error))?;
        self.source.ear.tell(Heard::Read {
            key: key.clone(),
            user: user.clone(),
            position: at,
        });
        let signal = Signal::Read {
            user: user.clone(),
            seq: at.seq,
            count: at.count,
        };
        self.source.links.signal(key, signal);
        Ok(())
    }
}
