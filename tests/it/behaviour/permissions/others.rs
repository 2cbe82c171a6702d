//! What one person tries on another: to change how they stand.

use reqwest::Method;
use roomlog_core::permission::{Action, Over};
use serde_json::json;

use super::{Person, Place, outcome, put, stands};
use crate::harness::{
    System, User,
    wait::{SOON, until},
};

/// Tries everything on a plain member, who is one again afterwards, and on the owner.
pub(super) async fn over_others(
    system: &System,
    person: &Person,
    place: &Place,
    owner: &User,
    subject: &User,
) {
    let room = &place.id;
    let over = Over::Others;
    for action in [Action::Mute(over), Action::GiveRole, Action::Ban(over)] {
        changes(person, place, subject, action).await;
    }
    comes_back(owner, place, subject).await;
    let removed = takes_out(&person.user, room, subject).await;
    place.holds(person, Action::Remove(over), &removed);
    comes_back(owner, place, subject).await;
    invites_a_newcomer(system, person, place).await;
    if person.user.id == owner.id {
        return;
    }
    let over = Over::Owner;
    changes(person, place, owner, Action::Mute(over)).await;
    let ban = json!({"banned": true});
    let banned = outcome(&put(&person.user, &standing_in(room, owner), ban).await);
    let removed = takes_out(&person.user, room, owner).await;
    for (action, got) in [(Action::Ban(over), banned), (Action::Remove(over), removed)] {
        // The right is one thing, and that a room keeps its last owner another.
        match place.expected(person.who, action) {
            "ok" => assert_eq!(got, "conflict", "{} {action:?}", person.who),
            _ => place.holds(person, action, &got),
        }
    }
}

pub(super) fn standing_in(room: &str, whom: &User) -> String {
    format!("rooms/{room}/members/{}", whom.id)
}

/// Mutes or bans somebody, or gives them a role, and takes it back.
pub(super) async fn changes(person: &Person, place: &Place, whom: &User, action: Action) {
    let wishes = match action {
        Action::Mute(_) => [json!({"muted": true}), json!({"muted": false})],
        Action::Ban(_) => [json!({"banned": true}), json!({"banned": false})],
        Action::GiveRole => [json!({"role": "moderator"}), json!({"role": "member"})],
        other => panic!("{other:?} can't be taken back"),
    };
    for wish in wishes {
        let got = put(&person.user, &standing_in(&place.id, whom), wish).await;
        place.holds(person, action, &outcome(&got));
        if place.expected(person.who, action) != "ok" {
            // Nothing is there to be taken back, and to ask for what is so already is no change.
            return;
        }
    }
}

/// Takes somebody out of a room, or tries to.
pub(super) async fn takes_out(user: &User, room: &str, whom: &User) -> String {
    let path = standing_in(room, whom);
    outcome(&user.rest.ask(Method::DELETE, &path, None, &[]).await)
}

async fn invites_a_newcomer(system: &System, person: &Person, place: &Place) {
    let newcomer = system.user("newcomer");
    newcomer.rest.get("me").await.ok();
    let expected = place.expected(person.who, Action::Invite);
    let path = standing_in(&place.id, &newcomer);
    let got = until("the newcomer to be known", SOON, async || {
        let got = outcome(&put(&person.user, &path, json!({})).await);
        (got != "not-found" || expected == got).then_some(got)
    })
    .await;
    place.holds(person, Action::Invite, &got);
}

/// Makes somebody a member who may have been taken out.
pub(super) async fn comes_back(owner: &User, place: &Place, subject: &User) {
    stands(owner, &place.id, subject, json!({})).await;
    subject.joins(&place.id).await;
}
