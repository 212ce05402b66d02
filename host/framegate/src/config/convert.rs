//! From the file's words to what each role is built from.

use super::{Config, Problem};
use crate::data::DataDir;

/// Checks everything that both roles and their being together ask for.
pub(crate) fn check_both(config: &Config, _data: &DataDir) -> Vec<Problem> {
    crate::telemetry::check(&config.log).into_iter().collect()
}
