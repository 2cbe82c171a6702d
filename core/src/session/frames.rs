//! What each frame of a client that is being served does.

use crate::{
    code::{Code, Refusal},
    stomp::{Command, Frame},
};

use super::{
    Action, LEAVE_WAIT_MS, Phase, Session,
    action::{Start, SubIndex, Subscribe},
    connect::{Connect, authorization},
    destination::{Target, Topic},
    refusal::Trouble,
    request::{Commit, Purpose},
    send::Draft,
    subscription::{Wanted, no_such_destination, required, unknown_ack},
    transaction::{Held, HeldAck},
};

impl Session {
    /// Runs one frame.
    pub(super) fn take(&mut self, frame: Frame, now_ms: u64, out: &mut Vec<Action>) {
        let receipt = receipt(&frame);
        let result = match self.phase {
            Phase::Connecting { deadline_ms } => self.connect(&frame, deadline_ms, out),
            _ => self.run(frame, now_ms, out),
        };
        match result {
            Ok(()) => {}
            Err(Trouble::Refused(refusal)) => self.turn_down(receipt.as_deref(), refusal, out),
            Err(Trouble::Fatal(fatal)) => self.end(fatal, receipt.as_deref(), out),
        }
    }

    fn connect(
        &mut self,
        frame: &Frame,
        deadline_ms: u64,
        out: &mut Vec<Action>,
    ) -> Result<(), Trouble> {
        let connect = Connect::parse(frame, self.pinned)?;
        let offer = self.config.heart_beat.at_least_floor();
        self.version = connect.version;
        self.decoder.switch_version(connect.version);
        self.phase = Phase::Authenticating {
            deadline_ms,
            cadence: offer.agree(connect.heart_beat),
            held: Vec::new(),
        };
        out.push(Action::Authenticate {
            credential: connect.credential,
        });
        Ok(())
    }

    fn run(&mut self, frame: Frame, now_ms: u64, out: &mut Vec<Action>) -> Result<(), Trouble> {
        match frame.command {
            Command::Send => self.send(frame, out),
            Command::Subscribe => self.subscribe(&frame, out),
            Command::Unsubscribe => self.unsubscribe(&frame, out),
            Command::Ack | Command::Nack => self.acknowledge(&frame, out),
            Command::Begin => {
                let id = required(&frame, "transaction")?;
                self.transactions.begin(id, &self.config.limits)?;
                self.receipt(receipt(&frame), out);
                Ok(())
            }
            Command::Commit => self.commit(&frame, out),
            Command::Abort => {
                self.transactions.abort(required(&frame, "transaction")?)?;
                self.receipt(receipt(&frame), out);
                Ok(())
            }
            Command::Disconnect => {
                self.disconnect(&frame, now_ms, out);
                Ok(())
            }
            Command::Connect | Command::Stomp => Err(Trouble::protocol(
                Code::BadFrame,
                "this connection is signed in already",
            )),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => Err(
                Trouble::protocol(Code::BadFrame, "only the server sends such frames"),
            ),
        }
    }

    fn send(&mut self, frame: Frame, out: &mut Vec<Action>) -> Result<(), Trouble> {
        let target = Target::parse(required(&frame, "destination")?);
        let transaction = frame.header("transaction").map(str::to_owned);
        if let Some(id) = &transaction {
            self.transactions.check(id)?;
        }
        let draft = match target {
            Some(Target::Auth) if transaction.is_none() => return self.reauthenticate(&frame, out),
            Some(Target::Auth) => Err(Refusal::new(
                Code::BadRequest,
                "a token is not part of a transaction",
            )),
            Some(Target::Room(room, verb)) => Draft::parse(frame, room, verb, &self.config.limits),
            None => Err(no_such_destination()),
        };
        if let Some(id) = transaction {
            let held = draft.map(Held::Send);
            return self.transactions.hold(&id, held, &self.config.limits);
        }
        let mut draft = draft?;
        let request = self.requests.open(draft.take_receipt(), Purpose::Plain);
        out.push(Action::Publish(draft.publish(request)));
        Ok(())
    }

    fn reauthenticate(&mut self, frame: &Frame, out: &mut Vec<Action>) -> Result<(), Trouble> {
        let credential = authorization(frame).ok_or_else(|| {
            Trouble::refused(Code::Unauthenticated, "Authorization has to hold a token")
        })?;
        let request = self.requests.open(receipt(frame), Purpose::Plain);
        out.push(Action::Reauthenticate {
            request,
            credential,
        });
        Ok(())
    }

    fn subscribe(&mut self, frame: &Frame, out: &mut Vec<Action>) -> Result<(), Trouble> {
        let limits = &self.config.limits;
        let wanted = Wanted::parse(frame, self.version)?;
        let added = self.subscriptions.add(&wanted, self.version, limits)?;
        let (index, topic) = (added.index, added.topic.clone());
        let (envelope, ack) = (added.envelope.clone(), added.ack);
        if topic == Topic::Errors {
            self.receipt(receipt(frame), out);
            return Ok(());
        }
        let start = match topic.is_log() {
            true => Start::parse(frame, limits),
            false => Ok(Start::Live),
        };
        let start = start.inspect_err(|_| drop(self.subscriptions.remove(index)))?;
        let request = self
            .requests
            .open(receipt(frame), Purpose::Subscribe(index));
        out.push(Action::Subscribe(Subscribe {
            request,
            index,
            topic,
            start,
            envelope,
            ack,
        }));
        Ok(())
    }

    fn unsubscribe(&mut self, frame: &Frame, out: &mut Vec<Action>) -> Result<(), Trouble> {
        let index = self.subscriptions.named(frame, self.version)?;
        let ended = self.subscriptions.remove(index);
        if ended.is_some_and(|ended| ended.topic == Topic::Errors) {
            self.receipt(receipt(frame), out);
        } else {
            let request = self.requests.open(receipt(frame), Purpose::Plain);
            out.push(Action::Unsubscribe { request, index });
        }
        Ok(())
    }

    fn acknowledge(&mut self, frame: &Frame, out: &mut Vec<Action>) -> Result<(), Trouble> {
        let delivery = self.subscriptions.delivery(frame, self.version)?;
        let is_nack = frame.command == Command::Nack;
        let receipt = receipt(frame);
        if let Some(id) = frame.header("transaction") {
            let held = match is_nack {
                true => Held::Nack(receipt),
                false => Held::Ack(HeldAck { delivery, receipt }),
            };
            return self.transactions.hold(id, Ok(held), &self.config.limits);
        }
        if is_nack {
            self.receipt(receipt, out);
            return Ok(());
        }
        self.check_ack_room(delivery.index, 1)?;
        self.mark_read(HeldAck { delivery, receipt }, Purpose::Plain, out);
        Ok(())
    }

    /// Lets an acknowledgement take effect.
    pub(super) fn mark_read(&mut self, ack: HeldAck, purpose: Purpose, out: &mut Vec<Action>) {
        match self.subscriptions.acknowledge(ack.delivery) {
            None => self.receipt(ack.receipt, out),
            Some(moved) => out.push(Action::MarkRead {
                request: self.requests.open(ack.receipt, purpose),
                topic: moved.topic,
                seq: moved.seq,
            }),
        }
    }

    fn check_ack_room(&self, index: SubIndex, acks: usize) -> Result<(), Trouble> {
        match self.subscriptions.has_room(index, acks) {
            true => Ok(()),
            false => Err(Trouble::refused(
                Code::TooMany,
                "too many messages wait for the acknowledgement of older ones",
            )),
        }
    }

    fn commit(&mut self, frame: &Frame, out: &mut Vec<Action>) -> Result<(), Trouble> {
        let held = self.transactions.commit(required(frame, "transaction")?)?;
        for ack in &held.acks {
            if !self.subscriptions.knows(ack.delivery) {
                return Err(unknown_ack());
            }
            self.check_ack_room(ack.delivery.index, held.acks.len())?;
        }
        let commit = self.requests.open_commit(Commit {
            receipt: receipt(frame),
            acks: held.acks,
            receipts: held.receipts,
            waiting: 0,
            taken: held.drafts.is_empty(),
            failure: None,
        });
        if held.drafts.is_empty() {
            self.requests.close(commit);
            self.go_on_with(commit, out);
            return Ok(());
        }
        let mut publishes = Vec::with_capacity(held.drafts.len());
        for mut draft in held.drafts {
            let receipt = draft.take_receipt();
            publishes.push(draft.publish(self.requests.open(receipt, Purpose::Step(commit))));
        }
        out.push(Action::Commit {
            request: commit,
            publishes,
        });
        Ok(())
    }

    fn disconnect(&mut self, frame: &Frame, now_ms: u64, out: &mut Vec<Action>) {
        self.transactions.clear();
        self.phase = Phase::Leaving {
            deadline_ms: now_ms + LEAVE_WAIT_MS,
            receipt: receipt(frame),
        };
        self.leave_when_idle(out);
    }
}

/// The header `receipt`; CONNECT has none.
fn receipt(frame: &Frame) -> Option<String> {
    let has_receipt = !matches!(frame.command, Command::Connect | Command::Stomp);
    frame
        .header("receipt")
        .filter(|_| has_receipt)
        .map(str::to_owned)
}
