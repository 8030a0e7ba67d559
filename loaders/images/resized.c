#include "resized.h"

#include <math.h>
#include <string.h>

#include "decoder.h"
#include "rows.h"

#define WIDEST 32767 /* OpenCV's own positions overflow beyond it */

typedef struct {
    int top, left, height, width;
} Area;

static int smaller(int one, int other)
{
    return one < other ? one : other;
}

static int larger(int one, int other)
{
    return one > other ? one : other;
}

static int begin_of(double fraction, int room)
{
    return smaller((int)(fraction * (room + 1)), room);
}

static Area centre(int height, int width, double low, double high)
{
    int across = smaller(larger((int)nearbyint(height * high), 1), width);
    int down = smaller(larger((int)nearbyint(width / low), 1), height);

    return (Area){(height - down) / 2, (width - across) / 2, down, across};
}

/* The region of an image that a crop cuts out: the first candidate that fits. */
static Area cut(int height, int width, const float *crop)
{
    double root = sqrt((double)height * (double)width);
    const float *left = crop + 2 * TRIES, *top = left + 1, *low = left + 2, *high = left + 3;

    for (int i = 0; i < TRIES; i++) {
        double across = nearbyint(root * (double)crop[2 * i]);
        double down = nearbyint(root * (double)crop[2 * i + 1]);
        if (across > 0 && across <= width && down > 0 && down <= height)
            return (Area){begin_of(*top, height - (int)down), begin_of(*left, width - (int)across),
                          (int)down, (int)across};
    }
    return centre(height, width, *low, *high);
}

/* How far libjpeg may shrink an area and keep the pixels that the batch needs. */
static int ratio_of(const Area *area, const Plan *plan)
{
    int length = plan->fit == PAD ? larger(area->height, area->width)
                                  : smaller(area->height, area->width);

    for (int ratio = 8; plan->fast && ratio > 1; ratio /= 2)
        if (length >= ratio * plan->side)
            return ratio;
    return 1;
}

static void shrink(int *begin, int *length, int ratio, int within)
{
    int first = smaller((2 * *begin + ratio) / (2 * ratio), within - 1);
    int last = smaller((2 * (*begin + *length) + ratio) / (2 * ratio), within);

    *begin = first;
    *length = larger(last - first, 1);
}

/* The part of the decoded image that is resized; the crop's region is in pixels before shrinking. */
static Area area_in(const Decoder *decoder, const Plan *plan, const Area *region, int ratio)
{
    int height = (int)decoder->info.output_height, width = (int)decoder->info.output_width;
    int side = smaller(height, width);
    Area area = {0, 0, height, width};

    if (region != NULL) {
        area = *region;
        shrink(&area.top, &area.height, ratio, height);
        shrink(&area.left, &area.width, ratio, width);
    } else if (plan->fit == CROP) {
        area = (Area){(height - side) / 2, (width - side) / 2, side, side};
    }
    return area;
}

/* The rectangle of the batch's image that an area fills; what is beside it becomes black. */
static void choose_target(Resizing *resizing, const Plan *plan, const Area *area, unsigned char *out)
{
    size_t line = 3 * (size_t)plan->side;
    Size to = {plan->side, plan->side};

    if (plan->fit == PAD) {
        double ratio = (double)larger(area->height, area->width) / plan->side;
        to = (Size){larger((int)(area->height / ratio), 1), larger((int)(area->width / ratio), 1)};
        memset(out, 0, line * (size_t)plan->side);
    }
    resizing->from = (Size){area->height, area->width};
    resizing->to = to;
    resizing->bilinear = plan->bilinear;
    resizing->stride = line;
    resizing->out = out + line * (size_t)((plan->side - to.height) / 2) +
                    3 * (size_t)((plan->side - to.width) / 2);
}

static void *allocated(Decoder *decoder, size_t bytes)
{
    struct jpeg_decompress_struct *info = &decoder->info;

    return (*info->mem->alloc_large)((j_common_ptr)info, JPOOL_IMAGE, bytes);
}

/* Rows that were read last. */
typedef struct {
    JSAMPROW lines[2];
    JDIMENSION first, count;
} Lines;

/* Lines are not aligned, and there are two. Otherwise libjpeg-turbo writes past the processor's
 * caches, to the line or to one of its own, and reading that at once takes as long as decoding.
 */
static void allocate_lines(Decoder *decoder, JDIMENSION columns, Lines *lines)
{
    size_t bytes = 3 * (size_t)columns, stride = ((bytes + ROW_SLACK) | 31) + 1;
    unsigned char *memory = allocated(decoder, 2 * stride + 1);

    memset(memory, 0, 2 * stride + 1);
    *lines = (Lines){{memory + 1, memory + stride + 1}, 0, 0};
}

/* Read up to a row and return it. Only rows before the first can be skipped: libjpeg-turbo 2.1 loses
 * its place among the rows of some images if they are skipped later.
 */
static JSAMPROW read_row(Decoder *decoder, JDIMENSION row, Lines *lines)
{
    struct jpeg_decompress_struct *info = &decoder->info;

    if (info->output_scanline == 0 && row > 0)
        lines->first = jpeg_skip_scanlines(info, row);
    while (row >= lines->first + lines->count) {
        lines->first = info->output_scanline;
        lines->count = jpeg_read_scanlines(info, lines->lines, 2);
    }
    return lines->lines[row - lines->first];
}

/* Damage below the area counts, unless a region was asked for: then it is not even read. */
static void resize_rows(Decoder *decoder, const Area *area, Resizing *resizing, int to_the_end)
{
    JDIMENSION columns;
    JDIMENSION first = limit_columns(decoder, (JDIMENSION)area->left, (JDIMENSION)area->width,
                                     &columns);
    Lines lines;
    int row;

    allocate_lines(decoder, columns, &lines);
    begin_resizing(resizing, allocated(decoder, resizing_bytes(resizing)));
    while ((row = needed_row(resizing)) >= 0)
        take_row(resizing, read_row(decoder, (JDIMENSION)(area->top + row), &lines) +
                               3 * ((size_t)area->left - first));
    if (to_the_end) {
        read_row(decoder, decoder->info.output_height - 1, &lines);
        jpeg_finish_decompress(&decoder->info);
    }
}

static int decode(Decoder *decoder, const Plan *plan, const float *crop, unsigned char *out)
{
    int height = (int)decoder->info.image_height, width = (int)decoder->info.image_width;
    Area region = {0, 0, height, width}, area;
    Resizing resizing;
    int ratio;

    if ((unsigned long long)height * (unsigned long long)width > plan->most_pixels ||
        larger(height, width) > WIDEST)
        return 0;
    if (crop != NULL)
        region = cut(height, width, crop);
    ratio = ratio_of(&region, plan);
    if (!start_rows(decoder, ratio, plan->fast))
        return 0;
    area = area_in(decoder, plan, crop == NULL ? NULL : &region, ratio);
    choose_target(&resizing, plan, &area, out);
    resize_rows(decoder, &area, &resizing, crop == NULL);
    return 1;
}

int decode_resized(const unsigned char *data, size_t size, const Plan *plan, const float *crop,
                   unsigned char *out)
{
    Decoder decoder = {0};
    volatile int done = 0;

    prepare_errors(&decoder);
    if (setjmp(decoder.escape) == 0 && read_header(&decoder, data, size))
        done = decode(&decoder, plan, crop, out);
    jpeg_destroy_decompress(&decoder.info);
    return done;
}
