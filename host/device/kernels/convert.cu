/* `convert`: from one pixel format to another, without a change of size.
 *
 * Luma planes are shared and need no kernel; here are chroma planes split and joined, the ways
 * between Y, U, V and r, g, b, words of 16 bits, and planes of floats. */
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
        if (args->step == 3)
            tile_to_rgb(&tile, n, rgb + 3 * x);
        else
            tile_to_rgba(&tile, 0, n, rgb + 4 * x);
    }
}

ENTRY(yuv_to_rgb, ColorArgs, yuv_to_rgb_row)

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

/* Samples of 16 bits, of which the upper ten count, to bytes and back. An element is a sample. */
typedef struct {
    Extent extent;
    Plane in, out;
} DepthArgs;

KFN void shallow_row(const DepthArgs *args, i32 y, i32 x0, i32 x1) {
    const u16 *in = (const u16 *)row_of(args->in, y);
    u8 *__restrict__ out = row_of(args->out, y);
    for (i32 x = x0; x < x1; x++) {
        const u16 v = (u16)(((in[x] >> 6) + 2) >> 2);
        out[x] = (u8)(v > 255 ? 255 : v);
    }
}

ENTRY(shallow, DepthArgs, shallow_row)

KFN void deep_row(const DepthArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *in = row_of(args->in, y);
    u16 *__restrict__ out = (u16 *)row_of(args->out, y);
    for (i32 x = x0; x < x1; x++) out[x] = (u16)(in[x] << 8);
}

ENTRY(deep, DepthArgs, deep_row)

/* Pixels of three bytes to planes of floats from 0 to 1 and back. An element is a pixel. */
typedef struct {
    Extent extent;
    Plane rgb, r, g, b;
} FloatsArgs;

KFN float to_unit(u8 v) { return (float)v / 255.0f; }

/* To the nearest; what is below 0 or no number is 0. */
KFN u8 from_unit(float v) {
    const float cut = v > 0.0f ? (v < 1.0f ? v : 1.0f) : 0.0f;
    return (u8)(i32)(cut * 255.0f + 0.5f);
}

KFN void to_floats_row(const FloatsArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *rgb = row_of(args->rgb, y);
    float *__restrict__ r = (float *)row_of(args->r, y), *__restrict__ g = (float *)row_of(args->g, y),
                        *__restrict__ b = (float *)row_of(args->b, y);
    for (i32 x = x0; x < x1; x++)
        r[x] = to_unit(rgb[3 * x]), g[x] = to_unit(rgb[3 * x + 1]), b[x] = to_unit(rgb[3 * x + 2]);
}

ENTRY(to_floats, FloatsArgs, to_floats_row)

KFN void from_floats_row(const FloatsArgs *args, i32 y, i32 x0, i32 x1) {
    u8 *__restrict__ rgb = row_of(args->rgb, y);
    const float *r = (const float *)row_of(args->r, y), *g = (const float *)row_of(args->g, y),
                *b = (const float *)row_of(args->b, y);
    for (i32 x = x0; x < x1; x++)
        rgb[3 * x] = from_unit(r[x]), rgb[3 * x + 1] = from_unit(g[x]),
                rgb[3 * x + 2] = from_unit(b[x]);
}

ENTRY(from_floats, FloatsArgs, from_floats_row)
