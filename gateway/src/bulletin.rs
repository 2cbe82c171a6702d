//! What gateways tell each other about users: who signed out, who is shown in another way, and what somebody says to all.

use std::{collections::HashSet, sync::Arc, time::Duration};

use roomlog_core::{code::Refusal, ids::UserId};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::{BULLETIN_MS, Bulletin, StoreError},
    shutdown::Shutdown,
};

use crate::{accounts::store_refusal, auth::Ending, clock, gateway::Gateway, users::Profile};

/// How often the bulletin is read: what it says is so on every gateway within this time and a read, below the 5 s
/// a sign-out may take.
const READ_EVERY: Duration = Duration::from_secs(2);
/// Stretches read again, and ahead: the clocks of two gateways may differ by one stretch.
const SKEW_STRETCHES: u64 = 2;
/// How long a note is kept beyond the last token it may concern.
const MARGIN_S: u64 = 300;
/// The waits between two tries to read it at the start.
const RETRY_FLOOR: Duration = Duration::from_millis(100);
const RETRY_CEILING: Duration = Duration::from_secs(2);

/// One thing gateways tell each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// Sign-ins are over.
    Ended(Ending),
    /// A user is shown in another way, since this moment in milliseconds since the Unix epoch.
    Profile(UserId, u64),
    /// A notice of this user's to everyone is under way, by its id.
    Notice(UserId, String),
}

/// What was read of the bulletin.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Everything before it was read.
    read_to: Option<Bulletin>,
    /// The notes of the last read, so that each is acted on once.
    seen: HashSet<String>,
}

// === impl Note ===

impl Note {
    fn to_text(&self) -> String {
        match self {
            Self::Ended(Ending::One(user, session)) => format!("ended/{user}/{session}"),
            Self::Ended(Ending::Before(user, version)) => format!("ended-before/{user}/{version}"),
            Self::Profile(user, at_ms) => format!("profile/{user}/{at_ms}"),
            Self::Notice(user, id) => format!("notice/{user}/{id}"),
        }
    }

    /// `None` for what a later version of this program wrote.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let (kind, user, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let user = UserId::parse(user).ok()?;
        match kind {
            "ended" => Some(Self::Ended(Ending::One(user, rest.into()))),
            "ended-before" => Some(Self::Ended(Ending::Before(user, rest.parse().ok()?))),
            "profile" => Some(Self::Profile(user, rest.parse().ok()?)),
            "notice" => Some(Self::Notice(user, rest.into())),
            _ => None,
        }
    }
}

// === impl Gateway ===

impl Gateway {
    /// Acts on a note here, and tells every other gateway.
    pub(crate) async fn announce(&self, note: Note) -> Result<(), Refusal> {
        let now_ms = clock::unix_ms();
        if let Note::Ended(ending) = &note {
            self.users.end(ending, self.notes_until_s(now_ms));
        }
        self.source
            .store
            .post_note(
                Bulletin::at(now_ms),
                &note.to_text(),
                self.notes_until_s(now_ms),
            )
            .await
            .map_err(|error| store_refusal(&error))
    }

    /// Until when a note of now matters: every token of before is over then.
    fn notes_until_s(&self, now_ms: u64) -> u64 {
        now_ms / 1_000 + self.config.jwt.access_ttl.as_millis().div_ceil(1_000) + MARGIN_S
    }
}

// === impl Board ===

impl Board {
    /// Reads what still matters before the first client comes. `false` if the process is stopped first.
    pub(crate) async fn catch_up(&mut self, gateway: &Gateway, stop: &Shutdown) -> bool {
        let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
        while let Err(error) = self.read(gateway).await {
            tracing::warn!(%error, "the bulletin can't be read yet");
            tokio::select! {
                () = backoff.wait() => {}
                () = stop.begun() => return false,
            }
        }
        true
    }

    /// Reads on until the stop.
    pub(crate) async fn follow(mut self, gateway: Arc<Gateway>, stop: Shutdown) {
        let mut was_read = true;
        loop {
            tokio::select! {
                () = tokio::time::sleep(READ_EVERY) => {}
                () = stop.begun() => return,
            }
            let read = self.read(&gateway).await;
            if let (true, Err(error)) = (was_read, &read) {
                tracing::warn!(%error, "the bulletin can't be read: sign-outs elsewhere come late");
            }
            was_read = read.is_ok();
        }
    }

    async fn read(&mut self, gateway: &Gateway) -> Result<(), StoreError> {
        let now_ms = clock::unix_ms();
        let now = Bulletin::at(now_ms);
        let kept_ms = gateway.config.jwt.access_ttl.as_millis() + MARGIN_S * 1_000;
        let oldest = Bulletin::at(now_ms.saturating_sub(kept_ms));
        let from = self.read_to.unwrap_or(oldest).max(oldest);
        let stretches = (from.0.saturating_sub(SKEW_STRETCHES)..=now.0 + 1).map(Bulletin);
        let notes = gateway.source.store.notes(stretches).await?;
        let mut shown_anew = Vec::new();
        let mut seen = HashSet::new();
        for (bulletin, texts) in notes {
            let until_s = (bulletin.0 + 1) * BULLETIN_MS / 1_000 + kept_ms / 1_000;
            for text in texts {
                if !self.seen.contains(&text) {
                    match Note::parse(&text) {
                        Some(Note::Ended(ending)) => gateway.users.end(&ending, until_s),
                        Some(Note::Profile(user, _)) => shown_anew.push(user),
                        Some(Note::Notice(user, id)) => follow_notice(gateway, user, id),
                        None => {}
                    }
                }
                seen.insert(text);
            }
        }
        // The names are read before the notes count as seen: if that fails, it is tried again.
        show_anew(gateway, shown_anew).await?;
        (self.seen, self.read_to) = (seen, Some(now));
        Ok(())
    }
}

/// Helps to bring a notice to everyone.
fn follow_notice(gateway: &Gateway, sender: UserId, id: String) {
    if !gateway.notices.note(sender, id) {
        tracing::warn!("too many notices are under way; one is left to the other gateways");
    }
}

/// Reads how these users are shown, those of them who are known here.
async fn show_anew(gateway: &Gateway, mut users: Vec<UserId>) -> Result<(), StoreError> {
    users.sort_unstable();
    users.dedup();
    users.retain(|user| gateway.users.known(user).is_some());
    for row in gateway.source.store.users(&users).await? {
        if let Some(user) = gateway.users.known(&row.id) {
            user.set_profile(Profile::of(&row));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let alice = UserId::parse("alice").unwrap();
        for note in [
            Note::Ended(Ending::One(alice.clone(), "0123".into())),
            Note::Ended(Ending::Before(alice.clone(), 3)),
            Note::Profile(alice.clone(), 1_763_700_000_000),
            Note::Notice(alice, "a/b".into()),
        ] {
            assert_eq!(Note::parse(&note.to_text()), Some(note));
        }
        for other in ["", "ended", "ended/alice", "later/alice/1", "profile/a b/1"] {
            assert_eq!(Note::parse(other), None, "{other}");
        }
    }
}
