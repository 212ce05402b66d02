//! Drivers that are not what they should be: made up, built by the C compiler, and found by one
//! process only. They do nothing, so no result is looked at, only that all went on.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use device::DRIVER_FUNCTIONS;

/// What the functions do that answer with more than success. Memory is the host's; `POOLS` and
/// `FAIL` in the environment choose between ways.
const BODIES: [(&str, &str); 12] = [
    ("cuCtxGetCurrent(void **c)", "*c = &place; return 0;"),
    ("cuDeviceGetAttribute(int *v)", "*v = getenv(\"POOLS\") != 0; return 0;"),
    ("cuDeviceGetName(char *n)", "strcpy(n, \"a made-up card\"); return 0;"),
    ("cuDevicePrimaryCtxRetain(void **c)", "*c = &place; return 0;"),
    ("cuDeviceTotalMem_v2(size_t *b)", "*b = 1 << 30; return 0;"),
    ("cuGetErrorName(int e, const char **s)", "*s = \"MADE_UP\"; return 0;"),
    ("cuGetErrorString(int e, const char **s)", "*s = \"made up\"; return 0;"),
    ("cuMemAllocAsync(void **p, size_t n)", "return !(*p = calloc(1, n));"),
    ("cuMemAlloc_v2(void **p, size_t n)", "return !(*p = calloc(1, n));"),
    ("cuMemHostAlloc(void **p, size_t n)", "return !(*p = aligned_alloc(64, (n + 63) / 64 * 64));"),
    ("cuModuleLoadData(void **m)", "*m = &place; return getenv(\"FAIL\") ? 218 : 0;"),
    ("cuStreamCreate(void **s)", "*s = &place; return 0;"),
];

/// Builds a driver without one of its functions, and returns the folder that it lies in.
fn driver(without: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("driver-{without}"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut text = "#include <stdlib.h>\n#include <string.h>\nstatic int place;\n".to_owned();
    for function in DRIVER_FUNCTIONS.into_iter().filter(|function| *function != without) {
        let answers = BODIES.iter().find(|(head, _)| head.split('(').next() == Some(function));
        match answers {
            Some((head, body)) => writeln!(text, "int {head} {{ {body} }}").unwrap(),
            None => writeln!(text, "int {function}() {{ return 0; }}").unwrap(),
        }
    }
    let source = folder.join("driver.c");
    std::fs::write(&source, text).unwrap();
    // Both names, so that a real driver under either is not taken instead.
    for name in ["libcuda.so", "libcuda.so.1"] {
        let mut compile = Command::new("cc");
        compile.args(["-w", "-shared", "-fPIC", "-o"]).arg(folder.join(name)).arg(&source);
        // Whoever has no C compiler is told by the test.
        assert!(compile.status().ok()?.success(), "{without}");
    }
    Some(folder)
}

/// Runs one op on `backend` with that driver.
fn run(folder: &Path, backend: &str, environment: &[(&str, &str)]) -> Output {
    let arguments = "--op mix --format gray --width 2 --height 1 --t 255 --backend";
    let mut program = Command::new(env!("CARGO_BIN_EXE_framegate-gpu"));
    program.args(arguments.split_whitespace()).arg(backend).env("LD_LIBRARY_PATH", folder);
    program.envs(environment.iter().copied()).stdin(Stdio::piped());
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that ends without a device reads nothing.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), &[1, 2, 3, 4]);
    child.wait_with_output().unwrap()
}

#[test]
fn a_driver_that_lacks_a_function_counts_as_none_and_the_function_is_named() {
    for function in ["cuInit", "cuMemcpy2DAsync_v2", "cuStreamSynchronize"] {
        let Some(folder) = driver(function) else {
            println!("skipped: no C compiler for a made-up driver");
            return;
        };
        let output = run(&folder, "cuda", &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(77), "{said}");
        let fact = format!("`libcuda.so.1` is there, but has no function `{function}`");
        assert!(said.contains(&fact), "{said}");
        let output = run(&folder, "auto", &[]);
        assert_eq!((output.status.code(), output.stdout), (Some(0), vec![3, 4]));
    }
}

#[test]
fn a_driver_of_just_the_functions_that_are_looked_for_serves_an_op() {
    let Some(folder) = driver("nothing") else {
        println!("skipped: no C compiler for a made-up driver");
        return;
    };
    for environment in [&[][..], &[("POOLS", "1")]] {
        let output = run(&folder, "cuda", environment);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 2), "{said}");
    }
    let output = run(&folder, "cuda", &[("FAIL", "1")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("loading the kernels failed") && said.contains("made up"), "{said}");
}
