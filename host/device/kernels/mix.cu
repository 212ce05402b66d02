/* `mix`: (a * (255 - t) + b * t) / 255, rounded to the nearest. An element is a byte.
 *
 * With v = a * (255 - t) + b * t + 128 below 2^16, (v + (v >> 8)) >> 8 is exactly that quotient. */
#include "k.h"

typedef struct {
    Extent extent;
    Plane a, b, out;
    i32 t;
} MixArgs;

KFN void mix_row(const MixArgs *args, i32 y, i32 x0, i32 x1) {
    const u8 *a = row_of(args->a, y), *b = row_of(args->b, y);
    u8 *__restrict__ out = row_of(args->out, y);
    const u16 t = (u16)args->t, s = (u16)(255 - args->t);
    for (i32 x = x0; x < x1; x++) {
        const u16 v = (u16)(a[x] * s + b[x] * t + 128);
        out[x] = (u8)((u16)(v + (v >> 8)) >> 8);
    }
}

ENTRY(mix, MixArgs, mix_row)
