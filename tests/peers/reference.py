"""Every op once more in float64, from its definition and the standards, sharing nothing with the
kernels: no fixed-point numbers, no intermediate rounding except where a definition has one.

A picture is its raw bytes: planes one after another, rows without padding.
"""

import numpy as np

FORMATS = ["nv12", "yuv420p", "rgb24", "rgba", "gray"]
HAS_CHROMA = ("nv12", "yuv420p")
HAS_COLOR = ("rgb24", "rgba")
SPACES = [(s, r) for s in ("bt601", "bt709") for r in ("limited", "full")]


def halves(size):
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def picture_bytes(fmt, size):
    half = halves(size)[0] * halves(size)[1]
    count = size[0] * size[1] * {"rgb24": 3, "rgba": 4}.get(fmt, 1)
    return count + (2 * half if fmt in HAS_CHROMA else 0)


def planes_of(data, fmt, size):
    """Arrays of rows, columns and channels: the picture, or Y and then U and V together."""
    (width, height), (half_w, half_h) = size, halves(size)
    data = np.asarray(data, dtype=np.float64)
    if fmt in HAS_COLOR:
        return [data.reshape(height, width, -1)]
    luma, rest = data[: width * height].reshape(height, width, 1), data[width * height :]
    if fmt == "gray":
        return [luma]
    if fmt == "nv12":
        return [luma, rest.reshape(half_h, half_w, 2)]
    return [luma, np.moveaxis(rest.reshape(2, half_h, half_w), 0, -1)]


def bytes_of(planes, fmt):
    """The other way."""
    if fmt == "yuv420p":
        return np.concatenate([planes[0].ravel(), np.moveaxis(planes[1], -1, 0).ravel()])
    return np.concatenate([plane.ravel() for plane in planes])


def up(plane, size):
    """A plane of halved colour at full size: a pixel has what its block has."""
    return plane.repeat(2, axis=0).repeat(2, axis=1)[: size[1], : size[0]]


def down(full):
    """The mean of blocks of two by two; a pixel beyond the edge is its nearest neighbour."""
    height, width = full.shape[:2]
    padded = np.pad(full, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4


# --- colours ------------------------------------------------------------------------------------


def scales(size, space):
    """Shares of red and blue in luma, black, and the spans of luma and chroma."""
    standard, scale = space or ("bt601" if size[1] < 720 else "bt709", "limited")
    shares = (0.299, 0.114) if standard == "bt601" else (0.2126, 0.0722)
    return shares, (16, 219, 224) if scale == "limited" else (0, 255, 255)


def to_rgb(planes, size, space=None):
    """r, g, b in 0..255 from Y, U, V."""
    (red, blue), (black, span, chroma) = scales(size, space)
    y = (planes[0][..., 0] - black) / span
    uv = up(planes[1], size) if len(planes) > 1 else np.full((*y.shape, 2), 128.0)
    cb, cr = (uv[..., 0] - 128) / chroma, (uv[..., 1] - 128) / chroma
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], axis=-1) * 255, 0, 255)


def from_rgb(rgb, size, space=None):
    """Y, U, V from r, g, b in 0..255."""
    (red, blue), (black, span, chroma) = scales(size, space)
    luma_of = lambda c: red * c[..., 0] + (1 - red - blue) * c[..., 1] + blue * c[..., 2]
    mean = down(rgb)
    u = 128 + chroma / 255 * (mean[..., 2] - luma_of(mean)) / (2 * (1 - blue))
    v = 128 + chroma / 255 * (mean[..., 0] - luma_of(mean)) / (2 * (1 - red))
    luma = black + span / 255 * luma_of(rgb)
    return [luma[..., None], np.clip(np.stack([u, v], axis=-1), 0, 255)]


def colors(data, fmt, size, space=None):
    planes = planes_of(data, fmt, size)
    return planes[0][..., :3] if fmt in HAS_COLOR else to_rgb(planes, size, space)


def pack(rgb, fmt, size, alpha=None, space=None):
    """The bytes of a picture of any format from r, g, b."""
    if fmt not in HAS_COLOR:
        planes = from_rgb(rgb, size, space)
        return bytes_of(planes[:1] if fmt == "gray" else planes, fmt)
    if fmt == "rgba":
        opaque = np.full(rgb.shape[:2], 255.0) if alpha is None else alpha
        rgb = np.concatenate([rgb, opaque[..., None]], axis=-1)
    return rgb.ravel()


def convert(data, fmt, to, size, space=None):
    if fmt == to:
        return np.asarray(data, dtype=np.float64)
    if fmt not in HAS_COLOR and to not in HAS_COLOR:
        planes = planes_of(data, fmt, size)
        if len(planes) == 1:
            planes.append(np.full((*halves(size)[::-1], 2), 128.0))
        return bytes_of(planes[:1] if to == "gray" else planes, to)
    return pack(colors(data, fmt, size, space), to, size, space=space)


def alpha_of(data, fmt, size):
    return planes_of(data, fmt, size)[0][..., 3] if fmt == "rgba" else None


def apply_lut(data, fmt, curves, size):
    """Curves between whole numbers are straight lines here, so a colour that rounds the other way
    costs no more than the curve is steep."""
    through = lambda c, curve: np.interp(c, np.arange(256), curve)
    if fmt == "gray":
        return through(np.asarray(data, dtype=np.float64), curves[:256])
    rgb = colors(data, fmt, size)
    bent = np.stack([through(rgb[..., c], curves[256 * c : 256 * c + 256]) for c in range(3)], -1)
    return pack(bent, fmt, size, alpha_of(data, fmt, size))


def soft_cube(side, rng):
    """A cube that bends colours a little: blue, green, red, and then the three numbers."""
    grid = np.linspace(0, 1, side)
    b, g, r = np.meshgrid(grid, grid, grid, indexing="ij")
    mixed = np.stack([0.8 * r + 0.2 * g**2, 1 - g + 0.1 * b * r, b**1.5], axis=-1)
    return np.clip(mixed + rng.uniform(-0.02, 0.02, mixed.shape), 0, 1).round(5)


def apply_cube(data, fmt, points, size):
    """Between points, by the tetrahedron: along the axis of the largest remainder first."""
    rgb = colors(data, fmt, size)
    place = rgb / 255 * (points.shape[0] - 1)
    low = np.minimum(np.floor(place), points.shape[0] - 2).astype(int)
    rest = place - low
    order = np.argsort(-rest, axis=-1, kind="stable")
    at, total = low.copy(), points[low[..., 2], low[..., 1], low[..., 0]]
    for step in range(3):
        axis = order[..., step : step + 1]
        before = points[at[..., 2], at[..., 1], at[..., 0]]
        np.put_along_axis(at, axis, np.take_along_axis(at, axis, -1) + 1, -1)
        after = points[at[..., 2], at[..., 1], at[..., 0]]
        total = total + np.take_along_axis(rest, axis, -1) * (after - before)
    return pack(total * 255, fmt, size, alpha_of(data, fmt, size))


def color_matrix(data, fmt, weights, size):
    rgb = colors(data, fmt, size)
    made = np.clip(rgb @ weights[:, :3].T + weights[:, 3], 0, 255)
    return pack(made, fmt, size, alpha_of(data, fmt, size))


# --- places -------------------------------------------------------------------------------------


def full_size(data, fmt, size):
    """Planes with a value for each pixel."""
    planes = planes_of(data, fmt, size)
    return planes[:1] + [up(plane, size) for plane in planes[1:]]


def from_full(planes, fmt):
    return bytes_of(planes[:1] + [down(plane) for plane in planes[1:]], fmt)


def turn(data, fmt, size, how):
    return from_full([how(plane) for plane in full_size(data, fmt, size)], fmt)


def crop(data, fmt, size, area):
    x, y, width, height = area
    return turn(data, fmt, size, lambda plane: plane[y : y + height, x : x + width])


def ink_planes(fmt, size, ink):
    """One pixel of a colour for each plane."""
    if fmt in HAS_COLOR:
        return [np.array(ink[: 4 if fmt == "rgba" else 3], dtype=np.float64)]
    luma, chroma = from_rgb(np.array(ink[:3], dtype=np.float64).reshape(1, 1, 3), size)
    return [luma.ravel(), chroma.ravel()]


def pad(data, fmt, size, borders, ink):
    left, top, right, bottom = borders
    (width, height), padded = size, []
    whole = (left + width + right, top + height + bottom)
    for plane, color in zip(full_size(data, fmt, size), ink_planes(fmt, whole, ink)):
        made = np.tile(color, (whole[1], whole[0], 1))
        made[top : top + height, left : left + width] = plane
        padded.append(made)
    return from_full(padded, fmt)


def blank(fmt, size, ink):
    planes = planes_of(np.zeros(picture_bytes(fmt, size)), fmt, size)
    colors_of = ink_planes(fmt, size, ink)
    return bytes_of([np.broadcast_to(c, p.shape) for p, c in zip(planes, colors_of)], fmt)


# --- filters ------------------------------------------------------------------------------------


def kernel(sampling, x):
    x = np.abs(x)
    if sampling == "bilinear":
        return np.maximum(1 - x, 0)
    if sampling == "bicubic":
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return np.where(x < 1, near, np.where(x < 2, far, 0))
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)


def resize_matrix(source, result, sampling):
    """Weights of each source pixel (columns) in each result pixel (rows)."""
    scale, weights = source / result, np.zeros((result, source))
    for at in range(result):
        middle, wide = (at + 0.5) * scale, max(scale, 1)
        if sampling == "nearest":
            weights[at, min(int((2 * at + 1) * source // (2 * result)), source - 1)] = 1
            continue
        first, last = int(middle - 3 * wide) - 2, int(middle + 3 * wide) + 2
        pixels = np.arange(first, last + 1)
        if sampling == "area":
            edges = np.minimum(pixels + 1, middle + scale / 2) - np.maximum(pixels, middle - scale / 2)
            values = np.maximum(edges, 0)
        else:
            values = kernel(sampling, (pixels + 0.5 - middle) / wide)
        np.add.at(weights[at], np.clip(pixels, 0, source - 1), values)
        weights[at] /= weights[at].sum()
    return weights


def weight_error(weights, spread):
    """What rounding weights to integers may cost: 16 bits each, so a unit of 2^-15 at most where
    one of them is a half or more, and of 2^-16 or 2^-15 else; each is off by up to one unit."""
    unit = 2.0**-14 if np.abs(weights).max() > 0.99 else 2.0**-15
    taps = np.count_nonzero(weights, axis=1).max() + 1
    return 255 * taps * unit * spread


def resize(data, fmt, size, to, sampling):
    made, error = [], 0
    for plane in planes_of(data, fmt, size):
        halved = plane.shape[:2] != (size[1], size[0]) or (len(made) == 1)
        width, height = halves(to) if halved else to
        rows = resize_matrix(plane.shape[0], height, sampling)
        columns = resize_matrix(plane.shape[1], width, sampling)
        made.append(np.clip(np.einsum("yi,xj,ijc->yxc", rows, columns, plane, optimize=True), 0, 255))
        # Weights of both signs make the other pass's error larger.
        spread = max(np.abs(rows).sum(axis=1).max(), np.abs(columns).sum(axis=1).max())
        error = max(error, weight_error(rows, spread) + weight_error(columns, spread))
    return bytes_of(made, fmt), error


def along(plane, weights):
    """A filter of odd length in both directions; outside lies the nearest pixel."""
    reach = len(weights) // 2
    for axis in (0, 1):
        ends = [(reach, reach) if at == axis else (0, 0) for at in range(3)]
        padded = np.moveaxis(np.pad(plane, ends, mode="edge"), axis, 0)
        count = plane.shape[axis]
        total = sum(weight * padded[at : at + count] for at, weight in enumerate(weights))
        plane = np.moveaxis(total, 0, axis)
    return plane


def box_blur(data, fmt, size, radius):
    planes = planes_of(data, fmt, size)
    mean = lambda r: np.full(2 * r + 1, 1 / (2 * r + 1))
    made = [along(planes[0], mean(radius))] + [along(p, mean((radius + 1) // 2)) for p in planes[1:]]
    return bytes_of(made, fmt)


def bell(sigma):
    reach = max(int(np.ceil(3 * sigma)), 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return weights / weights.sum()


def gaussian_blur(data, fmt, size, sigma):
    sigma = float(np.float32(sigma))
    planes = planes_of(data, fmt, size)
    made = [along(planes[0], bell(sigma))] + [along(p, bell(sigma / 2)) for p in planes[1:]]
    bells = [bell(sigma), bell(sigma / 2)][: len(planes)]
    return bytes_of(made, fmt), max(2 * weight_error(b.reshape(1, -1), 1) for b in bells)


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
    planes = planes_of(data, fmt, size)
    first = planes[0].copy()
    for channel in range(min(first.shape[2], 3)):
        first[..., channel] = filtered(first[..., channel], weights, bias)
    return bytes_of([first, *planes[1:]], fmt)


def edges(gray):
    p = np.pad(gray, 1, mode="edge")
    gx = p[:-2, 2:] - p[:-2, :-2] + 2 * (p[1:-1, 2:] - p[1:-1, :-2]) + p[2:, 2:] - p[2:, :-2]
    gy = p[2:, :-2] - p[:-2, :-2] + 2 * (p[2:, 1:-1] - p[:-2, 1:-1]) + p[2:, 2:] - p[:-2, 2:]
    return np.minimum(np.abs(gx) + np.abs(gy), 255)


def denoise(a, b, strength):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    near = np.maximum(strength - np.abs(a - b), 0) / max(strength, 1)
    return a + (b - a) * 0.75 * near


def noise(data, fmt, size, strength, seed):
    """The generator is part of the definition."""
    def scramble(v):
        v = (v ^ (v >> 16)) * 0x7FEB352D & 0xFFFFFFFF
        v = (v ^ (v >> 15)) * 0x846CA68B & 0xFFFFFFFF
        return v ^ (v >> 16)

    planes = planes_of(data, fmt, size)
    first = planes[0].copy()
    height, width, channels = first.shape
    row = scramble(seed + scramble(np.arange(height, dtype=np.uint64)) & 0xFFFFFFFF)
    place = np.arange(width * channels, dtype=np.uint64)
    grain = scramble(row[:, None] + place[None, :] & 0xFFFFFFFF) >> np.uint64(16)
    grain = (grain * np.uint64(2 * strength + 1) >> np.uint64(16)).astype(np.float64) - strength
    noisy = np.clip(first + grain.reshape(first.shape), 0, 255)
    noisy[..., 3:] = first[..., 3:]
    return bytes_of([noisy, *planes[1:]], fmt)


# --- areas, and what is laid on pictures ------------------------------------------------------------


def some_areas(rng, size):
    """A few areas, some of them partly outside."""
    return [
        (int(rng.integers(-w // 3, w)), int(rng.integers(-h // 3, h)),
         int(rng.integers(0, w // 2 + 2)), int(rng.integers(0, h // 2 + 2)))
        for w, h in [size] * 5
    ]


def mask_of(areas, size, thickness=0):
    mask = np.zeros((size[1], size[0]))
    ys, xs = np.mgrid[: size[1], : size[0]]
    for x, y, width, height in areas:
        inside = (xs >= x) & (xs < x + width) & (ys >= y) & (ys < y + height)
        t = thickness
        deep = (xs >= x + t) & (xs < x + width - t) & (ys >= y + t) & (ys < y + height - t)
        mask[inside & ~deep if t else inside] = 255
    return mask


def lay(base, fmt, size, top, mask):
    """`top` on `base` as far as the mask (0..255) says, pixel by pixel."""
    share = (np.asarray(mask, dtype=np.float64) / 255)[..., None]
    pairs = zip(full_size(base, fmt, size), full_size(top, fmt, size))
    return from_full([b + (t - b) * share for b, t in pairs], fmt)


def pixelate(data, fmt, size, block):
    """Means to the nearest, halves up."""
    made = []
    block += block % 2 if fmt in HAS_CHROMA else 0
    for index, plane in enumerate(planes_of(data, fmt, size)):
        side, result = block // 2 if index else block, plane.copy()
        for y in range(0, plane.shape[0], side):
            for x in range(0, plane.shape[1], side):
                square = plane[y : y + side, x : x + side]
                result[y : y + side, x : x + side] = np.floor(square.mean(axis=(0, 1)) + 0.5)
        made.append(result)
    return bytes_of(made, fmt)


def overlay(base, top, at, alpha):
    """`base` is bytes, format, size; `top` is bytes in the base's format, then its own bytes, format
    and size, of which the alpha counts."""
    (data, fmt, size), (like, own, own_fmt, own_size) = base, top
    share = alpha_of(own, own_fmt, own_size)
    share = np.full(own_size[::-1], 255.0) if share is None else share
    share = share / 255 * alpha / 255
    (x, y), (width, height) = at, own_size
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + width, size[0]), min(y + height, size[1])
    made = full_size(data, fmt, size)
    if x0 >= x1 or y0 >= y1:
        return bytes_of(planes_of(data, fmt, size), fmt)
    for plane, over in zip(made, full_size(like, fmt, own_size)):
        over = over[y0 - y : y1 - y, x0 - x : x1 - x].copy()
        if fmt == "rgba":
            over[..., 3] = 255
        part = plane[y0:y1, x0:x1]
        part += (over - part) * share[y0 - y : y1 - y, x0 - x : x1 - x, None]
    return from_full(made, fmt)
