/* The kernels of the CPU at one dispatch level, in one table that is named after the level.
 * Compiled once a level: FG_TABLE is the name, the compiler's flags are the level. */
#include "convert.cu"
#include "convolve.cu"
#include "lut.cu"
#include "mix.cu"

typedef void (*Entry)(const void *args, i32 y0, i32 y1);

/* In the order of `Kernel` in src/launch.rs. */
const Entry FG_TABLE[] = {
    convolve, join_pairs, lut_bytes, lut_yuv, mix, repack_rgb, rgb_to_yuv, split_pairs, yuv_to_rgb,
};
