//! Named situations, walked through step by step in the same world. The checkers of `checks.rs` watch here as well.

mod delivery;
mod duplicates;
mod numbering;
mod rooms;
mod storing;
