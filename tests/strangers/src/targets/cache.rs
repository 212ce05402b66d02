//! Any file in the place of an entry of the cache of compiled code: what is loaded from it is what
//! this machine put there, to the byte; anything else is rejected, told of, and compiled anew.
//!
//! Every input is judged as an entry. Compiling takes long, so only few are loaded too.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use domain::event::{CodeSource, Event, Sink};
use plugin::code::{CodeKey, Compiler, Loader, SECRET_BYTES, unseal};
use plugin::{PolicyEngine, World};
use tempfile::TempDir;

use crate::Target;
use crate::bytes::Bytes;

/// An entry of the cache. The first byte says what the rest is: an entry, or edits of the true one.
pub const TARGET: Target = Target { name: "cache", feed, seeds };

/// The guest whose code is kept.
const GUEST: &str = "pick-first";
/// First byte of an input that is loaded as well.
const LOADED: u8 = 0xff;
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
    secret: [u8; SECRET_BYTES],
    key: CodeKey,
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
        let secret = std::fs::read(folder.path().join("secret")).expect("a secret");
        let secret = secret.try_into().expect("a secret has its length");
        let key = key_of(&entry);
        Self { _folder: folder, entry, bytes, secret, key, engine, told }
    }
}

/// Reads a key off the name of its entry.
fn key_of(entry: &Path) -> CodeKey {
    let name = entry.file_stem().and_then(|name| name.to_str()).expect("a name");
    let byte = |at: usize| u8::from_str_radix(&name[2 * at..2 * at + 2], 16);
    let key = CodeKey(std::array::from_fn(|at| byte(at).expect("a key in hexadecimal")));
    assert_eq!(key.hex(), name);
    key
}

impl Told {
    fn taken(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(|| Mutex::new(Kept::new()));
/// The same entry under another machine's seal.
static FOREIGN: LazyLock<Vec<u8>> = LazyLock::new(|| Kept::new().bytes);

/// Loads the guest's code, and nothing of it runs.
fn load(engine: &PolicyEngine) {
    static COMPONENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let path = crate::guest(GUEST).join(format!("{GUEST}.wasm"));
        std::fs::read(path).expect("the guests are built")
    });
    let manifest = super::component::manifest(World::SelectionPolicy);
    engine.load_code(&manifest, &COMPONENT).expect("the guest is a policy");
}

fn feed(bytes: &[u8]) {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = entry(&kept.bytes, Bytes::new(bytes));
    let whole = entry == kept.bytes;
    let judged = unseal(&kept.secret, &kept.key, &entry);
    assert_eq!(judged.is_ok(), whole, "{judged:?}");
    if bytes.first() == Some(&LOADED) {
        loads(&kept, &entry);
    }
}

/// Loads what lies in the entry's place, which is right afterwards whatever it was.
fn loads(kept: &Kept, entry: &[u8]) {
    std::fs::write(&kept.entry, entry).expect("the entry can be replaced");
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
    let judged = unseal(&kept.secret, &kept.key, &healed);
    assert!(judged.is_ok(), "what was rejected is replaced by what is right: {judged:?}");
}

/// Reads what lies in the entry's place.
fn entry(whole: &[u8], mut input: Bytes<'_>) -> Vec<u8> {
    let mut entry = match input.byte() % 4 {
        0 => return input.rest().to_vec(),
        1 => FOREIGN.clone(),
        _ => whole.to_vec(),
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
        // The true entry, judged and loaded; that of another machine.
        vec![2],
        vec![LOADED],
        vec![1],
        // A bit changed: of the magic, the key, the seal, the code.
        vec![2, 0, 0, 0, 1],
        vec![2, 20, 0, 0, 1],
        vec![2, 60, 0, 0, 1, 61, 0, 0, 0xff],
        vec![LOADED, 200, 1, 0, 1],
        // Cut, put into, gone on with.
        vec![2, 70, 0, 1],
        vec![LOADED, 0, 4, 1],
        vec![2, 90, 0, 2, 3, 1, 2, 3],
        vec![2, 0, 0, 3, 2, 0, 0],
        [&[0][..], &whole[..whole.len().min(4096)]].concat(),
        b"\0framegate code 1".to_vec(),
    ]
}
