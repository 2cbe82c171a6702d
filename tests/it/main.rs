//! End to end: real servers, real sockets, the program as its users run it.
//!
//! The suites that say what Roomlog does run on the stack named by `ROOMLOG_TEST_STACK`, `embedded` or `real`.
//! Those below `real` need real servers whatever that says; `tests/setup test` brings them.

#![allow(
    clippy::large_futures,
    reason = "a test waits for one future at a time"
)]
mod behaviour;
mod faults;
mod harness;
mod peers;
#[allow(
    unreachable_pub,
    dead_code,
    reason = "the stand-ins' own tests include these files too"
)]
mod probe;
mod real;
