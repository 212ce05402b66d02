//! `[plugins]`: where plugins are found, and what each may use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use plugin::{Limit, Limits};

use super::section::section;

section! {
    /// Where plugins are found.
    Plugins {
        /// Folders that hold one folder a plugin. Searched first; then come those of
        /// `FRAMEGATE_PLUGINS`, then `plugins` and `share/framegate/plugins` beside the folder of
        /// the program.
        folders: Vec<PathBuf> = Vec::new();
    }
}

/// `[plugins.limits.ID]`: values by the names of limits, as the file has them. What they mean
/// depends on the plugin's world, so they are checked where the plugin is known.
pub(crate) type SetLimits = BTreeMap<String, toml::Value>;

/// Returns what `default.toml` says of `[plugins.limits.ID]`.
pub(super) fn limits_text() -> String {
    let mut text = String::from(
        "\n# Limits of one plugin, by its id. The plugin itself can only ask for less. Each with its\n\
         # defaults for policies and for pipelines, and the most that this host allows:\n",
    );
    for limit in Limit::ALL {
        let shown = |limits: Limits| match limits.get(limit) {
            0 => "none".to_owned(),
            value => limit.amount(value).to_string(),
        };
        let (policy, pipeline) = (shown(Limits::policy()), shown(Limits::pipeline()));
        let (name, cap) = (limit.name(), limit.amount(limit.cap()));
        writeln!(text, "#  {name}: {policy}, {pipeline}, {cap}").expect("a String takes all");
    }
    text + "# [plugins.limits.ID]\n"
}
