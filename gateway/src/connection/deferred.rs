//! What waits for the checks of a SEND or COMMIT, or for a SUBSCRIBE to the same room, so that nothing overtakes it.

use std::collections::VecDeque;

use roomlog_core::session::{Action, Publish, SubIndex};

/// Bytes that may wait before nothing more is read from the client: its socket pushes back, and its silence is not held
/// against it. What one WebSocket message brings may pass it.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// What one SEND is counted as beside its body.
const SEND_OVERHEAD_BYTES: usize = 256;

/// SENDs and COMMITs in their order.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    /// Each behind the subscription that is being granted, or behind checks.
    actions: VecDeque<(Option<SubIndex>, Action)>,
    bytes: usize,
}

// === impl Deferred ===

impl Deferred {
    pub(super) fn push(&mut self, behind: Option<SubIndex>, action: Action) {
        self.bytes += cost(&action);
        self.actions.push_back((behind, action));
    }

    pub(super) fn pop(&mut self, behind: Option<SubIndex>) -> Option<Action> {
        let is_next = |(waits, _): &(Option<SubIndex>, Action)| *waits == behind;
        let position = self.actions.iter().position(is_next)?;
        let (_, action) = self.actions.remove(position)?;
        self.bytes -= cost(&action);
        Some(action)
    }

    /// Whether nothing more is to be read from the client.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES_MAX
    }
}

fn cost(action: &Action) -> usize {
    let of_send = |publish: &Publish| publish.body.len() + SEND_OVERHEAD_BYTES;
    match action {
        Action::Publish(publish) => of_send(publish),
        Action::Commit { publishes, .. } => publishes.iter().map(of_send).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use roomlog_core::{
        ids::RoomId,
        session::{ContentType, RequestId, Verb},
    };

    use super::*;

    fn send(bytes: usize) -> Publish {
        Publish {
            request: RequestId(0),
            room: RoomId::parse("r").unwrap(),
            verb: Verb::Post,
            id: None,
            content_type: ContentType::Text,
            headers: Vec::new(),
            body: vec![b'x'; bytes].into(),
        }
    }

    #[test]
    fn a_client_is_not_read_while_much_waits_and_is_read_once_that_has_gone() {
        let mut deferred = Deferred::default();
        let mut waiting = 0;
        while !deferred.is_full() {
            deferred.push(None, Action::Publish(send(16_000)));
            waiting += 1;
        }
        assert_eq!(
            waiting,
            WAITING_BYTES_MAX.div_ceil(16_000 + SEND_OVERHEAD_BYTES)
        );
        while deferred.pop(None).is_some() {
            assert!(!deferred.is_full());
        }
        assert_eq!(deferred.bytes, 0);
    }

    #[test]
    fn what_waits_for_one_thing_is_not_let_go_by_another() {
        let mut deferred = Deferred::default();
        let behind = [
            Some(SubIndex(1)),
            None,
            Some(SubIndex(1)),
            Some(SubIndex(2)),
        ];
        for (bytes, behind) in behind.into_iter().enumerate() {
            deferred.push(behind, Action::Publish(send(bytes)));
        }
        let mut popped = |behind| match deferred.pop(behind) {
            Some(Action::Publish(publish)) => Some(publish.body.len()),
            _ => None,
        };
        let first = Some(SubIndex(1));
        assert_eq!(
            [first, first, first, None, Some(SubIndex(2))].map(&mut popped),
            [Some(0), Some(2), None, Some(1), Some(3)]
        );
        assert_eq!(deferred.bytes, 0);
    }

    #[test]
    fn empty_sends_and_whole_transactions_count_too() {
        let (request, publishes) = (RequestId(1), vec![send(0), send(9)]);
        let commit = Action::Commit { request, publishes };
        assert_eq!(cost(&commit), 9 + 2 * SEND_OVERHEAD_BYTES);
    }
}
