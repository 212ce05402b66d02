/* From Y, U, V to r, g, b and back, over short planar tiles. Used by `convert` and `apply-lut`.
 *
 * Coefficients are in units of 2^-14 and come with the arguments, so there is one table of them.
 * Video range: Y is 16..235, U and V are 16..240 around 128. */
#ifndef FG_COLOR_H
#define FG_COLOR_H
#include "k.h"

typedef struct {
    i32 luma;          /* Gain of Y - 16 on the way to r, g, b. */
    i32 rv, gu, gv, bu; /* Gains of U - 128 and V - 128 on that way. */
    i32 yr, yg, yb, ur, ug, ub, vr, vg, vb; /* The way back. */
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
 * `chroma_step` bytes apart. `x0` is even. */
KFN void tile_from_yuv(const Matrix *m, const u8 *luma, const u8 *u, const u8 *v, i32 chroma_step,
                       i32 n, Tile *__restrict__ tile) {
    i16 us[TILE / 2], vs[TILE / 2];
    i16 ud[TILE], vd[TILE];
    const i32 half = (n + 1) >> 1;
    if (chroma_step == 1) {
        EACH(i, half, TILE / 2) us[i] = (i16)(u[i] - 128), vs[i] = (i16)(v[i] - 128);
    } else {
        EACH(i, half, TILE / 2) us[i] = (i16)(u[2 * i] - 128), vs[i] = (i16)(v[2 * i] - 128);
    }
    EACH(i, half, TILE / 2) {
        ud[2 * i] = us[i], ud[2 * i + 1] = us[i];
        vd[2 * i] = vs[i], vd[2 * i + 1] = vs[i];
    }
    EACH(i, n, TILE) {
        const i32 base = (luma[i] - 16) * m->luma + HALF;
        tile->r[i] = to_u8((base + m->rv * vd[i]) >> 14);
        tile->g[i] = to_u8((base + m->gu * ud[i] + m->gv * vd[i]) >> 14);
        tile->b[i] = to_u8((base + m->bu * ud[i]) >> 14);
    }
}

/* Computes Y of `n` pixels. */
KFN void luma_from_tile(const Matrix *m, const Tile *tile, i32 n, u8 *__restrict__ luma) {
    EACH(i, n, TILE) {
        const i32 sum = m->yr * tile->r[i] + m->yg * tile->g[i] + m->yb * tile->b[i];
        luma[i] = (u8)(16 + ((sum + HALF) >> 14));
    }
}

/* Computes U and V of the mean of two by two pixels, in one rounding. `n` pixels a row; where there
 * is no second column, the first counts twice. */
KFN void chroma_from_tiles(const Matrix *m, const Tile *top, const Tile *low, i32 n, u8 *u, u8 *v,
                           i32 chroma_step) {
    u8 us[TILE / 2], vs[TILE / 2];
    const i32 half = (n + 1) >> 1;
    EACH(i, half, TILE / 2) {
        const i32 a = 2 * i, b = min_i32(2 * i + 1, n - 1);
        const i32 r = top->r[a] + top->r[b] + low->r[a] + low->r[b];
        const i32 g = top->g[a] + top->g[b] + low->g[a] + low->g[b];
        const i32 bl = top->b[a] + top->b[b] + low->b[a] + low->b[b];
        us[i] = (u8)(128 + ((m->ur * r + m->ug * g + m->ub * bl + 4 * HALF) >> 16));
        vs[i] = (u8)(128 + ((m->vr * r + m->vg * g + m->vb * bl + 4 * HALF) >> 16));
    }
    EACH(i, half, TILE / 2) u[i * chroma_step] = us[i], v[i * chroma_step] = vs[i];
}

#endif
