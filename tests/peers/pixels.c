/* Other libraries' ops, timed by themselves: what the bench measures ours against.
 *
 *   pixels OP BLOCK_US < picture and lines
 *
 * Reads the bytes of the op's input (1920 by 1080) from standard input, makes some pictures of it that
 * are used in turn, and answers each further line: to `time` the microseconds of one call, from as many
 * as take BLOCK_US, to `show` the number of bytes of the result on a line and then these. Exit code 2:
 * the library has no such op. Built once for each library, with its name defined: ZIMG, SWSCALE, LIBYUV.
 * One thread. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 1920, HEIGHT = 1080, SMALL_WIDTH = 1280, SMALL_HEIGHT = 720, PICTURES = 6, RADIUS = 8 };

/* Bytes of pictures. */
enum {
    LUMA = WIDTH * HEIGHT,
    YUV = LUMA * 3 / 2,
    SMALL_LUMA = SMALL_WIDTH * SMALL_HEIGHT,
    SMALL_YUV = SMALL_LUMA * 3 / 2
};

typedef void Call(const uint8_t *in, uint8_t *out);

typedef struct {
    const char *name;
    size_t in, out;
    Call *call;
    int (*open)(void); /* Makes what calls need; 0 if that went well. */
} Op;

#if defined(ZIMG)
#include <zimg.h>

static zimg_filter_graph *graph;
static void *room;

static zimg_image_format format(unsigned width, unsigned height) {
    zimg_image_format made;
    zimg_image_format_default(&made, ZIMG_API_VERSION);
    made.width = width, made.height = height;
    made.pixel_type = ZIMG_PIXEL_BYTE;
    made.subsample_w = made.subsample_h = 1;
    made.color_family = ZIMG_COLOR_YUV;
    made.pixel_range = ZIMG_RANGE_LIMITED;
    made.chroma_location = ZIMG_CHROMA_CENTER;
    return made;
}

static int open_resize(void) {
    zimg_image_format from = format(WIDTH, HEIGHT), to = format(SMALL_WIDTH, SMALL_HEIGHT);
    zimg_graph_builder_params params;
    zimg_graph_builder_params_default(&params, ZIMG_API_VERSION);
    params.resample_filter = params.resample_filter_uv = ZIMG_RESIZE_LANCZOS;
    params.filter_param_a = params.filter_param_a_uv = 3;
    params.cpu_type = ZIMG_CPU_AUTO_64B;
    graph = zimg_filter_graph_build(&from, &to, &params);
    size_t bytes;
    if (!graph || zimg_filter_graph_get_tmp_size(graph, &bytes)) return 1;
    return !(room = aligned_alloc(64, (bytes + 63) / 64 * 64));
}

static void resize(const uint8_t *in, uint8_t *out) {
    zimg_image_buffer_const from = {.version = ZIMG_API_VERSION};
    zimg_image_buffer to = {.version = ZIMG_API_VERSION};
    const size_t in_at[3] = {0, LUMA, LUMA * 5 / 4};
    const size_t out_at[3] = {0, SMALL_LUMA, SMALL_LUMA * 5 / 4};
    for (int p = 0; p < 3; p++) {
        from.plane[p].data = in + in_at[p];
        from.plane[p].stride = p ? WIDTH / 2 : WIDTH;
        to.plane[p].data = out + out_at[p];
        to.plane[p].stride = p ? SMALL_WIDTH / 2 : SMALL_WIDTH;
        from.plane[p].mask = to.plane[p].mask = ZIMG_BUFFER_MAX;
    }
    if (zimg_filter_graph_process(graph, &from, &to, room, 0, 0, 0, 0)) abort();
}

static const Op OPS[] = {{"resize", YUV, SMALL_YUV, resize, open_resize}};

#elif defined(SWSCALE)
#include <libswscale/swscale.h>

static struct SwsContext *context;

static int open_resize(void) {
    const int flags = SWS_LANCZOS | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT;
    context = sws_getContext(WIDTH, HEIGHT, AV_PIX_FMT_YUV420P, SMALL_WIDTH, SMALL_HEIGHT,
                             AV_PIX_FMT_YUV420P, flags, 0, 0, 0);
    return !context;
}

static void resize(const uint8_t *in, uint8_t *out) {
    const uint8_t *from[4] = {in, in + LUMA, in + LUMA * 5 / 4, 0};
    uint8_t *to[4] = {out, out + SMALL_LUMA, out + SMALL_LUMA * 5 / 4, 0};
    const int from_pitch[4] = {WIDTH, WIDTH / 2, WIDTH / 2, 0};
    const int to_pitch[4] = {SMALL_WIDTH, SMALL_WIDTH / 2, SMALL_WIDTH / 2, 0};
    sws_scale(context, from, from_pitch, 0, HEIGHT, to, to_pitch);
}

static const Op OPS[] = {{"resize", YUV, SMALL_YUV, resize, open_resize}};

#elif defined(LIBYUV)
#include <libyuv.h>

static int32_t *sums;

static int nothing(void) { return 0; }

/* In memory RAW is r, g, b and ABGR is r, g, b, a. */
static void nv12_to_rgb24(const uint8_t *in, uint8_t *out) {
    NV12ToRAW(in, WIDTH, in + LUMA, WIDTH, out, 3 * WIDTH, WIDTH, HEIGHT);
}

static void yuv420p_to_rgba(const uint8_t *in, uint8_t *out) {
    I420ToABGR(in, WIDTH, in + LUMA, WIDTH / 2, in + LUMA * 5 / 4, WIDTH / 2, out, 4 * WIDTH, WIDTH,
               HEIGHT);
}

static void rgb24_to_yuv420p(const uint8_t *in, uint8_t *out) {
    RAWToI420(in, 3 * WIDTH, out, WIDTH, out + LUMA, WIDTH / 2, out + LUMA * 5 / 4, WIDTH / 2, WIDTH,
              HEIGHT);
}

static void rgba_to_nv12(const uint8_t *in, uint8_t *out) {
    ABGRToNV12(in, 4 * WIDTH, out, WIDTH, out + LUMA, WIDTH, WIDTH, HEIGHT);
}

static int open_box_blur(void) {
    return !(sums = aligned_alloc(64, (size_t)(2 * RADIUS + 2) * WIDTH * 16));
}

static void box_blur(const uint8_t *in, uint8_t *out) {
    ARGBBlur(in, 4 * WIDTH, out, 4 * WIDTH, sums, WIDTH * 4, WIDTH, HEIGHT, RADIUS);
}

static const Op OPS[] = {
    {"convert.nv12.rgb24", YUV, 3 * LUMA, nv12_to_rgb24, nothing},
    {"convert.yuv420p.rgba", YUV, 4 * LUMA, yuv420p_to_rgba, nothing},
    {"convert.rgb24.yuv420p", 3 * LUMA, YUV, rgb24_to_yuv420p, nothing},
    {"convert.rgba.nv12", 4 * LUMA, YUV, rgba_to_nv12, nothing},
    {"box-blur", 4 * LUMA, 4 * LUMA, box_blur, open_box_blur},
};
#endif

static double microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static const Op *find(const char *name) {
    for (size_t i = 0; i < sizeof OPS / sizeof *OPS; i++)
        if (!strcmp(OPS[i].name, name)) return &OPS[i];
    return 0;
}

int main(int count, char **arguments) {
    const Op *op = count == 3 ? find(arguments[1]) : 0;
    if (!op || op->open()) return 2;
    const double block = atof(arguments[2]);
    uint8_t *in[PICTURES], *out[PICTURES];
    for (int i = 0; i < PICTURES; i++) {
        in[i] = aligned_alloc(64, op->in + 64), out[i] = aligned_alloc(64, op->out + 64);
        if (!in[i] || !out[i]) return 1;
        if (i == 0 && fread(in[0], 1, op->in, stdin) != op->in) return 1;
        memcpy(in[i], in[0], op->in);
        memset(out[i], i, op->out);
    }
    char line[16];
    int turn = 0;
    while (fgets(line, sizeof line, stdin)) {
        if (!strcmp(line, "show\n")) {
            op->call(in[0], out[0]);
            printf("%zu\n", op->out);
            fwrite(out[0], 1, op->out, stdout);
        } else {
            const double start = microseconds();
            double took = 0;
            int calls = 0;
            for (; took < block; took = microseconds() - start, calls++) {
                turn = (turn + 1) % PICTURES;
                op->call(in[turn], out[turn]);
            }
            printf("%f\n", took / calls);
        }
        fflush(stdout);
    }
    return 0;
}
