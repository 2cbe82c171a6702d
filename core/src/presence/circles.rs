//! Whom the users of a gateway have as friends, and which of those are online.
//!
//! Owners are asked about friends again and again. One that took over a partition a moment ago knows little, so who was
//! online is gone only once two answers in a row say so.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use crate::ids::UserId;

/// The friends of some users.
#[derive(Debug, Default)]
pub struct Circles {
    friends: HashMap<UserId, BTreeSet<UserId>>,
    /// By friend: every one of them is somebody's.
    followed: BTreeMap<UserId, Followed>,
    /// Who was asked about last.
    asked: Option<UserId>,
}

#[derive(Debug, Default)]
struct Followed {
    by: BTreeSet<UserId>,
    online: bool,
    /// The last answer was that they are gone, and the one before it that they are there.
    is_doubtful: bool,
}

// === impl Circles ===

impl Circles {
    /// A user's friends are these. Answers who became one or is none any more.
    pub fn set(&mut self, user: &UserId, friends: BTreeSet<UserId>) -> Vec<UserId> {
        let before = self.friends.remove(user).unwrap_or_default();
        for friend in before.difference(&friends) {
            self.unfollow(user, friend);
        }
        for friend in friends.difference(&before) {
            let followed = self.followed.entry(friend.clone()).or_default();
            followed.by.insert(user.clone());
        }
        let changed = before.symmetric_difference(&friends).cloned().collect();
        self.friends.insert(user.clone(), friends);
        changed
    }

    /// Nobody wants to know a user's friends any more.
    pub fn forget(&mut self, user: &UserId) {
        for friend in self.friends.remove(user).unwrap_or_default() {
            self.unfollow(user, &friend);
        }
    }

    fn unfollow(&mut self, user: &UserId, friend: &UserId) {
        if let Some(followed) = self.followed.get_mut(friend) {
            followed.by.remove(user);
            if followed.by.is_empty() {
                self.followed.remove(friend);
            }
        }
    }

    /// About whom to ask next, at most so many: all in turn.
    pub fn next(&mut self, at_most: usize) -> Vec<UserId> {
        let begin = self.asked.take().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.followed.range((begin, Bound::Unbounded));
        let next: Vec<UserId> = rest.map(|(user, _)| user.clone()).take(at_most).collect();
        if next.len() == at_most {
            self.asked = next.last().cloned();
        }
        next
    }

    /// Takes who is online and who is not, as owners say. Answers who is to be told of which friend.
    pub fn take(
        &mut self,
        answers: impl IntoIterator<Item = (UserId, bool)>,
    ) -> Vec<(UserId, UserId)> {
        let mut told = Vec::new();
        for (friend, online) in answers {
            let Some(followed) = self.followed.get_mut(&friend) else {
                continue;
            };
            if followed.hears(online) {
                let by = followed.by.iter();
                told.extend(by.map(|user| (user.clone(), friend.clone())));
            }
        }
        told
    }

    /// Whether a friend is online; `None` for somebody who is no friend.
    pub fn status(&self, user: &UserId, friend: &UserId) -> Option<bool> {
        let followed = self.followed.get(friend)?;
        followed.by.contains(user).then_some(followed.online)
    }

    /// A user's friends, and which of them are online.
    pub fn of(&self, user: &UserId) -> impl Iterator<Item = (&UserId, bool)> {
        let friends = self.friends.get(user).into_iter().flatten();
        friends.filter_map(|friend| Some((friend, self.followed.get(friend)?.online)))
    }
}

// === impl Followed ===

impl Followed {
    /// Takes an answer; `true` if it is news.
    fn hears(&mut self, online: bool) -> bool {
        let was_doubtful = std::mem::replace(&mut self.is_doubtful, self.online && !online);
        let is_believed = online || was_doubtful;
        if self.online == online || !is_believed {
            return false;
        }
        self.online = online;
        self.is_doubtful = false;
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn users(names: &[&str]) -> BTreeSet<UserId> {
        names.iter().map(|name| user(name)).collect()
    }

    fn told(circles: &mut Circles, friend: &str, online: bool) -> Vec<String> {
        let told = circles.take([(user(friend), online)]);
        told.iter().map(|(to, _)| to.to_string()).collect()
    }

    #[test]
    fn everybody_whose_friend_it_is_is_told_once() {
        let mut circles = Circles::default();
        circles.set(&user("alice"), users(&["bob", "carol"]));
        circles.set(&user("dave"), users(&["bob"]));
        assert_eq!(told(&mut circles, "bob", true), ["alice", "dave"]);
        assert!(told(&mut circles, "bob", true).is_empty());
        assert!(told(&mut circles, "stranger", true).is_empty());
        assert_eq!(circles.status(&user("alice"), &user("bob")), Some(true));
        let of_alice: Vec<_> = circles.of(&user("alice")).collect();
        assert_eq!(of_alice, [(&user("bob"), true), (&user("carol"), false)]);
    }

    #[test]
    fn who_was_there_is_gone_once_two_answers_in_a_row_say_so() {
        let mut circles = Circles::default();
        circles.set(&user("alice"), users(&["bob"]));
        for online in [true, false, true, false] {
            let is_first = circles.status(&user("alice"), &user("bob")) == Some(false);
            assert_eq!(!told(&mut circles, "bob", online).is_empty(), is_first);
        }
        assert_eq!(told(&mut circles, "bob", false), ["alice"]);
        assert!(told(&mut circles, "bob", false).is_empty());
        assert_eq!(told(&mut circles, "bob", true), ["alice"]);
    }

    #[test]
    fn who_is_no_friend_any_more_is_neither_asked_about_nor_told() {
        let mut circles = Circles::default();
        circles.set(&user("alice"), users(&["bob", "carol"]));
        circles.take([(user("bob"), true)]);
        let changed = circles.set(&user("alice"), users(&["carol", "dave"]));
        assert_eq!(changed, [user("bob"), user("dave")]);
        assert_eq!(circles.status(&user("alice"), &user("bob")), None);
        assert_eq!(circles.next(9), [user("carol"), user("dave")]);
        circles.forget(&user("alice"));
        assert!(circles.next(9).is_empty() && circles.of(&user("alice")).next().is_none());
    }

    #[test]
    fn all_friends_are_asked_about_in_turn() {
        let mut circles = Circles::default();
        circles.set(&user("alice"), users(&["a", "b", "c", "d", "e"]));
        let turns: Vec<_> = (0..4).map(|_| circles.next(2)).collect();
        let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(user);
        let expected = [vec![a.clone(), b.clone()], vec![c, d], vec![e], vec![a, b]];
        assert_eq!(turns, expected);
    }
}
