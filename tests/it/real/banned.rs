//! A ban takes effect at its place in the log, on every gateway, in subscriptions that are open.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Frame, Shape, Stack, System};

/// Messages before the ban, and as many after it.
const MESSAGES: u64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_users_open_subscription_on_another_gateway_goes_silent_at_that_seq() {
    let shape = Shape {
        gateways: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let system = System::start(shape).await;
    let alice = system.user("alice");
    let elsewhere = system.http(1);
    let (bob, carol) = (
        system.user("bob").at(&elsewhere),
        system.user("carol").at(&elsewhere),
    );
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    carol.joins(&room).await;
    let (mut banned, _) = bob.watches(&room).await;
    let (mut member, head) = carol.watches(&room).await;
    let mut owner = alice.connects().await;

    // Nothing waits for the ban: it finds its place among messages that are on their way.
    for number in 0..MESSAGES {
        owner
            .send(&Frame::send(&room, &format!("before {number}")))
            .await;
    }
    let path = format!("rooms/{room}/members/{}", bob.id);
    let ban = alice
        .rest
        .ask(Method::PUT, &path, Some(json!({"banned": true})), &[]);
    let after = async {
        for number in 0..MESSAGES {
            owner
                .send(&Frame::send(&room, &format!("after {number}")))
                .await;
        }
    };
    let (ban, ()) = tokio::join!(ban, after);
    let at = ban.ok()["seq"].as_u64().expect("the ban's seq");
    owner.request(Frame::send(&room, "last")).await;

    let shown = usize::try_from(2 * MESSAGES + 2).expect("few");
    let seen = member.messages(&room, shown).await;
    assert_eq!(seen.last().expect("the last").json()["text"], "last");

    let until_the_ban = usize::try_from(at - head).expect("few");
    let heard = banned.messages(&room, until_the_ban).await;
    let last = heard.last().expect("the ban");
    assert_eq!(
        (last.number("seq"), &last.json()["change"]),
        (at, &json!("banned"))
    );
    // The members of that gateway have seen it all by now, and what is asked now is answered behind anything for bob.
    let own = bob.opens_room().await;
    banned
        .request(Frame::subscribe("own", &format!("/topic/rooms/{own}")))
        .await;
    assert_eq!(banned.kept(&room), 0, "something came after the ban");
    let refused = bob.rest.get(&format!("rooms/{room}/messages")).await;
    assert_eq!(refused.refusal(), (403, "banned"));
}
