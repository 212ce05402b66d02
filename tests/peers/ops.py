"""Compares the CPU's ops with an independent reference in float64.

    python3 tests/peers/ops.py [--all | --setup]

Drives `framegate-gpu --op NAME --backend cpu` over raw planes; FRAMEGATE_GPU names the program, else
cargo builds it. Makes its own virtual environment. Prints `name max_abs_err tolerance` a line an op
and exits 1 if an error exceeds its tolerance. Without --all a few formats and sizes, with it every
format, more sizes, every dispatch level that the CPU has, and pictures of real clips where
FRAMEGATE_CLIPS names their folder. --setup makes the environment and nothing else.

The references (see `reference.py`) know the standards and the definitions, not the fixed-point
numbers of the kernels; the tolerances are what rounding to those may cost, and say so.
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

# The tree stays as it is.
sys.dont_write_bytecode = True

import numpy as np  # noqa: E402

import reference as ref  # noqa: E402
from reference import FORMATS, HAS_CHROMA, HAS_COLOR, picture_bytes  # noqa: E402

# A step of rounding to the nearest, and a little for gains rounded to 2^-14 (1020 * 3 * 2^-15).
ROUNDING = 0.5
GAINS = 0.1
# Between the two passes of a filter lie numbers in units of 1/64.
BETWEEN = 2 / 64
FILTERS = ["nearest", "bilinear", "bicubic", "lanczos", "area"]


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


def real_pictures(size):
    """Planes of yuv420p of a picture of each real clip, at one size, if there are clips."""
    folder = os.environ.get("FRAMEGATE_CLIPS")
    for clip in sorted(pathlib.Path(folder).glob("*.mp4")) if folder else []:
        command = ["ffmpeg", "-v", "error", "-ss", "1", "-i", str(clip), "-frames:v", "1"]
        command += ["-vf", f"scale={size[0]}:{size[1]}", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        yield np.frombuffer(done.stdout, dtype=np.uint8)


def numbers(values):
    return ",".join(f"{value:.7g}" for value in values)


class Peers:
    """Runs ops in framegate-gpu and keeps the worst error of each."""

    def __init__(self, sizes, extra, clips):
        self.program, self.sizes, self.extra, self.worst = program(), sizes, extra, {}
        self.rng = np.random.default_rng(20_26)
        self.real = {size: list(real_pictures(size)) for size in sizes} if clips else {}

    def picture(self, fmt, size):
        """Noise, a smooth picture with noise on it, or a real one: each finds its own mistakes."""
        count = picture_bytes(fmt, size)
        kind = self.rng.integers(3)
        real = self.real.get(size)
        if kind == 2 and real:
            data = real[self.rng.integers(len(real))]
            return np.clip(np.round(ref.convert(data, "yuv420p", fmt, size)), 0, 255).astype(np.uint8)
        if kind:
            return self.rng.integers(0, 256, count, dtype=np.uint8)
        smooth = np.sin(np.arange(count) / self.rng.uniform(20, 90))
        noise = self.rng.normal(0, 5, count)
        return np.clip(128 + 100 * smooth + noise, 0, 255).astype(np.uint8)

    def run(self, op, fmt, size, pictures, /, dtype=np.uint8, others=None, **options):
        command = [self.program, "--op", op, "--backend", "cpu", "--format", fmt]
        command += ["--width", str(size[0]), "--height", str(size[1]), *self.extra]
        if others:
            shapes = [f"{name}:{width}:{height}" for name, (width, height) in others]
            command += ["--others", ",".join(shapes)]
        for name, value in options.items():
            text = numbers(value) if isinstance(value, (list, tuple, np.ndarray)) else str(value)
            command += [f"--{name.replace('_', '-')}", text]
        data = b"".join(p.tobytes() for p in pictures)
        done = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
        return np.frombuffer(done.stdout, dtype=dtype).astype(np.float64)

    def compare(self, name, tolerance, ours, reference):
        reference = np.asarray(reference, dtype=np.float64).ravel()
        if ours.shape != reference.shape:
            raise SystemExit(f"{name}: {ours.size} numbers instead of {reference.size}")
        error = float(np.max(np.abs(ours - reference)))
        if name not in self.worst or error - tolerance > np.subtract(*self.worst[name]):
            self.worst[name] = (error, tolerance)

    def convert(self, fmt, size):
        data = self.picture(fmt, size)
        for to in FORMATS:
            exact = (fmt in HAS_COLOR) == (to in HAS_COLOR)
            ours = self.run("convert", fmt, size, [data], to=to)
            tolerance = 0 if exact else ROUNDING + GAINS
            self.compare(f"convert/{fmt}/{to}", tolerance, ours, ref.convert(data, fmt, to, size))
        if (fmt in HAS_COLOR) == (fmt == "rgb24"):
            to = "yuv420p" if fmt in HAS_COLOR else "rgb24"
            for space in ref.SPACES:
                standard, scale = space
                options = {"to": to, "standard": standard, "range": scale}
                expected = ref.convert(data, fmt, to, size, space)
                ours = self.run("convert", fmt, size, [data], **options)
                self.compare(f"convert/{standard}/{scale}", ROUNDING + GAINS, ours, expected)
        words = self.run("convert", fmt, size, [data], dtype="<u2", to="p010le")
        nv12 = self.run("convert", fmt, size, [data], to="nv12")
        self.compare("convert/p010le", 0, words / 256, nv12)
        deep = self.rng.integers(0, 1024, nv12.size).astype("<u2") << 6
        ours = self.run("convert", "p010le", size, [deep], to="nv12")
        expected = np.minimum(np.floor((deep >> 6) / 4 + 0.5), 255)
        self.compare("convert/p010le/nv12", 0, ours, expected)
        floats = self.run("convert", fmt, size, [data], dtype="<f4", to="gbrpf32le")
        rgb = self.run("convert", fmt, size, [data], to="rgb24").reshape(-1, 3)
        expected = rgb[:, [1, 2, 0]].T / 255
        self.compare("convert/gbrpf32le", 2.0**-24, floats, expected)
        back = self.run("convert", "gbrpf32le", size, [floats.astype("<f4")], to="rgb24")
        self.compare("convert/gbrpf32le/rgb24", 0, back, rgb)

    def places(self, fmt, size):
        data, (width, height) = self.picture(fmt, size), size
        ink = tuple(int(v) for v in self.rng.integers(0, 256, 4))
        x, y = (int(self.rng.integers(0, side)) // 2 * 2 for side in size)
        area = (x, y, width - x, height - y)
        ours = self.run("crop", fmt, size, [data], area=area)
        self.compare("crop", 0, ours, ref.crop(data, fmt, size, area))
        for borders in [(2, 4, 6, 8), (1, 0, 0, 3), (0, 3, 5, 0), (3, 1, 2, 2)]:
            ours = self.run("pad", fmt, size, [data], borders=borders, ink=ink)
            # The colour is rounded in the format, a mixed sample once more.
            tolerance = 1 + GAINS if fmt in HAS_CHROMA else ROUNDING + GAINS
            self.compare("pad", tolerance, ours, ref.pad(data, fmt, size, borders, ink))
        for quarters in range(5):
            ours = self.run("rotate", fmt, size, [data], quarters=quarters)
            expected = ref.turn(data, fmt, size, lambda p, q=quarters: np.rot90(p, -q))
            self.compare("rotate", ROUNDING, ours, expected)
        for axis, at in (("horizontal", 1), ("vertical", 0)):
            ours = self.run("flip", fmt, size, [data], axis=axis)
            expected = ref.turn(data, fmt, size, lambda p, at=at: np.flip(p, at))
            self.compare("flip", ROUNDING, ours, expected)
        ours = self.run("blank", fmt, size, [], size=size, to=fmt, ink=ink)
        self.compare("blank", ROUNDING + GAINS, ours, ref.blank(fmt, size, ink))

    def resize(self, fmt, size):
        data, (width, height) = self.picture(fmt, size), size
        for to in [(width // 2 + 1, height // 3 + 1), (2 * width, height + 5), (7, 3)]:
            for sampling in FILTERS:
                ours = self.run("resize", fmt, size, [data], size=to, sampling=sampling)
                expected, weight_error = ref.resize(data, fmt, size, to, sampling)
                tolerance = 0 if sampling == "nearest" else ROUNDING + BETWEEN + weight_error
                self.compare(f"resize/{sampling}", tolerance, ours, expected)

    def blurs(self, fmt, size):
        data = self.picture(fmt, size)
        for radius in (0, 1, 2, 9, 127):
            ours = self.run("box-blur", fmt, size, [data], radius=radius)
            self.compare("box-blur", ROUNDING, ours, ref.box_blur(data, fmt, size, radius))
        for sigma in (0.2, 0.8, 2.5, 11.0):
            ours = self.run("gaussian-blur", fmt, size, [data], sigma=sigma)
            expected, weight_error = ref.gaussian_blur(data, fmt, size, sigma)
            tolerance = ROUNDING + BETWEEN + weight_error
            self.compare("gaussian-blur", tolerance, ours, expected)
        areas = ref.some_areas(self.rng, size)
        flat = [number for area in areas for number in area]
        ours = self.run("blur-areas", fmt, size, [data], areas=flat, sigma=2.5)
        expected, weight_error = ref.gaussian_blur(data, fmt, size, 2.5)
        expected = ref.lay(data, fmt, size, expected, ref.mask_of(areas, size))
        self.compare("blur-areas", 2 * ROUNDING + BETWEEN + weight_error, ours, expected)
        for block in (2, 5, 16, 256):
            ours = self.run("pixelate-areas", fmt, size, [data], areas=flat, block=block)
            squares = ref.pixelate(data, fmt, size, block)
            expected = ref.lay(data, fmt, size, squares, ref.mask_of(areas, size))
            self.compare("pixelate-areas", 2 * ROUNDING, ours, expected)

    def sums(self, fmt, size):
        data = self.picture(fmt, size)
        for side in (3, 5):
            weights, bias = self.rng.uniform(-1, 1.2, side * side), self.rng.uniform(-40, 40)
            ours = self.run("convolve", fmt, size, [data], weights=weights, bias=bias)
            fixed = np.round(weights * 1024) / 1024
            # Weights are rounded to 1/1024, the bias too; then the sum to a whole number.
            tolerance = ROUNDING + 255 * np.sum(np.abs(fixed - weights)) + 1 / 1024
            expected = ref.convolve(data, fmt, weights, bias, size)
            self.compare(f"convolve/{fmt}/{side}x{side}", tolerance, ours, expected)
        ours = self.run("edges", fmt, size, [data])
        gray = self.run("convert", fmt, size, [data], to="gray").reshape(size[1], size[0])
        self.compare("edges", 0, ours, ref.edges(gray))
        level = int(self.rng.integers(256))
        ours = self.run("threshold", fmt, size, [data], level=level)
        self.compare("threshold", 0, ours, np.where(gray >= level, 255, 0))
        ours = self.run("histogram", fmt, size, [data], dtype="<f4")
        rgb = self.run("convert", fmt, size, [data], to="rgb24").reshape(-1, 3).T
        counted = [gray.ravel()] if fmt == "gray" else rgb
        counts = [np.bincount(part.astype(int), minlength=256) for part in counted]
        self.compare("histogram", 0, ours, np.concatenate(counts))
        other = self.picture(fmt, size)
        ours = self.run("difference", fmt, size, [data, other], dtype="<f4")
        apart = np.mean(np.abs(data.astype(float) - other))
        self.compare("difference", 255 * 2.0**-23, ours, apart)
        strength, seed = int(self.rng.integers(256)), int(self.rng.integers(1 << 32))
        ours = self.run("noise", fmt, size, [data], strength=strength, seed=seed)
        self.compare("noise", 0, ours, ref.noise(data, fmt, size, strength, seed))

    def colors(self, fmt, size):
        data = self.picture(fmt, size)
        steps = np.arange(256)
        curves = np.concatenate([255 - steps, 40 + steps * 0.7, 128 + 90 * np.sin(steps / 128)])
        curves = np.round(curves).astype(np.uint8)
        ours = self.run("apply-lut", fmt, size, [data], curves=curves.tobytes().hex())
        # Through r, g, b: rounded there (at most one step of a curve this steep), and back.
        tolerance = 2 * ROUNDING + 1 if fmt in HAS_CHROMA else 0
        self.compare(f"apply-lut/{fmt}", tolerance, ours, ref.apply_lut(data, fmt, curves, size))
        for side in (2, 9):
            points = ref.soft_cube(side, self.rng)
            options = {"cube": side, "points": points.ravel()}
            ours = self.run("apply-lut", fmt, size, [data], **options)
            expected = ref.apply_cube(data, fmt, points, size)
            # A point is rounded to 1/64, a colour on the way to one; the cube is at most 1.6 steep.
            tolerance = ROUNDING + 1 / 128 + (0 if fmt in HAS_COLOR else 2 * 1.6 * ROUNDING + GAINS)
            self.compare(f"apply-lut/cube/{fmt}", tolerance, ours, expected)
        weights = self.rng.uniform(-0.3, 0.8, (3, 4)) * [1, 1, 1, 60]
        ours = self.run("color-matrix", fmt, size, [data], weights=weights.ravel())
        expected = ref.color_matrix(data, fmt, weights, size)
        rounded = 3 * 255 / 8192 + ROUNDING
        tolerance = rounded if fmt in HAS_COLOR else rounded * 2 + ROUNDING + GAINS
        self.compare(f"color-matrix/{fmt}", tolerance, ours, expected)

    def pairs(self, fmt, size):
        a, b = self.picture(fmt, size), self.picture(fmt, size)
        for t in (0, 1, 100, 254, 255):
            ours = self.run("mix", fmt, size, [a, b], t=t)
            self.compare("mix", ROUNDING, ours, (a * (255.0 - t) + b * float(t)) / 255)
        for strength in (0, 1, 17, 255):
            ours = self.run("denoise", fmt, size, [a, b], strength=strength)
            # The share of the previous picture is rounded down to 256ths, twice.
            tolerance = ROUNDING + strength * 2 / 256
            self.compare("denoise", tolerance, ours, ref.denoise(a, b, strength))
        mask = self.picture("gray", size)
        ours = self.run("composite", fmt, size, [a, b, mask])
        expected = ref.lay(a, fmt, size, b, mask.reshape(size[1], size[0]))
        self.compare("composite", ROUNDING, ours, expected)
        for other in FORMATS:
            top_size = (size[0] // 2 + 1, size[1] // 2 + 1)
            top, alpha = self.picture(other, top_size), int(self.rng.integers(256))
            x, y = (int(self.rng.integers(-side // 3, side)) for side in size)
            pictures, others = [a, top], [(other, top_size)]
            options = {"others": others, "at": (x, y), "alpha": alpha}
            ours = self.run("overlay", fmt, size, pictures, **options)
            like = self.run("convert", other, top_size, [top], to=fmt)
            expected = ref.overlay((a, fmt, size), (like, top, other, top_size), (x, y), alpha)
            # The share is rounded to 255ths.
            self.compare("overlay", 2 * ROUNDING, ours, expected)

    def drawings(self, fmt, size):
        data = self.picture(fmt, size)
        ink = tuple(int(v) for v in self.rng.integers(0, 256, 4))
        areas = ref.some_areas(self.rng, size)
        flat = [number for area in areas for number in area]
        painted = self.run("blank", fmt, size, [], size=size, to=fmt, ink=(*ink[:3], 255))
        for thickness in (0, 1, 3, 500):
            options = {"areas": flat, "thickness": thickness, "ink": ink}
            ours = self.run("draw-rects", fmt, size, [data], **options)
            mask = ref.mask_of(areas, size, thickness) * (ink[3] / 255)
            expected = ref.lay(data, fmt, size, painted, mask)
            self.compare("draw-rects", ROUNDING, ours, expected)
        options = {"text": "Ag 9?", "at": (-3, 2), "text_size": 23, "ink": ink}
        ours = self.run("draw-text", fmt, size, [data], **options)
        black = np.zeros(picture_bytes("gray", size), dtype=np.uint8)
        full = {**options, "ink": (255, 255, 255, 255)}
        mask = self.run("draw-text", "gray", size, [black], **full).reshape(size[1], size[0])
        mask = np.where(mask > 0, ink[3], 0)
        self.compare("draw-text", ROUNDING, ours, ref.lay(data, fmt, size, painted, mask))

    def all(self, formats):
        for fmt in formats:
            for size in self.sizes:
                for check in (self.convert, self.places, self.resize, self.blurs, self.sums,
                              self.colors, self.pairs, self.drawings):
                    check(fmt, size)


def levels():
    """Names of the dispatch levels that this CPU has, as Linux lists its features."""
    flags = pathlib.Path("/proc/cpuinfo").read_text().split() if sys.platform == "linux" else []
    wide = all(f"avx512{part}" in flags for part in ("f", "bw", "vl", "dq"))
    return ["scalar"] + ["avx2"] * ("avx2" in flags) + ["avx512"] * wide


def main():
    everything = sys.argv[1:] == ["--all"]
    if sys.argv[1:] == ["--setup"]:
        return 0
    if sys.argv[1:] and not everything:
        raise SystemExit("usage: ops.py [--all | --setup]")
    if everything:
        sizes = [(1, 1), (1, 7), (6, 1), (33, 17), (130, 720), (321, 241)]
        runs = [(sizes, FORMATS, ["--simd", level, "--threads", "2"]) for level in levels()]
    else:
        runs = [([(65, 33)], ["yuv420p", "rgba"], []), ([(34, 20)], ["nv12"], [])]
    worst = {}
    for sizes, formats, extra in runs:
        peers = Peers(sizes, extra, everything)
        peers.all(formats)
        for name, (error, tolerance) in peers.worst.items():
            if name not in worst or error - tolerance > np.subtract(*worst[name]):
                worst[name] = (error, tolerance)
    for name, (error, tolerance) in worst.items():
        print(f"{name} {error:.4f} {tolerance:.4f}")
    return 1 if any(error > tolerance + 1e-9 for error, tolerance in worst.values()) else 0


sys.exit(main())
