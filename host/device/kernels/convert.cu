/* `convert`: from one pixel format to another, without a change of size.
 *
 * Luma planes are shared and need no kernel; here are chroma planes split and joined, and the ways
 * between Y, U, V and r, g, b. */
#include "color.h"

/* Planes of U and V from one plane of pairs, and back. An element is a pair. */
typedef struct {
    Extent extent;
    Plane pairs, u, v;
} PairsArgs;

KFN void split_pairs_row(const PairsArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *pairs = row_of(args->pairs, y);
    u8 *__restrict__ u = row_of(args->u, y), *__restrict__ v = row_of(args->v, y);
    for (i32 x = x0; x < x1; x++) u[x] = pairs[2 * x], v[x] = pairs[2 * x + 1];
}

ENTRY(split_pairs, PairsArgs, split_pairs_row)

KFN void join_pairs_row(const PairsArgs *args, i32 y, i32 x0, i32 x1) {
    u8 *__restrict__ pairs = row_of(args->pairs, y);
    const u8 *u = row_of(args->u, y), *v = row_of(args->v, y);
    for (i32 x = x0; x < x1; x++) pairs[2 * x] = u[x], pairs[2 * x + 1] = v[x];
}

ENTRY(join_pairs, PairsArgs, join_pairs_row)

/* Picture of Y, U, V and picture of r, g, b in pixels of `step` bytes; `width` by `height`. U and V
 * lie `chroma_step` bytes apart and count for two by two pixels. */
typedef struct {
    Extent extent;
    Plane luma, u, v, rgb;
    i32 width, height, chroma_step, step;
    Matrix matrix;
} ColorArgs;

/* An element is a pair of pixels in one row. */
KFN void yuv_to_rgb_row(const ColorArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *luma = row_of(args->luma, y);
    const u8 *u = row_of(args->u, y >> 1), *v = row_of(args->v, y >> 1);
    u8 *rgb = row_of(args->rgb, y);
    const i32 end = min_i32(2 * x1, args->width);
    for (i32 x = 2 * x0; x < end; x += TILE) {
        const i32 n = min_i32(TILE, end - x), c = (x >> 1) * args->chroma_step;
        Tile tile;
        tile_from_yuv(&args->matrix, luma + x, u + c, v + c, args->chroma_step, n, &tile);
        if (args->step == 3) {
            u8 *__restrict__ out = rgb + 3 * x;
            EACH(i, n, TILE)
                out[3 * i] = tile.r[i], out[3 * i + 1] = tile.g[i], out[3 * i + 2] = tile.b[i];
        } else {
            u8 *__restrict__ out = rgb + 4 * x;
            EACH(i, n, TILE)
                out[4 * i] = tile.r[i], out[4 * i + 1] = tile.g[i], out[4 * i + 2] = tile.b[i],
                        out[4 * i + 3] = 255;
        }
    }
}

ENTRY(yuv_to_rgb, ColorArgs, yuv_to_rgb_row)

KFN void tile_from_rgb(const u8 *rgb, i32 step, i32 n, Tile *__restrict__ tile) {
    if (step == 3) {
        EACH(i, n, TILE)
            tile->r[i] = rgb[3 * i], tile->g[i] = rgb[3 * i + 1], tile->b[i] = rgb[3 * i + 2];
    } else {
        EACH(i, n, TILE)
            tile->r[i] = rgb[4 * i], tile->g[i] = rgb[4 * i + 1], tile->b[i] = rgb[4 * i + 2];
    }
}

/* An element is a block of two by two pixels. A picture without U (null) gets its Y only. */
KFN void rgb_to_yuv_row(const ColorArgs *args, i32 y, i32 x0, i32 x1) {
    const i32 low_y = min_i32(2 * y + 1, args->height - 1);
    const i32 end = min_i32(2 * x1, args->width);
    for (i32 x = 2 * x0; x < end; x += TILE) {
        const i32 n = min_i32(TILE, end - x), c = (x >> 1) * args->chroma_step;
        Tile top, low;
        tile_from_rgb(row_of(args->rgb, 2 * y) + x * args->step, args->step, n, &top);
        tile_from_rgb(row_of(args->rgb, low_y) + x * args->step, args->step, n, &low);
        luma_from_tile(&args->matrix, &top, n, row_of(args->luma, 2 * y) + x);
        luma_from_tile(&args->matrix, &low, n, row_of(args->luma, low_y) + x);
        if (args->u.data)
            chroma_from_tiles(&args->matrix, &top, &low, n, row_of(args->u, y) + c,
                              row_of(args->v, y) + c, args->chroma_step);
    }
}

ENTRY(rgb_to_yuv, ColorArgs, rgb_to_yuv_row)

/* Pixels of r, g, b from `in_step` to `out_step` bytes; a fourth byte that is new is 255. An
 * element is a pixel. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 in_step, out_step;
} RepackArgs;

KFN void repack_rgb_row(const RepackArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *in = row_of(args->in, y);
    u8 *__restrict__ out = row_of(args->out, y);
    if (args->in_step == 3) {
        for (i32 x = x0; x < x1; x++)
            out[4 * x] = in[3 * x], out[4 * x + 1] = in[3 * x + 1], out[4 * x + 2] = in[3 * x + 2],
                    out[4 * x + 3] = 255;
    } else {
        for (i32 x = x0; x < x1; x++)
            out[3 * x] = in[4 * x], out[3 * x + 1] = in[4 * x + 1], out[3 * x + 2] = in[4 * x + 2];
    }
}

ENTRY(repack_rgb, RepackArgs, repack_rgb_row)
