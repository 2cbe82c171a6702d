//! Windows of work that finish in any order, and the prefix of them that is finished without a gap.
//!
//! The persister writes several windows of records at once. A window that finished early says nothing about
//! the log before it, so rows that claim "stored up to here" may only follow the contiguous prefix: the windows
//! this hands back, in the order they were begun.

use std::collections::VecDeque;

use thiserror::Error;

/// Names a window that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowId(u64);

/// No further window may be begun until one has been committed. The window is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("as many windows as allowed are in flight")]
pub struct Full<T>(pub T);

/// Windows in flight, each with what is to be done once it and all before it are finished.
#[derive(Debug)]
pub struct Prefix<T> {
    /// In the order they were begun; those in front are unfinished or about to be handed back.
    windows: VecDeque<Window<T>>,
    /// Id of the window in front.
    front: u64,
    /// The most that may be in flight. A finished window behind an unfinished one counts, since what it holds
    /// is still held.
    windows_max: usize,
}

#[derive(Debug)]
struct Window<T> {
    work: T,
    finished: bool,
}

// === impl Prefix ===

impl<T> Prefix<T> {
    /// Nothing in flight, and never more than `windows_max` (at least one).
    pub fn new(windows_max: usize) -> Self {
        Self {
            windows: VecDeque::new(),
            front: 0,
            windows_max: windows_max.max(1),
        }
    }

    /// Begins a window behind all others.
    pub fn begin(&mut self, work: T) -> Result<WindowId, Full<T>> {
        if self.is_full() {
            return Err(Full(work));
        }
        let id = WindowId(self.front + self.windows.len() as u64);
        self.windows.push_back(Window {
            work,
            finished: false,
        });
        Ok(id)
    }

    /// Marks a window as finished and returns those that became part of the finished prefix by it, in order.
    /// One that was finished before changes nothing.
    pub fn finish(&mut self, id: WindowId) -> Vec<T> {
        let window =
            id.0.checked_sub(self.front)
                .and_then(|index| self.windows.get_mut(usize::try_from(index).ok()?));
        if let Some(window) = window {
            window.finished = true;
        }
        let mut committed = Vec::new();
        while let Some(window) = self.windows.pop_front_if(|window| window.finished) {
            self.front += 1;
            committed.push(window.work);
        }
        committed
    }

    /// How many are in flight.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether nothing is in flight: all that was begun has been handed back.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Whether [`Self::begin`] would refuse.
    pub fn is_full(&self) -> bool {
        self.windows.len() >= self.windows_max
    }

    /// The windows in flight, in order, finished or not.
    pub fn in_flight(&self) -> impl Iterator<Item = &T> {
        self.windows.iter().map(|window| &window.work)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_that_finishes_early_waits_for_those_before_it() {
        let mut prefix = Prefix::new(3);
        let [a, b, c] = [10, 20, 30].map(|end| prefix.begin(end).expect("room for three"));
        assert_eq!(prefix.begin(40), Err(Full(40)));
        assert_eq!(prefix.finish(c), []);
        assert_eq!(prefix.finish(b), []);
        assert_eq!(prefix.finish(a), [10, 20, 30]);
        assert!(prefix.is_empty());
        assert_eq!(prefix.finish(a), [], "finishing twice changes nothing");
    }

    proptest! {
        /// Any order of beginning and finishing hands back exactly the finished prefix, in order, and holds no
        /// more than it may.
        #[test]
        fn commits_exactly_the_contiguous_prefix(
            windows_max in 1_usize..6,
            steps in prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), 0..200),
        ) {
            let mut prefix = Prefix::new(windows_max);
            let (mut begun, mut finished, mut committed) = (Vec::new(), Vec::new(), 0);
            for step in steps {
                match step {
                    None => match prefix.begin(begun.len()) {
                        Ok(id) => {
                            begun.push(id);
                            finished.push(false);
                        }
                        Err(Full(_)) => prop_assert_eq!(begun.len() - committed, windows_max),
                    },
                    Some(index) if !begun.is_empty() => {
                        let index = index.index(begun.len());
                        finished[index] = true;
                        for window in prefix.finish(begun[index]) {
                            prop_assert_eq!(window, committed);
                            committed += 1;
                        }
                    }
                    Some(_) => {}
                }
                let expected = finished.iter().take_while(|finished| **finished).count();
                prop_assert_eq!(committed, expected);
                prop_assert_eq!(prefix.len(), begun.len() - committed);
                prop_assert!(prefix.len() <= windows_max);
                prop_assert!(prefix.in_flight().copied().eq(committed..begun.len()));
            }
        }
    }
}
