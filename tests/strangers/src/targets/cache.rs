//! Any file in the place of an entry of the cache of compiled code: what is loaded from it is what
//! this machine put there, to the byte; anything else is rejected, told of, and compiled anew.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use domain::event::{CodeSource, Event, Sink};
use plugin::code::{Compiler, Loader};
use plugin::{PolicyEngine, World};
use tempfile::TempDir;

use crate::Target;
use crate::bytes::Bytes;

/// An entry of the cache. The first byte says what the rest is: an entry, or edits of the true one.
pub const TARGET: Target = Target { name: "cache", feed, seeds };

/// The component whose code is kept: the empty one, which compiles at once.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// Edits of one input.
const EDITS_MAX: usize = 8;

/// What a loader told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Event>>);

impl Sink for Told {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

/// A cache with one entry.
struct Kept {
    _folder: TempDir,
    entry: PathBuf,
    bytes: Vec<u8>,
    engine: PolicyEngine,
    told: Arc<Told>,
}

impl Kept {
    /// Makes the cache of a machine of its own. What is written is synced, so it had better lie in
    /// memory.
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = TempDir::new_in(place).expect("a folder");
        let told = Arc::new(Told::default());
        let sink = Arc::clone(&told);
        let loader = Loader::open(Compiler::Here, Some(folder.path()), sink);
        let engine = PolicyEngine::new().expect("an engine").with_loader(loader);
        load(&engine);
        told.taken();
        let mut files = folder.path().read_dir().expect("the cache is a folder").flatten();
        let is_entry = |path: &PathBuf| path.extension().is_some_and(|end| end == "code");
        let entry = files.find_map(|file| Some(file.path()).filter(is_entry)).expect("an entry");
        let bytes = std::fs::read(&entry).expect("the entry");
        Self { _folder: folder, entry, bytes, engine, told }
    }
}

impl Told {
    fn taken(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(|| Mutex::new(Kept::new()));
/// The same entry under another machine's seal.
static FOREIGN: LazyLock<Vec<u8>> = LazyLock::new(|| Kept::new().bytes);

/// Loads the component; that it fits no world is told after its code was taken.
fn load(engine: &PolicyEngine) {
    let manifest = super::component::manifest(World::SelectionPolicy);
    assert!(engine.load_code(&manifest, COMPONENT).is_err(), "the empty component fits no world");
}

fn feed(bytes: &[u8]) {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = entry(&kept.bytes, Bytes::new(bytes));
    std::fs::write(&kept.entry, &entry).expect("the entry can be replaced");
    load(&kept.engine);
    let whole = entry == kept.bytes;
    match (whole, &kept.told.taken()[..]) {
        (true, [Event::CodeLoaded { source: CodeSource::Cache, .. }])
        | (
            false,
            [Event::CodeRejected { .. }, Event::CodeLoaded { source: CodeSource::Compiler, .. }],
        ) => {}
        (_, told) => panic!("of an entry that is whole: {whole}, it told {told:?}"),
    }
    let healed = std::fs::read(&kept.entry).expect("an entry");
    assert_eq!(healed, kept.bytes, "what was rejected is replaced by what is right");
}

/// Reads what lies in the entry's place.
fn entry(whole: &[u8], mut input: Bytes<'_>) -> Vec<u8> {
    let mut entry = match input.byte() % 3 {
        0 => return input.rest().to_vec(),
        1 => whole.to_vec(),
        _ => FOREIGN.clone(),
    };
    for _ in 0..EDITS_MAX {
        if input.is_empty() || entry.is_empty() {
            break;
        }
        let at = usize::from(u16::from_le_bytes([input.byte(), input.byte()])) % entry.len();
        match input.byte() % 4 {
            0 => entry[at] ^= input.byte(),
            1 => entry.truncate(at),
            2 => drop(entry.splice(at..at, input.some(64).iter().copied())),
            _ => entry.extend_from_slice(input.some(64)),
        }
    }
    entry
}

fn seeds() -> Vec<Vec<u8>> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let whole = &kept.bytes;
    vec![
        vec![1],
        vec![2],
        vec![1, 0, 0, 0, 1],
        vec![1, 20, 0, 0, 1],
        vec![1, 60, 0, 0, 1, 61, 0, 0, 0xff],
        vec![1, 200, 1, 0, 1],
        vec![1, 70, 0, 1],
        vec![1, 0, 4, 1],
        vec![1, 90, 0, 2, 3, 1, 2, 3],
        vec![1, 0, 0, 3, 2, 0, 0],
        [&[0][..], &whole[..whole.len().min(4096)]].concat(),
        b"\0framegate code 1".to_vec(),
    ]
}
