//! Tests of the whole: the rules of the tree, the plugin contract, and real processes.

mod advise;
mod cli;
mod code;
mod contract;
mod examples;
mod failover;
mod faults;
mod fleet;
mod leftovers;
mod live;
mod market;
mod memcheck;
mod peers;
mod plugin;
mod policies;
mod records;
mod recovery;
mod sim;
mod strangers;
mod tidy;
