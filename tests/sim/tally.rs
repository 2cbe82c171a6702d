//! How often what happened, so that a fault which never strikes is noticed.

use std::{fmt, ops::Add};

/// What happens too seldom to be asked of every few thousand seeds; a named case shows each.
const RARE: [&str; 2] = ["events shown without the store", "records trimmed"];

/// Declares the counters once, each with what it is called.
macro_rules! counters {
    ($($field:ident: $what:literal),* $(,)?) => {
        /// Events of one run, or the sum over many.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Tally {
            $(pub(crate) $field: u64,)*
        }

        impl Tally {
            fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$(($what, self.$field)),*]
            }
        }

        impl Add for Tally {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($field: self.$field + other.$field),* }
            }
        }
    };
}

counters! {
    records: "records",
    receipts: "receipts",
    unknown: "sends of unknown fate",
    duplicates: "duplicates",
    void: "void events",
    trusted: "trusted snapshots",
    untrusted: "untrusted snapshots",
    partial: "partial bases",
    past: "records before their room's row",
    waits: "waits for a row",
    pauses: "pauses",
    at_once: "snapshots written at once",
    cut_off: "snapshot writes cut off",
    early: "windows finished early",
    throttled: "throttled writes",
    unread: "throttled reads",
    leaderless: "leaders lost with records",
    partitions: "partitions added",
    overtaken: "persisters overtaken",
    repeats: "repeats",
    holes: "holes",
    filled: "events fetched",
    replayed: "events replayed",
    unjudged: "events shown without the store",
    young: "rooms opened without the store",
    refused: "clients refused",
    trimmed: "records trimmed",
    reopened: "rooms opened anew",
}

// === impl Tally ===

impl Tally {
    /// A simulation in which something never happens proves nothing about it.
    pub(crate) fn says_that_every_fault_struck(&self) {
        let often = self.named().into_iter();
        for (what, times) in often.filter(|(what, _)| !RARE.contains(what)) {
            assert!(times > 0, "no {what}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (what, times)) in self.named().into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{times} {what}")?;
        }
        Ok(())
    }
}
