/* The kernels of the CPU at one dispatch level, in one table that is named after the level.
 * Compiled once a level: FG_TABLE is the name, the compiler's flags are the level. */
#include "areas.cu"
#include "convert.cu"
#include "convolve.cu"
#include "count.cu"
#include "filter.cu"
#include "lut.cu"
#include "mix.cu"
#include "shape.cu"

typedef void (*Entry)(const void *args, i32 y0, i32 y1);

/* In the order of `Kernel` in src/launch.rs. */
const Entry FG_TABLE[] = {
    blend,        block_means, box_across,    box_down,    convolve,    count_values,
    cube_rgb,     cube_yuv,    deep,          denoise,     edges,       fill,
    from_floats,  join_pairs,  lut_bytes,     lut_yuv,     mask_areas,  mask_text,
    matrix_rgb,   matrix_yuv,  mix,           move,        noise,       repack_rgb,
    resize_across, resize_down, rgb_to_yuv,   shallow,     smooth_across, smooth_down,
    split_pairs,  spread_blocks, sum_apart,   sum_bands,   threshold,   to_floats,
    yuv_to_rgb,
};
