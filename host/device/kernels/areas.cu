/* Masks of areas and of text, and the squares of `pixelate-areas`. */
#include "k.h"

/* From (x0, y0) up to and without (x1, y1). */
typedef struct {
    i32 x0, y0, x1, y1;
} Area;

/* 255 inside of up to 64 areas, or on their outlines of `thickness` pixels if that is not 0; else
 * 0. Areas are counted from the mask's corner. An element is a pixel. */
typedef struct {
    Extent extent;
    Plane out;
    i32 count, thickness;
    Area areas[64];
} MaskArgs;

KFN void set_span(u8 *__restrict__ out, i32 from, i32 to, i32 x0, i32 x1) {
    const i32 end = min_i32(to, x1);
    for (i32 x = from < x0 ? x0 : from; x < end; x++) out[x] = 255;
}

KFN void mask_areas_row(const MaskArgs *args, i32 y, i32 x0, i32 x1) {
    u8 *out = row_of(args->out, y);
    for (i32 x = x0; x < x1; x++) out[x] = 0;
    const i32 thick = args->thickness;
    for (i32 i = 0; i < args->count; i++) {
        const Area *area = &args->areas[i];
        if (y < area->y0 || y >= area->y1) continue;
        if (thick == 0 || y - area->y0 < thick || area->y1 - y <= thick) {
            set_span(out, area->x0, area->x1, x0, x1);
        } else {
            const i32 wide = min_i32(thick, area->x1 - area->x0);
            set_span(out, area->x0, area->x0 + wide, x0, x1);
            set_span(out, area->x1 - wide, area->x1, x0, x1);
        }
    }
}

ENTRY(mask_areas, MaskArgs, mask_areas_row)

/* Cells of the typeface: 6 columns, 10 rows, one byte a row, the leftmost column in bit 5. */
#define CELL_COLUMNS 6
#define CELL_ROWS 10

/* 255 where a line of text has ink. The mask shows the line's part from (x, y) on; the line is
 * `size` pixels high. An element is a pixel. */
typedef struct {
    Extent extent;
    Plane out;
    i32 x, y, size, count;
    u8 cells[256 * CELL_ROWS];
} TextArgs;

KFN void mask_text_row(const TextArgs *args, i32 y, i32 x0, i32 x1) {
    u8 *__restrict__ out = row_of(args->out, y);
    const i32 row = (y + args->y) * CELL_ROWS / args->size;
    for (i32 x = x0; x < x1; x++) {
        const i32 column = (x + args->x) * CELL_ROWS / args->size, cell = column / CELL_COLUMNS;
        const i32 bit = CELL_COLUMNS - 1 - column % CELL_COLUMNS;
        const i32 ink = cell < args->count ? args->cells[cell * CELL_ROWS + row] >> bit & 1 : 0;
        out[x] = (u8)(ink ? 255 : 0);
    }
}

ENTRY(mask_text, TextArgs, mask_text_row)

/* Means of squares of `block` by `block` pixels, those at the far edges of what there is of them, to
 * the nearest. `width` and `height` are of the source, in pixels. An element is a byte. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 width, height, step, block;
} BlocksArgs;

KFN void block_means_row(const BlocksArgs *args, i32 y, i32 x0, i32 x1) {
    u8 *__restrict__ out = row_of(args->out, y);
    const i32 step = args->step, block = args->block;
    const i32 high = min_i32(block, args->height - y * block);
    for (i32 x = x0; x < x1; x++) {
        const i32 first = x / step * block, wide = min_i32(block, args->width - first);
        i32 sum = wide * high / 2;
        for (i32 dy = 0; dy < high; dy++) {
            const u8 *in = row_of(args->in, y * block + dy) + first * step + x % step;
            for (i32 dx = 0; dx < wide; dx++) sum += in[dx * step];
        }
        out[x] = (u8)(sum / (wide * high));
    }
}

ENTRY(block_means, BlocksArgs, block_means_row)

/* The squares again at full size. An element is a pixel. */
KFN void spread_blocks_row(const BlocksArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *in = row_of(args->in, y / args->block);
    u8 *__restrict__ out = row_of(args->out, y);
    const i32 step = args->step;
    for (i32 x = x0; x < x1; x++)
        for (i32 c = 0; c < step; c++) out[x * step + c] = in[x / args->block * step + c];
}

ENTRY(spread_blocks, BlocksArgs, spread_blocks_row)
