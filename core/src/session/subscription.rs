//! The subscriptions of one session.

use crate::{
    code::{Code, Refusal},
    ids::Seq,
    limits::Limits,
    stomp::{Envelope, Frame, Mark, Version},
};

use super::{
    ack::{ACK_ISLANDS_MAX, AckMode, Deliveries},
    action::{Start, SubIndex},
    destination::Topic,
    refusal::Trouble,
};

/// All subscriptions of a session, by index.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Sorted, since indices only grow.
    entries: Vec<Subscription>,
    /// The index of the next one.
    next: u32,
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) index: SubIndex,
    /// The client's id; `None` for a 1.0 client that gave none.
    id: Option<Box<str>>,
    pub(super) topic: Topic,
    pub(super) envelope: Envelope,
    pub(super) ack: AckMode,
    /// What was delivered; `None` where nothing is acknowledged.
    deliveries: Option<Box<Deliveries>>,
}

/// A SUBSCRIBE that has all its headers.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    id: Option<&'a str>,
    destination: &'a str,
    ack: AckMode,
}

/// A MESSAGE that was delivered to a subscription.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    pub(super) index: SubIndex,
    pub(super) mark: Mark,
}

/// The read position of a subscription that moved.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) topic: Topic,
    pub(super) seq: Seq,
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    /// Reads what STOMP asks of a SUBSCRIBE; what is wrong here is fatal.
    pub(super) fn parse(frame: &'a Frame, version: Version) -> Result<Self, Trouble> {
        let id = frame.header("id");
        if id.is_none() && version > Version::V1_0 {
            return Err(Trouble::missing("id"));
        }
        let ack = AckMode::parse(frame.header("ack"));
        Ok(Self {
            id,
            destination: required(frame, "destination")?,
            ack: ack.ok_or_else(|| {
                Trouble::protocol(
                    Code::BadRequest,
                    "ack has to be auto, client or client-individual",
                )
            })?,
        })
    }
}

impl Start {
    /// Reads `since`, `epoch` and `history`. A value that is wrong is refused even where the other one wins.
    pub(super) fn parse(frame: &Frame, limits: &Limits) -> Result<Self, Trouble> {
        let since = number(frame, "since")?;
        let history = number(frame, "history")?;
        if history.is_some_and(|count| count > limits.history_max) {
            let max = limits.history_max;
            return Err(Trouble::refused(
                Code::BadRequest,
                format!("history is at most {max}"),
            ));
        }
        Ok(match (since, history) {
            (Some(seq), _) => Self::Since {
                seq: Seq(seq),
                epoch: frame.header("epoch").map(Into::into),
            },
            (None, None | Some(0)) => Self::Live,
            (None, Some(count)) => Self::History(count),
        })
    }
}

// === impl Subscriptions ===

impl Subscriptions {
    /// Registers a subscription, before anybody else has agreed to it.
    pub(super) fn add(
        &mut self,
        wanted: &Wanted<'_>,
        version: Version,
        limits: &Limits,
    ) -> Result<&Subscription, Trouble> {
        let topic = Topic::parse(wanted.destination);
        let taken = self.entries.iter().any(|entry| match wanted.id {
            Some(id) => entry.id.as_deref() == Some(id),
            None => entry.id.is_none() && Some(&entry.topic) == topic.as_ref(),
        });
        if taken {
            return Err(Trouble::protocol(
                Code::BadRequest,
                "this subscription id is in use",
            ));
        }
        let topic = topic.ok_or_else(no_such_destination)?;
        if self.entries.len() >= limits.subscriptions_max {
            let max = limits.subscriptions_max;
            return Err(Trouble::refused(
                Code::TooMany,
                format!("a connection has at most {max} subscriptions"),
            ));
        }
        let index = SubIndex(self.next);
        self.next += 1;
        let acknowledged = wanted.ack != AckMode::Auto;
        self.entries.push(Subscription {
            index,
            id: wanted.id.map(Into::into),
            topic,
            envelope: Envelope::new(version, wanted.id, acknowledged.then_some(index.0)),
            ack: wanted.ack,
            deliveries: acknowledged.then(Box::default),
        });
        Ok(self.entries.last().expect("one was just pushed"))
    }

    /// Ends a subscription.
    pub(super) fn remove(&mut self, index: SubIndex) -> Option<Subscription> {
        let at = self.position(index)?;
        Some(self.entries.remove(at))
    }

    /// Which subscription an UNSUBSCRIBE means: by id, or in 1.0 by destination.
    pub(super) fn named(&self, frame: &Frame, version: Version) -> Result<SubIndex, Trouble> {
        let entry = match (frame.header("id"), frame.header("destination")) {
            (Some(id), _) => self
                .entries
                .iter()
                .find(|entry| entry.id.as_deref() == Some(id)),
            (None, Some(destination)) if version == Version::V1_0 => {
                let topic = Topic::parse(destination);
                let same = |entry: &&Subscription| Some(&entry.topic) == topic.as_ref();
                let mut all = self.entries.iter().filter(same);
                all.clone().find(|entry| entry.id.is_none()).or(all.next())
            }
            (None, _) => return Err(Trouble::missing("id")),
        };
        entry
            .map(|entry| entry.index)
            .ok_or_else(|| Trouble::protocol(Code::BadRequest, "there is no such subscription"))
    }

    /// Those that listen for refusals.
    pub(super) fn errors(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.entries
            .iter_mut()
            .filter(|entry| entry.topic == Topic::Errors)
    }

    /// Notes a MESSAGE.
    pub(super) fn delivered(&mut self, index: SubIndex, mark: Mark) {
        if let Some(entry) = self.find_mut(index) {
            entry.delivered(mark);
        }
    }

    /// Which MESSAGE an ACK or NACK means; every version has its own form.
    pub(super) fn delivery(&self, frame: &Frame, version: Version) -> Result<Delivery, Trouble> {
        let found = match version {
            Version::V1_2 => ack_value(required(frame, "id")?),
            Version::V1_1 => {
                let id = required(frame, "message-id")?;
                self.by_message_id(id, Some(required(frame, "subscription")?))
            }
            Version::V1_0 => {
                self.by_message_id(required(frame, "message-id")?, frame.header("subscription"))
            }
        };
        found
            .filter(|delivery| self.knows(*delivery))
            .ok_or_else(unknown_ack)
    }

    /// Whether that MESSAGE still may be acknowledged.
    pub(super) fn knows(&self, delivery: Delivery) -> bool {
        self.find(delivery.index)
            .and_then(|entry| entry.deliveries.as_ref())
            .is_some_and(|deliveries| deliveries.knows(delivery.mark))
    }

    /// Whether a subscription can take so many acknowledgements more, whatever their order.
    pub(super) fn has_room(&self, index: SubIndex, acks: usize) -> bool {
        let deliveries = self.find(index).and_then(|entry| entry.deliveries.as_ref());
        deliveries.is_none_or(|deliveries| deliveries.islands() + acks <= ACK_ISLANDS_MAX)
    }

    /// Takes an ACK; answers the read position if that moves it.
    pub(super) fn acknowledge(&mut self, delivery: Delivery) -> Option<Moved> {
        let entry = self.find_mut(delivery.index)?;
        let deliveries = entry.deliveries.as_mut()?;
        deliveries.acknowledge(entry.ack, delivery.mark);
        let seq = Seq(deliveries.position()?);
        entry.topic.is_log().then(|| Moved {
            topic: entry.topic.clone(),
            seq,
        })
    }

    fn by_message_id(&self, message_id: &str, subscription: Option<&str>) -> Option<Delivery> {
        let numbered = message_id.strip_suffix("-reset").unwrap_or(message_id);
        let (_, digits) = numbered.rsplit_once('-')?;
        let number = decimal(digits)?;
        let of_subscription =
            |entry: &&Subscription| subscription.is_none() || entry.id.as_deref() == subscription;
        self.entries
            .iter()
            .filter(of_subscription)
            .find_map(|entry| {
                let is_number = entry.topic.message_id(number) == message_id;
                let is_reset = entry.topic.reset_id(number) == message_id;
                [
                    (is_number, Mark::Number(number)),
                    (is_reset, Mark::Reset(number)),
                ]
                .into_iter()
                .filter_map(|(matches, mark)| matches.then_some(mark))
                .map(|mark| Delivery {
                    index: entry.index,
                    mark,
                })
                .find(|delivery| self.knows(*delivery))
            })
    }

    fn position(&self, index: SubIndex) -> Option<usize> {
        self.entries
            .binary_search_by_key(&index, |entry| entry.index)
            .ok()
    }

    fn find(&self, index: SubIndex) -> Option<&Subscription> {
        self.position(index).map(|at| &self.entries[at])
    }

    fn find_mut(&mut self, index: SubIndex) -> Option<&mut Subscription> {
        self.position(index).map(|at| &mut self.entries[at])
    }
}

// === impl Subscription ===

impl Subscription {
    /// Notes a MESSAGE.
    pub(super) fn delivered(&mut self, mark: Mark) {
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.delivered(mark);
        }
    }
}

/// The value of a header STOMP asks for.
pub(super) fn required<'a>(frame: &'a Frame, name: &str) -> Result<&'a str, Trouble> {
    frame.header(name).ok_or_else(|| Trouble::missing(name))
}

/// The same words whether a destination is malformed, unknown or only not for this frame.
pub(super) fn no_such_destination() -> Refusal {
    Refusal::new(Code::BadDestination, "there is no such destination")
}

pub(super) fn unknown_ack() -> Trouble {
    Trouble::protocol(
        Code::BadRequest,
        "no message with this ack waits to be acknowledged",
    )
}

/// Reads an ack value as [`Envelope::ack_value`] writes it.
fn ack_value(text: &str) -> Option<Delivery> {
    let (index, number) = text.split_once('-')?;
    Some(Delivery {
        index: SubIndex(u32::try_from(decimal(index)?).ok()?),
        mark: match number.strip_prefix("reset-") {
            Some(head) => Mark::Reset(decimal(head)?),
            None => Mark::Number(decimal(number)?),
        },
    })
}

/// Reads a number that has one spelling only.
fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (digits && canonical).then(|| text.parse().ok()).flatten()
}

fn number(frame: &Frame, name: &str) -> Result<Option<u64>, Trouble> {
    let Some(text) = frame.header(name) else {
        return Ok(None);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.then(|| text.parse().ok()).flatten();
    value
        .map(Some)
        .ok_or_else(|| Trouble::refused(Code::BadRequest, format!("{name} has to be a number")))
}
