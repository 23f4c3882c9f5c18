//! The cluster as its players and operators meet it: real processes, two gateways and two zone
//! servers at the least, so that whatever goes to the wrong one is seen; every one of them killed,
//! stopped and drained while players are in the world.
//!
//! Each test starts its own processes on a database of its own. Measured times are printed, and
//! shown by `cargo test -- --nocapture`; none is asserted on.

mod away;
mod borders;
mod bots;
mod commands;
mod conservation;
mod cuts;
mod deaths;
mod drains;
mod frozen;
mod talk;
mod wires;
mod world;
