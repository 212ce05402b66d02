//! `default.toml`: every key with its explanation and its default, made from the declarations.

use std::fmt::Write;

use super::section::Section;
use super::{
    Advise, Callers, Customer, Discovery, Encoder, Gateway, GatewayLimits, GrantSet, Limits,
    Listed, Log, Orchestrator, Pipeline, Plugins, Records, SecretSource, Selection,
};

/// What stands for the tables of columns, whose keys are the operator's own.
const CUSTOM: &str = "
# A column of your own for selection policies: a whole number for each orchestrator, by its name,
# its URL, or host and port. One that is not named has 0.
# [custom.NAME]
#   \"host:8935\" = 5
";

/// Returns the text of `default.toml`. Keys stand as comments, so that a copy of it changes
/// nothing, and keeps changing nothing when a default does.
pub(crate) fn text() -> String {
    let mut text = String::from(
        "# Configuration of Framegate with all its defaults. Every key may be left out.\n",
    );
    table::<Gateway>("gateway", &mut text);
    table::<Discovery>("gateway.discovery", &mut text);
    table::<GatewayLimits>("gateway.limits", &mut text);
    table::<Selection>("gateway.selections.NAME", &mut text);
    table::<Records>("gateway.records", &mut text);
    table::<Listed>("orchestrators.NAME", &mut text);
    table::<Customer>("customers.NAME", &mut text);
    text.push_str(CUSTOM);
    table::<Advise>("advise", &mut text);
    table::<Orchestrator>("orchestrator", &mut text);
    table::<Callers>("orchestrator.callers", &mut text);
    table::<Encoder>("orchestrator.encoder", &mut text);
    table::<Limits>("orchestrator.limits", &mut text);
    table::<Pipeline>("orchestrator.pipelines.ID", &mut text);
    table::<Plugins>("plugins", &mut text);
    text.push_str(&super::plugins::limits_text());
    table::<GrantSet>("plugins.grants.ID", &mut text);
    table::<SecretSource>("plugins.secrets.NAME", &mut text);
    table::<Log>("log", &mut text);
    text
}

fn table<S: Section>(path: &str, text: &mut String) {
    text.push('\n');
    for line in S::ABOUT {
        comment(line, text);
    }
    // An empty table is no table of the map, and would offer nothing else.
    let mark = if path.ends_with(".ID") || path.ends_with(".NAME") { "# " } else { "" };
    writeln!(text, "{mark}[{path}]").expect("a String takes all");
    for key in S::keys() {
        for line in key.doc {
            comment(line, text);
        }
        writeln!(text, "# {} = {}", key.name, key.default).expect("a String takes all");
    }
}

fn comment(line: &str, text: &mut String) {
    writeln!(text, "#{}{line}", if line.starts_with(' ') { "" } else { " " })
        .expect("a String takes all");
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn the_shipped_file_is_what_the_declarations_say() {
        crate::snapshot::compare("default.toml", &text());
    }

    #[test]
    fn the_shipped_file_without_its_marks_is_the_default_configuration() {
        let marks = [
            "orchestrators.NAME",
            "customers.NAME",
            "gateway.selections.NAME",
            "orchestrator.pipelines.ID",
            "plugins.grants.ID",
            "plugins.secrets.NAME",
        ];
        let plain = marks.into_iter().fold(text(), |plain, mark| {
            plain.replace(&format!("# [{mark}]"), &format!("[{mark}]"))
        });
        let is_key = |line: &str| line.contains(" = ") && !line.contains("  ");
        let plain: String = plain
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let (config, problems) = Config::parse(&plain, |_| None);
        assert_eq!(problems, [], "{plain}");
        let pipelines = [("ID".to_owned(), Pipeline::default())].into();
        let plugin_grants = [("ID".to_owned(), GrantSet::default())].into();
        let secrets = [("NAME".to_owned(), SecretSource::default())].into();
        let customers = [("NAME".to_owned(), Customer::default())].into();
        let listed = [("NAME".to_owned(), Listed::default())].into();
        let selections = [("NAME".to_owned(), Selection::default())].into();
        let all = Config {
            pipelines,
            plugin_grants,
            secrets,
            customers,
            selections,
            listed,
            ..Config::default()
        };
        assert_eq!(config, all);
    }
}
