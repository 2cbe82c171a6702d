//! Checks what an event says about earlier events before it is produced, and whether it is one of them.

use roomlog_core::{
    amendment::Amendments,
    code::{Code, Refusal},
    event::{Body, Event},
    ids::{RoomKey, Seq},
    permission::Action,
};

use crate::{
    gateway::Gateway,
    hub::{Caller, Purpose, Scope, Targets, amend, find_recent, fresh_head, page_to_show},
    rate::{Empty, Left},
    users::User,
};

/// Counts events against their sender's rate; retries are free. Where the rate is used up, those that went by another
/// gateway are looked for among the latest events of their rooms.
///
/// # Errors
/// When one of them is no retry, or can't be told to be one.
pub(crate) async fn pace(
    gateway: &Gateway,
    user: &User,
    caller: &Caller,
    events: &[&Event],
) -> Result<Option<Left>, Empty> {
    let sends = || events.iter().map(|event| (&event.key, &event.id));
    let empty = match user.pace(sends()) {
        Err(empty) => empty,
        counted => return counted,
    };
    for event in events {
        if !user.may_look() {
            return Err(empty);
        }
        let entered = gateway.hub.enter(&event.key, caller, Purpose::READ, None);
        let is_there = match entered.await {
            Ok(entered) => is_retry(gateway, event, entered.head).await,
            Err(_) => false,
        };
        if !is_there {
            return Err(empty);
        }
        user.recognise((&event.key, &event.id));
    }
    user.pace(sends())
}

/// Whether an event can be produced without a look at earlier ones.
pub(crate) fn stands_alone(event: &Event) -> bool {
    match &event.body {
        Body::Message(message) => message.reply_to.is_none() && message.attachments.is_empty(),
        Body::Edit { .. } | Body::Delete { .. } | Body::Reaction { .. } => false,
        _ => true,
    }
}

/// What the sender of an event wants to do in the room. Whether they may is the room's to say.
///
/// # Errors
/// `not-found` where the message to be changed does not exist, `bad-request` where the one that is answered does not,
/// `conflict` where the message was deleted, and those of entering the room.
pub(crate) async fn purpose_of(
    gateway: &Gateway,
    caller: &Caller,
    event: &Event,
) -> Result<Purpose, Refusal> {
    let wish = match &event.body {
        Body::Message(message) => {
            if let Some(reply_to) = message.reply_to {
                let head = head_for(gateway, caller, &event.key, reply_to).await?;
                if reply_to > head {
                    let message = "reply_to is no event of this room";
                    return Err(Refusal::new(Code::BadRequest, message));
                }
            }
            return Ok(Purpose::POST);
        }
        Body::Edit { target, .. } => (*target, Action::EditOwn, Action::EditOthers),
        Body::Delete { target } => (*target, Action::DeleteOwn, Action::DeleteOthers),
        Body::Reaction { target, .. } => (*target, Action::React, Action::React),
        _ => return Ok(Purpose::POST),
    };
    let (target, own, other) = wish;
    let head = head_for(gateway, caller, &event.key, target).await?;
    let (key, source) = (&event.key, &gateway.source);
    if target > head {
        return Err(no_such_message());
    }
    let found = page_to_show(source, key, target, target).await;
    let found = found.and_then(|events| events.into_iter().next());
    let found = found.ok_or_else(|| {
        Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
    })?;
    let author = found.event.as_ref().map(|event| &event.sender.id);
    let author = author.filter(|_| found.stored.kind.is_amendable());
    let is_own = *author.ok_or_else(no_such_message)? == caller.user;
    if is_deleted(gateway, key, target, head).await && !is_retry(gateway, event, head).await {
        return Err(Refusal::new(Code::Conflict, "this message was deleted"));
    }
    Ok(Purpose::May(if is_own { own } else { other }))
}

/// The room's head; asks an owner where the client has heard of an event before this gateway.
async fn head_for(
    gateway: &Gateway,
    caller: &Caller,
    key: &RoomKey,
    event: Seq,
) -> Result<Seq, Refusal> {
    let entered = gateway.hub.enter(key, caller, Purpose::READ, None).await?;
    if event <= entered.head {
        return Ok(entered.head);
    }
    Ok(fresh_head(&gateway.source, key).await?.seq)
}

/// Whether a message is known to be deleted. Where that can't be told the change goes ahead: it changes nothing then.
async fn is_deleted(gateway: &Gateway, key: &RoomKey, target: Seq, head: Seq) -> bool {
    let mut known = Amendments::default();
    let targets = Targets::one(target);
    amend(
        &gateway.source,
        key,
        &targets,
        head,
        Scope::Patches,
        &mut known,
    )
    .await;
    known.deletion(target).is_some()
}

/// Whether the very event happened already: its sender did not hear of it, or asks twice.
async fn is_retry(gateway: &Gateway, event: &Event, head: Seq) -> bool {
    let name = (event.sender.id.as_str(), event.id.as_str());
    find_recent(&gateway.source, &event.key, head, name)
        .await
        .is_some()
}

fn no_such_message() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such message")
}
