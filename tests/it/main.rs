//! Tests of the whole: the rules of the tree, the plugin contract, and real processes.

mod cli;
mod contract;
mod examples;
mod faults;
mod live;
mod memcheck;
mod peers;
mod recovery;
mod sim;
mod tidy;
