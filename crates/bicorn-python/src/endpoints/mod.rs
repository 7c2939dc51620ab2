//! Endpoint threads: where functions that are no coroutines run, and whole exchanges that end in one.
//!
//! ```text
//!   I/O thread ──exchange of a proven route──▶ ┌──────┐   ┌── endpoint thread ──┐
//!                                              │ pool │──▶│ drives the exchange │──▶ I/O thread
//!   loop thread ──anyio.to_thread.run_sync───▶ └──────┘   │ or calls a function │──▶ loop thread
//!                                                         └─────────────────────┘
//! ```
//! An endpoint thread is attached for as long as it works and detached while it sleeps. What a driven exchange cannot do
//! without an event loop moves it to the loop thread, coroutine, context and all; it never comes back.

mod call;
pub(crate) mod driver;
mod job;
pub(crate) mod lane;
pub(crate) mod pool;
pub(crate) mod python;
mod report;
mod roster;
mod stats;
pub(crate) mod thread;
pub(crate) mod tokens;
mod watch;

pub(crate) use call::{Call, Finished};
pub(crate) use job::Job;
pub(crate) use lane::Moved;
pub(crate) use pool::EndpointThreads;
pub(crate) use report::Figures;
pub(crate) use thread::Setup;
