//! The mechanisms a run can do without, to see whether anybody notices.

/// What a guarantee rests on. A world without one of them must fail, or its checkers check nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// A snapshot is trusted only if its heads add up to its accepted count.
    SumOfHeads,
    /// Rows follow only the contiguous prefix of what is stored.
    ContiguousPrefix,
    /// An event that lies ahead of a hole is held until the hole is filled.
    HoldingBack,
    /// A new owner reads the duplicate window back.
    WindowReadBack,
    /// A receipt follows the log's acknowledgement.
    ReceiptAfterLog,
    /// A read position is written only where it is further than the one stored.
    ForwardOnly,
    /// A change of a message is written only where it is later than the one stored.
    LaterChange,
    /// A removal ends the user's subscriptions at its place in the order.
    SilenceAfterRemoval,
    /// Records that need a room's row wait for it.
    WaitingForRows,
    /// Producers place records by the partition count that was recorded with the topic, whatever the broker has now.
    RecordedCount,
    /// A record is acknowledged once all in-sync replicas have it.
    AllReplicas,
    /// Of what is sent again within the window only the first is an event.
    Window,
    /// What can't be decoded is shown and stored after the dead-letter topic has it.
    PuttingAside,
    /// An event is judged by rows of one moment.
    OneMoment,
    /// A client that has more than is known here waits for an owner who knows how far the room is now.
    FreshHead,
    /// Stored rows are taken for all there are only if they add up.
    SumOfRows,
    /// A persister that finds rows newer than what it folds begins anew.
    Overtaken,
    /// Without the store a room is opened by all its events, from the first on.
    FromTheFirst,
    /// Who posts or joins has read up to there.
    PostingIsReading,
}

pub(crate) const ALL: [Mechanism; 19] = [
    Mechanism::SumOfHeads,
    Mechanism::ContiguousPrefix,
    Mechanism::HoldingBack,
    Mechanism::WindowReadBack,
    Mechanism::ReceiptAfterLog,
    Mechanism::ForwardOnly,
    Mechanism::LaterChange,
    Mechanism::SilenceAfterRemoval,
    Mechanism::WaitingForRows,
    Mechanism::RecordedCount,
    Mechanism::AllReplicas,
    Mechanism::Window,
    Mechanism::PuttingAside,
    Mechanism::OneMoment,
    Mechanism::FreshHead,
    Mechanism::SumOfRows,
    Mechanism::Overtaken,
    Mechanism::FromTheFirst,
    Mechanism::PostingIsReading,
];

/// What holds in a world: everything but, at most, one mechanism.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    without: Option<Mechanism>,
}

// === impl Rules ===

impl Rules {
    pub(crate) fn without(mechanism: Mechanism) -> Self {
        Self {
            without: Some(mechanism),
        }
    }

    /// Without the mechanism of this name.
    pub(crate) fn without_named(name: &str) -> Option<Self> {
        let named = |mechanism: &Mechanism| format!("{mechanism:?}") == name;
        ALL.into_iter().find(named).map(Self::without)
    }

    pub(crate) fn keep(self, mechanism: Mechanism) -> bool {
        self.without != Some(mechanism)
    }
}
