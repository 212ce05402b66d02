/* Passes along rows on the CPU: the same place of LANES rows lies side by side in a vector, so that
 * what differs from place to place, or slides from one to the next, is the same for a whole vector.
 * The compiler cuts these vectors into what its level has. A card has no use for any of it: there
 * neighbouring threads have neighbouring places. */
#ifndef FG_LINES_H
#define FG_LINES_H
#include "k.h"

#ifndef __CUDACC__
#define LANES 16

/* Vectors of LANES elements; those that are read from pictures lie anywhere. */
typedef u8 U8s __attribute__((vector_size(LANES), aligned(1)));
typedef u16 U16s __attribute__((vector_size(2 * LANES), aligned(2)));
typedef i16 I16s __attribute__((vector_size(2 * LANES), aligned(2)));
typedef i32 I32s __attribute__((vector_size(4 * LANES)));
typedef u32 U32s __attribute__((vector_size(4 * LANES)));
typedef u64 U64s __attribute__((vector_size(8 * LANES)));

/* Half a vector of words, and eight results. */
typedef i16 I16x8 __attribute__((vector_size(16), aligned(2)));
typedef u8 U8x8 __attribute__((vector_size(8), aligned(1)));

/* The words at one place of LANES rows. */
typedef i16 Beside[LANES];

KFN I32s all_i32(i32 v) { return (I32s){0} + v; }

KFN I32s bytes_at(const u8 *at) { return __builtin_convertvector(*(const U8s *)at, I32s); }

/* To 0..255. */
KFN I32s cut_i32(I32s v) {
    return __builtin_elementwise_max(__builtin_elementwise_min(v, all_i32(255)), all_i32(0));
}

/* Two words of each lane, one after the other. */
typedef i16 I16pairs __attribute__((vector_size(4 * LANES), aligned(2)));
typedef i16 Pairs[2 * LANES];

KFN I16pairs pair_up(I16s first, I16s second) {
    return __builtin_shufflevector(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22,
                                   7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
}

/* The first word times the lower half of `weights` and the second times the upper one, added: one
 * instruction, which the compiler does not find by itself. */
KFN I32s two_products(I16pairs pairs, i32 weights) {
    const I32s both = all_i32(weights);
#if defined(__AVX512BW__)
    typedef short Words __attribute__((vector_size(64)));
    return (I32s)__builtin_ia32_pmaddwd512((Words)pairs, (Words)both);
#elif defined(__AVX2__)
    typedef short Words __attribute__((vector_size(32)));
    union {
        I32s all;
        Words part[2];
    } a, b;
    a.all = (I32s)pairs, b.all = both;
    a.part[0] = (Words)__builtin_ia32_pmaddwd256(a.part[0], b.part[0]);
    a.part[1] = (Words)__builtin_ia32_pmaddwd256(a.part[1], b.part[1]);
    return a.all;
#else
    const I32s words = (I32s)pairs;
    return (words << 16 >> 16) * (both << 16 >> 16) + (words >> 16) * (both >> 16);
#endif
}

/* Exchanges rows and columns of eight by eight words, by shuffling two halves like cards, thrice. */
KFN void transpose_8(I16x8 *rows) {
    for (i32 round = 0; round < 3; round++) {
        I16x8 old[8];
        for (i32 i = 0; i < 8; i++) old[i] = rows[i];
        for (i32 i = 0; i < 4; i++) {
            rows[2 * i] = __builtin_shufflevector(old[i], old[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            rows[2 * i + 1] =
                __builtin_shufflevector(old[i], old[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
    }
}

/* Lays the words [from, from + count) of the rows from `y` on side by side. Rows beyond `last_y` show
 * that one, and nobody looks at them. */
KFN void lay_beside(Plane in, i32 y, i32 last_y, i32 from, i32 count, Beside *beside) {
    for (i32 half = 0; half < LANES; half += 8) {
        const i16 *rows[8];
        for (i32 i = 0; i < 8; i++)
            rows[i] = (const i16 *)row_of(in, min_i32(y + half + i, last_y)) + from;
        i32 at = 0;
        for (; at + 8 <= count; at += 8) {
            I16x8 block[8];
            for (i32 i = 0; i < 8; i++) block[i] = *(const I16x8 *)(rows[i] + at);
            transpose_8(block);
            for (i32 i = 0; i < 8; i++) *(I16x8 *)&beside[at + i][half] = block[i];
        }
        for (; at < count; at++)
            for (i32 i = 0; i < 8; i++) beside[at][half + i] = rows[i][at];
    }
}

/* Writes `n` results of eight places of each of `rows` rows from `y` and byte `x` on. */
KFN void write_block(Plane out, i32 y, i32 rows, i32 x, i32 n, const I16x8 *block) {
    for (i32 i = 0; i < rows; i++) {
        u8 *row = row_of(out, y + i) + x;
        const U8x8 bytes = __builtin_convertvector(block[i], U8x8);
        if (n == 8)
            *(U8x8 *)row = bytes;
        else
            for (i32 k = 0; k < n; k++) row[k] = bytes[k];
    }
}

/* Writes `count` results, each below 256, of the rows [y, y1) from byte `x` on. There is room for a
 * multiple of eight of them. */
KFN void lay_in_rows(Plane out, i32 y, i32 y1, i32 x, i32 count, const Beside *results) {
    for (i32 half = 0; half < y1 - y; half += 8)
        for (i32 at = 0; at < count; at += 8) {
            const i32 rows = min_i32(8, y1 - y - half), n = min_i32(8, count - at);
            I16x8 block[8];
            for (i32 i = 0; i < 8; i++) block[i] = *(const I16x8 *)&results[at + i][half];
            transpose_8(block);
            if (rows == 8 && n == 8)
                write_block(out, y + half, 8, x + at, 8, block);
            else
                write_block(out, y + half, rows, x + at, n, block);
        }
}
#endif
#endif
