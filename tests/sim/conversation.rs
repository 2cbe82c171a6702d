//! A client's connection as `core::session` has it: what either side says is STOMP, and what the client asks for is
//! whatever the gateway reads out of that.

use std::sync::Arc;

use roomlog_core::{
    code::{Code, Refusal},
    ids::{Count, RoomKey, Seq, UserId},
    limits::Limits,
    session::{Action, Done, RequestId, Session, SessionConfig, Start},
    stomp::{Bounds, Command, Decoder, HeartBeat},
};

use crate::log::Draft;

/// The receipt that a client asks for with its subscription.
pub(crate) const SUBSCRIPTION: &str = "subscription";
/// How much of what a client says arrives at once: frames are cut anywhere.
const CUT_BYTES: usize = 17;
/// Nothing of a conversation depends on time here: heart-beats are off and tokens last.
const NOW_MS: u64 = 0;

#[derive(Debug)]
pub(crate) struct Conversation {
    session: Session,
}

/// What a client is told about something it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done.
    Done { receipt: String },
    /// It is not, and this code says why.
    Refused { receipt: String, code: Code },
}

// === impl Conversation ===

impl Conversation {
    /// A client signs in, listens for refusals, and subscribes to a room with the last event it has. Also the request
    /// that is open since, and what the gateway understood the client to have.
    pub(crate) fn begin(user: &UserId, room: &RoomKey, has: Seq) -> (Self, RequestId, Seq) {
        let config = SessionConfig {
            limits: Limits::default(),
            heart_beat: HeartBeat {
                send_ms: 0,
                receive_ms: 0,
            },
            server: "roomlog".to_owned(),
        };
        let session = Session::new(Arc::new(config), "session", None, NOW_MS);
        let mut conversation = Self { session };
        let hello = "CONNECT\naccept-version:1.2\nhost:roomlog\n\n\0";
        let asked = conversation.hear(hello);
        assert!(matches!(asked[..], [Action::Authenticate { .. }]));
        let connected = conversation.session.authenticated(user, None, NOW_MS);
        assert!(matches!(connected[..], [Action::Send(_)]));
        conversation.hear("SUBSCRIBE\nid:refusals\ndestination:/user/queue/errors\n\n\0");
        let asked = conversation.hear(&format!(
            "SUBSCRIBE\nid:room\nreceipt:{SUBSCRIPTION}\ndestination:/topic/rooms/{room}\nsince:{has}\n\n\0"
        ));
        let [Action::Subscribe(subscribe)] = &asked[..] else {
            panic!("{asked:?}");
        };
        let Start::Since { seq, .. } = subscribe.start else {
            panic!("{subscribe:?}");
        };
        (conversation, subscribe.request, seq)
    }

    /// A client sends something, under its id and with a receipt; the request that is open since.
    pub(crate) fn send(&mut self, draft: &Draft) -> RequestId {
        let (key, id) = (&draft.key, &draft.id);
        let asked = self.hear(&format!(
            "SEND\ndestination:/app/rooms/{key}\nid:{id}\nreceipt:{id}\n\ntext\0"
        ));
        let [Action::Publish(publish)] = &asked[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(publish.room.as_str(), key);
        assert_eq!(publish.id.as_ref().map(|id| id.as_str()), Some(id.as_str()));
        publish.request
    }

    fn hear(&mut self, text: &str) -> Vec<Action> {
        let cuts = text.as_bytes().chunks(CUT_BYTES);
        cuts.flat_map(|cut| self.session.receive(cut, NOW_MS))
            .collect()
    }

    /// A request is over; the frames that tell the client.
    pub(crate) fn is_over(&mut self, request: RequestId, refused: Option<Code>) -> Vec<Vec<u8>> {
        let outcome = match refused {
            Some(code) => Err(Refusal::new(code, "no")),
            None => Ok(Done::Plain),
        };
        self.frames(request, outcome)
    }

    /// The subscription stands, and its room is so far.
    pub(crate) fn is_subscribed(&mut self, request: RequestId, head: Seq) -> Vec<Vec<u8>> {
        let epoch = "1".to_owned();
        let count = Count::ZERO;
        self.frames(request, Ok(Done::Subscribed { head, count, epoch }))
    }

    fn frames(&mut self, request: RequestId, outcome: Result<Done, Refusal>) -> Vec<Vec<u8>> {
        let said = self.session.completed(request, outcome, NOW_MS).into_iter();
        said.map(|action| match action {
            Action::Send(frame) => frame.to_vec(),
            other => panic!("nothing else follows from an outcome: {other:?}"),
        })
        .collect()
    }
}

// === impl Answer ===

impl Answer {
    /// What a frame says to a client.
    pub(crate) fn read(mut frame: &[u8]) -> Self {
        let mut decoder = Decoder::new(Bounds::signed_in(&Limits::default()));
        let frame = decoder.decode(&mut frame).ok().flatten();
        let frame = frame.expect("one whole frame");
        let receipt = frame.header("receipt-id").expect("all is receipted");
        let receipt = receipt.to_owned();
        match frame.command {
            Command::Receipt => Self::Done { receipt },
            _ => {
                let codes = [Code::NotAMember, Code::LogUnavailable];
                let told = frame.header("code");
                let code = codes.into_iter().find(|code| Some(code.as_str()) == told);
                let code = code.unwrap_or_else(|| panic!("{frame:?}"));
                Self::Refused { receipt, code }
            }
        }
    }
}
