"""Compares the CPU's ops with an independent reference in float64.

    python3 tests/peers/ops.py [--all]

Drives `framegate-gpu --op NAME --backend cpu` over raw planes; FRAMEGATE_GPU names the program, else
cargo builds it. Makes its own virtual environment. Prints `name max_abs_err tolerance` a line an op
and exits 1 if an error exceeds its tolerance. Without --all one format an op, with it every format,
more sizes, and every dispatch level that the CPU has.

The reference knows the standards (BT.601, BT.709, video range), not the fixed-point numbers of the
kernels; the tolerances are what rounding to those may cost, and say so.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NUMPY = "numpy==2.2.6"


def enter_venv():
    """Starts this script again in an environment that has NumPy."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    venv = cache / "framegate" / f"peers-{NUMPY.replace('==', '-')}"
    python = venv / "bin" / "python"
    if os.environ.get("FRAMEGATE_PEERS") == str(venv):
        return
    if not (venv / "ready").exists():
        print(f"ops: installing {NUMPY} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--only-binary", ":all:", NUMPY], check=True)
        (venv / "ready").touch()
    os.environ["FRAMEGATE_PEERS"] = str(venv)
    os.execv(python, [str(python), *sys.argv])


enter_venv()

import numpy as np  # noqa: E402

FORMATS = ["nv12", "yuv420p", "rgb24", "rgba", "gray"]
HAS_CHROMA = ("nv12", "yuv420p")
HAS_COLOR = ("rgb24", "rgba")

# A step of rounding to the nearest, and a little for gains rounded to 2^-14 (1020 * 3 * 2^-15).
ROUNDING = 0.5
GAINS = 0.1


def program():
    """Returns the path of framegate-gpu, built if nobody named one."""
    named = os.environ.get("FRAMEGATE_GPU")
    if named:
        return named
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "-p", "device", "--bin", "framegate-gpu"],
        cwd=ROOT, check=True,
    )
    target = os.environ.get("CARGO_TARGET_DIR") or ROOT / "target"
    return str(pathlib.Path(target) / "release" / "framegate-gpu")


def halves(size):
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def split(data, fmt, size):
    """Splits raw bytes into arrays: Y, U, V, or rows of pixels of several channels."""
    width, height = size
    half_w, half_h = halves(size)
    data = np.asarray(data, dtype=np.float64)
    if fmt in HAS_COLOR:
        return data.reshape(height, width, -1)
    luma, rest = data[: width * height].reshape(height, width), data[width * height :]
    if fmt == "gray":
        return luma, np.full((half_h, half_w), 128.0), np.full((half_h, half_w), 128.0)
    if fmt == "nv12":
        pairs = rest.reshape(half_h, half_w, 2)
        return luma, pairs[..., 0], pairs[..., 1]
    return luma, *rest.reshape(2, half_h, half_w)


def join(luma, u, v, fmt):
    """The bytes of a picture of Y, U, V."""
    if fmt == "gray":
        return luma.ravel()
    chroma = np.stack([u, v], axis=-1) if fmt == "nv12" else np.stack([u, v])
    return np.concatenate([luma.ravel(), chroma.ravel()])


def shares(size):
    return (0.299, 0.114) if size[1] < 720 else (0.2126, 0.0722)


def to_rgb(luma, u, v, size):
    """r, g, b in 0..255 from video-range Y, U, V."""
    red, blue = shares(size)
    width, height = size
    up = lambda plane: plane.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    y, cb, cr = (luma - 16) / 219, (up(u) - 128) / 224, (up(v) - 128) / 224
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], axis=-1) * 255, 0, 255)


def from_rgb(rgb, size):
    """Video-range Y, U, V from r, g, b in 0..255."""
    red, blue = shares(size)
    width, height = size

    def luma_of(c):
        return red * c[..., 0] + (1 - red - blue) * c[..., 1] + blue * c[..., 2]

    padded = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    mean = (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4
    u = 128 + 224 / 255 * (mean[..., 2] - luma_of(mean)) / (2 * (1 - blue))
    v = 128 + 224 / 255 * (mean[..., 0] - luma_of(mean)) / (2 * (1 - red))
    return 16 + 219 / 255 * luma_of(rgb), u, v


def colors(data, fmt, size):
    """r, g, b of any picture."""
    parts = split(data, fmt, size)
    return parts[..., :3] if fmt in HAS_COLOR else to_rgb(*parts, size)


def pack(rgb, fmt, size, alpha=None):
    """The bytes of a picture of any format from r, g, b."""
    if fmt not in HAS_COLOR:
        return join(*from_rgb(rgb, size), fmt)
    if fmt == "rgba":
        opaque = np.full(rgb.shape[:2], 255.0) if alpha is None else alpha
        rgb = np.concatenate([rgb, opaque[..., None]], axis=-1)
    return rgb.ravel()


def convert(data, fmt, to, size):
    if fmt == to:
        return data.astype(np.float64)
    if fmt not in HAS_COLOR and to not in HAS_COLOR:
        return join(*split(data, fmt, size), to)
    return pack(colors(data, fmt, size), to, size)


def filtered(plane, weights, bias):
    side = int(len(weights) ** 0.5)
    height, width = plane.shape
    padded = np.pad(plane, side // 2, mode="edge")
    total = np.full(plane.shape, float(bias))
    for index, weight in enumerate(weights):
        y, x = divmod(index, side)
        total += weight * padded[y : y + height, x : x + width]
    return np.clip(total, 0, 255)


def convolve(data, fmt, weights, bias, size):
    parts = split(data, fmt, size)
    if fmt not in HAS_COLOR:
        return join(filtered(parts[0], weights, bias), parts[1], parts[2], fmt)
    result = parts.copy()
    for channel in range(3):
        result[..., channel] = filtered(parts[..., channel], weights, bias)
    return result.ravel()


def apply_lut(data, fmt, curves, size):
    """Curves between whole numbers are straight lines here, so a colour that rounds the other way
    costs no more than the curve is steep."""
    through = lambda c, curve: np.interp(c, np.arange(256), curve)
    if fmt == "gray":
        return through(np.asarray(data, dtype=np.float64), curves[:256])
    rgb = colors(data, fmt, size)
    bent = np.stack([through(rgb[..., c], curves[256 * c : 256 * c + 256]) for c in range(3)], -1)
    alpha = split(data, fmt, size)[..., 3] if fmt == "rgba" else None
    return pack(bent, fmt, size, alpha)


def picture(rng, fmt, size):
    """Noise, or a smooth picture with noise on it: both kinds find their own mistakes."""
    half = halves(size)[0] * halves(size)[1]
    count = size[0] * size[1] * {"rgb24": 3, "rgba": 4}.get(fmt, 1)
    count += 2 * half if fmt in HAS_CHROMA else 0
    if rng.integers(2):
        return rng.integers(0, 256, count, dtype=np.uint8)
    smooth = 128 + 100 * np.sin(np.arange(count) / rng.uniform(20, 90)) + rng.normal(0, 5, count)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def keep_worst(worst, name, error, tolerance):
    """Keeps the comparison that comes nearest to its own tolerance, or exceeds it furthest."""
    if name not in worst or error - tolerance > worst[name][0] - worst[name][1]:
        worst[name] = (error, tolerance)


class Peers:
    """Runs ops in framegate-gpu and keeps the worst error of each."""

    def __init__(self, sizes, extra):
        self.program, self.sizes, self.extra, self.worst = program(), sizes, extra, {}
        self.rng = np.random.default_rng(20_26)

    def run(self, op, fmt, size, pictures, args):
        command = [self.program, "--op", op, "--backend", "cpu", "--format", fmt]
        command += ["--width", str(size[0]), "--height", str(size[1]), *args, *self.extra]
        data = b"".join(bytes(p) for p in pictures)
        done = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
        return np.frombuffer(done.stdout, dtype=np.uint8).astype(np.float64)

    def compare(self, name, tolerance, ours, reference):
        if ours.shape != reference.shape:
            raise SystemExit(f"{name}: {ours.size} bytes instead of {reference.size}")
        keep_worst(self.worst, name, float(np.max(np.abs(ours - reference))), tolerance)

    def convert(self, fmt, to):
        exact = (fmt in HAS_COLOR) == (to in HAS_COLOR)
        for size in self.sizes:
            data = picture(self.rng, fmt, size)
            ours = self.run("convert", fmt, size, [data], ["--to", to])
            tolerance = 0 if exact else ROUNDING + GAINS
            self.compare(f"convert/{fmt}/{to}", tolerance, ours, convert(data, fmt, to, size))

    def convolve(self, fmt, side):
        for size in self.sizes:
            weights, bias = self.rng.uniform(-1, 1.2, side * side), self.rng.uniform(-40, 40)
            data = picture(self.rng, fmt, size)
            args = [f"--weights={','.join(f'{w:.6f}' for w in weights)}", f"--bias={bias:.6f}"]
            args = [part for arg in args for part in arg.split("=", 1)]
            ours = self.run("convolve", fmt, size, [data], args)
            fixed = np.round(weights * 1024) / 1024
            # Weights are rounded to 1/1024, the bias too; then the sum to a whole number.
            tolerance = ROUNDING + 255 * np.sum(np.abs(fixed - weights)) + 1 / 1024
            reference = convolve(data, fmt, weights, bias, size)
            self.compare(f"convolve/{fmt}/{side}x{side}", tolerance, ours, reference)

    def apply_lut(self, fmt):
        steps = np.arange(256)
        curves = np.concatenate([255 - steps, 40 + steps * 0.7, 128 + 90 * np.sin(steps / 128)])
        curves = np.round(curves).astype(np.uint8)
        for size in self.sizes:
            data = picture(self.rng, fmt, size)
            args = ["--curves", curves.tobytes().hex()]
            ours = self.run("apply-lut", fmt, size, [data], args)
            # Through r, g, b: rounded there (at most one step of a curve this steep), and back.
            tolerance = 2 * ROUNDING + 1 if fmt in HAS_CHROMA else 0
            reference = apply_lut(data, fmt, curves, size)
            self.compare(f"apply-lut/{fmt}", tolerance, ours, reference)

    def mix(self, fmt):
        for size in self.sizes:
            a, b = picture(self.rng, fmt, size), picture(self.rng, fmt, size)
            for t in (0, 1, 100, 254, 255):
                ours = self.run("mix", fmt, size, [a, b], ["--t", str(t)])
                reference = (a * (255.0 - t) + b * float(t)) / 255
                self.compare(f"mix/{fmt}", ROUNDING, ours, reference)

    def all(self, formats):
        for fmt in formats:
            for to in FORMATS:
                self.convert(fmt, to)
            self.convolve(fmt, 3)
            self.convolve(fmt, 5)
            self.apply_lut(fmt)
            self.mix(fmt)


def levels():
    """Names of the dispatch levels that this CPU has, as Linux lists its features."""
    flags = pathlib.Path("/proc/cpuinfo").read_text().split() if sys.platform == "linux" else []
    wide = all(f"avx512{part}" in flags for part in ("f", "bw", "vl", "dq"))
    return ["scalar"] + ["avx2"] * ("avx2" in flags) + ["avx512"] * wide


def main():
    everything = sys.argv[1:] == ["--all"]
    if sys.argv[1:] and not everything:
        raise SystemExit("usage: ops.py [--all]")
    worst = {}
    if everything:
        sizes = [(1, 1), (1, 7), (6, 1), (33, 17), (130, 720), (321, 241)]
        runs = [(sizes, FORMATS, ["--simd", level, "--threads", "2"]) for level in levels()]
    else:
        runs = [([(65, 33), (34, 720)], ["yuv420p", "rgb24"], [])]
    for sizes, formats, extra in runs:
        peers = Peers(sizes, extra)
        peers.all(formats)
        for name, (error, tolerance) in peers.worst.items():
            keep_worst(worst, name, error, tolerance)
    for name, (error, tolerance) in worst.items():
        print(f"{name} {error:.4f} {tolerance:.4f}")
    return 1 if any(error > tolerance + 1e-9 for error, tolerance in worst.values()) else 0


sys.exit(main())
