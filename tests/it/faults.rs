//! Every single fault, under load, on three brokers and two of each service: nothing acknowledged is lost, nothing is
//! shown twice, nothing out of order, and how long delivery paused is measured.
//!
//! Clients do what any client of Roomlog should: they connect again, resume by `since`, and send again with the same id
//! what was not acknowledged. `ROOMLOG_FAULTS=full` gives each fault more time, more rounds and a load of its own.

mod deaf;
mod hand_over;
mod links;
mod load;
mod processes;
mod servers;
mod table;
mod take_over;

use self::load::Load;
use crate::harness::{Shape, Stack, System};

/// Rooms that messages flow through.
const ROOMS: usize = 4;
/// Asks for the full form.
const FORM_VARIABLE: &str = "ROOMLOG_FAULTS";

/// Faults one after the other, each under load.
struct Course {
    system: System,
    /// What goes on through all of them in the short form, where setting a scene for each would take most of the time.
    load: Option<Load>,
}

fn is_full() -> bool {
    std::env::var(FORM_VARIABLE).is_ok_and(|form| form == "full")
}

// === impl Course ===

impl Course {
    /// On a system in which anything can fail.
    async fn on(shape: Shape) -> Self {
        let shape = Shape {
            linked: true,
            ..shape
        };
        Self {
            system: System::start(shape).await,
            load: None,
        }
    }

    /// Two of each service, each fanout the only one of its group.
    async fn of_two() -> Self {
        Self::on(Shape::of_each(Stack::Real { brokers: 3 }, 2)).await
    }

    /// One fault: messages flow before it, through it and after it, to everyone.
    async fn under(&mut self, fault: &str, make: impl AsyncFnOnce(&mut System, &mut Load)) {
        let system = &mut self.system;
        // What the fault before has left is over.
        system.servers().kafka.in_step().await;
        let mut load = match self.load.take() {
            Some(load) => load,
            None => Load::begin(system, ROOMS, load::STEADY).await,
        };
        load.faces(fault).await;
        make(system, &mut load).await;
        let silence = load.recovers().await;
        if is_full() {
            load.ends(system, fault, silence).await;
        } else {
            println!(
                "{fault}: delivery resumed after {:.2} s",
                silence.as_secs_f64()
            );
            self.load = Some(load);
        }
    }

    /// After the last fault: whether anything was lost, repeated or mixed up.
    async fn ends(mut self) {
        if let Some(load) = self.load.take() {
            load.compares(&self.system).await;
        }
    }
}
