/* Separable filters: `resize`, `gaussian-blur` and `box-blur`, down the columns first, then along
 * the rows. Each plane is filtered by itself.
 *
 * Between the two passes of `resize` and `gaussian-blur` lie words of 16 bits in units of 2^-6. */
#include "k.h"

#define BETWEEN 6

/* Weights that differ from place to place. A table has, for each of `places`, a first source place
 * (32 bits), and then for each of them `taps` weights (16 bits), in units of 2^-unit. */
typedef struct {
    Extent extent;
    Plane in, out, table;
    i32 places, taps, unit, step;
} ResizeArgs;

/* An element is a byte, its row is the place. */
KFN void resize_down_row(const ResizeArgs *args, i32 y, i32 x0, i32 x1) {
    const i32 taps = args->taps, shift = args->unit - BETWEEN;
    const i32 first = ((const i32 *)args->table.data)[y];
    const i16 *weights = (const i16 *)(args->table.data + 4 * (i64)args->places) + (i64)y * taps;
    i16 *__restrict__ out = (i16 *)row_of(args->out, y);
    for (i32 x = x0; x < x1; x += SUMS) {
        const i32 n = min_i32(SUMS, x1 - x);
        i32 sums[SUMS];
        EACH(i, n, SUMS) sums[i] = 1 << (shift - 1);
        for (i32 k = 0; k < taps; k++) {
            const u8 *in = row_of(args->in, first + k) + x;
            const i16 weight = weights[k];
            EACH(i, n, SUMS) sums[i] += weight * in[i];
        }
        EACH(i, n, SUMS) out[x + i] = (i16)(sums[i] >> shift);
    }
}

ENTRY(resize_down, ResizeArgs, resize_down_row)

KFN void resize_across_span(const ResizeArgs *args, i32 y, i32 x0, i32 x1, i32 step) {
    const i32 taps = args->taps, shift = args->unit + BETWEEN;
    const i32 *firsts = (const i32 *)args->table.data;
    const i16 *weights = (const i16 *)(args->table.data + 4 * (i64)args->places);
    const i16 *in = (const i16 *)row_of(args->in, y);
    u8 *__restrict__ out = row_of(args->out, y);
    for (i32 x = x0; x < x1; x++) {
        const i16 *from = in + firsts[x] * step, *weight = weights + (i64)x * taps;
        for (i32 c = 0; c < step; c++) {
            i32 sum = 1 << (shift - 1);
            for (i32 k = 0; k < taps; k++) sum += weight[k] * from[k * step + c];
            out[x * step + c] = to_u8(sum >> shift);
        }
    }
}

/* An element is a pixel, its place in the row is the place. */
KFN void resize_across_row(const ResizeArgs *args, i32 y, i32 x0, i32 x1) {
    if (args->step == 1)
        resize_across_span(args, y, x0, x1, 1);
    else if (args->step == 2)
        resize_across_span(args, y, x0, x1, 2);
    else if (args->step == 3)
        resize_across_span(args, y, x0, x1, 3);
    else
        resize_across_span(args, y, x0, x1, 4);
}

ENTRY(resize_across, ResizeArgs, resize_across_row)

/* Weights that are the same everywhere and on both sides of the middle, in units of 2^-unit; none is
 * negative. Outside the plane lies the nearest edge pixel. An element is a byte. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 step, radius, unit;
    i16 weights[194];
} SmoothArgs;

KFN void smooth_down_row(const SmoothArgs *args, i32 y, i32 x0, i32 x1) {
    const i32 radius = args->radius, shift = args->unit - BETWEEN, last = args->extent.rows - 1;
    i16 *__restrict__ out = (i16 *)row_of(args->out, y);
    for (i32 x = x0; x < x1; x += SUMS) {
        const i32 n = min_i32(SUMS, x1 - x);
        i32 sums[SUMS];
        const u8 *at = row_of(args->in, y) + x;
        const i16 middle = args->weights[0];
        EACH(i, n, SUMS) sums[i] = (1 << (shift - 1)) + middle * at[i];
        for (i32 k = 1; k <= radius; k++) {
            const u8 *above = row_of(args->in, clamp_i32(y - k, 0, last)) + x;
            const u8 *below = row_of(args->in, clamp_i32(y + k, 0, last)) + x;
            const i16 weight = args->weights[k];
            EACH(i, n, SUMS) sums[i] += weight * (i16)(above[i] + below[i]);
        }
        EACH(i, n, SUMS) out[x + i] = (i16)(sums[i] >> shift);
    }
}

ENTRY(smooth_down, SmoothArgs, smooth_down_row)

KFN void smooth_inside(const SmoothArgs *args, const i16 *in, u8 *__restrict__ out, i32 x0,
                       i32 x1) {
    const i32 radius = args->radius, step = args->step, shift = args->unit + BETWEEN;
    for (i32 x = x0; x < x1; x += SUMS) {
        const i32 n = min_i32(SUMS, x1 - x);
        i32 sums[SUMS];
        const i16 *at = in + x, middle = args->weights[0];
        EACH(i, n, SUMS) sums[i] = (1 << (shift - 1)) + middle * at[i];
        for (i32 k = 1; k <= radius; k++) {
            const i16 *left = at - k * step, *right = at + k * step, weight = args->weights[k];
            /* Two words of at most 255 * 2^6: their sum fits 16 bits. */
            EACH(i, n, SUMS) sums[i] += weight * (i16)(left[i] + right[i]);
        }
        EACH(i, n, SUMS) out[x + i] = to_u8(sums[i] >> shift);
    }
}

KFN void smooth_edge(const SmoothArgs *args, const i16 *in, u8 *out, i32 x0, i32 x1) {
    const i32 radius = args->radius, step = args->step, shift = args->unit + BETWEEN;
    const i32 last = args->extent.columns / step - 1;
    for (i32 x = x0; x < x1; x++) {
        const i32 pixel = x / step, channel = x % step;
        i32 sum = (1 << (shift - 1)) + args->weights[0] * in[x];
        for (i32 k = 1; k <= radius; k++)
            sum += args->weights[k] * (in[clamp_i32(pixel - k, 0, last) * step + channel] +
                                       in[clamp_i32(pixel + k, 0, last) * step + channel]);
        out[x] = to_u8(sum >> shift);
    }
}

KFN void smooth_across_row(const SmoothArgs *args, i32 y, i32 x0, i32 x1) {
    const i32 reach = args->radius * args->step;
    const i16 *in = (const i16 *)row_of(args->in, y);
    u8 *out = row_of(args->out, y);
    const i32 from = clamp_i32(reach, x0, x1);
    const i32 to = clamp_i32(args->extent.columns - reach, from, x1);
    smooth_edge(args, in, out, x0, from);
    smooth_inside(args, in, out, from, to);
    smooth_edge(args, in, out, to, x1);
}

ENTRY(smooth_across, SmoothArgs, smooth_across_row)

/* `box-blur`: sums of 2 * radius + 1 rows, at most 255 * 255, then of as many columns. Sums slide,
 * so that a pixel costs the same whatever the radius. Outside lies the nearest edge pixel. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 radius;
} BoxDownArgs;

/* An element is a byte. */
KFN void box_down_band(const BoxDownArgs *args, i32 y0, i32 y1, i32 x0, i32 x1) {
    const i32 radius = args->radius, last = args->extent.rows - 1;
    for (i32 x = x0; x < x1; x += SUMS) {
        const i32 n = min_i32(SUMS, x1 - x);
        u16 sums[SUMS];
        EACH(i, n, SUMS) sums[i] = 0;
        for (i32 y = y0 - radius; y <= y0 + radius; y++) {
            const u8 *in = row_of(args->in, clamp_i32(y, 0, last)) + x;
            EACH(i, n, SUMS) sums[i] = (u16)(sums[i] + in[i]);
        }
        for (i32 y = y0; y < y1; y++) {
            u16 *__restrict__ out = (u16 *)row_of(args->out, y) + x;
            EACH(i, n, SUMS) out[i] = sums[i];
            const u8 *goes = row_of(args->in, clamp_i32(y - radius, 0, last)) + x;
            const u8 *comes = row_of(args->in, clamp_i32(y + radius + 1, 0, last)) + x;
            EACH(i, n, SUMS) sums[i] = (u16)(sums[i] + comes[i] - goes[i]);
        }
    }
}

/* Rows of one CUDA thread: it first sums 2 * radius + 1 rows, which should be worth it. */
BAND_ENTRY(box_down, BoxDownArgs, box_down_band, SPAN, 32)

/* The quotient by the number of pixels n is (v * inverse >> 32) >> shift, exactly: inverse is
 * 2^(32 + shift) / n rounded up, and v is below 2^25. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 step, radius;
    u32 inverse, half;
    i32 shift;
} BoxAcrossArgs;

/* Pixels whose sums are kept before they are divided. */
#ifdef __CUDACC__
#define KEPT 1
#else
#define KEPT 128
#endif

KFN void box_across_span(const BoxAcrossArgs *args, i32 y, i32 x0, i32 x1, i32 step) {
    const i32 radius = args->radius, last = args->extent.columns - 1, shift = args->shift;
    const u64 inverse = args->inverse;
    const u16 *in = (const u16 *)row_of(args->in, y);
    u8 *__restrict__ out = row_of(args->out, y);
    u32 sums[4] = {args->half, args->half, args->half, args->half};
    for (i32 x = x0 - radius; x <= x0 + radius; x++)
        for (i32 c = 0; c < step; c++) sums[c] += in[clamp_i32(x, 0, last) * step + c];
    for (i32 x = x0; x < x1; x += KEPT) {
        const i32 n = min_i32(KEPT, x1 - x);
        u32 kept[4 * KEPT];
        for (i32 i = 0; i < n; i++) {
            const u16 *goes = in + clamp_i32(x + i - radius, 0, last) * step;
            const u16 *comes = in + clamp_i32(x + i + radius + 1, 0, last) * step;
            for (i32 c = 0; c < step; c++) {
                kept[i * step + c] = sums[c];
                sums[c] += (u32)comes[c] - goes[c];
            }
        }
        EACH(i, n * step, 4 * KEPT)
            out[x * step + i] = (u8)((u32)(kept[i] * inverse >> 32) >> shift);
    }
}

/* An element is a pixel. */
KFN void box_across_band(const BoxAcrossArgs *args, i32 y0, i32 y1, i32 x0, i32 x1) {
    for (i32 y = y0; y < y1; y++) {
        if (args->step == 1)
            box_across_span(args, y, x0, x1, 1);
        else if (args->step == 2)
            box_across_span(args, y, x0, x1, 2);
        else if (args->step == 3)
            box_across_span(args, y, x0, x1, 3);
        else
            box_across_span(args, y, x0, x1, 4);
    }
}

BAND_ENTRY(box_across, BoxAcrossArgs, box_across_band, 32, 1)
