/* Pixels that move and do not change: `pad`, `rotate`, `flip`; and `blank`. */
#include "k.h"

/* Pixel (x, y) of the result is pixel (xx * x + xy * y + x_at, yx * x + yy * y + y_at) of the source,
 * or `fill` where there is none. Of xx and xy one is 1 or -1 and the other 0; likewise yx and yy.
 *
 * An element is a pixel. In a plane of halved colour it is a sample: the mean, in one rounding, of
 * what its two by two pixels show; a pixel beyond the edge is its nearest neighbour. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 step;
    i32 in_width, in_height, width, height; /* In pixels. */
    i32 xx, xy, x_at, yx, yy, y_at;
    i32 halved;
    u8 fill[4];
} MoveArgs;

KFN void fill_span(const MoveArgs *args, u8 *__restrict__ out, i32 x0, i32 x1, i32 step) {
    for (i32 x = x0; x < x1; x++)
        for (i32 c = 0; c < step; c++) out[x * step + c] = args->fill[c];
}

KFN void move_span(const MoveArgs *args, i32 y, i32 x0, i32 x1, i32 step) {
    u8 *__restrict__ out = row_of(args->out, y);
    /* Where the source is entered, and how it goes on: along a row or down a column. */
    const i32 row_x = args->xy * y + args->x_at, row_y = args->yy * y + args->y_at;
    const i32 along = args->xx ? args->xx : args->yx, at = args->xx ? row_x : row_y;
    const i32 count = args->xx ? args->in_width : args->in_height;
    const i32 across = args->xx ? row_y : row_x;
    const i32 across_count = args->xx ? args->in_height : args->in_width;
    const i32 inside = across >= 0 && across < across_count;
    const i32 first = along > 0 ? -at : at - count + 1;
    const i32 from = inside ? clamp_i32(first, x0, x1) : x1;
    const i32 to = clamp_i32(first + count, from, x1);
    fill_span(args, out, x0, from, step);
    if (from < to) {
        const i32 in_x = args->xx * from + row_x, in_y = args->yx * from + row_y;
        const u8 *in = row_of(args->in, in_y) + in_x * step;
        if (args->xx == 1) {
            for (i32 i = 0; i < (to - from) * step; i++) out[from * step + i] = in[i];
        } else {
            const i64 stride = args->xx * step + args->yx * args->in.pitch;
            for (i32 x = from; x < to; x++, in += stride)
                for (i32 c = 0; c < step; c++) out[x * step + c] = in[c];
        }
    }
    fill_span(args, out, to, x1, step);
}

KFN void move_halved(const MoveArgs *args, i32 y, i32 x0, i32 x1) {
    for (i32 x = x0; x < x1; x++)
        for (i32 c = 0; c < args->step; c++) {
            i32 sum = 2;
            for (i32 i = 0; i < 4; i++) {
                const i32 at_x = min_i32(2 * x + (i & 1), args->width - 1);
                const i32 at_y = min_i32(2 * y + (i >> 1), args->height - 1);
                const i32 in_x = args->xx * at_x + args->xy * at_y + args->x_at;
                const i32 in_y = args->yx * at_x + args->yy * at_y + args->y_at;
                if (in_x >= 0 && in_y >= 0 && in_x < args->in_width && in_y < args->in_height)
                    sum += row_of(args->in, in_y >> 1)[(in_x >> 1) * args->step + c];
                else
                    sum += args->fill[c];
            }
            row_of(args->out, y)[x * args->step + c] = (u8)(sum >> 2);
        }
}

KFN void move_row(const MoveArgs *args, i32 y, i32 x0, i32 x1) {
    if (args->halved)
        move_halved(args, y, x0, x1);
    else if (args->step == 1)
        move_span(args, y, x0, x1, 1);
    else if (args->step == 2)
        move_span(args, y, x0, x1, 2);
    else if (args->step == 3)
        move_span(args, y, x0, x1, 3);
    else
        move_span(args, y, x0, x1, 4);
}

ENTRY(move, MoveArgs, move_row)

/* One colour all over. An element is a pixel. */
typedef struct {
    Extent extent;
    Plane out;
    i32 step;
    u8 color[4];
} FillArgs;

KFN void fill_pixels(const FillArgs *args, i32 y, i32 x0, i32 x1, i32 step) {
    u8 *__restrict__ out = row_of(args->out, y);
    u8 color[4];
    for (i32 c = 0; c < 4; c++) color[c] = args->color[c];
    for (i32 x = x0; x < x1; x++)
        for (i32 c = 0; c < step; c++) out[x * step + c] = color[c];
}

KFN void fill_row(const FillArgs *args, i32 y, i32 x0, i32 x1) {
    if (args->step == 1)
        fill_pixels(args, y, x0, x1, 1);
    else if (args->step == 2)
        fill_pixels(args, y, x0, x1, 2);
    else if (args->step == 3)
        fill_pixels(args, y, x0, x1, 3);
    else
        fill_pixels(args, y, x0, x1, 4);
}

ENTRY(fill, FillArgs, fill_row)
