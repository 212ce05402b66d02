/* Separable filters: `resize`, `gaussian-blur` and `box-blur`, down the columns first, then along
 * the rows. Each plane is filtered by itself.
 *
 * Between the two passes of `resize` and `gaussian-blur` lie words of 16 bits in units of 2^-6. */
#include "lines.h"

#define BETWEEN 6

/* Weights that differ from place to place. A table has, for each of `places`, a first source place
 * (32 bits), and then for each of them `taps` weights (16 bits), in units of 2^-unit. */
typedef struct {
    Extent extent;
    Plane in, out, table;
    i32 places, taps, unit, step;
} ResizeArgs;

/* `n` elements from `x` on. */
KFN void resize_down_span(const ResizeArgs *args, i32 first, const i16 *weights, i32 x, i32 n,
                          i16 *__restrict__ out) {
    const i32 taps = args->taps, shift = args->unit - BETWEEN;
    i32 sums[SUMS];
    EACH(i, n, SUMS) sums[i] = 1 << (shift - 1);
    for (i32 k = 0; k < taps; k++) {
        const u8 *in = row_of(args->in, first + k) + x;
        const i16 weight = weights[k];
        EACH(i, n, SUMS) sums[i] += weight * in[i];
    }
    EACH(i, n, SUMS) out[i] = (i16)(sums[i] >> shift);
}

#ifndef __CUDACC__
/* The same for four vectors, whose sums stay in registers. */
KFN void resize_down_vectors(const ResizeArgs *args, i32 first, const i16 *weights, i32 x,
                             i16 *__restrict__ out) {
    const i32 taps = args->taps, shift = args->unit - BETWEEN;
    I32s sums[4];
    for (i32 v = 0; v < 4; v++) sums[v] = all_i32(1 << (shift - 1));
    for (i32 k = 0; k < taps; k++) {
        const u8 *in = row_of(args->in, first + k) + x;
        const I32s weight = all_i32(weights[k]);
        for (i32 v = 0; v < 4; v++)
            sums[v] += weight * bytes_at(in + LANES * v);
    }
    for (i32 v = 0; v < 4; v++)
        *(I16s *)(out + LANES * v) = __builtin_convertvector(sums[v] >> shift, I16s);
}
#endif

/* An element is a byte, its row is the place. */
KFN void resize_down_row(const ResizeArgs *args, i32 y, i32 x0, i32 x1) {
    const i32 first = ((const i32 *)args->table.data)[y];
    const i16 *weights =
        (const i16 *)(args->table.data + 4 * (i64)args->places) + (i64)y * args->taps;
    i16 *out = (i16 *)row_of(args->out, y);
    i32 x = x0;
#ifndef __CUDACC__
    for (; x + 4 * LANES <= x1; x += 4 * LANES)
        resize_down_vectors(args, first, weights, x, out + x);
#endif
    for (; x < x1; x += SUMS)
        resize_down_span(args, first, weights, x, min_i32(SUMS, x1 - x), out + x);
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

#ifndef __CUDACC__
/* Words of a row that lie side by side at a time, and results that are kept before they go to rows. */
enum { STRETCH = 256, RESULTS = 64 };

/* The places [x, end); in `pairs` lie the words from those of place `x` on, each beside the one a
 * pixel further on. */
KFN void resize_across_places(const ResizeArgs *args, i32 x, i32 end, i32 step, const Pairs *pairs,
                              Beside *results) {
    const i32 taps = args->taps, shift = args->unit + BETWEEN;
    const i32 *firsts = (const i32 *)args->table.data, first = firsts[x];
    const i16 *weights = (const i16 *)(args->table.data + 4 * (i64)args->places);
    for (i32 at = x; at < end; at++) {
        const i16 *weight = weights + (i64)at * taps;
        for (i32 c = 0; c < step; c++) {
            const Pairs *from = pairs + (firsts[at] - first) * step + c;
            I32s sum = all_i32(1 << (shift - 1));
            i32 k = 0;
            for (; k + 2 <= taps; k += 2) {
                i32 two;
                __builtin_memcpy(&two, weight + k, 4);
                sum += two_products(*(const I16pairs *)from[k * step], two);
            }
            /* What lies beside the last one counts for nothing. */
            if (k < taps)
                sum += two_products(*(const I16pairs *)from[k * step], weight[k] & 0xFFFF);
            const I32s result = cut_i32(sum >> shift);
            *(I16s *)results[(at - x) * step + c] = __builtin_convertvector(result, I16s);
        }
    }
}

/* `resize_across_span` for LANES rows at a time. */
KFN void resize_across_lines(const ResizeArgs *args, i32 y0, i32 y1, i32 step) {
    const i32 taps = args->taps, places = args->extent.columns;
    const i32 *firsts = (const i32 *)args->table.data;
    Beside beside[STRETCH + 4] = {0}, results[RESULTS];
    Pairs pairs[STRETCH];
    for (i32 y = y0; y < y1; y += LANES) {
        const i32 end_y = min_i32(y + LANES, y1);
        for (i32 x = 0, end; x < places; x = end) {
            const i32 first = firsts[x];
            for (end = x + 1; end < places; end++)
                if ((end + 1 - x) * step > RESULTS ||
                    (firsts[end] + taps - first) * step > STRETCH)
                    break;
            const i32 count = (firsts[end - 1] + taps - first) * step;
            lay_beside(args->in, y, end_y - 1, first * step, count, beside);
            for (i32 i = 0; i < count; i++)
                *(I16pairs *)pairs[i] =
                    pair_up(*(const I16s *)beside[i], *(const I16s *)beside[i + step]);
            resize_across_places(args, x, end, step, pairs, results);
            lay_in_rows(args->out, y, end_y, x * step, (end - x) * step, results);
        }
    }
}
#endif

KFN void resize_across_step(const ResizeArgs *args, i32 y0, i32 y1, i32 x0, i32 x1, i32 step) {
#ifndef __CUDACC__
    if (args->taps * step <= STRETCH) {
        resize_across_lines(args, y0, y1, step);
        return;
    }
#endif
    for (i32 y = y0; y < y1; y++) resize_across_span(args, y, x0, x1, step);
}

/* An element is a pixel, its place in the row is the place. */
KFN void resize_across_band(const ResizeArgs *args, i32 y0, i32 y1, i32 x0, i32 x1) {
    if (args->step == 1)
        resize_across_step(args, y0, y1, x0, x1, 1);
    else if (args->step == 2)
        resize_across_step(args, y0, y1, x0, x1, 2);
    else if (args->step == 3)
        resize_across_step(args, y0, y1, x0, x1, 3);
    else
        resize_across_step(args, y0, y1, x0, x1, 4);
}

BAND_ENTRY(resize_across, ResizeArgs, resize_across_band, SPAN, 1)

/* Weights that are the same everywhere and on both sides of the middle, in units of 2^-unit; none is
 * negative. Outside the plane lies the nearest edge pixel. An element is a byte. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 step, radius, unit;
    i16 weights[194];
} SmoothArgs;

KFN void smooth_down_span(const SmoothArgs *args, i32 y, i32 x, i32 n, i16 *__restrict__ out) {
    const i32 radius = args->radius, shift = args->unit - BETWEEN, last = args->extent.rows - 1;
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
    EACH(i, n, SUMS) out[i] = (i16)(sums[i] >> shift);
}

#ifndef __CUDACC__
/* The same for four vectors, whose sums stay in registers. */
KFN void smooth_down_vectors(const SmoothArgs *args, i32 y, i32 x, i16 *__restrict__ out) {
    const i32 radius = args->radius, shift = args->unit - BETWEEN, last = args->extent.rows - 1;
    const u8 *at = row_of(args->in, y) + x;
    I32s sums[4];
    for (i32 v = 0; v < 4; v++)
        sums[v] = all_i32(1 << (shift - 1)) + all_i32(args->weights[0]) * bytes_at(at + LANES * v);
    for (i32 k = 1; k <= radius; k++) {
        const u8 *above = row_of(args->in, clamp_i32(y - k, 0, last)) + x;
        const u8 *below = row_of(args->in, clamp_i32(y + k, 0, last)) + x;
        const I32s weight = all_i32(args->weights[k]);
        for (i32 v = 0; v < 4; v++)
            sums[v] += weight * (bytes_at(above + LANES * v) + bytes_at(below + LANES * v));
    }
    for (i32 v = 0; v < 4; v++)
        *(I16s *)(out + LANES * v) = __builtin_convertvector(sums[v] >> shift, I16s);
}
#endif

KFN void smooth_down_row(const SmoothArgs *args, i32 y, i32 x0, i32 x1) {
    i16 *out = (i16 *)row_of(args->out, y);
    i32 x = x0;
#ifndef __CUDACC__
    for (; x + 4 * LANES <= x1; x += 4 * LANES) smooth_down_vectors(args, y, x, out + x);
#endif
    for (; x < x1; x += SUMS) smooth_down_span(args, y, x, min_i32(SUMS, x1 - x), out + x);
}

ENTRY(smooth_down, SmoothArgs, smooth_down_row)

KFN void smooth_inside_span(const SmoothArgs *args, const i16 *at, i32 n, u8 *__restrict__ out) {
    const i32 radius = args->radius, step = args->step, shift = args->unit + BETWEEN;
    i32 sums[SUMS];
    const i16 middle = args->weights[0];
    EACH(i, n, SUMS) sums[i] = (1 << (shift - 1)) + middle * at[i];
    for (i32 k = 1; k <= radius; k++) {
        const i16 *left = at - k * step, *right = at + k * step, weight = args->weights[k];
        /* Two words of at most 255 * 2^6: their sum fits 16 bits. */
        EACH(i, n, SUMS) sums[i] += weight * (i16)(left[i] + right[i]);
    }
    EACH(i, n, SUMS) out[i] = to_u8(sums[i] >> shift);
}

#ifndef __CUDACC__
/* The same for four vectors, whose sums stay in registers. */
KFN void smooth_inside_vectors(const SmoothArgs *args, const i16 *at, u8 *__restrict__ out) {
    const i32 radius = args->radius, step = args->step, shift = args->unit + BETWEEN;
    I32s sums[4];
    for (i32 v = 0; v < 4; v++) {
        const I16s middle = *(const I16s *)(at + LANES * v);
        sums[v] = all_i32(1 << (shift - 1)) +
                  all_i32(args->weights[0]) * __builtin_convertvector(middle, I32s);
    }
    for (i32 k = 1; k <= radius; k++) {
        const I32s weight = all_i32(args->weights[k]);
        for (i32 v = 0; v < 4; v++) {
            const i16 *from = at + LANES * v;
            const I16s both = *(const I16s *)(from - k * step) + *(const I16s *)(from + k * step);
            sums[v] += weight * __builtin_convertvector(both, I32s);
        }
    }
    for (i32 v = 0; v < 4; v++)
        *(U8s *)(out + LANES * v) = __builtin_convertvector(cut_i32(sums[v] >> shift), U8s);
}
#endif

KFN void smooth_inside(const SmoothArgs *args, const i16 *in, u8 *out, i32 x0, i32 x1) {
    i32 x = x0;
#ifndef __CUDACC__
    for (; x + 4 * LANES <= x1; x += 4 * LANES) smooth_inside_vectors(args, in + x, out + x);
#endif
    for (; x < x1; x += SUMS) smooth_inside_span(args, in + x, min_i32(SUMS, x1 - x), out + x);
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

#ifdef __CUDACC__
KFN void box_across_step(const BoxAcrossArgs *args, i32 y0, i32 y1, i32 x0, i32 x1, i32 step) {
    const i32 radius = args->radius, last = args->extent.columns - 1, shift = args->shift;
    const u64 inverse = args->inverse;
    for (i32 y = y0; y < y1; y++) {
        const u16 *in = (const u16 *)row_of(args->in, y);
        u8 *__restrict__ out = row_of(args->out, y);
        u32 sums[4] = {args->half, args->half, args->half, args->half};
        for (i32 x = x0 - radius; x <= x0 + radius; x++)
            for (i32 c = 0; c < step; c++) sums[c] += in[clamp_i32(x, 0, last) * step + c];
        for (i32 x = x0; x < x1; x++) {
            const u16 *goes = in + clamp_i32(x - radius, 0, last) * step;
            const u16 *comes = in + clamp_i32(x + radius + 1, 0, last) * step;
            for (i32 c = 0; c < step; c++) {
                out[x * step + c] = (u8)((u32)(sums[c] * inverse >> 32) >> shift);
                sums[c] += (u32)comes[c] - goes[c];
            }
        }
    }
}
#else
/* Words that lie side by side at a time: whole pixels. */
enum { PIECE = 96 };

/* Lays the pixels [x, x + n) side by side; outside lies the nearest edge pixel. */
KFN void lay_pixels_beside(const BoxAcrossArgs *args, i32 y, i32 last_y, i32 x, i32 n, i32 step,
                           Beside *beside) {
    const i32 last = args->extent.columns - 1;
    if (x >= 0 && x + n - 1 <= last) {
        lay_beside(args->in, y, last_y, x * step, n * step, beside);
        return;
    }
    for (i32 i = 0; i < n; i++)
        lay_beside(args->in, y, last_y, clamp_i32(x + i, 0, last) * step, step, beside + i * step);
}

/* The same for LANES whole rows at a time. */
KFN void box_across_step(const BoxAcrossArgs *args, i32 y0, i32 y1, i32 x0, i32 x1, i32 step) {
    const i32 radius = args->radius, shift = args->shift;
    const i32 most = PIECE / step;
    Beside goes[PIECE], comes[PIECE], results[PIECE];
    for (i32 y = y0; y < y1; y += LANES) {
        const i32 end_y = min_i32(y + LANES, y1);
        U32s sums[4];
        for (i32 c = 0; c < step; c++) sums[c] = (U32s)all_i32((i32)args->half);
        for (i32 x = x0 - radius; x <= x0 + radius; x++) {
            lay_pixels_beside(args, y, end_y - 1, x, 1, step, comes);
            for (i32 c = 0; c < step; c++)
                sums[c] += __builtin_convertvector(*(const U16s *)comes[c], U32s);
        }
        for (i32 x = x0; x < x1; x += most) {
            const i32 n = min_i32(most, x1 - x);
            lay_pixels_beside(args, y, end_y - 1, x - radius, n, step, goes);
            lay_pixels_beside(args, y, end_y - 1, x + radius + 1, n, step, comes);
            for (i32 i = 0; i < n * step; i += step)
                for (i32 c = 0; c < step; c++) {
                    const U64s product =
                        __builtin_convertvector(sums[c], U64s) * (u64)args->inverse;
                    const U32s mean = __builtin_convertvector(product >> 32, U32s) >> (u32)shift;
                    *(U16s *)results[i + c] = __builtin_convertvector(mean, U16s);
                    sums[c] += __builtin_convertvector(*(const U16s *)comes[i + c], U32s) -
                               __builtin_convertvector(*(const U16s *)goes[i + c], U32s);
                }
            lay_in_rows(args->out, y, end_y, x * step, n * step, results);
        }
    }
}
#endif

/* An element is a pixel. */
KFN void box_across_band(const BoxAcrossArgs *args, i32 y0, i32 y1, i32 x0, i32 x1) {
    if (args->step == 1)
        box_across_step(args, y0, y1, x0, x1, 1);
    else if (args->step == 2)
        box_across_step(args, y0, y1, x0, x1, 2);
    else if (args->step == 3)
        box_across_step(args, y0, y1, x0, x1, 3);
    else
        box_across_step(args, y0, y1, x0, x1, 4);
}

BAND_ENTRY(box_across, BoxAcrossArgs, box_across_band, 32, 1)
