//! The program `framegate-gpu`: its exit codes, and one op over standard input and output.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn run(arguments: &str, input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_framegate-gpu"))
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends at its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn one_op_reads_planes_and_writes_planes() {
    let arguments = "--op mix --backend cpu --format gray --width 2 --height 1 --t 255";
    let output = run(arguments, &[1, 2, 3, 4]);
    assert_eq!((output.status.code(), output.stdout), (Some(0), vec![3, 4]));
}

#[test]
fn wrong_arguments_wrong_input_and_no_card_have_their_exit_codes() {
    for (arguments, code, says) in [
        ("--what 1", 2, "no option is called `--what`"),
        ("--op blur --format gray --width 1 --height 1", 2, "no op is called `blur`"),
        ("--op mix --format gray --width 1 --height 1 --t 300", 2, "`--t` cannot be `300`"),
        (
            "--op mix --format gray --width 1 --height 1 --t 3",
            3,
            "`3` bytes on input (2 for 2 pictures)",
        ),
    ] {
        let output = run(arguments, &[1, 2, 3]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {message}");
        assert!(message.contains(says), "{message}");
    }
    if let Err(error) = device::Device::open("cuda", &device::DeviceConfig::default()) {
        let output = run("", &[]);
        assert_eq!(output.status.code(), Some(77));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("skipped: no CUDA device: {error}\n"));
    }
}

/// Where `tests/peers/ops.py` keeps its Python, once `./x setup peers` has made it.
fn peers() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let ready = cache.join("framegate/peers-numpy-2.2.6/ready");
    ready.exists().then_some(ready)
}

#[test]
fn every_op_agrees_with_a_reference_in_float64() {
    if peers().is_none() {
        println!("skipped: no NumPy 2.2.6 for the float64 reference");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/ops.py");
    let done = Command::new("python3")
        .arg(script)
        .env("FRAMEGATE_GPU", env!("CARGO_BIN_EXE_framegate-gpu"))
        .output()
        .unwrap();
    let (table, errors) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{table}{errors}");
    let names: std::collections::BTreeSet<_> =
        table.lines().filter_map(|line| line.split([' ', '/']).next()).collect();
    let ops = [
        "apply-lut",
        "blank",
        "blur-areas",
        "box-blur",
        "color-matrix",
        "composite",
        "convert",
        "convolve",
        "crop",
        "denoise",
        "difference",
        "draw-rects",
        "draw-text",
        "edges",
        "flip",
        "gaussian-blur",
        "histogram",
        "mix",
        "noise",
        "overlay",
        "pad",
        "pixelate-areas",
        "resize",
        "rotate",
        "threshold",
    ];
    assert!(ops.iter().eq(&names), "{names:?}");
}
