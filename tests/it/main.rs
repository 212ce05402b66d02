//! Tests of the whole: the rules of the tree, the plugin contract, and real processes.

mod cli;
mod live;
mod sim;
mod tidy;
