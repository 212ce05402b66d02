/* `convolve`: weighted sum of a neighbourhood of 3 by 3 or 5 by 5, plus a bias, cut to 0..255.
 *
 * result = cut((sum(weight * pixel) + bias + 512) >> 10), weights and bias in units of 1/1024.
 * Outside the picture lies the nearest edge pixel. An element is a byte; `step` is the number of
 * bytes a pixel, and of pixels of four bytes the fourth is copied. */
#include "k.h"

typedef struct {
    Extent extent;
    Plane in, out;
    i32 step, radius, bias;
    i32 weights[25]; /* Each fits 16 bits, which lets the CPU multiply in 16-bit lanes. */
} ConvolveArgs;

KFN i32 convolve_cut(i32 sum) { return clamp_i32(sum >> 10, 0, 255); }

/* Adds the weighted pixels of one source row, for `n` elements from `at`. */
KFN void add_3(i32 *__restrict__ sums, const u8 *at, i32 n, i32 step, const i32 *weights) {
    const i16 a = (i16)weights[0], b = (i16)weights[1], c = (i16)weights[2];
    const u8 *left = at - step, *right = at + step;
    EACH(i, n, SUMS) sums[i] += a * left[i] + b * at[i] + c * right[i];
}

KFN void add_5(i32 *__restrict__ sums, const u8 *at, i32 n, i32 step, const i32 *weights) {
    const i16 a = (i16)weights[0], b = (i16)weights[1], c = (i16)weights[2], d = (i16)weights[3],
              e = (i16)weights[4];
    const u8 *far_left = at - 2 * step, *left = at - step;
    const u8 *right = at + step, *far_right = at + 2 * step;
    EACH(i, n, SUMS)
        sums[i] += a * far_left[i] + b * left[i] + c * at[i] + d * right[i] + e * far_right[i];
}

/* Elements whose neighbourhood lies inside the row. */
KFN void convolve_inside(const ConvolveArgs *args, const u8 *const *rows, u8 *__restrict__ out,
                         i32 x0, i32 x1) {
    const i32 step = args->step, bias = args->bias + 512;
    for (i32 x = x0; x < x1; x += SUMS) {
        const i32 n = min_i32(SUMS, x1 - x);
        i32 sums[SUMS];
        EACH(i, n, SUMS) sums[i] = bias;
        if (args->radius == 1)
            for (i32 dy = 0; dy < 3; dy++)
                add_3(sums, rows[dy] + x, n, step, args->weights + 3 * dy);
        else
            for (i32 dy = 0; dy < 5; dy++)
                add_5(sums, rows[dy] + x, n, step, args->weights + 5 * dy);
        EACH(i, n, SUMS) out[x + i] = (u8)convolve_cut(sums[i]);
    }
}

/* Elements at the left and right edge. */
KFN void convolve_edge(const ConvolveArgs *args, const u8 *const *rows, u8 *out, i32 x0, i32 x1) {
    const i32 radius = args->radius, side = 2 * radius + 1, step = args->step;
    const i32 last = args->extent.columns / step - 1;
    for (i32 x = x0; x < x1; x++) {
        const i32 pixel = x / step, channel = x % step;
        i32 sum = args->bias + 512;
        for (i32 dy = 0; dy < side; dy++)
            for (i32 dx = 0; dx < side; dx++) {
                const i32 at = clamp_i32(pixel + dx - radius, 0, last);
                sum += args->weights[dy * side + dx] * rows[dy][at * step + channel];
            }
        out[x] = (u8)convolve_cut(sum);
    }
}

KFN void convolve_row(const ConvolveArgs *args, i32 y, i32 x0, i32 x1) {
    const i32 radius = args->radius, reach = radius * args->step;
    const u8 *rows[5];
    for (i32 dy = 0; dy < 2 * radius + 1; dy++)
        rows[dy] = row_of(args->in, clamp_i32(y + dy - radius, 0, args->extent.rows - 1));
    u8 *out = row_of(args->out, y);
    const i32 from = clamp_i32(reach, x0, x1);
    const i32 to = clamp_i32(args->extent.columns - reach, from, x1);
    convolve_edge(args, rows, out, x0, from);
    convolve_inside(args, rows, out, from, to);
    convolve_edge(args, rows, out, to, x1);
    if (args->step == 4)
        for (i32 x = x0; x < x1; x++)
            if ((x & 3) == 3) out[x] = rows[radius][x];
}

ENTRY(convolve, ConvolveArgs, convolve_row)

/* `edges`: |gx| + |gy| of the two Sobel kernels, cut to 255, of a plane of bytes. Outside lies the
 * nearest edge pixel. */
typedef struct {
    Extent extent;
    Plane in, out;
} EdgesArgs;

KFN u8 sobel(const u8 *above, const u8 *at, const u8 *below, i32 left, i32 x, i32 right) {
    const i16 gx = (i16)(above[right] - above[left] + 2 * (at[right] - at[left]) + below[right] -
                         below[left]);
    const i16 gy = (i16)(below[left] + 2 * below[x] + below[right] - above[left] - 2 * above[x] -
                         above[right]);
    const i16 sum = (i16)((gx < 0 ? -gx : gx) + (gy < 0 ? -gy : gy));
    return (u8)(sum > 255 ? 255 : sum);
}

KFN void edges_row(const EdgesArgs *args, i32 y, i32 x0, i32 x1) {
    const i32 last = args->extent.columns - 1;
    const u8 *above = row_of(args->in, clamp_i32(y - 1, 0, args->extent.rows - 1));
    const u8 *at = row_of(args->in, y);
    const u8 *below = row_of(args->in, clamp_i32(y + 1, 0, args->extent.rows - 1));
    u8 *__restrict__ out = row_of(args->out, y);
    const i32 from = clamp_i32(1, x0, x1), to = clamp_i32(last, from, x1);
    for (i32 x = x0; x < from; x++)
        out[x] = sobel(above, at, below, clamp_i32(x - 1, 0, last), x, clamp_i32(x + 1, 0, last));
    for (i32 x = from; x < to; x++) out[x] = sobel(above, at, below, x - 1, x, x + 1);
    for (i32 x = to; x < x1; x++)
        out[x] = sobel(above, at, below, clamp_i32(x - 1, 0, last), x, clamp_i32(x + 1, 0, last));
}

ENTRY(edges, EdgesArgs, edges_row)
