//! One room's presence as a gateway shows it: what each owner says, joined.
//!
//! Every owner says the same in the end, but a new one knows little at first, so who one of them names is there. What
//! an owner said that is lost stays until another one had time to hear from all gateways.

use std::collections::BTreeMap;

use crate::ids::UserId;

use super::{RoomChange, View};

/// How long after an owner was lost the others are trusted to know everything.
const WARM_UP_MS: u64 = 5_000;

/// What the owners of one room say.
#[derive(Debug, Default)]
pub struct Mirror {
    owners: BTreeMap<u64, Owner>,
    shown: View,
}

#[derive(Debug, Default)]
struct Owner {
    view: View,
    is_lost: bool,
    /// When it is forgotten, once it is lost and another one speaks.
    until_ms: Option<u64>,
}

/// Something to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A member came or went.
    Presence(UserId, bool),
    /// Those who look at the room are others now.
    Viewers,
    /// The room is large, and its numbers or the sample of names changed.
    Sample,
}

// === impl Mirror ===

impl Mirror {
    /// An owner states the whole.
    pub fn state(&mut self, owner: u64, view: View) {
        self.owners.insert(
            owner,
            Owner {
                view,
                ..Owner::default()
            },
        );
    }

    /// An owner states a change. Without having stated the whole before it is passed over.
    pub fn change(&mut self, owner: u64, change: RoomChange) {
        let Some(known) = self.owners.get_mut(&owner) else {
            return;
        };
        if let Some(whole) = change.whole {
            known.view = whole;
            return;
        }
        let view = &mut known.view;
        for (user, standing) in change.users {
            set(&mut view.online, &user, standing.online);
            set(&mut view.viewing, &user, standing.viewing);
        }
        view.online_total = change.online_total;
        view.viewing_total = change.viewing_total;
    }

    /// An owner is not one any more.
    pub fn lose(&mut self, owner: u64) {
        if let Some(known) = self.owners.get_mut(&owner) {
            known.is_lost = true;
        }
    }

    /// Whether any owner has spoken.
    pub fn is_known(&self) -> bool {
        !self.owners.is_empty()
    }

    /// Whether an owner is still to be forgotten.
    pub fn is_settled(&self) -> bool {
        self.owners.values().all(|owner| !owner.is_lost)
    }

    /// What is shown.
    pub fn view(&self) -> &View {
        &self.shown
    }

    /// Joins what the owners say and answers what is new.
    pub fn news(&mut self, now_ms: u64) -> Vec<News> {
        self.forget(now_ms);
        let view = self.joined();
        let before = std::mem::replace(&mut self.shown, view);
        let after = &self.shown;
        if before.is_sample || after.is_sample {
            return if before == *after {
                Vec::new()
            } else {
                vec![News::Sample]
            };
        }
        let gone = before.online.difference(&after.online);
        let came = after.online.difference(&before.online);
        let gone = gone.map(|user| News::Presence(user.clone(), false));
        let came = came.map(|user| News::Presence(user.clone(), true));
        let viewers = (before.viewing != after.viewing).then_some(News::Viewers);
        gone.chain(came).chain(viewers).collect()
    }

    /// Forgets lost owners, once another one had time to learn.
    fn forget(&mut self, now_ms: u64) {
        if self.owners.values().all(|owner| owner.is_lost) {
            return;
        }
        self.owners.retain(|_, owner| {
            !owner.is_lost || *owner.until_ms.get_or_insert(now_ms + WARM_UP_MS) > now_ms
        });
    }

    fn joined(&self) -> View {
        let views = self.owners.values().map(|owner| &owner.view);
        if let Some(sample) = views
            .clone()
            .filter(|view| view.is_sample)
            .max_by_key(|view| view.online_total)
        {
            return sample.clone();
        }
        let mut joined = View::default();
        for view in views {
            joined.online.extend(view.online.iter().cloned());
            joined.viewing.extend(view.viewing.iter().cloned());
        }
        joined.online_total = joined.online.len() as u64;
        joined.viewing_total = joined.viewing.len() as u64;
        joined
    }
}

fn set(users: &mut std::collections::BTreeSet<UserId>, user: &UserId, is_in: bool) {
    if is_in {
        users.insert(user.clone());
    } else {
        users.remove(user);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{ids::RoomKey, presence::Standing};

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn view(names: &[&str]) -> View {
        View {
            online: names.iter().map(|name| user(name)).collect(),
            online_total: names.len() as u64,
            ..View::default()
        }
    }

    fn change(name: &str, online: bool) -> RoomChange {
        let viewing = false;
        RoomChange {
            key: RoomKey::parse("r").unwrap(),
            users: vec![(user(name), Standing { online, viewing })],
            whole: None,
            online_total: 1,
            viewing_total: 0,
        }
    }

    fn came(name: &str) -> News {
        News::Presence(user(name), true)
    }

    #[test]
    fn what_two_owners_say_is_shown_once() {
        let mut mirror = Mirror::default();
        mirror.state(1, view(&["a"]));
        mirror.state(2, view(&["a"]));
        assert_eq!(mirror.news(0), [came("a")]);
        mirror.change(1, change("b", true));
        assert_eq!(mirror.news(0), [came("b")]);
        mirror.change(2, change("b", true));
        assert_eq!(mirror.news(0), []);
    }

    #[test]
    fn the_loss_of_an_owner_shows_nobody_leave() {
        let mut mirror = Mirror::default();
        mirror.state(1, view(&["a"]));
        mirror.news(0);
        mirror.lose(1);
        assert_eq!(mirror.news(1_000_000), []);
        // The next owner has not heard from every gateway yet.
        mirror.state(2, view(&[]));
        assert_eq!(mirror.news(1_000_000), []);
        mirror.change(2, change("b", true));
        assert_eq!(mirror.news(1_000_001), [came("b")]);
        let later = 1_000_000 + WARM_UP_MS;
        assert_eq!(mirror.news(later), [News::Presence(user("a"), false)]);
        assert!(mirror.is_settled());
    }

    #[test]
    fn a_large_room_has_numbers() {
        let mut mirror = Mirror::default();
        let large = |online_total| View {
            online_total,
            is_sample: true,
            ..view(&["a"])
        };
        mirror.state(1, large(1_000));
        assert_eq!(mirror.news(0), [News::Sample]);
        assert_eq!(mirror.news(0), []);
        mirror.state(1, large(1_001));
        assert_eq!(mirror.news(0), [News::Sample]);
        assert_eq!(mirror.view().online_total, 1_001);
    }
}
