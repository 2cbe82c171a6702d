//! The conversation against the numbered requirements of `docs/stomp.md`: each test names those it proves.
#![allow(clippy::unwrap_used)]

mod acks;
mod connect;
mod heart_beats;
mod properties;
mod receipts;
mod refusals;
mod send;
mod subscriptions;
mod transactions;

use super::*;
use crate::stomp::{Bounds, Frame, Provenance};

/// One client's connection, with its clock.
struct Client {
    session: Session,
    now: u64,
}

fn config() -> Arc<SessionConfig> {
    Arc::new(SessionConfig {
        limits: Limits::default(),
        heart_beat: HeartBeat {
            send_ms: 10_000,
            receive_ms: 10_000,
        },
        server: "roomlog".into(),
    })
}

fn alice() -> UserId {
    UserId::parse("alice").unwrap()
}

fn lobby() -> crate::ids::RoomId {
    crate::ids::RoomId::parse("lobby").unwrap()
}

impl Client {
    /// A fresh connection.
    fn fresh() -> Self {
        Self::pinned(None)
    }

    /// A fresh connection with this subprotocol.
    fn pinned(version: Option<Version>) -> Self {
        let now = 1_000_000;
        Self {
            session: Session::new(config(), "s3ss10n", version, now),
            now,
        }
    }

    /// Signed in as alice, with no heart-beats.
    fn speaking(version: Version) -> Self {
        let mut client = Self::fresh();
        let accept = version.as_str();
        client.say(&format!("CONNECT\naccept-version:{accept}\nhost:h\n\n\0"));
        let connected = client.sign_in();
        assert_eq!(frames(&connected)[0].command, Command::Connected);
        client
    }

    fn open() -> Self {
        Self::speaking(Version::V1_2)
    }

    /// Signed in and listening for refusals.
    fn listening() -> Self {
        let mut client = Self::open();
        client.say("SUBSCRIBE\nid:err\ndestination:/user/queue/errors\n\n\0");
        client
    }

    fn say(&mut self, text: &str) -> Vec<Action> {
        self.session.receive(text.as_bytes(), self.now)
    }

    fn sign_in(&mut self) -> Vec<Action> {
        self.session.authenticated(&alice(), None, self.now)
    }

    fn complete(&mut self, request: RequestId) -> Vec<Action> {
        self.session.completed(request, Ok(Done::Plain), self.now)
    }

    fn turn_down(&mut self, request: RequestId, code: Code) -> Vec<Action> {
        let refusal = Refusal::new(code, "no");
        self.session.completed(request, Err(refusal), self.now)
    }

    /// Subscribes to the lobby and has it registered.
    fn subscribe(&mut self, headers: &str) -> Subscribe {
        let actions = self.say(&format!(
            "SUBSCRIBE\ndestination:/topic/rooms/lobby\n{headers}\n\n\0"
        ));
        let [Action::Subscribe(subscribe)] = &actions[..] else {
            panic!("{actions:?}");
        };
        self.complete(subscribe.request);
        subscribe.clone()
    }

    /// Has these events delivered.
    fn deliver(&mut self, index: SubIndex, seqs: std::ops::RangeInclusive<u64>) {
        seqs.for_each(|seq| self.session.delivered(index, Mark::Number(seq)));
    }
}

/// The frames these actions send; each is one WebSocket message.
fn frames(actions: &[Action]) -> Vec<Frame> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::Send(bytes) if bytes != BEAT => Some(bytes),
        _ => None,
    });
    sent.map(|bytes| {
        let mut decoder = Decoder::new(Bounds::signed_in(&Limits::default()));
        let mut input = &bytes[..];
        let frame = decoder.decode(&mut input).unwrap().unwrap();
        assert_eq!(input, b"", "exactly one frame a message");
        assert!(std::str::from_utf8(bytes).is_ok());
        frame
    })
    .collect()
}

/// The receipt ids these actions send, and nothing but receipts.
fn receipts(actions: &[Action]) -> Vec<String> {
    let frames = frames(actions);
    let ids = frames.iter().map(|frame| {
        assert_eq!(frame.command, Command::Receipt);
        frame.header("receipt-id").unwrap().to_owned()
    });
    ids.collect()
}

/// Checks that these actions are one ERROR and one close, and answers the ERROR.
#[track_caller]
fn error(actions: &[Action], code: Code, close_code: u16) -> Frame {
    let [Action::Send(_), Action::Close { code: closed, .. }] = actions else {
        panic!("{actions:?}");
    };
    let frame = frames(actions).remove(0);
    assert_eq!(frame.command, Command::Error);
    assert_eq!(frame.header("code"), Some(code.as_str()), "{frame:?}");
    assert_eq!(*closed, close_code);
    assert!(frame.header("message").is_some_and(|text| !text.is_empty()));
    assert_eq!(frame.header("content-type"), Some("text/plain"));
    frame
}

/// Checks that these actions tell one refusal to one listener, and answers its MESSAGE.
#[track_caller]
fn refusal(actions: &[Action], code: Code) -> Frame {
    let [Action::Send(_)] = actions else {
        panic!("{actions:?}");
    };
    let frame = frames(actions).remove(0);
    assert_eq!(frame.command, Command::Message);
    assert_eq!(frame.header("destination"), Some("/user/queue/errors"));
    assert_eq!(frame.header("code"), Some(code.as_str()), "{frame:?}");
    frame
}

/// The SENDs among these actions.
fn publishes(actions: &[Action]) -> Vec<Publish> {
    let published = actions.iter().filter_map(|action| match action {
        Action::Publish(publish) => Some(publish.clone()),
        _ => None,
    });
    published.collect()
}

/// The one SEND these actions are.
#[track_caller]
fn publish(actions: &[Action]) -> Publish {
    let published = publishes(actions);
    assert_eq!((published.len(), actions.len()), (1, 1), "{actions:?}");
    published.into_iter().next().unwrap()
}

const SEND: &str = "SEND\ndestination:/app/rooms/lobby\n\nhello\0";
