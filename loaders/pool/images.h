/* Where the images of batches come from, and how one of them is made. */
#ifndef FEEDBENCH_IMAGES_H
#define FEEDBENCH_IMAGES_H

#include <stdint.h>

#include "../images/resized.h"
#include "file.h"

typedef int (*Decode)(const unsigned char *data, size_t size, const Plan *plan, const float *crop,
                      unsigned char *out);

/* A row of a pack's index, as ENTRY in pack/pack.py; THERE: it holds an image. */
typedef struct __attribute__((packed)) {
    int32_t shard;
    int64_t offset;
    int32_t length;
    uint32_t crc32;
    int8_t state;
} Entry;

enum { THERE = 1 };

typedef struct {
    const char **paths;  /* of each image; NULL for one that this source cannot read */
    const int64_t *rows; /* of each image, in the manifest */
    const float *crops;  /* of each image, or NULL */
    unsigned char *out;
    size_t image_bytes;
} Wanted;

/* `load` makes one image and returns 1, or 0 for one that needs another way. */
typedef struct Source {
    int (*load)(const struct Source *source, const Wanted *wanted, long place, Content *content);
    Decode decode; /* NULL where the bytes are the pixels */
    Plan plan;
    int64_t rows; /* of the manifest */

    const Entry *entries;     /* of a pack */
    const int64_t *positions; /* of each row in `entries` */
    const int32_t *files;     /* open, of each shard */
    unsigned char *checked;   /* whether the CRC-32 of each row was found to be right */
    int64_t entry_count, file_count;

    const unsigned char *images; /* of each row, in memory */
    size_t row_bytes;
} Source;

int load_from_file(const Source *source, const Wanted *wanted, long place, Content *content);
int load_from_pack(const Source *source, const Wanted *wanted, long place, Content *content);
int load_from_memory(const Source *source, const Wanted *wanted, long place, Content *content);

#endif
