/* A JPEG decoded and resized to one image of a batch, row by row, without the whole image. */
#ifndef FEEDBENCH_RESIZED_H
#define FEEDBENCH_RESIZED_H

#include <stddef.h>

enum { STRETCH, CROP, PAD }; /* how an image becomes square, as in a batch spec */

typedef struct {
    int side, fit, bilinear, fast;
    unsigned long long most_pixels; /* that Pillow allows an image to have */
} Plan;

/* Values of a random-resized crop: ten pairs of a width and a height, left, top, and the bounds of
 * the aspect ratio, as in augment/regions.py. */
#define TRIES 10
#define CROP_VALUES (2 * TRIES + 4)

/* Write `[side, side, 3]` to `out`. Returns 0 for whatever needs another decoder: what is damaged,
 * in other colours or too large. Then `out` may be written in part.
 *
 * crop: the values of a random-resized crop; NULL for the whole image.
 */
int decode_resized(const unsigned char *data, size_t size, const Plan *plan, const float *crop,
                   unsigned char *out);

/* The name of a capsule that holds this function. */
#define DECODER "feedbench.loaders.images._jpeg.decoder"

#endif
