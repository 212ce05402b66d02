//! The committed PTX: made from the committed sources, and of nothing that could give other bits.
//! That a compiler gives the same again is checked by `ptx.sh --check`.

use std::path::Path;

use device::{Kernel, PTX};
use sha2::{Digest, Sha256};

#[test]
fn the_lock_names_the_sources_and_the_ptx_that_are_here() {
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let lock = std::fs::read_to_string(kernels.join("ptx.lock")).unwrap();
    let mut files = 0;
    for line in
        lock.lines().filter(|line| !line.starts_with("nvrtc ") && !line.starts_with("options "))
    {
        let (file, expected) = line.split_once(' ').unwrap();
        let bytes = std::fs::read(kernels.join(file)).unwrap();
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, expected, "`{file}` has changed: `./x ptx` rebuilds");
        files += 1;
    }
    let sources = std::fs::read_dir(&kernels).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        [".cu", ".h", ".ptx"].iter().any(|end| name.to_string_lossy().ends_with(end))
    });
    assert_eq!(files, sources.count(), "every source and every PTX is in the lock");
}

#[test]
fn the_ptx_has_every_kernel_and_floats_only_where_they_are_declared_and_rounded() {
    for (text, kernels) in PTX {
        for kernel in kernels {
            assert!(text.contains(&format!(".visible .entry {}(", kernel.entry())));
        }
        assert!(
            text.contains(".version 8.4\n.target sm_75\n"),
            "drivers of the 550 series load it"
        );
        for bad in [".f16", ".f64", "fma", ".approx", ".ftz"] {
            assert!(!text.contains(bad), "`{bad}`");
        }
        for entry in text.split(".visible .entry ").skip(1) {
            let floats = entry.lines().filter(|line| line.contains(".f32"));
            let declared = entry.starts_with("to_floats(") || entry.starts_with("from_floats(");
            for line in floats {
                assert!(declared, "{line}");
                let arithmetic = ["add.", "sub.", "mul.", "div.", "sqrt."];
                let is_arithmetic = arithmetic.iter().any(|op| line.trim().starts_with(op));
                assert!(!is_arithmetic || line.contains(".rn."), "{line}");
            }
        }
    }
    let count: usize = PTX.iter().map(|(_, kernels)| kernels.len()).sum();
    assert_eq!(count, Kernel::ALL.len());
}
