//! What waits for the checks of a SEND or COMMIT, or for a SUBSCRIBE to one of its rooms, so that nothing overtakes it
//! there.

use std::collections::{HashSet, VecDeque};

use roomlog_core::{
    ids::RoomId,
    session::{Action, Publish},
};

/// Bytes that may wait before nothing more is read from the client: its socket pushes back, and its silence is not held
/// against it. What one WebSocket message brings may pass it.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// What one SEND is counted as beside its body.
const SEND_OVERHEAD_BYTES: usize = 256;

/// SENDs and COMMITs in the order they came in.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    actions: VecDeque<Action>,
    bytes: usize,
}

// === impl Deferred ===

impl Deferred {
    pub(super) fn push(&mut self, action: Action) {
        self.bytes += cost(&action);
        self.actions.push_back(action);
    }

    /// The first that may go: to rooms that are not held back, and to which nothing before it waits to go.
    pub(super) fn pop(&mut self, is_held: impl Fn(&RoomId) -> bool) -> Option<Action> {
        let position = self.first_free(is_held)?;
        let action = self.actions.remove(position)?;
        self.bytes -= cost(&action);
        Some(action)
    }

    fn first_free(&self, is_held: impl Fn(&RoomId) -> bool) -> Option<usize> {
        let mut awaited: HashSet<&RoomId> = HashSet::new();
        self.actions.iter().position(|action| {
            let rooms = || publishes_of(action).iter().map(|publish| &publish.room);
            let is_free = !rooms().any(|room| awaited.contains(room) || is_held(room));
            if !is_free {
                awaited.extend(rooms());
            }
            is_free
        })
    }

    /// Whether nothing more is to be read from the client.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES_MAX
    }
}

fn publishes_of(action: &Action) -> &[Publish] {
    match action {
        Action::Publish(publish) => std::slice::from_ref(publish),
        Action::Commit { publishes, .. } => publishes,
        _ => &[],
    }
}

fn cost(action: &Action) -> usize {
    let of_send = |publish: &Publish| publish.body.len() + SEND_OVERHEAD_BYTES;
    publishes_of(action).iter().map(of_send).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use roomlog_core::session::{ContentType, RequestId, Verb};

    use super::*;

    fn send(room: &str, bytes: usize) -> Publish {
        Publish {
            request: RequestId(0),
            room: RoomId::parse(room).unwrap(),
            verb: Verb::Post,
            id: None,
            content_type: ContentType::Text,
            headers: Vec::new(),
            body: vec![b'x'; bytes].into(),
        }
    }

    fn commit(publishes: Vec<Publish>) -> Action {
        let request = RequestId(1);
        Action::Commit { request, publishes }
    }

    #[test]
    fn a_client_is_not_read_while_much_waits_and_is_read_once_that_has_gone() {
        let mut deferred = Deferred::default();
        let mut waiting = 0;
        while !deferred.is_full() {
            deferred.push(Action::Publish(send("r", 16_000)));
            waiting += 1;
        }
        assert_eq!(
            waiting,
            WAITING_BYTES_MAX.div_ceil(16_000 + SEND_OVERHEAD_BYTES)
        );
        while deferred.pop(|_| false).is_some() {
            assert!(!deferred.is_full());
        }
        assert_eq!(deferred.bytes, 0);
    }

    #[test]
    fn what_waits_for_a_room_is_overtaken_in_none_of_its_rooms() {
        let mut deferred = Deferred::default();
        for action in [
            Action::Publish(send("a", 1)),
            commit(vec![send("b", 2), send("a", 3)]),
            Action::Publish(send("b", 4)),
            Action::Publish(send("c", 5)),
            Action::Publish(send("a", 6)),
        ] {
            deferred.push(action);
        }
        let mut popped = |held: &str| {
            let action = deferred.pop(|room| room.as_str() == held);
            let publishes = action.iter().flat_map(publishes_of);
            let bytes = publishes.map(|publish| publish.body.len());
            bytes.collect::<Vec<usize>>()
        };
        // The room c has nothing to do with a; what goes to b waits behind the transaction.
        assert_eq!([popped("a"), popped("a")], [vec![5], vec![]]);
        // Only the first of a is before the transaction.
        assert_eq!([popped("b"), popped("b")], [vec![1], vec![]]);
        let rest = [popped(""), popped(""), popped(""), popped("")];
        assert_eq!(rest, [vec![2, 3], vec![4], vec![6], vec![]]);
        assert_eq!(deferred.bytes, 0);
    }

    #[test]
    fn empty_sends_and_whole_transactions_count_too() {
        let commit = commit(vec![send("r", 0), send("r", 9)]);
        assert_eq!(cost(&commit), 9 + 2 * SEND_OVERHEAD_BYTES);
    }
}
