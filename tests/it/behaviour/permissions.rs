//! The table of rights from outside: every role in every kind of room does everything there is, by REST and by STOMP, and
//! hears what the table says, in the same code.

mod others;

use reqwest::Method;
use roomlog_core::{
    event::{Role, RoomKind},
    ids::{Seq, UserId},
    permission::{Action, Over, Scene, may},
    room_state::{MemberState, Membership, RoomMeta},
};
use serde_json::{Value, json};

use self::others::{changes, comes_back, over_others, standing_in, takes_out};
use crate::harness::{
    Frame, StompClient, System,
    rest::Answer,
    user::User,
    wait::{SOON, until},
};

/// Who tries: how they stand in the room is in their name.
const WHO: [&str; 8] = [
    "owner",
    "moderator",
    "member",
    "muted",
    "invited",
    "banned",
    "stranger",
    "admin",
];

/// A room, and what the table knows of it.
struct Place {
    id: String,
    meta: RoomMeta,
    /// Where a file of it is had.
    file: String,
}

/// Somebody who tries, with a connection for all rooms.
struct Person {
    who: &'static str,
    user: User,
    client: StompClient,
}

/// What is tried in both ways.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Read,
    MarkRead,
    React,
    Post,
    EditOthers,
    DeleteOthers,
}

/// The last takes the message away.
const DEEDS: [(Deed, Action); 6] = [
    (Deed::Read, Action::Read),
    (Deed::MarkRead, Action::Read),
    (Deed::React, Action::React),
    (Deed::Post, Action::Post),
    (Deed::EditOthers, Action::EditOthers),
    (Deed::DeleteOthers, Action::DeleteOthers),
];

// === impl Place ===

impl Place {
    /// What the table says to this one: a code, or `ok`.
    fn expected(&self, who: &str, action: Action) -> &'static str {
        let row = |state, role| Membership {
            state,
            role,
            muted: who == "muted",
            changed_seq: Seq(1),
        };
        let member = match who {
            "owner" => Some(row(MemberState::Joined, Role::Owner)),
            "moderator" => Some(row(MemberState::Joined, Role::Moderator)),
            "member" | "muted" => Some(row(MemberState::Joined, Role::Member)),
            "invited" => Some(row(MemberState::Invited, Role::Member)),
            "banned" => Some(row(MemberState::Banned, Role::Member)),
            _ => None,
        };
        let scene = Scene {
            room: Some(&self.meta),
            member: member.as_ref(),
            is_admin: who == "admin",
        };
        may(action, scene).map_or_else(|code| code.as_str(), |()| "ok")
    }

    /// Holds what somebody heard against it.
    fn holds(&self, person: &Person, action: Action, got: &str) {
        let expected = self.expected(person.who, action);
        assert_eq!(got, expected, "{} {action:?} {}", person.who, self.said());
    }

    fn said(&self) -> String {
        let meta = &self.meta;
        let (public, read_only) = (meta.public, meta.read_only);
        format!("{:?} public={public} read-only={read_only}", meta.kind)
    }
}

async fn put(by: &User, path: &str, body: Value) -> Answer {
    by.rest.ask(Method::PUT, path, Some(body), &[]).await
}

async fn person(system: &System, who: &'static str) -> Person {
    let user = system.user(who);
    let user = match who {
        "admin" => user.into_admin(),
        _ => user,
    };
    user.rest.get("me").await.ok();
    let mut client = user.connects().await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    Person { who, user, client }
}

/// Says how somebody is to stand in a room.
async fn stands(by: &User, room: &str, user: &User, wish: Value) {
    let path = standing_in(room, user);
    // Whom nobody has seen yet can't be invited.
    until("a user to be known", SOON, async || {
        let answer = put(by, &path, wish.clone()).await;
        (answer.status != 404).then(|| answer.ok())
    })
    .await;
}

/// What the table goes by.
fn meta(owner: &User, kind: RoomKind, public: bool, read_only: bool) -> RoomMeta {
    RoomMeta {
        kind,
        name: "A place".into(),
        public,
        slow_mode_s: 0,
        read_only,
        deleted: false,
        pinned: Vec::new(),
        created_by: UserId::parse(&owner.id).expect("alphabet"),
        members: 5,
        owners: 1,
        changed_seq: Seq(1),
    }
}

/// A room in which everyone stands as their name says.
async fn place(people: &[Person], author: &User, kind: RoomKind, is: (bool, bool)) -> Place {
    let (public, read_only) = is;
    let owner = &people[0].user;
    let wish = json!({"name": "A place", "kind": kind.as_str(), "public": public});
    let made = owner.rest.post("rooms", wish).await.ok();
    let id = made["room"]["id"].as_str().expect("an id").to_owned();
    let standing = async |user: &User, wish: Value| stands(owner, &id, user, wish).await;
    standing(author, json!({})).await;
    author.joins(&id).await;
    standing(author, json!({"role": "moderator"})).await;
    for Person { who, user, .. } in people {
        match *who {
            "owner" | "stranger" | "admin" => continue,
            "banned" => standing(user, json!({"banned": true})).await,
            _ => standing(user, json!({})).await,
        }
        if matches!(*who, "moderator" | "member" | "muted") {
            user.joins(&id).await;
        }
        match *who {
            "moderator" => standing(user, json!({"role": "moderator"})).await,
            "muted" => standing(user, json!({"muted": true})).await,
            _ => {}
        }
    }
    let file = file(owner, &id).await;
    if read_only {
        let path = format!("rooms/{id}");
        let wish = Some(json!({"read_only": true}));
        owner.rest.ask(Method::PATCH, &path, wish, &[]).await.ok();
    }
    let meta = meta(owner, kind, public, read_only);
    Place { id, meta, file }
}

/// The room of two people, the first of whom asked for it.
async fn direct(owner: &User, member: &User) -> Place {
    let path = format!("dm/{}", member.id);
    let opened = until("the other one to be known", SOON, async || {
        let answer = owner.rest.post(&path, json!({})).await;
        answer.status.is_success().then_some(answer.body)
    })
    .await;
    let id = opened["room"]["id"].as_str().expect("an id").to_owned();
    Place {
        file: file(owner, &id).await,
        id,
        meta: meta(owner, RoomKind::Direct, false, false),
    }
}

/// A message of the author's.
async fn message(author: &User, room: &str) -> u64 {
    let path = format!("rooms/{room}/messages");
    let posted = author.rest.post(&path, json!({"text": "mine"})).await.ok();
    posted["seq"].as_u64().expect("a seq")
}

/// Where a new file of a room is had.
async fn file(author: &User, room: &str) -> String {
    let uploaded = uploads(author, room).await.ok();
    let path = uploaded["attachment"]["url"].as_str().expect("a path");
    path.to_owned()
}

async fn uploads(user: &User, room: &str) -> Answer {
    let wish = json!({"name": "a.txt", "type": "text/plain", "size": 1});
    let path = format!("rooms/{room}/attachments");
    user.rest.post(&path, wish).await
}

fn outcome(answer: &Answer) -> String {
    match answer.status.is_success() {
        true => "ok".into(),
        false => answer.refusal().1.to_owned(),
    }
}

async fn by_rest(user: &User, room: &str, deed: Deed, target: u64) -> String {
    let messages = format!("rooms/{room}/messages");
    let one = format!("{messages}/{target}");
    let (method, path, body) = match deed {
        Deed::Read => (Method::GET, messages, None),
        Deed::MarkRead => {
            let body = json!({ "seq": target });
            (Method::POST, format!("rooms/{room}/read"), Some(body))
        }
        Deed::React => (Method::PUT, format!("{one}/reactions/x"), None),
        Deed::Post => (Method::POST, messages, Some(json!({"text": "me"}))),
        Deed::EditOthers => (Method::PATCH, one, Some(json!({"text": "me"}))),
        Deed::DeleteOthers => (Method::DELETE, one, None),
    };
    outcome(&user.rest.ask(method, &path, body, &[]).await)
}

async fn by_stomp(client: &mut StompClient, room: &str, deed: Deed, target: u64) -> String {
    let verb = |verb: &str, body: Value| {
        Frame::new("SEND")
            .with("destination", format!("/app/rooms/{room}/{verb}"))
            .with("content-type", "application/json")
            .body(body.to_string())
    };
    let frame = match deed {
        Deed::Read => Frame::subscribe(room, &format!("/topic/rooms/{room}")),
        Deed::MarkRead => verb("read", json!({ "seq": target })),
        Deed::React => verb("react", json!({"target": target, "emoji": "y", "on": true})),
        Deed::Post => Frame::send(room, "me"),
        Deed::EditOthers => verb("edit", json!({"target": target, "text": "me"})),
        Deed::DeleteOthers => verb("delete", json!({ "target": target })),
    };
    let receipt = client.receipt_id();
    client.send(&frame.with("receipt", &receipt)).await;
    let answer = client
        .frame("a RECEIPT or a refusal", |frame| {
            assert!(frame.command != "ERROR", "{frame:?}");
            frame.find("receipt-id") == Some(&receipt)
        })
        .await;
    if answer.command != "RECEIPT" {
        return answer.header("code").to_owned();
    }
    if matches!(deed, Deed::Read) {
        client
            .request(Frame::new("UNSUBSCRIBE").with("id", room))
            .await;
    }
    "ok".into()
}

/// What only REST has: the same table.
async fn rest_alone(person: &Person, place: &Place) {
    let (user, room) = (&person.user, &place.id);
    let alter = async |wish: Value| {
        let path = format!("rooms/{room}");
        outcome(&user.rest.ask(Method::PATCH, &path, Some(wish), &[]).await)
    };
    let get = async |path: String| outcome(&user.rest.get(&path).await);
    let notice = async || {
        let path = format!("rooms/{room}/notices");
        outcome(&user.rest.post(&path, json!({"text": "hear"})).await)
    };
    let download = async || {
        let accept = [("accept", "application/json")];
        outcome(&user.rest.ask(Method::GET, &place.file, None, &accept).await)
    };
    for (action, got) in [
        (Action::Post, outcome(&uploads(user, room).await)),
        (Action::Read, download().await),
        (Action::Find, get(format!("rooms/{room}")).await),
        (Action::Read, get(format!("rooms/{room}/members")).await),
        (Action::Notice, notice().await),
        (Action::SlowMode, alter(json!({"slow_mode_s": 0})).await),
        (Action::Pin, alter(json!({"pinned": []})).await),
        (Action::Settings, alter(json!({"name": "A place"})).await),
    ] {
        place.holds(person, action, &got);
    }
    // Whoever may come, go or delete it does so elsewhere: here everyone is to stay.
    for (action, method, path) in [
        (Action::Join, Method::POST, format!("rooms/{room}/join")),
        (Action::Leave, Method::POST, format!("rooms/{room}/leave")),
        (Action::DeleteRoom, Method::DELETE, format!("rooms/{room}")),
    ] {
        if place.expected(person.who, action) != "ok" {
            let got = outcome(&user.rest.ask(method, &path, None, &[]).await);
            place.holds(person, action, &got);
        }
    }
}

/// Everything one person can try; `author` is another one, who may speak.
async fn all_deeds_of(person: &mut Person, place: &Place, author: &User) {
    let room = &place.id;
    let (mine, other) = (message(author, room).await, message(author, room).await);
    for (deed, action) in DEEDS {
        let expected = place.expected(person.who, action);
        let what = format!("{} {deed:?} {}", person.who, place.said());
        let rest = by_rest(&person.user, room, deed, mine).await;
        assert_eq!(rest, expected, "REST: {what}");
        let stomp = by_stomp(&mut person.client, room, deed, other).await;
        assert_eq!(stomp, expected, "STOMP: {what}");
    }
    rest_alone(person, place).await;
}

async fn all_deeds_in(kind: RoomKind) {
    let system = System::shared().await;
    let author = system.user("author");
    author.rest.get("me").await.ok();
    let mut people = Vec::new();
    for who in WHO {
        people.push(person(system, who).await);
    }
    for is in [(true, false), (false, false), (true, true)] {
        let place = place(&people, &author, kind, is).await;
        let (owner, subject) = (people[0].user.clone(), system.user("subject"));
        subject.rest.get("me").await.ok();
        comes_back(&owner, &place, &subject).await;
        for person in &mut people {
            all_deeds_of(person, &place, &author).await;
            over_others(system, person, &place, &owner, &subject).await;
        }
    }
}

/// Nobody but an admin rules there, and nobody else gets in: what is possible changes how the two stand, and is undone.
#[tokio::test]
async fn everyone_hears_what_the_table_says_in_a_direct_room() {
    let system = System::shared().await;
    let mut people = Vec::new();
    for who in ["owner", "member", "stranger", "admin"] {
        people.push(person(system, who).await);
    }
    let (owner, member) = (people[0].user.clone(), people[1].user.clone());
    let place = direct(&owner, &member).await;
    for person in &mut people {
        let (author, subject) = match person.who {
            "owner" => (&member, &member),
            _ => (&owner, &owner),
        };
        all_deeds_of(person, &place, author).await;
        let over = match subject.id == owner.id {
            true => Over::Owner,
            false => Over::Others,
        };
        changes(person, &place, subject, Action::Mute(over)).await;
        changes(person, &place, subject, Action::GiveRole).await;
        changes(person, &place, subject, Action::Ban(over)).await;
        if person.who == "admin" {
            let invited = put(&person.user, &standing_in(&place.id, subject), json!({})).await;
            place.holds(person, Action::Invite, &outcome(&invited));
        }
        let removed = takes_out(&person.user, &place.id, subject).await;
        place.holds(person, Action::Remove(over), &removed);
    }
}

#[tokio::test]
async fn everyone_hears_what_the_table_says_in_a_group() {
    all_deeds_in(RoomKind::Group).await;
}

#[tokio::test]
async fn everyone_hears_what_the_table_says_in_a_channel() {
    all_deeds_in(RoomKind::Channel).await;
}

#[tokio::test]
async fn everyone_hears_what_the_table_says_in_an_announcement_room() {
    all_deeds_in(RoomKind::Announcement).await;
}
