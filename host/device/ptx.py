"""Builds kernels/*.ptx from kernels/*.cu with NVRTC, or compares with the committed ones; lints both.

Called by ptx.sh with the path of libnvrtc. Needs no card and no driver.

Invariant: the PTX is a function of the sources, the options and the compiler's version, and
kernels/ptx.lock names all three.
"""

import ctypes
import hashlib
import pathlib
import re
import sys

KERNELS = pathlib.Path(__file__).resolve().parent / "kernels"
NAMES = ["areas", "convert", "convolve", "count", "filter", "lut", "mix", "shape"]
HEADERS = ["color.h", "k.h", "lines.h"]
VERSION = (12, 4)
WHEEL = "12.4.127"
OPTIONS = [
    "--gpu-architecture=compute_75",
    "--fmad=false",
    "--ftz=false",
    "--prec-div=true",
    "--prec-sqrt=true",
]

# Contraction, approximation and flushing would break equality with the CPU.
FORBIDDEN = re.compile(r"\b(?:fma|mad\.(?:rn|rz|rm|rp)\S*\.f(?:16|32|64))|\.approx\b|\.ftz\b")
FLOAT_OP = re.compile(r"^\s*(?:@\S+\s+)?((?:add|sub|mul|div|sqrt)\.\S*f(?:16|32|64)\S*)", re.M)


def compile_ptx(nvrtc, name):
    """Compiles one source and returns its PTX."""

    def check(code, what):
        if code:
            raise SystemExit(f"{what} of {name}.cu failed: {nvrtc.nvrtcGetErrorString(code).decode()}")

    def text(size_of, get):
        size = ctypes.c_size_t()
        check(size_of(program, ctypes.byref(size)), "reading the result")
        buffer = ctypes.create_string_buffer(size.value)
        check(get(program, buffer), "reading the result")
        return buffer.value.decode()

    def strings(values):
        return (ctypes.c_char_p * len(values))(*[value.encode() for value in values])

    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    program = ctypes.c_void_p()
    headers = [(KERNELS / header).read_text() for header in HEADERS]
    source = (KERNELS / f"{name}.cu").read_text().encode()
    check(
        nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), source, f"{name}.cu".encode(),
            len(HEADERS), strings(headers), strings(HEADERS),
        ),
        "taking the source",
    )
    code = nvrtc.nvrtcCompileProgram(program, len(OPTIONS), strings(OPTIONS))
    if code:
        sys.stderr.write(text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog))
    check(code, "compiling")
    ptx = text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx


def lint(name, ptx):
    """Returns what in a PTX text could give other bits than the CPU."""
    faults = [f"{name}.ptx: `{found.group(0)}`" for found in FORBIDDEN.finditer(ptx)]
    for found in FLOAT_OP.finditer(ptx):
        if ".rn" not in found.group(1):
            faults.append(f"{name}.ptx: `{found.group(1)}` without `.rn`")
    if ".version 8.4" not in ptx:
        faults.append(f"{name}.ptx: not of ISA 8.4")
    return faults


def lock_text(built):
    """Returns the text of ptx.lock."""
    lines = [f"nvrtc {WHEEL}", f"options {' '.join(OPTIONS)}"]
    for source in sorted(HEADERS + [f"{name}.cu" for name in NAMES]):
        lines.append(f"{source} {hashlib.sha256((KERNELS / source).read_bytes()).hexdigest()}")
    for name, ptx in built.items():
        lines.append(f"{name}.ptx {hashlib.sha256(ptx.encode()).hexdigest()}")
    return "\n".join(lines) + "\n"


def main():
    library, check = sys.argv[1], sys.argv[2:] == ["--check"]
    nvrtc = ctypes.CDLL(library)
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    if (major.value, minor.value) != VERSION:
        raise SystemExit(f"{library} is NVRTC {major.value}.{minor.value}, not {VERSION}")
    built = {name: compile_ptx(nvrtc, name) for name in NAMES}
    files = {f"{name}.ptx": ptx for name, ptx in built.items()}
    files["ptx.lock"] = lock_text(built)
    faults = [fault for name, ptx in built.items() for fault in lint(name, ptx)]
    for file, text in files.items():
        path = KERNELS / file
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            faults.append(f"{file}: differs from what its sources give")
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{len(files)} files {'agree' if check else 'written'}")
    return 1 if faults else 0


sys.exit(main())
