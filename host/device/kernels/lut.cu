/* `apply-lut` and `color-matrix`: every colour through three curves, a cube, or a matrix.
 *
 * On r, g, b they work directly. A picture of Y, U, V goes to r, g, b as `convert` does it, through
 * them, and back. */
#include "color.h"

/* An element is a pixel of `step` bytes: 1, 3 or 4, of which the fourth is copied. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 step;
    u8 curves[768];
} LutArgs;

KFN void lut_bytes_row(const LutArgs *args, i32 y, i32 x0, i32 x1) {
    const i32 step = args->step;
    const u8 *in = row_of(args->in, y);
    u8 *__restrict__ out = row_of(args->out, y);
    const u8 *__restrict__ curves = args->curves;
    if (step == 1) {
        for (i32 x = x0; x < x1; x++) out[x] = curves[in[x]];
        return;
    }
    for (i32 at = x0 * step; at < x1 * step; at += step) {
        out[at] = curves[in[at]];
        out[at + 1] = curves[256 + in[at + 1]];
        out[at + 2] = curves[512 + in[at + 2]];
        if (step == 4) out[at + 3] = in[at + 3];
    }
}

ENTRY(lut_bytes, LutArgs, lut_bytes_row)

typedef struct {
    YUV_FIELDS
    u8 curves[768];
} LutYuvArgs;

KFN void through_curves(const LutYuvArgs *args, i32 n, Tile *tile) {
    const u8 *__restrict__ curves = args->curves;
    EACH(i, n, TILE) {
        tile->r[i] = curves[tile->r[i]];
        tile->g[i] = curves[256 + tile->g[i]];
        tile->b[i] = curves[512 + tile->b[i]];
    }
}

THROUGH_RGB(lut_yuv_row, LutYuvArgs, through_curves)
ENTRY(lut_yuv, LutYuvArgs, lut_yuv_row)

/* A matrix of three rows of four, in units of 2^-12; half of one is in the fourth already. */
KFN void through_matrix(const i32 *weights, i32 n, Tile *tile) {
    i32 w[12];
    for (i32 i = 0; i < 12; i++) w[i] = weights[i];
    EACH(i, n, TILE) {
        const i32 r = tile->r[i], g = tile->g[i], b = tile->b[i];
        tile->r[i] = to_u8((w[0] * r + w[1] * g + w[2] * b + w[3]) >> 12);
        tile->g[i] = to_u8((w[4] * r + w[5] * g + w[6] * b + w[7]) >> 12);
        tile->b[i] = to_u8((w[8] * r + w[9] * g + w[10] * b + w[11]) >> 12);
    }
}

typedef struct {
    RGB_FIELDS
    i32 weights[12];
} MatrixArgs;

typedef struct {
    YUV_FIELDS
    i32 weights[12];
} MatrixYuvArgs;

#define MATRIX_STAGE(args, n, tile) through_matrix((args)->weights, n, tile)

ON_RGB(matrix_rgb_row, MatrixArgs, MATRIX_STAGE)
ENTRY(matrix_rgb, MatrixArgs, matrix_rgb_row)
THROUGH_RGB(matrix_yuv_row, MatrixYuvArgs, MATRIX_STAGE)
ENTRY(matrix_yuv, MatrixYuvArgs, matrix_yuv_row)

/* A cube of `size` points a side, red fastest, each three words of 16 bits in units of 2^-6 and a
 * fourth that is nothing. Between points lies the tetrahedron that holds the colour: from the
 * darker corner to the lighter one along the axis of the largest remainder first. Remainders are
 * 255ths, so the sum is exact, and rounded once. */
KFN void through_cube(Plane table, i32 size, i32 n, Tile *tile) {
    const u16 *points = (const u16 *)table.data;
    const i32 green = size, blue = size * size;
    for (i32 i = 0; i < n; i++) {
        const i32 r = tile->r[i] * (size - 1), g = tile->g[i] * (size - 1),
                  b = tile->b[i] * (size - 1);
        const i32 rr = r % 255, gr = g % 255, br = b % 255;
        /* Steps to the next point, none at the far side. */
        const i32 rs = rr ? 1 : 0, gs = gr ? green : 0, bs = br ? blue : 0;
        const i32 low = r / 255 + g / 255 * green + b / 255 * blue, high = low + rs + gs + bs;
        const i32 most = rr >= gr ? (rr >= br ? rs : bs) : (gr >= br ? gs : bs);
        const i32 least = rr >= gr ? (gr >= br ? bs : gs) : (rr >= br ? bs : rs);
        const i32 hi = rr > gr ? (rr > br ? rr : br) : (gr > br ? gr : br);
        const i32 lo = rr < gr ? (rr < br ? rr : br) : (gr < br ? gr : br);
        const i32 mid = rr + gr + br - hi - lo;
        const u16 *p = points + 4 * low, *q = points + 4 * (low + most),
                  *s = points + 4 * (high - least), *t = points + 4 * high;
        u8 out[3];
        for (i32 c = 0; c < 3; c++) {
            const i32 sum = (255 - hi) * p[c] + (hi - mid) * q[c] + (mid - lo) * s[c] + lo * t[c];
            out[c] = (u8)((sum + 255 * 32) / (255 * 64));
        }
        tile->r[i] = out[0], tile->g[i] = out[1], tile->b[i] = out[2];
    }
}

typedef struct {
    RGB_FIELDS
    i32 size;
    Plane table;
} CubeArgs;

typedef struct {
    YUV_FIELDS
    i32 size;
    Plane table;
} CubeYuvArgs;

#define CUBE_STAGE(args, n, tile) through_cube((args)->table, (args)->size, n, tile)

ON_RGB(cube_rgb_row, CubeArgs, CUBE_STAGE)
ENTRY(cube_rgb, CubeArgs, cube_rgb_row)
THROUGH_RGB(cube_yuv_row, CubeYuvArgs, CUBE_STAGE)
ENTRY(cube_yuv, CubeYuvArgs, cube_yuv_row)
