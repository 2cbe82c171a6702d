//! Open transactions: what they hold until COMMIT, and how much that may be.

use crate::{
    code::{Code, Refusal},
    limits::Limits,
};

use super::{refusal::Trouble, send::Draft, subscription::Delivery};

/// Bytes all open transactions of a session may hold. Two frames of the largest size still fit sixteen times over, and
/// thousands of such sessions don't exhaust a server. Beyond it the transaction is refused `too-many` at its COMMIT and
/// what it held is given back at once.
pub(super) const TRANSACTIONS_BYTES_MAX: usize = 1 << 20;

/// All open transactions of a session.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// At most `transactions_max`, so that a scan is cheap.
    open: Vec<Transaction>,
}

/// One open transaction.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    id: Box<str>,
    /// SENDs in their order.
    pub(super) drafts: Vec<Draft>,
    /// ACKs in their order.
    pub(super) acks: Vec<HeldAck>,
    /// Receipts of NACKs.
    pub(super) receipts: Vec<String>,
    /// Frames taken, whether held or not.
    frames: usize,
    /// Bytes held.
    bytes: usize,
    /// The first thing that was refused: nothing is held any more, and COMMIT will say so.
    refusal: Option<Refusal>,
}

/// An ACK until COMMIT.
#[derive(Debug)]
pub(super) struct HeldAck {
    pub(super) delivery: Delivery,
    pub(super) receipt: Option<String>,
}

/// What a transaction holds.
#[derive(Debug)]
pub(super) enum Held {
    Send(Draft),
    Ack(HeldAck),
    /// A NACK; it has a receipt at most.
    Nack(Option<String>),
}

// === impl Transactions ===

impl Transactions {
    /// BEGIN.
    pub(super) fn begin(&mut self, id: &str, limits: &Limits) -> Result<(), Trouble> {
        if self.find(id).is_some() {
            return Err(Trouble::protocol(
                Code::BadRequest,
                "this transaction is open already",
            ));
        }
        if self.open.len() >= limits.transactions_max {
            let max = limits.transactions_max;
            return Err(Trouble::refused(
                Code::TooMany,
                format!("a connection has at most {max} open transactions"),
            ));
        }
        self.open.push(Transaction {
            id: id.into(),
            bytes: id.len(),
            ..Transaction::default()
        });
        Ok(())
    }

    /// Puts a frame into a transaction. A refused one spoils the transaction, which is told at COMMIT.
    pub(super) fn hold(
        &mut self,
        id: &str,
        held: Result<Held, Refusal>,
        limits: &Limits,
    ) -> Result<(), Trouble> {
        let in_all: usize = self.open.iter().map(|open| open.bytes).sum();
        let at = self.find(id).ok_or_else(unknown)?;
        let open = &mut self.open[at];
        open.frames += 1;
        let held = held.and_then(|held| {
            let bytes = held.bytes();
            let fits = open.frames <= limits.transaction_frames_max
                && in_all + bytes <= TRANSACTIONS_BYTES_MAX;
            fits.then_some((held, bytes)).ok_or_else(too_many)
        });
        match held {
            _ if open.refusal.is_some() => {}
            Ok((held, bytes)) => open.take(held, bytes),
            Err(refusal) => {
                *open = Transaction {
                    id: std::mem::take(&mut open.id),
                    bytes: id.len(),
                    frames: open.frames,
                    refusal: Some(refusal),
                    ..Transaction::default()
                }
            }
        }
        Ok(())
    }

    /// COMMIT: what the transaction holds, or the refusal that spoiled it.
    pub(super) fn commit(&mut self, id: &str) -> Result<Transaction, Trouble> {
        let at = self.find(id).ok_or_else(unknown)?;
        let mut transaction = self.open.remove(at);
        match transaction.refusal.take() {
            None => Ok(transaction),
            Some(refusal) => Err(refusal.into()),
        }
    }

    /// ABORT.
    pub(super) fn abort(&mut self, id: &str) -> Result<(), Trouble> {
        let at = self.find(id).ok_or_else(unknown)?;
        self.open.remove(at);
        Ok(())
    }

    /// Whether such a transaction is open.
    pub(super) fn check(&self, id: &str) -> Result<(), Trouble> {
        self.find(id).map(|_| ()).ok_or_else(unknown)
    }

    /// Aborts all.
    pub(super) fn clear(&mut self) {
        self.open = Vec::new();
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.open.iter().position(|open| &*open.id == id)
    }
}

// === impl Transaction ===

impl Transaction {
    fn take(&mut self, held: Held, bytes: usize) {
        self.bytes += bytes;
        match held {
            Held::Send(draft) => self.drafts.push(draft),
            Held::Ack(ack) => self.acks.push(ack),
            Held::Nack(receipt) => self.receipts.extend(receipt),
        }
    }
}

// === impl Held ===

impl Held {
    fn bytes(&self) -> usize {
        match self {
            Self::Send(draft) => draft.held_bytes(),
            Self::Ack(HeldAck { receipt, .. }) | Self::Nack(receipt) => {
                receipt.as_ref().map_or(0, String::len)
            }
        }
    }
}

fn unknown() -> Trouble {
    Trouble::protocol(Code::BadRequest, "there is no such transaction")
}

fn too_many() -> Refusal {
    Refusal::new(Code::TooMany, "the transaction holds too much")
}
