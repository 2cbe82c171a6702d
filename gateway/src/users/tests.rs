//! Whose connections end when, and how much one user may send.

#![allow(clippy::unwrap_used)]
use roomlog_core::code::Code;

use super::*;

fn users() -> Users {
    Users::new(Limits {
        sends_per_second: 1,
        sends_burst: 2,
        connections_per_user_max: 2,
        ..Limits::default()
    })
}

fn alice(users: &Users) -> Arc<User> {
    let profile = Profile {
        name: "Alice".to_owned(),
        avatar: None,
    };
    users.add(UserId::parse("alice").unwrap(), profile)
}

fn socket(id: u64, session: &str, outbox: &Arc<Outbox>) -> Socket {
    Socket {
        id: ConnectionId(id),
        session: Some(SessionRef {
            id: session.into(),
            version: 0,
        }),
        outbox: Arc::downgrade(outbox),
    }
}

#[test]
fn the_end_of_a_sign_in_ends_its_connections_only() {
    let users = users();
    let alice = alice(&users);
    let (phone, desk) = (Arc::<Outbox>::default(), Arc::<Outbox>::default());
    let _phone = users.seat(&alice, socket(1, "phone", &phone)).unwrap();
    let _desk = users.seat(&alice, socket(2, "desk", &desk)).unwrap();
    users.end(&Ending::One(alice.id.clone(), "phone".into()), 1);
    assert!(phone.is_signed_out() && !desk.is_signed_out());
    users.end(&Ending::Before(alice.id.clone(), 1), 1);
    assert!(desk.is_signed_out());
}

#[test]
fn a_user_has_so_many_connections() {
    let users = users();
    let alice = alice(&users);
    let outbox = Arc::<Outbox>::default();
    let seat = |id| users.seat(&alice, socket(id, "s", &outbox));
    let first = seat(1).unwrap();
    let _second = seat(2).unwrap();
    assert_eq!(seat(3).unwrap_err().code, Code::TooMany);
    drop(first);
    assert!(seat(4).is_ok());
}

fn paced(user: &User, sends: &[(&str, &str)]) -> Result<Option<Left>, Empty> {
    let parse =
        |(room, id): &(&str, &str)| (RoomKey::parse(room).unwrap(), MessageId::parse(id).unwrap());
    let sends: Vec<_> = sends.iter().map(parse).collect();
    user.pace(sends.iter().map(|(room, id)| (room, id)))
}

#[test]
fn a_retry_is_not_held_against_the_rate() {
    let users = users();
    let alice = alice(&users);
    assert!(paced(&alice, &[("r", "a"), ("r", "b")]).is_ok());
    assert!(paced(&alice, &[("r", "a")]).is_ok());
    let refusal = Refusal::from(paced(&alice, &[("r", "c")]).unwrap_err());
    assert_eq!(refusal.code, Code::TooMany);
    assert!(refusal.retry_after_ms.is_some_and(|ms| ms <= 1_001));
}

#[test]
fn neither_another_room_nor_endless_tries_are_a_way_around_the_rate() {
    let users = users();
    let alice = alice(&users);
    assert!(paced(&alice, &[("r", "a")]).is_ok());
    assert!(paced(&alice, &[("other", "a")]).is_ok());
    assert!(paced(&alice, &[("third", "a")]).is_err());
    for _ in 0..RETRIES_FREE {
        assert!(paced(&alice, &[("r", "a")]).is_ok());
    }
    assert!(paced(&alice, &[("r", "a")]).is_err());
}

#[test]
fn what_the_log_has_already_is_a_retry_here_too_within_bounds() {
    let users = users();
    let alice = alice(&users);
    assert!(paced(&alice, &[("r", "b"), ("r", "c")]).is_ok());
    assert!(paced(&alice, &[("r", "a")]).is_err());
    let (room, id) = (RoomKey::parse("r").unwrap(), MessageId::parse("a").unwrap());
    for _ in 0..2 {
        // Told again, it is no more free than before.
        alice.recognise((&room, &id));
        for _ in 0..RETRIES_FREE / 2 {
            assert!(paced(&alice, &[("r", "a")]).is_ok());
        }
    }
    assert!(paced(&alice, &[("r", "a")]).is_err());
    let looks = (0..10 * LOOKS_BURST).filter(|_| alice.may_look()).count();
    assert!(looks >= LOOKS_BURST as usize && looks < 10 * LOOKS_BURST as usize);
}

#[test]
fn the_rate_is_shared_by_all_connections() {
    let users = users();
    assert!(paced(&alice(&users), &[("r", "a")]).is_ok());
    assert!(paced(&alice(&users), &[("r", "b")]).is_ok());
    assert!(paced(&alice(&users), &[("r", "c")]).is_err());
}
