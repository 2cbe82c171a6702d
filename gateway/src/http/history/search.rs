//! The search for a page's messages, and what became of them.

use std::collections::HashMap;

use roomlog_core::{
    amendment::{Amended, Amendments},
    code::{Code, Refusal},
    event::Body,
    ids::{Count, RoomKey, Seq, UserId},
};
use roomlog_schemas::json;

use super::Window;
use crate::{
    gateway::Gateway,
    hub::{Decoded, Scope, Targets, amend, page_to_show, seq_of_message},
};

/// Events looked through for one page. Where messages are rarer than that a page is short, yet never empty while there
/// are more, and says where to go on.
const SCAN_EVENTS_MAX: u64 = 4_000;
/// Events fetched at least at once when going backwards.
const SCAN_EVENTS_MIN: u64 = 32;

/// A stretch of a room's events.
#[derive(Default)]
pub(super) struct Stretch {
    pub(super) items: Vec<Decoded>,
    /// Whether there is more beyond its far end.
    pub(super) has_more: bool,
}

/// What is looked for, and what was seen on the way.
pub(super) struct Search<'a> {
    gateway: &'a Gateway,
    key: &'a RoomKey,
    /// The last event the page may show, and the count there.
    head: Seq,
    count: Count,
    /// Up to where it is known what became of messages.
    present: Seq,
    all: bool,
    /// Events that may still be looked at.
    budget: u64,
    /// What they changed.
    amendments: Amendments,
    /// The first and the last of a run of events all of which were looked at.
    run: Option<(Seq, Seq)>,
}

fn store_unavailable() -> Refusal {
    Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
}

// === impl Stretch, Search ===

impl Stretch {
    fn nothing(has_more: bool) -> Self {
        Self {
            items: Vec::new(),
            has_more,
        }
    }
}

impl<'a> Search<'a> {
    /// A search in what a room held at `head`, whose count is known, for what became of it up to `present`.
    pub(super) fn new(
        gateway: &'a Gateway,
        key: &'a RoomKey,
        (head, count): (Seq, Count),
        present: Seq,
    ) -> Self {
        Self {
            gateway,
            key,
            head,
            count,
            present,
            all: false,
            budget: SCAN_EVENTS_MAX,
            amendments: Amendments::default(),
            run: None,
        }
    }

    /// The same, for every event.
    pub(super) fn of_all(self, all: bool) -> Self {
        Self { all, ..self }
    }

    /// What comes before and what comes after the place that was asked for.
    pub(super) async fn window(
        &mut self,
        window: &Window,
        limit: u64,
    ) -> Result<(Stretch, Stretch), Refusal> {
        if let Some(after) = window.after {
            let found = self.forwards(Seq(after), limit).await?;
            return Ok((Stretch::nothing(after > 0), found));
        }
        if let Some(around) = window.around {
            let before = self
                .backwards(Seq(around.saturating_add(1)), limit.div_ceil(2))
                .await?;
            let left = limit - before.items.len() as u64;
            let after = self.forwards(Seq(around), left).await?;
            return Ok((before, after));
        }
        let before = window.before.map_or(self.head.next(), Seq);
        let found = self.backwards(before, limit).await?;
        Ok((found, Stretch::nothing(before <= self.head)))
    }

    fn wants(&self, decoded: &Decoded) -> bool {
        self.all || decoded.stored.kind.counts()
    }

    /// Up to `limit` items after a seq.
    async fn forwards(&mut self, after: Seq, limit: u64) -> Result<Stretch, Refusal> {
        let mut stretch = Stretch::default();
        let mut next = Seq(after.0.saturating_add(1));
        let mut count = None;
        while next <= self.head && self.budget > 0 && (stretch.items.len() as u64) < limit {
            for decoded in self.events(next, self.head).await? {
                next = decoded.stored.seq.next();
                count = Some(decoded.stored.count);
                if self.wants(&decoded) {
                    stretch.items.push(decoded);
                }
                if stretch.items.len() as u64 == limit {
                    break;
                }
            }
        }
        if let Some(count) = count.filter(|count| {
            stretch.items.is_empty() && limit > 0 && next <= self.head && *count < self.count
        }) {
            let decoded = self.message(Count(count.0 + 1), next, self.head).await?;
            next = decoded.stored.seq.next();
            stretch.items.push(decoded);
        }
        stretch.has_more = next <= self.head;
        Ok(stretch)
    }

    /// Up to `limit` items before a seq, ascending.
    async fn backwards(&mut self, before: Seq, limit: u64) -> Result<Stretch, Refusal> {
        let mut stretch = Stretch::default();
        // Everything from here on was looked at, and this many messages lie before it.
        let mut seen = before.min(self.head.next());
        let mut older = None;
        while seen > Seq(1) && self.budget > 0 && (stretch.items.len() as u64) < limit {
            let wanted = limit - stretch.items.len() as u64;
            let from = Seq(seen.0.saturating_sub(wanted.max(SCAN_EVENTS_MIN)).max(1));
            let behind = self.run.filter(|(first, _)| *first == seen);
            let mut chunk = self.all_events(from, Seq(seen.0 - 1)).await?;
            if let Some((_, last)) = behind {
                self.run = Some((from, last));
            }
            seen = from;
            older = chunk.first().map(count_before);
            chunk.retain(|decoded| self.wants(decoded));
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            if let Some(last_dropped) = chunk.len().saturating_sub(wanted).checked_sub(1) {
                seen = chunk[last_dropped].stored.seq.next();
                chunk.drain(..=last_dropped);
            }
            chunk.append(&mut stretch.items);
            stretch.items = chunk;
        }
        if let Some(number) = older.filter(|older| stretch.items.is_empty() && *older > Count(0)) {
            let decoded = self.message(number, Seq(1), Seq(seen.0 - 1)).await?;
            seen = decoded.stored.seq;
            stretch.items.push(decoded);
        }
        stretch.has_more = match stretch.items.first() {
            // The number of a message says whether there are others before it.
            Some(first) if !self.all => count_before(first) > Count(0),
            None if !self.all => false,
            _ => seen > Seq(1),
        };
        Ok(stretch)
    }

    /// The message with this number, which lies within these bounds.
    async fn message(&mut self, number: Count, low: Seq, high: Seq) -> Result<Decoded, Refusal> {
        let found = seq_of_message(&self.gateway.source, self.key, number, (low, high)).await;
        let seq = found.ok_or_else(store_unavailable)?;
        let events = self.events(seq, seq).await?;
        events.into_iter().next().ok_or_else(store_unavailable)
    }

    async fn all_events(&mut self, from: Seq, to: Seq) -> Result<Vec<Decoded>, Refusal> {
        let (mut events, mut next) = (Vec::new(), from);
        while next <= to {
            let page = self.events(next, to).await?;
            next = page.last().ok_or_else(store_unavailable)?.stored.seq.next();
            events.extend(page);
        }
        Ok(events)
    }

    /// The next events, at least one. Notes what they change.
    async fn events(&mut self, from: Seq, to: Seq) -> Result<Vec<Decoded>, Refusal> {
        let events = page_to_show(&self.gateway.source, self.key, from, to).await;
        let events = events.ok_or_else(store_unavailable)?;
        let last = events.last().ok_or_else(store_unavailable)?.stored.seq;
        self.budget = self.budget.saturating_sub(events.len() as u64);
        self.amendments
            .extend(events.iter().filter_map(Decoded::amendment));
        self.run = match self.run {
            None => Some((from, last)),
            Some((first, end)) if from <= end.next() && last.next() >= first => {
                Some((first.min(from), end.max(last)))
            }
            // A gap: what was seen before it says nothing about what comes after it.
            Some(_) => Some((from, last)),
        };
        Ok(events)
    }

    /// Learns what became of these items.
    pub(super) async fn amend(&mut self, items: &[Decoded]) -> Result<(), Refusal> {
        let first = items.first().map_or(Seq::ZERO, |item| item.stored.seq);
        let known = match self.run {
            Some((from, to)) if from <= first => to,
            _ => first,
        };
        let Some(targets) = Targets::among(items, known) else {
            return Ok(());
        };
        let (source, present) = (&self.gateway.source, self.present);
        let scope = Scope::Everything;
        let learned = amend(
            source,
            self.key,
            &targets,
            present,
            scope,
            &mut self.amendments,
        );
        learned.await.ok_or_else(store_unavailable)
    }

    /// The last event that changed one of these items; zero where nothing did.
    pub(super) fn last_change(&self, items: &[Decoded]) -> Seq {
        let edited = |item: &Decoded| match item.event.as_ref()?.body {
            Body::Edit { target, .. } => Some(target),
            _ => None,
        };
        let seqs = items
            .iter()
            .flat_map(|item| [Some(item.stored.seq), edited(item)]);
        let changes = seqs.flatten().filter_map(|seq| self.amendments.of(seq));
        changes.map(Amended::last_change).max().unwrap_or(Seq::ZERO)
    }

    /// How many have read each of these items; nothing where that is not known now.
    pub(super) async fn read_counts(&self, items: &[Decoded]) -> HashMap<Seq, u64> {
        let messages = items.iter().filter(|item| item.stored.kind.is_amendable());
        let seqs: Vec<Seq> = messages.map(|item| item.stored.seq).collect();
        if seqs.is_empty() {
            return HashMap::new();
        }
        let counts = self.gateway.source.readers.counts(self.key, &seqs).await;
        seqs.into_iter().zip(counts.into_iter().flatten()).collect()
    }

    /// The items' JSON with what became of them.
    pub(super) fn bodies(
        &self,
        mut items: Vec<Decoded>,
        viewer: &UserId,
        mut read: HashMap<Seq, u64>,
    ) -> Vec<String> {
        let bodies = items.iter_mut().map(|item| {
            item.hide_if_deleted(&self.amendments);
            match item.numbered() {
                Some(numbered) if item.stored.kind.is_amendable() => {
                    let newest = json::Newest {
                        amended: self.amendments.of(numbered.seq),
                        viewer,
                        read_count: read.remove(&numbered.seq),
                    };
                    let body = json::newest_body(&numbered, &newest);
                    String::from_utf8(body).expect("JSON is UTF-8")
                }
                _ => item.body(item.is_void),
            }
        });
        bodies.collect()
    }
}

/// How many messages lie before an event.
fn count_before(decoded: &Decoded) -> Count {
    let own = u64::from(decoded.stored.kind.counts());
    Count(decoded.stored.count.0.saturating_sub(own))
}
