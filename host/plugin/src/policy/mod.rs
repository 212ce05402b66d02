//! Policies and pricing rules: pure decisions, asked inline on the thread that needs them.
//!
//! **Invariant:** an answer that leaves this module has been checked: candidates exist and may be
//! chosen, reasons have texts.

pub mod audit;
mod code;
mod instance;
pub mod pricing;
pub mod ready;
pub mod selection;
pub mod slot;
mod state;
