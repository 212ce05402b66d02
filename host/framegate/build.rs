//! Tells the program which commit it was built from and which wasmtime it links.

use std::path::Path;
use std::process::Command;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let commit = git(&root, &["rev-parse", "--short=12", "HEAD"]);
    println!("cargo::rustc-env=FRAMEGATE_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    // The reference moves with a commit, `HEAD` with a checkout.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&root, &["rev-parse", "--git-path", name]) {
            let path = root.join(path);
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
    }
    let lock = root.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rerun-if-changed=build.rs");
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    println!("cargo::rustc-env=FRAMEGATE_WASMTIME={}", version(&text, "wasmtime"));
}

/// Returns the version of `package` in the text of a `Cargo.lock`.
fn version<'t>(lock: &'t str, package: &str) -> &'t str {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = \""));
    version.and_then(|line| line.strip_suffix('"')).unwrap_or("unknown")
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
