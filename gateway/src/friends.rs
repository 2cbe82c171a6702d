//! Friends: asking, agreeing, ending it.

use std::time::Duration;

use roomlog_core::{
    code::{Code, Refusal},
    event::Sender,
    friendship::{Friendship, Step},
    ids::UserId,
};
use roomlog_platform::backoff::Backoff;

use crate::{accounts::store_refusal, clock, gateway::Gateway};

/// Friends and open requests of one user; beyond: `too-many`.
const FRIENDS_MAX: usize = 2_000;
/// Tries of a change that meets another one between the same two people.
const TRIES: u32 = 4;
const WAIT: Duration = Duration::from_millis(20);

impl Gateway {
    /// Asks somebody to be friends, or agrees where they had asked. Answers how the user stands to them now, and what
    /// was done.
    pub(crate) async fn befriend(
        &self,
        sender: Sender,
        friend: &UserId,
    ) -> Result<(Friendship, Step), Refusal> {
        let user = &sender.id.clone();
        let store = &self.source.store;
        let mut backoff = Backoff::between(WAIT, WAIT * 8);
        while backoff.attempts() < TRIES {
            let row = store.friend(user, friend).await;
            let row = row.map_err(|error| store_refusal(&error))?;
            let standing = row.as_ref().map(|row| row.standing);
            let step = Friendship::wish(standing);
            if step == Step::Request {
                self.has_place(user).await?;
                self.has_place(friend).await?;
            }
            let at_ms = clock::unix_ms_signed();
            let done = store.befriend(user, friend, step, at_ms).await;
            if done.map_err(|error| store_refusal(&error))? {
                let standing = match step {
                    Step::Request => Friendship::Requested,
                    Step::Accept => Friendship::Friends,
                    Step::Nothing => standing.unwrap_or(Friendship::Requested),
                };
                // Also where nothing was done: the letter of the time it was may have been lost.
                let since_ms = match (step, row) {
                    (Step::Nothing, Some(row)) => row.since_ms,
                    _ => at_ms,
                };
                let accepted = standing == Friendship::Friends;
                if step == Step::Accept {
                    self.friend_lists.changed([user, friend]);
                }
                self.tell_of_friend(friend, sender, accepted, since_ms)
                    .await?;
                return Ok((standing, step));
            }
            backoff.wait().await;
        }
        Err(busy())
    }

    /// Ends a friendship, withdraws a request or declines one. That there was nothing makes no difference.
    pub(crate) async fn unfriend(&self, user: &UserId, friend: &UserId) -> Result<(), Refusal> {
        let mut backoff = Backoff::between(WAIT, WAIT * 8);
        while backoff.attempts() < TRIES {
            let done = self.source.store.unfriend(user, friend).await;
            if done.map_err(|error| store_refusal(&error))? {
                self.friend_lists.changed([user, friend]);
                return Ok(());
            }
            backoff.wait().await;
        }
        Err(busy())
    }

    async fn has_place(&self, user: &UserId) -> Result<(), Refusal> {
        let friends = self.source.store.friends(user).await;
        match friends.map_err(|error| store_refusal(&error))?.len() < FRIENDS_MAX {
            true => Ok(()),
            false => {
                let message = format!("a user has at most {FRIENDS_MAX} friends and requests");
                Err(crate::rate::Limit::Friends.reached(message))
            }
        }
    }
}

fn busy() -> Refusal {
    Refusal::retry_after(
        Code::Overloaded,
        "another change is under way, try again",
        1_000,
    )
}
