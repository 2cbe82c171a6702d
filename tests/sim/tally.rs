//! How often what happened, so that a fault which never strikes is noticed.

use std::{fmt, ops::Add};

/// Events of one run, or the sum over many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) duplicates: u64,
    pub(crate) trusted: u64,
    pub(crate) untrusted: u64,
    pub(crate) partial: u64,
    pub(crate) past: u64,
    pub(crate) waits: u64,
    pub(crate) pauses: u64,
    pub(crate) early: u64,
    pub(crate) repeats: u64,
    pub(crate) holes: u64,
    pub(crate) filled: u64,
}

// === impl Tally ===

impl Tally {
    fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("records", self.records),
            ("duplicates", self.duplicates),
            ("trusted snapshots", self.trusted),
            ("untrusted snapshots", self.untrusted),
            ("partial bases", self.partial),
            ("records before their room's row", self.past),
            ("waits for a row", self.waits),
            ("pauses", self.pauses),
            ("windows finished early", self.early),
            ("repeats", self.repeats),
            ("holes", self.holes),
            ("events fetched", self.filled),
        ]
    }

    /// A simulation in which something never happens proves nothing about it.
    pub(crate) fn says_that_every_fault_struck(&self) {
        for (what, times) in self.named() {
            assert!(times > 0, "no {what}");
        }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            duplicates: self.duplicates + other.duplicates,
            trusted: self.trusted + other.trusted,
            untrusted: self.untrusted + other.untrusted,
            partial: self.partial + other.partial,
            past: self.past + other.past,
            waits: self.waits + other.waits,
            pauses: self.pauses + other.pauses,
            early: self.early + other.early,
            repeats: self.repeats + other.repeats,
            holes: self.holes + other.holes,
            filled: self.filled + other.filled,
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
