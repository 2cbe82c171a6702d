//! Notices to everyone. Who says one is answered once the store has it; from then on it comes into every inbox, whatever
//! becomes of the gateway that took it.
//!
//! Every gateway knows of the notices under way by the bulletin. One at a time is at a notice, holds it for a while, and
//! notes after each page of users how far it has come; when it is gone somebody else goes on from there. The users of
//! one page may be told twice, which shows once: a letter's id follows from its notice.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use roomlog_core::{
    code::{Code, Refusal},
    event::Sender,
    ids::UserId,
    inbox::{About, Letter},
};
use roomlog_platform::{dynamo::NoticeRow, shutdown::Shutdown};
use tokio::sync::Notify;

use crate::{accounts::store_refusal, bulletin::Note, clock, gateway::Gateway};

/// How long who is at a notice has for one page, before somebody else goes on with it.
const HOLD_MS: u64 = 30_000;
/// Users of one page: what is done twice at most after a crash, and a fraction of [`HOLD_MS`] at any pace.
const PAGE_USERS: u16 = 500;
/// Letters that are under way at the same time.
const LETTERS_AT_ONCE: usize = 64;
/// How often it is announced again that a notice is under way: gateways that start later read the announcements of the
/// last minutes only, and many users take longer than that.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether a notice was left by the one who was at it.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// For how long a notice is told at most: letters are known to be repeats for a day.
const KEPT_S: u64 = 86_400;
/// Notices under way that are followed here. Beyond it a new one is refused, and those of others are left to them.
const NOTICES_MAX: usize = 1_000;

/// Its sender, and the id they chose.
type Name = (UserId, String);

/// The notices that may not have come to everyone.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    open: Mutex<BTreeSet<Name>>,
    news: Notify,
}

// === impl Notices ===

impl Notices {
    /// Takes one that is under way, so that it is brought to its end from here if need be. `false` if there are too many.
    pub(crate) fn note(&self, sender: UserId, id: String) -> bool {
        let mut open = self.lock();
        let name = (sender, id);
        if open.len() >= NOTICES_MAX && !open.contains(&name) {
            return false;
        }
        open.insert(name);
        self.news.notify_one();
        true
    }

    /// Brings them to their ends until the stop.
    pub(crate) async fn follow(gateway: Arc<Gateway>, stop: Shutdown) {
        loop {
            tokio::select! {
                () = gateway.notices.news.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.begun() => return,
            }
            tokio::select! {
                () = go_on_with_all(&gateway) => {}
                () = stop.begun() => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Name>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Gateway ===

impl Gateway {
    /// Takes a notice to everyone. The same again goes on where it is.
    pub(crate) async fn tell_everyone(
        &self,
        sender: Sender,
        text: String,
        id: &str,
    ) -> Result<(), Refusal> {
        let notice = NoticeRow {
            id: id.to_owned(),
            sender,
            text,
            after: None,
            busy_until_ms: 0,
            expires_at_s: clock::unix_ms() / 1_000 + KEPT_S,
        };
        let kept = self.source.store.keep_notice(&notice).await;
        kept.map_err(|error| store_refusal(&error))?;
        let user = notice.sender.id;
        self.announce(Note::Notice(user.clone(), notice.id.clone()))
            .await?;
        match self.notices.note(user, notice.id) {
            true => Ok(()),
            false => Err(Refusal::retry_after(
                Code::Overloaded,
                "too many notices are under way",
                HOLD_MS,
            )),
        }
    }
}

async fn go_on_with_all(gateway: &Gateway) {
    let open: Vec<Name> = gateway.notices.lock().iter().cloned().collect();
    for name in open {
        match go_on(gateway, &name).await {
            Ok(true) => {
                gateway.notices.lock().remove(&name);
            }
            Ok(false) => {}
            Err(refusal) => tracing::warn!(%refusal, "a notice to everyone waits"),
        }
    }
}

/// Tells those who were not told yet, unless somebody else is at it; `true` once there are none.
async fn go_on(gateway: &Gateway, (sender, id): &Name) -> Result<bool, Refusal> {
    let store = &gateway.source.store;
    let notice = store.notice(sender, id).await;
    let Some(mut notice) = notice.map_err(|error| store_refusal(&error))? else {
        return Ok(true);
    };
    if notice.busy_until_ms > clock::unix_ms() {
        return Ok(false);
    }
    let mut announced: Option<Instant> = None;
    loop {
        if announced.is_none_or(|at| at.elapsed() >= ANNOUNCE_EVERY) {
            gateway
                .announce(Note::Notice(sender.clone(), id.clone()))
                .await?;
            announced = Some(Instant::now());
        }
        let until_ms = clock::unix_ms() + HOLD_MS;
        let is_ours = store.move_notice(&notice, until_ms).await;
        if !is_ours.map_err(|error| store_refusal(&error))? {
            return Ok(false);
        }
        notice.busy_until_ms = until_ms;
        let page = store.everyone(notice.after.as_deref(), PAGE_USERS).await;
        let page = page.map_err(|error| store_refusal(&error))?;
        tell(gateway, &notice, page.users).await?;
        if page.next.is_none() {
            let ended = store.end_notice(sender, id).await;
            ended.map_err(|error| store_refusal(&error))?;
            tracing::info!(target: "audit", user = %sender, "a notice went to everyone");
            return Ok(true);
        }
        notice.after = page.next;
    }
}

/// Puts the notice into these inboxes.
async fn tell(gateway: &Gateway, notice: &NoticeRow, readers: Vec<UserId>) -> Result<(), Refusal> {
    let letter = Letter {
        text: notice.text.clone(),
        ..Letter::of_people(About::Notice)
    };
    let cause = format!("everyone/{}", notice.id);
    let letters = stream::iter(readers).map(|reader| {
        let (sender, letter, cause) = (notice.sender.clone(), letter.clone(), &cause);
        async move { gateway.leave_letter(&reader, sender, letter, cause).await }
    });
    letters
        .buffer_unordered(LETTERS_AT_ONCE)
        .try_for_each(|()| std::future::ready(Ok(())))
        .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn beyond_so_many_notices_a_new_one_is_refused_and_a_known_one_is_not() {
        let notices = Notices::default();
        let warden = UserId::parse("warden").unwrap();
        let note = |number: usize| notices.note(warden.clone(), number.to_string());
        assert!((0..NOTICES_MAX).all(note));
        assert!(!note(NOTICES_MAX));
        assert!(note(0));
        let first = (warden.clone(), "0".to_owned());
        assert!(notices.lock().remove(&first));
        assert!(note(NOTICES_MAX));
    }
}
