//! What came of requests, and how the client hears of it: RECEIPT, MESSAGE or ERROR.

use crate::{
    code::Refusal,
    stomp::{Command, FrameWriter, Mark, Provenance},
};

use super::{
    Action, Phase, Session,
    action::{Done, RequestId},
    refusal::{self, close},
    request::Purpose,
};

impl Session {
    /// Takes the outcome of a request.
    pub(super) fn complete(
        &mut self,
        id: RequestId,
        outcome: Result<Done, Refusal>,
        now_ms: u64,
        out: &mut Vec<Action>,
    ) {
        let Some(request) = self.requests.close(id) else {
            return;
        };
        match (request.purpose, outcome) {
            (Purpose::Plain | Purpose::Subscribe(_), Ok(done)) => {
                self.succeed(request.receipt, &done, out);
                if let Done::Authenticated { expires_at_ms } = done {
                    self.prolong(expires_at_ms, now_ms, out);
                }
            }
            (Purpose::Plain, Err(refusal)) => {
                self.turn_down(request.receipt.as_deref(), refusal, out);
            }
            (Purpose::Subscribe(index), Err(refusal)) => {
                self.subscriptions.remove(index);
                self.turn_down(request.receipt.as_deref(), refusal, out);
            }
            (Purpose::Commit, Ok(_)) => {
                if let Some(commit) = self.requests.commit_mut(id) {
                    commit.taken = true;
                }
                self.go_on_with(id, out);
            }
            (Purpose::Commit, Err(refusal)) => self.fail_commit(id, refusal, out),
            (Purpose::Step(commit), outcome) => {
                self.step_done(commit, request.receipt, outcome, out);
            }
        }
    }

    fn step_done(
        &mut self,
        id: RequestId,
        receipt: Option<String>,
        outcome: Result<Done, Refusal>,
        out: &mut Vec<Action>,
    ) {
        let Some(commit) = self.requests.commit_mut(id) else {
            return;
        };
        commit.waiting -= 1;
        match outcome {
            Ok(_) => self.receipt(receipt, out),
            Err(refusal) => {
                commit.failure.get_or_insert(refusal);
            }
        }
        self.go_on_with(id, out);
    }

    /// Lets a COMMIT take its next step once all before it are done: SENDs, then acknowledgements, then its own receipt.
    pub(super) fn go_on_with(&mut self, id: RequestId, out: &mut Vec<Action>) {
        let ready = |commit: &super::request::Commit| commit.taken && commit.waiting == 0;
        let Some(commit) = self.requests.commit_mut(id).filter(|commit| ready(commit)) else {
            return;
        };
        if let Some(failure) = commit.failure.take() {
            return self.fail_commit(id, failure, out);
        }
        let acks = std::mem::take(&mut commit.acks);
        let receipts = std::mem::take(&mut commit.receipts);
        for receipt in receipts {
            self.receipt(Some(receipt), out);
        }
        for ack in acks {
            self.mark_read(ack, Purpose::Step(id), out);
        }
        if self
            .requests
            .commit_mut(id)
            .is_some_and(|commit| ready(commit))
        {
            let receipt = self
                .requests
                .close_commit(id)
                .and_then(|commit| commit.receipt);
            self.receipt(receipt, out);
        }
    }

    /// One refusal for the transaction as a whole.
    fn fail_commit(&mut self, id: RequestId, refusal: Refusal, out: &mut Vec<Action>) {
        let receipt = self
            .requests
            .close_commit(id)
            .and_then(|commit| commit.receipt);
        self.turn_down(receipt.as_deref(), refusal, out);
    }

    /// Says RECEIPT where one was asked for.
    pub(super) fn receipt(&self, receipt: Option<String>, out: &mut Vec<Action>) {
        self.succeed(receipt, &Done::Plain, out);
    }

    fn succeed(&self, receipt: Option<String>, done: &Done, out: &mut Vec<Action>) {
        let Some(receipt) = receipt else {
            return;
        };
        let mut frame =
            FrameWriter::new(Command::Receipt, self.version).header("receipt-id", &receipt);
        if let Done::Subscribed { head, count, epoch } = done {
            frame = frame
                .header("head", &head.to_string())
                .header("count", &count.to_string())
                .header("epoch", epoch);
        }
        out.push(Action::Send(frame.end()));
    }

    /// Tells a refusal to those who listen; where nobody does, it ends the session.
    pub(super) fn turn_down(
        &mut self,
        receipt: Option<&str>,
        refusal: Refusal,
        out: &mut Vec<Action>,
    ) {
        let number = self.refusals + 1;
        let mark = Mark::Number(number);
        let mut frame = None;
        for listener in self.subscriptions.errors() {
            let frame = frame.get_or_insert_with(|| refusal::message(&refusal, receipt, number));
            let bytes = frame.sealed(&listener.envelope, Provenance::Live);
            out.push(Action::Send(bytes));
            listener.delivered(mark);
        }
        match frame {
            Some(_) => self.refusals = number,
            None => self.end(refusal.into(), receipt, out),
        }
    }

    /// Closes once DISCONNECT or a drain has nothing more to wait for.
    pub(super) fn leave_when_idle(&mut self, out: &mut Vec<Action>) {
        if !self.requests.is_idle() {
            return;
        }
        match &mut self.phase {
            Phase::Leaving { receipt, .. } => {
                let receipt = receipt.take();
                self.receipt(receipt, out);
                self.close(close::NORMAL, "disconnected", out);
            }
            Phase::Draining { refusal, .. } => {
                let refusal = refusal.clone();
                self.end(refusal.into(), None, out);
            }
            _ => {}
        }
    }
}
