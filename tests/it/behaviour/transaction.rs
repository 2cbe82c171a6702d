//! BEGIN, COMMIT and ABORT.

use crate::harness::{Frame, System};

fn within(transaction: &str, frame: Frame) -> Frame {
    frame.with("transaction", transaction)
}

fn ends(command: &str, transaction: &str) -> Frame {
    Frame::new(command).with("transaction", transaction)
}

// req: 90
#[tokio::test]
async fn a_commit_sends_everything_in_order_and_is_receipted_last() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    client.request(ends("BEGIN", "t")).await;
    for number in 1..=3 {
        client
            .send(&within(
                "t",
                Frame::send(&room, &number.to_string()).with("receipt", format!("part-{number}")),
            ))
            .await;
    }
    client.request(Frame::send(&room, "outside")).await;
    client
        .send(&ends("COMMIT", "t").with("receipt", "whole"))
        .await;
    let mut receipts = Vec::new();
    while receipts.last().map(String::as_str) != Some("whole") {
        let receipt = client
            .frame("RECEIPT", |frame| frame.command == "RECEIPT")
            .await;
        receipts.push(receipt.header("receipt-id").to_owned());
    }
    assert_eq!(receipts, ["part-1", "part-2", "part-3", "whole"]);
    let messages = client.messages(&room, 4).await;
    let seen: Vec<(u64, String)> = messages
        .iter()
        .map(|message| {
            (
                message.number("seq") - head,
                message.json()["text"].as_str().expect("text").into(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (1, "outside".into()),
            (2, "1".into()),
            (3, "2".into()),
            (4, "3".into())
        ]
    );
}

// req: 91
#[tokio::test]
async fn an_abort_and_a_lost_connection_send_nothing() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    client.request(ends("BEGIN", "t")).await;
    client
        .send(&within("t", Frame::send(&room, "aborted")))
        .await;
    client.request(ends("ABORT", "t")).await;
    let mut lost = alice.connects().await;
    lost.request(ends("BEGIN", "t")).await;
    lost.send(&within("t", Frame::send(&room, "lost"))).await;
    lost.request(Frame::new("DISCONNECT")).await;
    client.request(Frame::send(&room, "kept")).await;
    let message = client.message(&room).await;
    assert_eq!(
        (message.number("seq"), &message.json()["text"]),
        (head + 1, &"kept".into())
    );
}

// req: 90
#[tokio::test]
async fn one_refused_frame_refuses_the_whole_transaction() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    client.request(ends("BEGIN", "t")).await;
    client.send(&within("t", Frame::send(&room, "good"))).await;
    client
        .send(&within("t", Frame::send("no-such-room", "bad")))
        .await;
    client
        .send(&ends("COMMIT", "t").with("receipt", "commit"))
        .await;
    let refusal = client.message("errors").await;
    assert_eq!(
        (refusal.header("code"), refusal.header("receipt-id")),
        ("not-found", "commit")
    );
    client.request(Frame::send(&room, "after")).await;
    let message = client.message(&room).await;
    assert_eq!(
        (message.number("seq"), &message.json()["text"]),
        (head + 1, &"after".into())
    );
}

// req: 89
#[tokio::test]
async fn unknown_and_doubled_transactions_are_errors() {
    let system = System::shared().await;
    let alice = system.user("alice");
    for frames in [
        vec![ends("COMMIT", "t")],
        vec![ends("ABORT", "t")],
        vec![ends("BEGIN", "t"), ends("BEGIN", "t")],
    ] {
        let mut client = alice.connects().await;
        for frame in &frames {
            client.send(frame).await;
        }
        client.error().await;
    }
}
