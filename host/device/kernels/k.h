/* What every kernel shares: fixed-width types, planes, and the two ways to enter a row function.
 *
 * A kernel is a row function `row(args, y, x0, x1)`: it computes the elements [x0, x1) of result row
 * `y`, and what an element is, is the kernel's affair (a byte, a pixel, a block of two by two). The
 * CPU calls it for whole rows, a CUDA thread for SPAN elements: the same text, so the same bits. Where
 * a kernel has a second text for the CPU's vectors (lines.h), it computes the same sums.
 *
 * The text is in the common part of C11 and C++17 and includes nothing: NVRTC has no headers.
 * Invariant: integer arithmetic without overflow; right shifts of negative numbers round down. */
#ifndef FG_K_H
#define FG_K_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef short i16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#ifdef __CUDACC__
#define KFN static __device__ __forceinline__
#else
#define KFN static inline __attribute__((always_inline))
#endif

/* EACH(i, n, most) is a loop over the first `n` of at most `most` elements of a short array, none of
 * which depends on another. A CUDA thread has it unrolled, so that the array lies in registers. */
#ifdef __CUDACC__
#define EACH(i, n, most) _Pragma("unroll") for (i32 i = 0; i < (most); i++) if (i < (n))
#else
#define EACH(i, n, most)                                                                           \
    _Pragma("clang loop vectorize(assume_safety)") for (i32 i = 0; i < (n); i++)
#endif

/* One plane: its first row, and the bytes from one row to the next. */
typedef struct {
    u8 *data;
    i64 pitch;
} Plane;

/* What all arguments begin with: elements in a result row, and result rows. */
typedef struct {
    i32 columns;
    i32 rows;
} Extent;

KFN u8 *row_of(Plane plane, i32 y) { return plane.data + plane.pitch * y; }

KFN i32 min_i32(i32 a, i32 b) { return a < b ? a : b; }

KFN i32 clamp_i32(i32 v, i32 low, i32 high) { return v < low ? low : (v > high ? high : v); }

KFN u8 to_u8(i32 v) { return (u8)clamp_i32(v, 0, 255); }

/* Sums kept at a time: in the CPU's nearest cache, or in a CUDA thread's registers. */
#ifdef __CUDACC__
#define SUMS SPAN
#else
#define SUMS 512
#endif

/* (a * (255 - t) + b * t) / 255 to the nearest, exactly: the sum plus 128 is below 2^16. */
KFN u8 mix_u8(u8 a, u8 b, u8 t) {
    const u16 s = (u16)(255 - t), v = (u16)((u16)(a * s) + (u16)(b * t) + 128);
    return (u8)((u16)(v + (v >> 8)) >> 8);
}

/* a * b / 255 to the nearest. */
KFN u8 scale_u8(u8 a, u8 b) { return mix_u8(0, a, b); }

/* ENTRY(name, Args, row) makes the entry `name` out of a row function, BAND_ENTRY(name, Args, band,
 * span, high) out of a band function `band(args, y0, y1, x0, x1)`, which does `high` rows of `span`
 * elements for a CUDA thread. `Kernel::tile` in src/launch.rs says the same. */
#ifdef __CUDACC__
/* Elements of one thread; few, so that neighbouring threads read neighbouring bytes. */
#define SPAN 4
#define BAND_ENTRY(name, Args, band, span, high)                                                   \
    extern "C" __global__ void name(const __grid_constant__ Args args) {                           \
        const i32 x = (i32)(blockIdx.x * blockDim.x + threadIdx.x) * (span);                       \
        const i32 y = (i32)(blockIdx.y * blockDim.y + threadIdx.y) * (high);                       \
        if (y < args.extent.rows && x < args.extent.columns)                                       \
            band(&args, y, min_i32(y + (high), args.extent.rows), x,                               \
                 min_i32(x + (span), args.extent.columns));                                        \
    }
#define ENTRY(name, Args, row)                                                                     \
    KFN void name##_band(const Args *args, i32 y, i32 y1, i32 x0, i32 x1) {                        \
        row(args, y, x0, x1);                                                                      \
    }                                                                                              \
    BAND_ENTRY(name, Args, name##_band, SPAN, 1)
#else
#define BAND_ENTRY(name, Args, band, span, high)                                                   \
    static void name(const void *opaque, i32 y0, i32 y1) {                                         \
        const Args *args = (const Args *)opaque;                                                   \
        band(args, y0, y1, 0, args->extent.columns);                                               \
    }
#define ENTRY(name, Args, row)                                                                     \
    static void name(const void *opaque, i32 y0, i32 y1) {                                         \
        const Args *args = (const Args *)opaque;                                                   \
        for (i32 y = y0; y < y1; y++) row(args, y, 0, args->extent.columns);                       \
    }
#endif

#endif
