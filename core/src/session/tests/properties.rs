//! What holds for whole conversations, however they are cut and whatever is in them.

use proptest::prelude::*;

use super::*;

/// Frames of a client, sound ones and not, in an order that often makes sense.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let texts = vec![
        "SUBSCRIBE\nid:e\ndestination:/user/queue/errors\nreceipt:e\n\n\0",
        "SUBSCRIBE\nid:0\ndestination:/topic/rooms/lobby\nack:client\nreceipt:s\n\n\0",
        "SUBSCRIBE\r\nid:1\r\ndestination:/sub/rooms/lobby\r\nsince:x\r\n\r\n\0",
        "UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0",
        SEND,
        "SEND\ndestination:/app/rooms/lobby\nreceipt:p\ncontent-length:3\n\na\0b\0",
        "SEND\ndestination:/nowhere\nreceipt:q\n\nx\0",
        "SEND\ndestination:/app/rooms/lobby\ntransaction:t\nreceipt:h\n\nx\0",
        "BEGIN\ntransaction:t\nreceipt:b\n\n\0",
        "COMMIT\ntransaction:t\nreceipt:c\n\n\0",
        "ABORT\ntransaction:t\n\n\0",
        "ACK\nid:1-1\nreceipt:a\n\n\0",
        "ACK\nid:0-2\ntransaction:t\nreceipt:k\n\n\0",
        "NACK\nid:0-1\n\n\0",
        "DISCONNECT\nreceipt:d\n\n\0",
        "\n",
        "\r\n",
        "CONNECT\n\n\0",
        "SEND\n\n\0",
        "\r",
    ];
    prop_oneof![
        12 => prop::sample::select(texts).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..6),
    ]
}

fn conversation() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(line(), 0..20).prop_map(|lines| {
        let start = b"\nCONNECT\naccept-version:1.2\nheart-beat:5000,5000\n\n\0".to_vec();
        [vec![start], lines].concat().concat()
    })
}

/// Runs a conversation cut into these pieces, with a shell that answers each request at once, as a function of the
/// request alone: every third one is refused.
fn run(pieces: &[&[u8]]) -> Vec<Action> {
    let mut client = Client::fresh();
    let mut log = Vec::new();
    for piece in pieces {
        let actions = client.session.receive(piece, client.now);
        let mut queue = std::collections::VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            queue.extend(answer(&mut client, &action));
            log.push(action);
        }
    }
    log
}

fn answer(client: &mut Client, action: &Action) -> Vec<Action> {
    let request = match action {
        Action::Authenticate { .. } => return client.sign_in(),
        Action::Send(_) | Action::Close { .. } => return Vec::new(),
        Action::Reauthenticate { request, .. }
        | Action::Commit { request, .. }
        | Action::Unsubscribe { request, .. }
        | Action::MarkRead { request, .. } => *request,
        Action::Publish(publish) => publish.request,
        Action::Subscribe(subscribe) => {
            client.deliver(subscribe.index, 1..=2);
            subscribe.request
        }
    };
    match request.0 % 3 {
        2 => client.turn_down(request, Code::NotAMember),
        _ => client.complete(request),
    }
}

/// How often each receipt id was confirmed.
fn count_receipts(log: &[Action], id: &str) -> usize {
    let frames = frames(log);
    let told = frames.iter().filter(|frame| {
        frame.command == Command::Receipt && frame.header("receipt-id") == Some(id)
    });
    told.count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // req: 108
    #[test]
    fn any_cut_of_a_conversation_has_the_same_actions(
        bytes in conversation(),
        places in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        // With each piece a single frame at most, the shell's answers come at the same places.
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let mut ends: Vec<usize> = places.iter().map(|at| at % (bytes.len() + 1)).collect();
        let nuls = bytes.iter().enumerate().filter(|(_, byte)| **byte == 0);
        ends.extend(nuls.map(|(at, _)| at + 1));
        ends.extend([0, bytes.len()]);
        ends.sort_unstable();
        let pieces: Vec<&[u8]> = ends.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(run(&pieces), run(&single));
    }

    // req: 93, 98, 112
    #[test]
    fn a_close_is_the_last_action_and_an_error_comes_right_before_it(bytes in conversation()) {
        let log = run(&[&bytes]);
        let closes = log.iter().filter(|action| matches!(action, Action::Close { .. }));
        prop_assert!(closes.count() <= 1);
        let errors = frames(&log).iter().filter(|frame| frame.command == Command::Error).count();
        if let Some(at) = log.iter().position(|action| matches!(action, Action::Close { .. })) {
            // What the shell was asked before it saw the close may still stand behind it.
            let after = log[at + 1..].iter().filter(|action| matches!(action, Action::Send(_)));
            prop_assert_eq!(after.count(), 0);
            prop_assert!(errors <= 1);
        } else {
            prop_assert_eq!(errors, 0);
        }
    }

    // req: 93
    #[test]
    fn no_receipt_is_given_more_often_than_asked(bytes in conversation()) {
        let log = run(&[&bytes]);
        for id in ["e", "s", "u", "p", "q", "h", "b", "c", "a", "k", "d"] {
            let asked = format!("receipt:{id}\n").into_bytes();
            let asked = bytes.windows(asked.len()).filter(|window| **window == asked).count();
            prop_assert!(count_receipts(&log, id) <= asked, "{id}");
        }
    }

    // req: 39
    #[test]
    fn arbitrary_bytes_never_panic_nor_buffer_past_the_limit(
        start in conversation(),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut client = Client::fresh();
        for piece in [&noise[..], &start, &noise].concat().chunks(7) {
            for action in client.session.receive(piece, client.now) {
                answer(&mut client, &action);
            }
            prop_assert!(client.session.buffered_bytes() <= (64 << 10) + (16 << 10));
        }
    }

    // req: 13, 22, 28, 41, 98
    #[test]
    fn a_frame_that_ends_the_session_has_no_other_effect(bytes in conversation()) {
        let mut client = Client::open();
        let mut decoder = Decoder::new(Bounds::signed_in(&Limits::default()));
        let mut rest = &bytes[1..];
        while !rest.is_empty() && !client.session.is_closed() {
            let before = rest;
            let whole = matches!(decoder.decode(&mut rest), Ok(Some(_)));
            let taken = &before[..before.len() - rest.len()];
            let actions = client.session.receive(if whole { taken } else { before }, client.now);
            let is_error = |frame: &Frame| frame.command == Command::Error;
            if frames(&actions).iter().any(is_error) {
                prop_assert_eq!(actions.len(), 2, "{:?}", actions);
            }
            if !whole {
                break;
            }
        }
    }
}
