//! What is done to entries between their writing and their reading, and that none of it is trusted.

use std::os::unix::fs::symlink;

use super::*;

const KEY: CodeKey = CodeKey([7; 32]);

fn code(text: &[u8]) -> Code {
    Code::compiled(text.to_vec())
}

fn opened() -> (tempfile::TempDir, Cache) {
    let data = tempfile::tempdir().unwrap();
    let cache = Cache::open(&data.path().join("cache")).unwrap();
    (data, cache)
}

fn found(cache: &Cache) -> Result<Option<Vec<u8>>, Rejected> {
    cache.find(&KEY).map(|code| code.map(|code| code.bytes().to_vec()))
}

#[test]
fn what_is_kept_is_found_by_every_process_of_this_machine() {
    let (data, cache) = opened();
    assert_eq!(found(&cache), Ok(None));
    cache.keep(&KEY, &code(b"machine code")).unwrap();
    let other = Cache::open(&data.path().join("cache")).unwrap();
    assert_eq!(found(&other), Ok(Some(b"machine code".to_vec())));
    let mode = |name: &str| fs::metadata(cache.folder.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("."), mode(SECRET)), (0o700, 0o600));
    assert_eq!(mode(&format!("{}.code", KEY.hex())), 0o600);
}

#[test]
fn an_entry_with_any_byte_changed_is_rejected() {
    let (_data, cache) = opened();
    cache.keep(&KEY, &code(b"machine code")).unwrap();
    let whole = fs::read(cache.path(&KEY)).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(cache.path(&KEY), &changed).unwrap();
        let expected = if at < MAGIC.len() + 32 { Rejected::Foreign } else { Rejected::Forged };
        assert_eq!(found(&cache), Err(expected), "byte {at}");
    }
    fs::write(cache.path(&KEY), &whole).unwrap();
    assert!(found(&cache).unwrap().is_some(), "and the one that was written is taken");
}

#[test]
fn an_entry_cut_anywhere_is_rejected() {
    let (_data, cache) = opened();
    cache.keep(&KEY, &code(b"machine code")).unwrap();
    let whole = fs::read(cache.path(&KEY)).unwrap();
    for length in 0..whole.len() {
        fs::write(cache.path(&KEY), &whole[..length]).unwrap();
        let expected = if length < HEADER_BYTES { Rejected::Short } else { Rejected::Forged };
        assert_eq!(found(&cache), Err(expected), "{length} bytes");
    }
    fs::write(cache.path(&KEY), [&whole[..], b"x"].concat()).unwrap();
    assert_eq!(found(&cache), Err(Rejected::Forged));
}

#[test]
fn an_entry_of_other_code_or_another_machine_is_rejected() {
    let (_data, cache) = opened();
    let other = CodeKey([8; 32]);
    cache.keep(&other, &code(b"other code")).unwrap();
    fs::rename(cache.path(&other), cache.path(&KEY)).unwrap();
    assert_eq!(found(&cache), Err(Rejected::Foreign));
    let (_theirs, elsewhere) = opened();
    elsewhere.keep(&KEY, &code(b"their code")).unwrap();
    fs::copy(elsewhere.path(&KEY), cache.path(&KEY)).unwrap();
    assert_eq!(found(&cache), Err(Rejected::Forged));
    // The next one to keep the code puts things right.
    cache.keep(&KEY, &code(b"machine code")).unwrap();
    assert!(found(&cache).unwrap().is_some());
}

#[test]
fn what_is_no_plain_file_is_rejected_without_waiting() {
    let (data, cache) = opened();
    cache.keep(&KEY, &code(b"machine code")).unwrap();
    let elsewhere = data.path().join("elsewhere");
    fs::rename(cache.path(&KEY), &elsewhere).unwrap();
    symlink(&elsewhere, cache.path(&KEY)).unwrap();
    assert_eq!(found(&cache), Err(Rejected::Unreadable));
    fs::remove_file(cache.path(&KEY)).unwrap();
    fs::create_dir(cache.path(&KEY)).unwrap();
    assert_eq!(found(&cache), Err(Rejected::Unreadable));
    fs::remove_dir(cache.path(&KEY)).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(cache.path(&KEY)).status();
    assert!(pipe.unwrap().success());
    assert_eq!(found(&cache), Err(Rejected::Unreadable));
}

#[test]
fn a_secret_that_others_could_read_is_made_anew() {
    let (data, cache) = opened();
    cache.keep(&KEY, &code(b"machine code")).unwrap();
    let folder = data.path().join("cache");
    let loosened = [
        (folder.join(SECRET), fs::Permissions::from_mode(0o644)),
        (folder.clone(), fs::Permissions::from_mode(0o770)),
    ];
    let mut before = cache.secret;
    for (path, mode) in loosened {
        fs::set_permissions(path, mode).unwrap();
        let after = Cache::open(&folder).unwrap();
        assert_ne!(after.secret, before);
        assert_eq!(found(&after), Err(Rejected::Forged));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        before = after.secret;
    }
    fs::write(folder.join(SECRET), b"short").unwrap();
    let after = Cache::open(&folder).unwrap();
    assert_eq!(Cache::open(&folder).unwrap().secret, after.secret, "and then it stays");
}

#[test]
fn processes_that_start_together_agree_on_one_secret() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("cache");
    let secrets = std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..8).map(|_| scope.spawn(|| Cache::open(&folder).unwrap().secret)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(secrets.len(), 1);
}

#[test]
fn a_full_cache_lets_go_of_what_was_used_longest_ago() {
    let (_data, mut cache) = opened();
    let long_ago = |days: u64| SystemTime::now() - Duration::from_secs(days * 86_400);
    for number in 1..=4 {
        let key = CodeKey([number; 32]);
        cache.keep(&key, &code(&[0; 1000])).unwrap();
        let file = File::open(cache.path(&key)).unwrap();
        file.set_modified(long_ago(u64::from(10 - number))).unwrap();
    }
    // The oldest is used again, so the second has to go.
    assert!(cache.find(&CodeKey([1; 32])).unwrap().is_some());
    cache.bytes_max = 4 * (1000 + HEADER_BYTES as u64);
    cache.keep(&KEY, &code(&[0; 1000])).unwrap();
    let left = |number| cache.find(&CodeKey([number; 32])).unwrap().is_some();
    assert_eq!([1, 2, 3, 4, 7].map(left), [true, false, true, true, true]);
    let half = cache.folder.join(".x.1.0.tmp");
    fs::write(&half, b"half").unwrap();
    cache.keep(&KEY, &code(b"x")).unwrap();
    assert!(half.exists(), "someone may be writing it");
    File::open(&half).unwrap().set_modified(long_ago(1)).unwrap();
    cache.keep(&KEY, &code(b"x")).unwrap();
    assert!(!half.exists());
}
