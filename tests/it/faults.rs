//! Every single fault, under load, on three brokers and two of each service: nothing acknowledged is lost, nothing is
//! shown twice, nothing out of order, and how long delivery paused is measured.
//!
//! Clients do what any client of Roomlog should: they connect again, resume by `since`, and send again with the same id
//! what was not acknowledged. `ROOMLOG_FAULTS=full` runs all faults instead of the short form.

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
/// Asks for every fault.
const FORM_VARIABLE: &str = "ROOMLOG_FAULTS";

/// A system in which anything can fail.
async fn system() -> System {
    let shape = Shape {
        linked: true,
        ..Shape::of_each(Stack::Real { brokers: 3 }, 2)
    };
    System::start(shape).await
}

fn is_full() -> bool {
    std::env::var(FORM_VARIABLE).is_ok_and(|form| form == "full")
}

/// Runs one fault: load before it, through it and after it.
async fn under(system: &mut System, fault: &str, make: impl AsyncFnOnce(&mut System, &mut Load)) {
    // What the fault before has left is over.
    system.servers().kafka.in_step().await;
    let mut load = Load::begin(system, fault, ROOMS, load::STEADY).await;
    make(system, &mut load).await;
    load.end(system).await;
}
