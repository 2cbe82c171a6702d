//! Folding amendments in any order, proved by properties.

use proptest::prelude::*;

use super::*;
use crate::event::Message;

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("alphabet")
}

fn amendment(by: &str, seq: u64, change: Change) -> Amendment {
    Amendment {
        target: Seq(1),
        by: user(by),
        seq: Seq(seq),
        at_ms: 0,
        change,
    }
}

fn edited(by: &str, seq: u64, text: &str) -> Amendment {
    amendment(by, seq, Change::Edited(text.into()))
}

fn reacted(by: &str, seq: u64, emoji: &str, on: bool) -> Amendment {
    let emoji = emoji.into();
    amendment(by, seq, Change::Reacted { emoji, on })
}

fn amended(amendments: impl IntoIterator<Item = Amendment>) -> Amended {
    let mut amended = Amended::default();
    amendments
        .into_iter()
        .for_each(|amendment| amended.take(amendment));
    amended
}

fn event(key: &str, body: Body) -> Event {
    Event::by(user("alice"), key, body)
}

#[test]
fn the_authors_last_edit_stands_whatever_others_write_after_it() {
    let amended = amended([
        edited("alice", 2, "first"),
        edited("alice", 3, "second"),
        edited("mallory", 9, "forged"),
    ]);
    let text = |author| amended.edit(&user(author)).map(|edit| edit.text.as_str());
    assert_eq!(text("alice"), Some("second"));
    assert_eq!(text("bob"), None);
}

#[test]
fn nothing_comes_back_after_a_deletion() {
    let amended = amended([
        edited("alice", 2, "before"),
        reacted("bob", 3, "+1", true),
        amendment("moderator", 4, Change::Deleted),
        edited("alice", 5, "after"),
        amendment("alice", 6, Change::Deleted),
    ]);
    assert_eq!(
        amended
            .deletion()
            .map(|deletion| (deletion.seq, &deletion.by)),
        Some((Seq(4), &user("moderator")))
    );
    assert_eq!(amended.edit(&user("alice")), None);
    assert_eq!(amended.reactions(&user("bob")), []);
}

#[test]
fn reactions_are_counted_by_user_and_the_last_word_of_each_counts() {
    let amended = amended([
        reacted("bob", 2, "z", true),
        reacted("alice", 3, "a", true),
        reacted("carol", 4, "a", true),
        reacted("bob", 5, "a", true),
        reacted("bob", 6, "a", false),
        reacted("bob", 7, "gone", true),
        reacted("bob", 8, "gone", false),
    ]);
    let of = |emoji, count, is_own| Reactions {
        emoji,
        count,
        is_own,
    };
    assert_eq!(
        amended.reactions(&user("alice")),
        [of("z", 1, false), of("a", 2, true)]
    );
}

#[test]
fn a_target_that_did_not_exist_yet_is_none() {
    let delete = |target| Body::Delete {
        target: Seq(target),
    };
    let of = |key, body, seq| Amendment::of(&event(key, body), Seq(seq), 0);
    assert!(of("lobby", delete(4), 5).is_some());
    for (key, body) in [
        ("lobby", delete(0)),
        ("lobby", delete(5)),
        ("lobby", delete(6)),
        ("@alice", delete(4)),
        ("lobby", Body::Message(Message::default())),
    ] {
        assert_eq!(of(key, body, 5), None);
    }
}

#[test]
fn an_edit_of_a_deleted_message_is_hidden_with_it() {
    let mut amendments = Amendments::default();
    amendments.take(amendment("alice", 9, Change::Deleted));
    let edit = |target| Body::Edit {
        target: Seq(target),
        text: "text".into(),
    };
    let message = || Body::Message(Message::default());
    for (body, seq, hidden) in [
        (message(), 1, true),
        (message(), 2, false),
        (edit(1), 5, true),
        (edit(2), 5, false),
        (Body::Delete { target: Seq(1) }, 9, false),
    ] {
        let event = event("lobby", body);
        assert_eq!(amendments.hides(&event, Seq(seq)), hidden, "{event:?}");
    }
}

/// Changes with distinct seqs, as a log has them.
fn log() -> impl Strategy<Value = Vec<Amendment>> {
    let by = prop::sample::select(vec!["alice", "bob", "carol"]);
    let change = prop_oneof![
        4 => "[a-c]{0,2}".prop_map(Change::Edited),
        1 => Just(Change::Deleted),
        4 => ("[xy]", any::<bool>()).prop_map(|(emoji, on)| Change::Reacted { emoji, on }),
    ];
    prop::collection::vec((by, change), 0..40).prop_map(|changes| {
        (2..)
            .zip(changes)
            .map(|(seq, (by, change))| amendment(by, seq, change))
            .collect()
    })
}

proptest! {
    /// Stored rows and the events after them may overlap, and a persister may do everything twice.
    #[test]
    fn neither_order_nor_repetition_matters(
        (log, shuffled) in log().prop_flat_map(|log| {
            let twice: Vec<_> = log.iter().chain(&log).cloned().collect();
            (Just(log), Just(twice).prop_shuffle())
        })
    ) {
        prop_assert_eq!(amended(log), amended(shuffled));
    }

    /// The join says what reading the log from front to back says.
    #[test]
    fn equals_the_naive_reading(log in log()) {
        let (mut text, mut deleted) = (None, false);
        let mut on = std::collections::BTreeSet::new();
        for amendment in &log {
            match &amendment.change {
                Change::Edited(new) if amendment.by == user("alice") => text = Some(new.clone()),
                Change::Edited(_) => {}
                Change::Deleted => deleted = true,
                Change::Reacted { emoji, on: true } => {
                    on.insert((emoji.clone(), amendment.by.clone()));
                }
                Change::Reacted { emoji, on: false } => {
                    on.remove(&(emoji.clone(), amendment.by.clone()));
                }
            }
        }
        let amended = amended(log);
        prop_assert_eq!(amended.deletion().is_some(), deleted);
        let seen = amended.edit(&user("alice")).map(|edit| edit.text.clone());
        prop_assert_eq!(seen, text.filter(|_| !deleted));
        let counted: usize = amended.reactions(&user("bob")).iter().map(|one| one.count).sum();
        prop_assert_eq!(counted, if deleted { 0 } else { on.len() });
    }
}
