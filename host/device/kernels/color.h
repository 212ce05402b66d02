/* From Y, U, V to r, g, b and back, over short planar tiles. Used by `convert` and by the ops that
 * work on colours.
 *
 * Coefficients are in units of 2^-14 and come with the arguments, so there is one table of them.
 * U and V lie around 128. */
#ifndef FG_COLOR_H
#define FG_COLOR_H
#include "k.h"

typedef struct {
    i32 luma;          /* Gain of Y - black on the way to r, g, b. */
    i32 rv, gu, gv, bu; /* Gains of U - 128 and V - 128 on that way. */
    i32 yr, yg, yb, ur, ug, ub, vr, vg, vb; /* The way back. */
    i32 black;         /* Y of black: 16 in the limited range, 0 in the full one. */
} Matrix;

/* Pixels in a tile: long enough for the CPU's vectors, and the span of a CUDA thread. Even. */
#ifdef __CUDACC__
#define TILE (2 * SPAN)
#else
#define TILE 128
#endif

#define HALF (1 << 13)

/* One row of a tile, planar. */
typedef struct {
    u8 r[TILE], g[TILE], b[TILE];
} Tile;

/* Computes r, g, b of `n` pixels from Y and from U and V, one of each for two pixels, which lie
 * `chroma_step` bytes apart: of pairs, V is the byte after U. */
KFN void tile_from_yuv(const Matrix *m, const u8 *luma, const u8 *u, const u8 *v, i32 chroma_step,
                       i32 n, Tile *__restrict__ tile) {
    i16 us[TILE / 2], vs[TILE / 2];
    i16 ud[TILE], vd[TILE];
    const i32 half = (n + 1) >> 1;
    /* Every byte of a pair is read: a loop that leaves some out is no loop over vectors. */
    if (chroma_step == 1) {
        EACH(i, half, TILE / 2) us[i] = (i16)(u[i] - 128), vs[i] = (i16)(v[i] - 128);
    } else {
        EACH(i, half, TILE / 2) us[i] = (i16)(u[2 * i] - 128), vs[i] = (i16)(u[2 * i + 1] - 128);
    }
    EACH(i, half, TILE / 2) {
        ud[2 * i] = us[i], ud[2 * i + 1] = us[i];
        vd[2 * i] = vs[i], vd[2 * i + 1] = vs[i];
    }
    EACH(i, n, TILE) {
        const i32 base = (luma[i] - m->black) * m->luma + HALF;
        tile->r[i] = to_u8((base + m->rv * vd[i]) >> 14);
        tile->g[i] = to_u8((base + m->gu * ud[i] + m->gv * vd[i]) >> 14);
        tile->b[i] = to_u8((base + m->bu * ud[i]) >> 14);
    }
}

/* Computes Y of `n` pixels. */
KFN void luma_from_tile(const Matrix *m, const Tile *tile, i32 n, u8 *__restrict__ luma) {
    EACH(i, n, TILE) {
        const i32 sum = m->yr * tile->r[i] + m->yg * tile->g[i] + m->yb * tile->b[i];
        luma[i] = (u8)(m->black + ((sum + HALF) >> 14));
    }
}

/* Adds neighbours of two rows; where there is no second column, the first counts twice. */
KFN void sums_of_blocks(const u8 *top, const u8 *low, i32 n, i16 *__restrict__ sums) {
    EACH(i, n >> 1, TILE / 2)
        sums[i] = (i16)(top[2 * i] + top[2 * i + 1] + low[2 * i] + low[2 * i + 1]);
    if (n & 1) sums[n >> 1] = (i16)(2 * (top[n - 1] + low[n - 1]));
}

/* Computes U and V of the mean of two by two pixels, in one rounding. `n` pixels a row. */
KFN void chroma_from_tiles(const Matrix *m, const Tile *top, const Tile *low, i32 n, u8 *u, u8 *v,
                           i32 chroma_step) {
    i16 r[TILE / 2], g[TILE / 2], b[TILE / 2];
    u8 us[TILE / 2], vs[TILE / 2];
    const i32 half = (n + 1) >> 1;
    sums_of_blocks(top->r, low->r, n, r);
    sums_of_blocks(top->g, low->g, n, g);
    sums_of_blocks(top->b, low->b, n, b);
    EACH(i, half, TILE / 2) {
        us[i] = to_u8(128 + ((m->ur * r[i] + m->ug * g[i] + m->ub * b[i] + 4 * HALF) >> 16));
        vs[i] = to_u8(128 + ((m->vr * r[i] + m->vg * g[i] + m->vb * b[i] + 4 * HALF) >> 16));
    }
    if (chroma_step == 1) {
        EACH(i, half, TILE / 2) u[i] = us[i], v[i] = vs[i];
    } else {
        EACH(i, half, TILE / 2) u[2 * i] = us[i], u[2 * i + 1] = vs[i];
    }
}

/* Four bytes from anywhere, the first one lowest. */
KFN u32 word_at(const u8 *at) {
#ifdef __CUDACC__
    return at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24;
#else
    u32 word;
    __builtin_memcpy(&word, at, 4);
    return word;
#endif
}

/* Reads `n` pixels of `step` bytes. */
KFN void tile_from_rgb(const u8 *rgb, i32 step, i32 n, Tile *__restrict__ tile) {
    if (step == 3) {
        EACH(i, n, TILE)
            tile->r[i] = rgb[3 * i], tile->g[i] = rgb[3 * i + 1], tile->b[i] = rgb[3 * i + 2];
    } else {
        EACH(i, n, TILE) {
            const u32 word = word_at(rgb + 4 * i);
            tile->r[i] = (u8)word, tile->g[i] = (u8)(word >> 8), tile->b[i] = (u8)(word >> 16);
        }
    }
}

/* Writes `n` pixels of three bytes. */
KFN void tile_to_rgb(const Tile *tile, i32 n, u8 *__restrict__ rgb) {
    EACH(i, n, TILE)
        rgb[3 * i] = tile->r[i], rgb[3 * i + 1] = tile->g[i], rgb[3 * i + 2] = tile->b[i];
}

/* Writes `n` pixels of four bytes, the fourth being that of `alpha`, or 255 if there is none. */
KFN void tile_to_rgba(const Tile *tile, const u8 *alpha, i32 n, u8 *__restrict__ rgba) {
    if (alpha) {
        EACH(i, n, TILE)
            rgba[4 * i] = tile->r[i], rgba[4 * i + 1] = tile->g[i], rgba[4 * i + 2] = tile->b[i],
                     rgba[4 * i + 3] = alpha[4 * i + 3];
    } else {
        EACH(i, n, TILE)
            rgba[4 * i] = tile->r[i], rgba[4 * i + 1] = tile->g[i], rgba[4 * i + 2] = tile->b[i],
                     rgba[4 * i + 3] = 255;
    }
}

/* THROUGH_RGB(name, Args, stage) makes a row function over blocks of two by two pixels that takes a
 * picture of Y, U, V through r, g, b, `stage(args, n, tile)` and back: the same bits as `convert`,
 * the op on `rgb24`, and `convert` back, without the pictures between. A result without U (null)
 * gets its Y only. `Args` has what YUV_FIELDS says. */
#define YUV_FIELDS                                                                                 \
    Extent extent;                                                                                 \
    Plane luma, u, v, out_luma, out_u, out_v;                                                      \
    i32 width, height, chroma_step;                                                                \
    Matrix matrix;

#define THROUGH_RGB(name, Args, stage)                                                             \
    KFN void name(const Args *args, i32 y, i32 x0, i32 x1) {                                       \
        const Matrix *m = &args->matrix;                                                           \
        const i32 low_y = min_i32(2 * y + 1, args->height - 1), step = args->chroma_step;          \
        const i32 end = min_i32(2 * x1, args->width);                                              \
        for (i32 x = 2 * x0; x < end; x += TILE) {                                                 \
            const i32 n = min_i32(TILE, end - x), c = (x >> 1) * step;                             \
            const u8 *u = row_of(args->u, y) + c, *v = row_of(args->v, y) + c;                     \
            Tile top, low;                                                                         \
            tile_from_yuv(m, row_of(args->luma, 2 * y) + x, u, v, step, n, &top);                  \
            tile_from_yuv(m, row_of(args->luma, low_y) + x, u, v, step, n, &low);                  \
            stage(args, n, &top);                                                                  \
            stage(args, n, &low);                                                                  \
            luma_from_tile(m, &top, n, row_of(args->out_luma, 2 * y) + x);                         \
            luma_from_tile(m, &low, n, row_of(args->out_luma, low_y) + x);                         \
            if (args->out_u.data)                                                                  \
                chroma_from_tiles(m, &top, &low, n, row_of(args->out_u, y) + c,                    \
                                  row_of(args->out_v, y) + c, step);                               \
        }                                                                                          \
    }

/* ON_RGB(name, Args, stage) makes a row function over pixels of `step` bytes; a fourth is copied.
 * `Args` has what RGB_FIELDS says. */
#define RGB_FIELDS                                                                                 \
    Extent extent;                                                                                 \
    Plane in, out;                                                                                 \
    i32 step;

#define ON_RGB(name, Args, stage)                                                                  \
    KFN void name(const Args *args, i32 y, i32 x0, i32 x1) {                                       \
        const i32 step = args->step;                                                               \
        for (i32 x = x0; x < x1; x += TILE) {                                                      \
            const i32 n = min_i32(TILE, x1 - x);                                                   \
            const u8 *in = row_of(args->in, y) + x * step;                                         \
            u8 *out = row_of(args->out, y) + x * step;                                             \
            Tile tile;                                                                             \
            tile_from_rgb(in, step, n, &tile);                                                     \
            stage(args, n, &tile);                                                                 \
            if (step == 3)                                                                         \
                tile_to_rgb(&tile, n, out);                                                        \
            else                                                                                   \
                tile_to_rgba(&tile, in, n, out);                                                   \
        }                                                                                          \
    }

#endif
