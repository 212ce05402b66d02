/* Bytes of pictures that lie on each other: `mix`, `denoise`, `threshold`, `noise`, and the one
 * kernel behind `overlay`, `composite` and everything that draws. */
#include "k.h"

/* Elements whose shares are worked out before they are mixed. */
#ifdef __CUDACC__
#define RUN SPAN
#else
#define RUN 128
#endif

/* `mix`: (a * (255 - t) + b * t) / 255, rounded to the nearest. An element is a byte. */
typedef struct {
    Extent extent;
    Plane a, b, out;
    i32 t;
} MixArgs;

KFN void mix_row(const MixArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *a = row_of(args->a, y), *b = row_of(args->b, y);
    u8 *__restrict__ out = row_of(args->out, y);
    const u16 t = (u16)args->t, s = (u16)(255 - args->t);
    for (i32 x = x0; x < x1; x++) {
        const u16 v = (u16)(a[x] * s + b[x] * t + 128);
        out[x] = (u8)((u16)(v + (v >> 8)) >> 8);
    }
}

ENTRY(mix, MixArgs, mix_row)

KFN u16 max_u16(u16 a, u16 b) { return a > b ? a : b; }
KFN u16 min_u16(u16 a, u16 b) { return a < b ? a : b; }
/* `denoise`: the share of `previous` in 256ths falls from 192 where nothing differs to 0 where the
 * two differ by `strength`. An element is a byte. */
typedef struct {
    Extent extent;
    Plane in, previous, out;
    i32 strength, slope; /* slope: 192 * 256 / strength. */
} DenoiseArgs;

KFN void denoise_row(const DenoiseArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *in = row_of(args->in, y), *previous = row_of(args->previous, y);
    u8 *__restrict__ out = row_of(args->out, y);
    const u16 strength = (u16)args->strength, slope = (u16)args->slope;
    for (i32 x = x0; x < x1; x++) {
        const u16 a = in[x], b = previous[x];
        const u16 apart = (u16)(max_u16(a, b) - min_u16(a, b));
        const u16 near = (u16)(max_u16(strength, apart) - apart);
        const u16 scaled = (u16)(near * slope), share = scaled >> 8;
        const u16 more = (u16)((u16)(b - a) * share), sum = (u16)((u16)(a << 8) + more), half = (u16)(sum + 128);
        out[x] = (u8)(half >> 8);
    }
}

ENTRY(denoise, DenoiseArgs, denoise_row)

/* `threshold`: 255 where a byte is at least `level`, else 0. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 level;
} ThresholdArgs;

KFN void threshold_row(const ThresholdArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *in = row_of(args->in, y), level = (u8)args->level;
    u8 *__restrict__ out = row_of(args->out, y);
    for (i32 x = x0; x < x1; x++) out[x] = (u8)(in[x] >= level ? 255 : 0);
}

ENTRY(threshold, ThresholdArgs, threshold_row)

/* `noise`: adds a number from -strength to strength, which depends on seed, row and byte only. An
 * element is a byte; of pixels of four bytes the fourth is copied. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 step, strength;
    u32 seed;
} NoiseArgs;

KFN u32 scramble(u32 v) {
    v = (v ^ (v >> 16)) * 0x7FEB352Du;
    v = (v ^ (v >> 15)) * 0x846CA68Bu;
    return v ^ (v >> 16);
}

KFN void noise_row(const NoiseArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *in = row_of(args->in, y);
    u8 *__restrict__ out = row_of(args->out, y);
    const u32 row = scramble(args->seed + scramble((u32)y)), width = 2 * (u32)args->strength + 1;
    const i32 strength = args->strength;
    for (i32 x = x0; x < x1; x++)
        out[x] = to_u8(in[x] + (i32)((scramble(row + (u32)x) >> 16) * width >> 16) - strength);
    if (args->step == 4)
        for (i32 x = x0; x < x1; x++)
            if ((x & 3) == 3) out[x] = in[x];
}

ENTRY(noise, NoiseArgs, noise_row)

/* Lays `top`, or one colour, on `base` with its corner at (x, y), as far as `mask` times `alpha`
 * says. Without `top` (null) the colour is laid, without `mask` (null) all of it. With `opaque` the
 * fourth byte of top counts as 255: then the result is as opaque as both together.
 *
 * An element is a pixel. In a plane of halved colour it is a sample: the mean, in one rounding, of
 * what its two by two pixels would become; a pixel beyond the edge is its nearest neighbour. */
typedef struct {
    Extent extent;
    Plane base, top, mask, out;
    i32 width, height; /* Of the base, in pixels. */
    i32 x, y, top_width, top_height;
    i32 step, mask_step; /* Bytes from one pixel, or sample, to the next. */
    i32 alpha, opaque, halved;
    u8 color[4];
} BlendArgs;

/* What the loop over a row is made of: constants where it is called, so that it has no branches. */
KFN void blend_pixels(const BlendArgs *args, i32 y, i32 x0, i32 x1, i32 step, const u8 *mask,
                      i32 mask_step, const u8 *top) {
    const u8 alpha = (u8)args->alpha, *base = row_of(args->base, y);
    u8 *__restrict__ out = row_of(args->out, y);
    const i32 opaque = args->opaque;
    u8 color[4];
    for (i32 c = 0; c < 4; c++) color[c] = args->color[c];
    for (i32 x = x0; x < x1; x++) {
        const u8 share = mask ? scale_u8(mask[x * mask_step], alpha) : alpha;
        for (i32 c = 0; c < step; c++) {
            const u8 over = c == 3 && opaque ? 255 : top ? top[x * step + c] : color[c];
            out[x * step + c] = mix_u8(base[x * step + c], over, share);
        }
    }
}

KFN void blend_span(const BlendArgs *args, i32 y, i32 x0, i32 x1, i32 step) {
    const i32 top_y = y - args->y, mask_step = args->mask_step;
    const u8 *mask = args->mask.data ? row_of(args->mask, top_y) - args->x * mask_step : 0;
    const u8 *top = args->top.data ? row_of(args->top, top_y) - args->x * step : 0;
    if (mask && mask_step == 1 && top)
        blend_pixels(args, y, x0, x1, step, mask, 1, top);
    else if (mask && mask_step == 1)
        blend_pixels(args, y, x0, x1, step, mask, 1, 0);
    else if (mask)
        blend_pixels(args, y, x0, x1, step, mask, mask_step, top);
    else
        blend_pixels(args, y, x0, x1, step, 0, 0, top);
}

/* Shares of two by two pixels, added: of a mask whose pixels lie `step` bytes apart. */
KFN void shares_of_blocks(const u8 *first, const u8 *second, i32 step, u8 alpha, i32 n,
                          u16 *__restrict__ shares) {
    EACH(i, n, RUN)
        shares[i] = (u16)(scale_u8(first[2 * i * step], alpha) +
                          scale_u8(first[(2 * i + 1) * step], alpha) +
                          scale_u8(second[2 * i * step], alpha) +
                          scale_u8(second[(2 * i + 1) * step], alpha));
}

/* (base * (1020 - share) + over * share + 510) / 1020, where `share` is a sum of four. */
KFN u8 blend_of_four(u8 base, u8 over, u16 share) {
    const u16 quarters = (u16)((base * (1020 - share) + over * share + 510) >> 2);
    /* By 255, exactly, as that is below 2^16 - 1. */
    return (u8)((u16)(quarters + 1 + (quarters >> 8)) >> 8);
}

/* Samples whose four pixels lie inside of the top and of the base, where blocks of both are the
 * same: `blend_sample` without its questions. */
KFN void blend_samples(const BlendArgs *args, i32 y, i32 x0, i32 x1, i32 step) {
    const i32 mask_step = args->mask_step, top_y = 2 * y - args->y, top_x = args->x >> 1;
    const u8 alpha = (u8)args->alpha, *base = row_of(args->base, y);
    const u8 *top = args->top.data ? row_of(args->top, top_y >> 1) - top_x * step : 0;
    u8 *__restrict__ out = row_of(args->out, y);
    const u8 color[2] = {args->color[0], args->color[1]};
    for (i32 x = x0; x < x1; x += RUN) {
        const i32 n = min_i32(RUN, x1 - x);
        u16 shares[RUN];
        if (args->mask.data) {
            const u8 *first = row_of(args->mask, top_y) + (2 * x - args->x) * mask_step;
            const u8 *second = first + args->mask.pitch;
            if (mask_step == 1)
                shares_of_blocks(first, second, 1, alpha, n, shares);
            else
                shares_of_blocks(first, second, mask_step, alpha, n, shares);
        } else {
            EACH(i, n, RUN) shares[i] = (u16)(4 * alpha);
        }
        const u8 *under = base + x * step;
        u8 *to = out + x * step;
        EACH(i, n, RUN)
            for (i32 c = 0; c < step; c++) {
                const u8 over = top ? top[(x + i) * step + c] : color[c];
                to[i * step + c] = blend_of_four(under[i * step + c], over, shares[i]);
            }
    }
}

KFN u8 blend_sample(const BlendArgs *args, i32 x, i32 y, i32 c) {
    const i32 base = row_of(args->base, y)[x * args->step + c];
    i32 sum = 510;
    for (i32 i = 0; i < 4; i++) {
        const i32 at_x = min_i32(2 * x + (i & 1), args->width - 1) - args->x;
        const i32 at_y = min_i32(2 * y + (i >> 1), args->height - 1) - args->y;
        i32 share = 0, over = args->color[c];
        if (at_x >= 0 && at_y >= 0 && at_x < args->top_width && at_y < args->top_height) {
            share = args->alpha;
            if (args->mask.data)
                share = scale_u8(row_of(args->mask, at_y)[at_x * args->mask_step], (u8)share);
            if (args->top.data)
                over = row_of(args->top, at_y >> 1)[(at_x >> 1) * args->step + c];
        }
        sum += base * (255 - share) + over * share;
    }
    return (u8)(sum / 1020);
}

KFN void blend_edge(const BlendArgs *args, i32 y, i32 x0, i32 x1) {
    for (i32 x = x0; x < x1; x++)
        for (i32 c = 0; c < args->step; c++)
            row_of(args->out, y)[x * args->step + c] = blend_sample(args, x, y, c);
}

KFN void copy_span(const BlendArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *base = row_of(args->base, y);
    u8 *__restrict__ out = row_of(args->out, y);
    for (i32 at = x0 * args->step; at < x1 * args->step; at++) out[at] = base[at];
}

KFN void blend_halved_row(const BlendArgs *args, i32 y, i32 x0, i32 x1) {
    const i32 outside = 2 * y + 1 < args->y || 2 * y >= args->y + args->top_height;
    const i32 from = outside ? x1 : clamp_i32((args->x - 1) >> 1, x0, x1);
    const i32 to = clamp_i32((args->x + args->top_width + 1) >> 1, from, x1);
    /* Whole blocks, if those of the top lie on those of the base. */
    const i32 apart = (args->x | args->y) & 1 || 2 * y + 1 >= args->height ||
                      2 * y < args->y || 2 * y + 1 >= args->y + args->top_height;
    const i32 end = min_i32(args->width, args->x + args->top_width) >> 1;
    const i32 whole_from = apart ? to : clamp_i32(args->x >> 1, from, to);
    const i32 whole_to = apart ? to : clamp_i32(end, whole_from, to);
    copy_span(args, y, x0, from);
    blend_edge(args, y, from, whole_from);
    if (args->step == 1)
        blend_samples(args, y, whole_from, whole_to, 1);
    else
        blend_samples(args, y, whole_from, whole_to, 2);
    blend_edge(args, y, whole_to, to);
    copy_span(args, y, to, x1);
}

KFN void blend_row(const BlendArgs *args, i32 y, i32 x0, i32 x1) {
    if (args->halved) {
        blend_halved_row(args, y, x0, x1);
        return;
    }
    const i32 outside = y < args->y || y >= args->y + args->top_height;
    const i32 from = outside ? x1 : clamp_i32(args->x, x0, x1);
    const i32 to = clamp_i32(args->x + args->top_width, from, x1);
    copy_span(args, y, x0, from);
    if (args->step == 1)
        blend_span(args, y, from, to, 1);
    else if (args->step == 3)
        blend_span(args, y, from, to, 3);
    else
        blend_span(args, y, from, to, 4);
    copy_span(args, y, to, x1);
}

ENTRY(blend, BlendArgs, blend_row)
