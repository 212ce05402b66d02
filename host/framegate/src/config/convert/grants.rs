//! What the file grants plugins, and the secrets that their configurations refer to.
//!
//! **Invariant:** a secret is read when its plugin is prepared and stands nowhere else: not in the
//! configuration that is shown, not in a message.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;

use plugin::kv::STORE_BYTES_MAX;
use plugin::{Grants, Manifest, World, manifest};
use serde_json::Value;

use super::super::units::Size;
use super::super::{Config, GrantSet, Problem, SecretSource, env};
use super::Search;

/// Key of an object that stands for a secret.
const REFERENCE: &str = "$secret";
/// Longest secret in bytes; keys and tokens have a few hundred.
const SECRET_BYTES_MAX: u64 = 16 << 10;

/// Returns what the file allows plugin `id`.
pub(crate) fn of(config: &Config, id: &str) -> Grants {
    let none = GrantSet::default();
    let GrantSet { kv, data, pixels, audio, secrets } =
        config.plugin_grants.get(id).unwrap_or(&none);
    let secrets = secrets.iter().cloned().collect();
    Grants { kv_bytes: kv.0, data: *data, pixels: *pixels, audio: *audio, secrets }
}

/// Checks every grant against the plugin that it is about, and every secret.
pub(super) fn check(config: &Config, search: &Search, problems: &mut Vec<Problem>) {
    for (id, set) in &config.plugin_grants {
        let key = format!("plugins.grants.{id}");
        match manifest::find(search.folders(), id) {
            Ok(found) => check_set(&key, set, found.world, config, problems),
            Err(error) => {
                let problem = Problem::new(key, domain::chain(&error));
                problems.push(problem.hint(search.hint()));
            }
        }
    }
    for (name, source) in &config.secrets {
        if source.env.is_empty() == source.file.as_os_str().is_empty() {
            let message = "a secret is in a variable (`env`) or in a file (`file`)";
            problems.push(Problem::new(format!("plugins.secrets.{name}"), message));
        }
    }
}

fn check_set(
    key: &str,
    set: &GrantSet,
    world: World,
    config: &Config,
    problems: &mut Vec<Problem>,
) {
    let mut wrong = |name: &str, message: String| {
        problems.push(Problem::new(format!("{key}.{name}"), message));
    };
    if set.kv.0 > STORE_BYTES_MAX {
        let most = Size(STORE_BYTES_MAX);
        wrong("kv", format!("{} is above {most}, this host's most", set.kv));
    }
    let of_pipelines =
        [("kv", set.kv.0 > 0), ("data", set.data), ("pixels", set.pixels), ("audio", set.audio)];
    for (name, given) in of_pipelines {
        if given && world != World::Pipeline {
            wrong(name, format!("a `{world}` has no such grant"));
        }
    }
    if !set.secrets.is_empty() && world == World::Pipeline {
        wrong("secrets", "a pipeline's parameters are its client's: they have no secrets".into());
    }
    for name in set.secrets.iter().filter(|name| !config.secrets.contains_key(*name)) {
        wrong("secrets", format!("there is no `[plugins.secrets.{name}]`"));
    }
}

/// Puts secrets in the place of their references in `document`, the JSON configuration that `key`
/// names of a plugin.
pub(crate) fn with_secrets(
    config: &Config,
    key: &str,
    document: &str,
    manifest: &Manifest,
) -> Result<String, Problem> {
    if !document.contains(REFERENCE) {
        return Ok(document.to_owned());
    }
    let granted = of(config, &manifest.id).and(&manifest.grants).secrets;
    let mut value: Value = serde_json::from_str(document)
        .map_err(|error| Problem::new(key, format!("not JSON: {error}")))?;
    replace(&mut value, config, &granted, manifest)
        .map_err(|message| Problem::new(key, message))?;
    Ok(value.to_string())
}

fn replace(
    value: &mut Value,
    config: &Config,
    granted: &BTreeSet<String>,
    manifest: &Manifest,
) -> Result<(), String> {
    if let Some(name) = value.get(REFERENCE).and_then(Value::as_str) {
        let id = &manifest.id;
        if !manifest.grants.secrets.contains(name) {
            return Err(format!("the manifest of `{id}` does not ask for secret `{name}`"));
        }
        if !granted.contains(name) {
            return Err(format!("`plugins.grants.{id}.secrets` does not allow `{name}`"));
        }
        let source = config.secrets.get(name).ok_or_else(|| format!("no secret `{name}`"))?;
        *value = Value::String(read(name, source)?);
        return Ok(());
    }
    let replace_in = |inner: &mut Value| replace(inner, config, granted, manifest);
    match value {
        Value::Array(list) => list.iter_mut().try_for_each(replace_in),
        Value::Object(map) => map.values_mut().try_for_each(replace_in),
        _ => Ok(()),
    }
}

fn read(name: &str, source: &SecretSource) -> Result<String, String> {
    if !source.env.is_empty() {
        let missing = || format!("secret `{name}`: variable `{}` is not set", source.env);
        return env::value(&source.env).ok_or_else(missing);
    }
    let path = source.file.display();
    let failed = |error: std::io::Error| format!("secret `{name}`: reading `{path}`: {error}");
    let mut text = String::new();
    let file = File::open(&source.file).map_err(failed)?;
    let bytes = file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if bytes as u64 > SECRET_BYTES_MAX {
        return Err(format!("secret `{name}`: `{path}` has over {SECRET_BYTES_MAX} bytes"));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn manifest(secrets: &str) -> Manifest {
        let text = format!(
            "[plugin]\nid='rank'\nversion='0.1.0'\nworld='selection-policy'\napi='0.1'\n\
             component='rank.wasm'\n[grants]\nsecrets=[{secrets}]\n"
        );
        Manifest::parse(&text, Path::new("/p")).expect("a manifest")
    }

    #[test]
    fn a_secret_that_both_sides_name_takes_the_place_of_its_reference_and_is_shown_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, "tell no one\n").expect("written");
        let text = format!(
            "[plugins.grants.rank]\nsecrets=['key','other']\n\
             [plugins.secrets.key]\nfile='{0}'\n[plugins.secrets.other]\nfile='{0}'\n",
            file.display()
        );
        let (config, found) = Config::parse(&text, |_| None);
        assert_eq!(found, []);
        let document = r#"{"a":[{"$secret":"key"}],"b":1}"#;
        let of = |text: &str, manifest: &Manifest| {
            with_secrets(&config, "gateway.selection_config", text, manifest)
                .map_err(|problem| problem.message)
        };
        let asked = manifest("'key'");
        assert_eq!(of(document, &asked), Ok(r#"{"a":["tell no one"],"b":1}"#.to_owned()));
        let other = r#"{"$secret":"other"}"#;
        let message = "the manifest of `rank` does not ask for secret `other`";
        assert_eq!(of(other, &asked), Err(message.to_owned()));
        let message = "`plugins.grants.rank.secrets` does not allow `third`";
        assert_eq!(of(r#"{"$secret":"third"}"#, &manifest("'third'")), Err(message.to_owned()));
        assert!(!config.to_string().contains("no one"));
    }
}
