/* `histogram` and `difference`: a partial result for each band of BAND rows, then their sums. */
#include "k.h"

#define BAND 8

/* Counts of the values of each of `channels` bytes of a pixel of `step` bytes. An element is a band;
 * its result row has 256 counts of 32 bits for each channel. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 width, height, step, channels;
} CountArgs;

KFN void count_values_row(const CountArgs *args, i32 band, i32 x0, i32 x1) {
    u32 *__restrict__ counts = (u32 *)row_of(args->out, band);
    const i32 end = min_i32((band + 1) * BAND, args->height), step = args->step;
    if (x0 >= x1) return;
    for (i32 i = 0; i < 256 * args->channels; i++) counts[i] = 0;
    for (i32 y = band * BAND; y < end; y++) {
        const u8 *in = row_of(args->in, y);
        for (i32 c = 0; c < args->channels; c++)
            for (i32 x = 0; x < args->width; x++) counts[256 * c + in[x * step + c]] += 1;
    }
}

ENTRY(count_values, CountArgs, count_values_row)

/* Sum of the absolute differences of the bytes of two planes. An element is a band; its result is
 * one number of 32 bits. `width` is in bytes. */
typedef struct {
    Extent extent;
    Plane a, b, out;
    i32 width, height;
} ApartArgs;

KFN void sum_apart_row(const ApartArgs *args, i32 band, i32 x0, i32 x1) {
    const i32 end = min_i32((band + 1) * BAND, args->height);
    if (x0 >= x1) return;
    u32 sum = 0;
    for (i32 y = band * BAND; y < end; y++) {
        const u8 *a = row_of(args->a, y), *b = row_of(args->b, y);
        for (i32 x = 0; x < args->width; x++) sum += (u32)(a[x] > b[x] ? a[x] - b[x] : b[x] - a[x]);
    }
    *(u32 *)row_of(args->out, band) = sum;
}

ENTRY(sum_apart, ApartArgs, sum_apart_row)

/* Sums of the numbers of all bands. An element is a column of them; results have 64 bits. */
typedef struct {
    Extent extent;
    Plane in, out;
    i32 bands;
} SumArgs;

KFN void sum_bands_row(const SumArgs *args, i32 y, i32 x0, i32 x1) {
    u64 *__restrict__ out = (u64 *)row_of(args->out, y);
    for (i32 x = x0; x < x1; x++) {
        u64 sum = 0;
        for (i32 band = 0; band < args->bands; band++)
            sum += ((const u32 *)row_of(args->in, band))[x];
        out[x] = sum;
    }
}

ENTRY(sum_bands, SumArgs, sum_bands_row)
