/* `apply-lut` with three curves: a byte for every r, g and b.
 *
 * On r, g, b and on gray a curve is looked up directly. On Y, U, V the picture goes to r, g, b as
 * `convert` does it, through the curves, and back as `convert` does it: the same bits as the three
 * ops one after another, without the pictures between. */
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
    Extent extent;
    Plane luma, u, v, out_luma, out_u, out_v;
    i32 width, height, chroma_step;
    Matrix matrix;
    u8 curves[768];
} LutYuvArgs;

KFN void tile_through_curves(const u8 *__restrict__ curves, i32 n, Tile *tile) {
    EACH(i, n, TILE) {
        tile->r[i] = curves[tile->r[i]];
        tile->g[i] = curves[256 + tile->g[i]];
        tile->b[i] = curves[512 + tile->b[i]];
    }
}

/* An element is a block of two by two pixels. */
KFN void lut_yuv_row(const LutYuvArgs *args, i32 y, i32 x0, i32 x1) {
    const Matrix *m = &args->matrix;
    const i32 low_y = min_i32(2 * y + 1, args->height - 1), step = args->chroma_step;
    const i32 end = min_i32(2 * x1, args->width);
    for (i32 x = 2 * x0; x < end; x += TILE) {
        const i32 n = min_i32(TILE, end - x), c = (x >> 1) * step;
        const u8 *u = row_of(args->u, y) + c, *v = row_of(args->v, y) + c;
        Tile top, low;
        tile_from_yuv(m, row_of(args->luma, 2 * y) + x, u, v, step, n, &top);
        tile_from_yuv(m, row_of(args->luma, low_y) + x, u, v, step, n, &low);
        tile_through_curves(args->curves, n, &top);
        tile_through_curves(args->curves, n, &low);
        luma_from_tile(m, &top, n, row_of(args->out_luma, 2 * y) + x);
        luma_from_tile(m, &low, n, row_of(args->out_luma, low_y) + x);
        chroma_from_tiles(m, &top, &low, n, row_of(args->out_u, y) + c, row_of(args->out_v, y) + c,
                          step);
    }
}

ENTRY(lut_yuv, LutYuvArgs, lut_yuv_row)
