/* The arithmetic is that of OpenCV's INTER_NEAREST_EXACT and INTER_LINEAR, so that an image has the
 * same pixels whether OpenCV resizes all of it or this file its rows as they are decoded.
 */
#include "rows.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAS_AVX2 __builtin_cpu_supports("avx2")
#define AVX2 __attribute__((target("avx2")))
#else
#define HAS_AVX2 0
#endif

#define ONE 2048    /* a weight of 1 */
#define VALUES 4    /* per pixel of a held row: red, green, blue, and one that is not used */
#define ALIGNED(bytes) (((bytes) + 63) & ~(size_t)63)

static int padded(int count)
{
    return (count + 3) & ~3;
}

size_t resizing_bytes(const Resizing *resizing)
{
    size_t height = (size_t)padded(resizing->to.height), width = (size_t)padded(resizing->to.width);

    return ALIGNED(height * sizeof(int)) + ALIGNED(width * sizeof(int)) +
           ALIGNED(height * 2 * sizeof(short)) +
           ALIGNED(width * 2 * VALUES * sizeof(short)) +
           2 * ALIGNED(width * VALUES * sizeof(short)) + 64;
}

static void *taken_from(unsigned char **memory, size_t bytes)
{
    void *taken = *memory;

    *memory += ALIGNED(bytes);
    return taken;
}

static int clipped(int value, int end)
{
    return value < 0 ? 0 : value < end ? value : end - 1;
}

/* Which of `from` positions each of `to` takes; a sum, as in OpenCV and Pillow, rounds like theirs. */
static void nearest(int from, int to, int *positions)
{
    double step = (double)from / to, place = step * 0.5;

    for (int i = 0; i < to; i++, place += step)
        positions[i] = clipped((int)place, from);
}

/* The first of the two positions that each of `to` lies between, and the weights of both. */
static void between(int from, int to, int *positions, short *weights)
{
    double scale = 1 / ((double)to / from);

    for (int i = 0; i < to; i++) {
        float place = (float)((i + 0.5) * scale - 0.5);
        int first = (int)floorf(place);
        float second = place - (float)first;

        positions[i] = first;
        weights[2 * i] = (short)lrintf((1.0f - second) * ONE);
        weights[2 * i + 1] = (short)lrintf(second * ONE);
    }
}

/* Beyond an edge only the pixel there counts. Four values per pixel have the same weights. */
static void begin_across(Resizing *resizing)
{
    int from = resizing->from.width, to = resizing->to.width;
    short *across = resizing->across, weights[2];

    between(from, to, resizing->columns, across);
    for (int x = to - 1; x >= 0; x--) {
        int column = resizing->columns[x];

        memcpy(weights, across + 2 * x, sizeof weights);
        if (column < 0 || column >= from - 1) {
            weights[0] = ONE;
            weights[1] = 0;
        }
        for (int value = 0; value < VALUES; value++)
            memcpy(across + 2 * (VALUES * x + value), weights, sizeof weights);
        resizing->columns[x] = 3 * clipped(column, from);
    }
    for (int x = to; x < padded(to); x++) {
        resizing->columns[x] = resizing->columns[to - 1];
        memset(across + 2 * VALUES * x, 0, 2 * VALUES * sizeof *across);
    }
}

void begin_resizing(Resizing *resizing, void *memory)
{
    unsigned char *rest = (unsigned char *)ALIGNED((size_t)memory);
    size_t height = (size_t)padded(resizing->to.height), width = (size_t)padded(resizing->to.width);

    resizing->rows = taken_from(&rest, height * sizeof(int));
    resizing->columns = taken_from(&rest, width * sizeof(int));
    resizing->down = taken_from(&rest, height * 2 * sizeof(short));
    resizing->across = taken_from(&rest, width * 2 * VALUES * sizeof(short));
    for (int i = 0; i < 2; i++) {
        resizing->held[i] = taken_from(&rest, width * VALUES * sizeof(short));
        resizing->taken[i] = -1;
    }
    resizing->done = 0;
    if (resizing->bilinear) {
        between(resizing->from.height, resizing->to.height, resizing->rows, resizing->down);
        begin_across(resizing);
        return;
    }
    nearest(resizing->from.height, resizing->to.height, resizing->rows);
    nearest(resizing->from.width, resizing->to.width, resizing->columns);
    for (int x = 0; x < resizing->to.width; x++)
        resizing->columns[x] *= 3;
}

#ifdef AVX2
AVX2 static void across_avx2(const Resizing *resizing, const unsigned char *row, short *held)
{
    const __m128i pairs = _mm_setr_epi8(0, 3, 1, 4, 2, 5, 6, 7, 8, 11, 9, 12, 10, 13, 14, 15);
    const int *columns = resizing->columns;

    for (int x = 0; x < resizing->to.width; x += 2) {
        __m128i one = _mm_loadl_epi64((const __m128i *)(row + columns[x]));
        __m128i other = _mm_loadl_epi64((const __m128i *)(row + columns[x + 1]));
        __m128i bytes = _mm_shuffle_epi8(_mm_unpacklo_epi64(one, other), pairs);
        __m256i weights = _mm256_load_si256((const __m256i *)(resizing->across + 8 * x));
        __m256i sums = _mm256_madd_epi16(_mm256_cvtepu8_epi16(bytes), weights);

        sums = _mm256_srai_epi32(sums, 4);
        _mm_store_si128((__m128i *)(held + VALUES * x),
                        _mm_packs_epi32(_mm256_castsi256_si128(sums),
                                        _mm256_extracti128_si256(sums, 1)));
    }
}

/* Returns the number of pixels that are done, of which there are four at a time. */
AVX2 static int down_avx2(const Resizing *resizing, const short *upper, const short *lower,
                          const short *weights, unsigned char *out)
{
    const __m128i dense = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m256i half = _mm256_set1_epi16(2);
    const __m256i above = _mm256_set1_epi16(weights[0]), below = _mm256_set1_epi16(weights[1]);
    int x = 0;

    for (; x + 4 <= resizing->to.width; x += 4) {
        __m256i first = _mm256_load_si256((const __m256i *)(upper + VALUES * x));
        __m256i second = _mm256_load_si256((const __m256i *)(lower + VALUES * x));
        __m256i sum = _mm256_add_epi16(_mm256_mulhi_epi16(first, above),
                                       _mm256_mulhi_epi16(second, below));
        __m128i bytes;
        int last;

        sum = _mm256_srai_epi16(_mm256_add_epi16(sum, half), 2);
        bytes = _mm_packus_epi16(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        bytes = _mm_shuffle_epi8(bytes, dense);
        _mm_storel_epi64((__m128i *)(out + 3 * x), bytes);
        last = _mm_extract_epi32(bytes, 2);
        memcpy(out + 3 * x + 8, &last, sizeof last);
    }
    return x;
}
#else
static void across_avx2(const Resizing *resizing, const unsigned char *row, short *held)
{
    (void)resizing, (void)row, (void)held;
}

static int down_avx2(const Resizing *resizing, const short *upper, const short *lower,
                     const short *weights, unsigned char *out)
{
    (void)resizing, (void)upper, (void)lower, (void)weights, (void)out;
    return 0;
}
#endif

static void resize_across(const Resizing *resizing, const unsigned char *row, short *held)
{
    if (HAS_AVX2) {
        across_avx2(resizing, row, held);
        return;
    }
    for (int x = 0; x < resizing->to.width; x++) {
        const unsigned char *pixel = row + resizing->columns[x];
        const short *weights = resizing->across + 2 * VALUES * x;

        for (int value = 0; value < VALUES; value++) {
            int sum = pixel[value] * weights[0] + pixel[3 + value] * weights[1];
            held[VALUES * x + value] = (short)(sum >> 4);
        }
    }
}

static void resize_down(const Resizing *resizing, const short *upper, const short *lower)
{
    const short *weights = resizing->down + 2 * resizing->done;
    unsigned char *out = resizing->out + resizing->stride * (size_t)resizing->done;
    int x = HAS_AVX2 ? down_avx2(resizing, upper, lower, weights, out) : 0;

    for (; x < resizing->to.width; x++) {
        for (int value = 0; value < 3; value++) {
            int above = (upper[VALUES * x + value] * weights[0]) >> 16;
            int below = (lower[VALUES * x + value] * weights[1]) >> 16;
            out[3 * x + value] = (unsigned char)((above + below + 2) >> 2);
        }
    }
}

/* Each pixel is copied with one byte more, which the next one overwrites. */
static void pick(const Resizing *resizing, const unsigned char *row)
{
    unsigned char *out = resizing->out + resizing->stride * (size_t)resizing->done;
    const int *columns = resizing->columns;
    int last = resizing->to.width - 1;

    for (int x = 0; x < last; x++)
        memcpy(out + 3 * x, row + columns[x], 4);
    memcpy(out + 3 * last, row + columns[last], 3);
}

static int needed_to_pick(Resizing *resizing)
{
    for (; resizing->done < resizing->to.height; resizing->done++) {
        int row = resizing->rows[resizing->done];
        unsigned char *out = resizing->out + resizing->stride * (size_t)resizing->done;

        if (row != resizing->taken[0])
            return row;
        memcpy(out, out - resizing->stride, 3 * (size_t)resizing->to.width);
    }
    return -1;
}

int needed_row(Resizing *resizing)
{
    if (!resizing->bilinear)
        return needed_to_pick(resizing);
    for (; resizing->done < resizing->to.height; resizing->done++) {
        int upper = clipped(resizing->rows[resizing->done], resizing->from.height);
        int lower = clipped(resizing->rows[resizing->done] + 1, resizing->from.height);

        if (resizing->taken[upper & 1] != upper)
            return upper;
        if (resizing->taken[lower & 1] != lower)
            return lower;
        resize_down(resizing, resizing->held[upper & 1], resizing->held[lower & 1]);
    }
    return -1;
}

void take_row(Resizing *resizing, const unsigned char *row)
{
    int number = needed_row(resizing), place = number & 1;

    if (resizing->bilinear) {
        resize_across(resizing, row, resizing->held[place]);
        resizing->taken[place] = number;
        return;
    }
    pick(resizing, row);
    resizing->taken[0] = number;
    resizing->done++;
}
