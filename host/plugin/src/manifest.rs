//! `plugin.toml`: what a plugin says it is and asks for, read without touching its component.
//!
//! **Invariant:** a manifest that parses names a known world and a supported API level, and all
//! that is wrong with one that does not is reported at once, each with its key path.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::grants::{Grant, Grants};
use crate::keys::{Keys, wrong};
use crate::level::LEVELS;
use crate::limits::{Limit, Unit};

/// File name of a manifest.
pub const FILE_NAME: &str = "plugin.toml";
/// Longest manifest that is read; a real one has under 1 KiB.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024;
const TABLES: [&str; 4] = ["plugin", "limits", "grants", "state"];

/// What a component exports, and so where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum World {
    /// Chooses orchestrators, on a gateway.
    SelectionPolicy,
    /// Prices work, on either role.
    PricingRule,
    /// Works on the media of a session, in a worker.
    Pipeline,
}

impl World {
    /// Every world.
    pub const ALL: [Self; 3] = [Self::SelectionPolicy, Self::PricingRule, Self::Pipeline];

    /// Returns the world's name in `wit/`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SelectionPolicy => "selection-policy",
            Self::PricingRule => "pricing-rule",
            Self::Pipeline => "pipeline",
        }
    }

    /// Returns the world of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|world| world.name() == name)
    }

    /// Returns the interface that a component of this world exports.
    pub const fn export(self) -> &'static str {
        match self {
            Self::SelectionPolicy => "framegate:policy/selection@0.1.0",
            Self::PricingRule => "framegate:policy/pricing@0.1.0",
            Self::Pipeline => "framegate:media/session-handler@0.1.0",
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Limits that a plugin asks for, where it wants less than the operator's.
pub type AskedLimits = BTreeMap<Limit, u64>;

/// A plugin's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Lower-case words joined by hyphens; the capability of a pipeline is `live-video-to-video/ID`.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// What its component exports.
    pub world: World,
    /// Limits that it asks for.
    pub limits: AskedLimits,
    /// Grants that it asks for.
    pub grants: Grants,
    /// Layouts of saved state that it reads.
    pub state_layouts: Vec<String>,
    /// The component.
    pub component: PathBuf,
}

/// One thing wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Key path, such as `plugin.world`; empty: the whole file.
    pub key: String,
    /// What is wrong, with the value.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "`{}`: {}", self.key, self.message)
        }
    }
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("reading `{path}`", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is wrong.
    #[error("`{path}`: {list}", path = path.display(), list = list(problems))]
    Wrong {
        /// Which.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
    /// No folder has a plugin of that name.
    #[error("no plugin `{id}` in {folders}", folders = paths(folders))]
    NotFound {
        /// What was looked for.
        id: String,
        /// Where.
        folders: Vec<PathBuf>,
    },
}

impl ManifestError {
    /// Returns the class: who has to act.
    pub const fn class(&self) -> domain::Class {
        match self {
            Self::Read { .. } | Self::Wrong { .. } => domain::Class::Invalid,
            Self::NotFound { .. } => domain::Class::NotFound,
        }
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn paths(folders: &[PathBuf]) -> String {
    let names: Vec<_> = folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
    if names.is_empty() { "any folder (none is configured)".to_owned() } else { names.join(", ") }
}

impl Manifest {
    /// Reads `folder/plugin.toml`.
    pub fn read(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join(FILE_NAME);
        let read = |source| ManifestError::Read { path: path.clone(), source };
        if std::fs::metadata(&path).map_err(read)?.len() > MANIFEST_BYTES_MAX {
            let message = format!("the file has over {MANIFEST_BYTES_MAX} bytes");
            let problems = vec![Problem { key: String::new(), message }];
            return Err(ManifestError::Wrong { path, problems });
        }
        let text = std::fs::read_to_string(&path).map_err(read)?;
        Self::parse(&text, folder).map_err(|problems| ManifestError::Wrong { path, problems })
    }

    /// Parses the text of a manifest that lies in `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let file: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            vec![Problem { key: String::new(), message: error.to_string().trim().to_owned() }]
        })?;
        for key in file.keys().filter(|key| !TABLES.contains(&key.as_str())) {
            wrong(
                &mut problems,
                key,
                "unknown key, known are `plugin`, `limits`, `grants`, `state`",
            );
        }
        let said = plugin_table(&file, folder, &mut problems);
        let limits = limits_table(&file, &mut problems);
        let grants = grants_table(&file, &mut problems);
        let state_layouts =
            Keys::open(&file, "state", &["layouts"], &mut problems).texts("layouts");
        match said {
            Some((id, version, world, component)) if problems.is_empty() => {
                Ok(Self { id, version, world, limits, grants, state_layouts, component })
            }
            _ => Err(problems),
        }
    }
}

type Said = (String, String, World, PathBuf);

fn plugin_table(file: &toml::Table, folder: &Path, problems: &mut Vec<Problem>) -> Option<Said> {
    let known = ["id", "version", "world", "api", "component"];
    let mut keys = Keys::open(file, "plugin", &known, problems);
    let id = keys.needed_text("id");
    if let Some(id) = id.filter(|id| !is_id(id)) {
        keys.wrong("id", &format!("`{id}` is not lower-case words joined by hyphens"));
    }
    let version = keys.needed_text("version");
    if let Some(version) = version.filter(|version| !is_version(version)) {
        keys.wrong("version", &format!("`{version}` is not a semantic version"));
    }
    let named = keys.needed_text("world");
    let world = named.and_then(World::from_name);
    if let (Some(named), None) = (named, world) {
        let names = World::ALL.map(|world| format!("`{world}`")).join(", ");
        keys.wrong("world", &format!("`{named}` is none of {names}"));
    }
    if let Some(api) = keys.needed_text("api").filter(|api| !LEVELS.speak(api)) {
        keys.wrong("api", &format!("`{api}` is not supported: this host speaks {LEVELS}"));
    }
    let component = keys.needed_text("component");
    let outside = |name: &&str| name.contains(['/', '\\']) || !name.ends_with(".wasm");
    if let Some(component) = component.filter(outside) {
        keys.wrong("component", &format!("`{component}` is not the name of a .wasm file"));
    }
    Some((id?.to_owned(), version?.to_owned(), world?, folder.join(component?)))
}

fn limits_table(file: &toml::Table, problems: &mut Vec<Problem>) -> AskedLimits {
    let known = Limit::ALL.map(Limit::name);
    let mut keys = Keys::open(file, "limits", &known, problems);
    let mut asked = AskedLimits::new();
    for limit in Limit::ALL {
        match keys.value(limit.name()).map(|value| limit.read(value)) {
            Some(Ok(value)) => drop(asked.insert(limit, value)),
            Some(Err(message)) => keys.wrong(limit.name(), &message),
            None => {}
        }
    }
    asked
}

fn grants_table(file: &toml::Table, problems: &mut Vec<Problem>) -> Grants {
    let known = ["kv", "data", "pixels", "audio", "secrets"];
    let mut keys = Keys::open(file, "grants", &known, problems);
    let kv_bytes = match keys.value("kv").map(|value| Unit::Bytes.read(value)) {
        Some(Ok(bytes)) => bytes,
        Some(Err(message)) => {
            keys.wrong("kv", &message);
            0
        }
        None => 0,
    };
    let mut flag = |grant: Grant| keys.flag(grant.name());
    let (data, pixels, audio) = (flag(Grant::Data), flag(Grant::Pixels), flag(Grant::Audio));
    let secrets = keys.texts("secrets");
    for name in secrets.iter().filter(|name| !is_id(name)) {
        keys.wrong("secrets", &format!("`{name}` is not lower-case words joined by hyphens"));
    }
    let secrets = secrets.into_iter().collect();
    Grants { kv_bytes, data, pixels, audio, secrets }
}

/// Finds plugin `id`: the first of `folders` with an `id/plugin.toml`.
pub fn find(folders: &[PathBuf], id: &str) -> Result<Manifest, ManifestError> {
    let not_found = || ManifestError::NotFound { id: id.to_owned(), folders: folders.to_vec() };
    // An id also comes from clients, as a model's name: it never becomes a path unchecked.
    if !is_id(id) {
        return Err(not_found());
    }
    let mut there = folders.iter().map(|folder| folder.join(id));
    let folder = there.find(|folder| folder.join(FILE_NAME).is_file()).ok_or_else(not_found)?;
    let manifest = Manifest::read(&folder)?;
    if manifest.id != id {
        let message = format!("`{}` is not the name of its folder, `{id}`", manifest.id);
        let problems = vec![Problem { key: "plugin.id".to_owned(), message }];
        return Err(ManifestError::Wrong { path: folder.join(FILE_NAME), problems });
    }
    Ok(manifest)
}

/// Finds every plugin of `folders`, the first of each name, in order of their names.
pub fn find_all(folders: &[PathBuf]) -> Vec<Result<Manifest, ManifestError>> {
    let mut ids = std::collections::BTreeSet::new();
    for entry in folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten() {
        if let Ok(name) = entry.file_name().into_string()
            && is_id(&name)
            && entry.path().join(FILE_NAME).is_file()
        {
            ids.insert(name);
        }
    }
    ids.iter().map(|id| find(folders, id)).collect()
}

/// Returns whether `text` is lower-case words joined by hyphens, at most 64 bytes.
pub fn is_id(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.len() <= 64 && text.split('-').all(word)
}

fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| part.parse::<u32>().is_ok_and(|number| number.to_string() == part);
    core.split('.').count() == 3 && core.split('.').all(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let found = Manifest::parse(text, Path::new("/p")).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_manifest_says_what_it_asks_for() {
        let text = "[plugin]\nid='price-job'\nversion='0.1.0'\nworld='pricing-rule'\napi='0.1'\n\
                    component='price-job.wasm'\n[limits]\nmemory='16MiB'\nframe_budget='500us'\n\
                    [grants]\nkv='1MiB'\ndata=true\nsecrets=['api-key']\n";
        let manifest = Manifest::parse(text, Path::new("/p")).unwrap();
        assert_eq!(manifest.component, Path::new("/p/price-job.wasm"));
        assert_eq!(manifest.limits.get(&Limit::Memory), Some(&(16 << 20)));
        assert_eq!(manifest.limits.get(&Limit::FrameBudget), Some(&500));
        assert_eq!((manifest.grants.kv_bytes, manifest.grants.data), (1 << 20, true));
        assert!(!manifest.grants.pixels && manifest.grants.secrets.contains("api-key"));
    }

    #[test]
    fn everything_wrong_is_reported_at_once_with_its_key() {
        let text = "[plugin]\nid='../up'\nversion='1'\nworld='filter'\napi='9.0'\n\
                    component='/etc/x.wasm'\n[limits]\nmemory='16 MB'\n[grants]\nroot=true\nkv='all'\n\
                    pixels=1\n";
        assert_eq!(
            problems(text),
            [
                "`plugin.id`: `../up` is not lower-case words joined by hyphens",
                "`plugin.version`: `1` is not a semantic version",
                "`plugin.world`: `filter` is none of `selection-policy`, `pricing-rule`, `pipeline`",
                "`plugin.api`: `9.0` is not supported: this host speaks `0.1`",
                "`plugin.component`: `/etc/x.wasm` is not the name of a .wasm file",
                "`limits.memory`: `16 MB` is not a size such as `16MiB`",
                "`grants.root`: unknown key, known are `kv`, `data`, `pixels`, `audio`, `secrets`",
                "`grants.kv`: `all` is not a size such as `16MiB`",
                "`grants.pixels`: integer where true or false is expected",
            ]
        );
    }
}
