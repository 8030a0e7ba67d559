#include "images.h"

#include <string.h>

#include "crc32.h"

static unsigned char *image_at(const Wanted *wanted, long place)
{
    return wanted->out + wanted->image_bytes * (size_t)place;
}

static int decoded(const Source *source, const Wanted *wanted, long place, const Content *content)
{
    const float *crops = wanted->crops;

    return source->decode(content->data, content->size, &source->plan,
                          crops == NULL ? NULL : crops + CROP_VALUES * (size_t)place,
                          image_at(wanted, place));
}

int load_from_file(const Source *source, const Wanted *wanted, long place, Content *content)
{
    const char *path = wanted->paths[place];

    return path != NULL && read_jpeg(path, content) && decoded(source, wanted, place, content);
}

static const Entry *entry_of(const Source *source, int64_t row)
{
    int64_t position = row >= 0 && row < source->rows ? source->positions[row] : -1;
    const Entry *entry;

    if (position < 0 || position >= source->entry_count)
        return NULL;
    entry = source->entries + position;
    return entry->state == THERE && entry->shard >= 0 && entry->shard < source->file_count &&
                   entry->length >= 0
               ? entry
               : NULL;
}

/* Whether the bytes are what was written, or were when the row was read first. */
static int is_known(const Source *source, int64_t row, const Entry *entry,
                    const unsigned char *data)
{
    unsigned char *checked = source->checked + row;

    if (!__atomic_load_n(checked, __ATOMIC_RELAXED)) {
        if (crc32_of(data, (size_t)entry->length) != entry->crc32)
            return 0;
        __atomic_store_n(checked, 1, __ATOMIC_RELAXED);
    }
    return 1;
}

int load_from_pack(const Source *source, const Wanted *wanted, long place, Content *content)
{
    int64_t row = wanted->rows[place];
    const Entry *entry = entry_of(source, row);

    if (entry == NULL)
        return 0;
    content->size = (size_t)entry->length;
    if (source->decode != NULL) {
        if (!reserve(content, content->size))
            return 0;
    } else {
        if (content->size != wanted->image_bytes)
            return 0;
        content->data = image_at(wanted, place);
    }
    return read_part(source->files[entry->shard], entry->offset, content->size, content->data) &&
           is_known(source, row, entry, content->data) &&
           (source->decode == NULL || decoded(source, wanted, place, content));
}

int load_from_memory(const Source *source, const Wanted *wanted, long place, Content *content)
{
    int64_t row = wanted->rows[place];

    (void)content;
    if (row < 0 || row >= source->rows)
        return 0;
    memcpy(image_at(wanted, place), source->images + source->row_bytes * (size_t)row,
           source->row_bytes);
    return 1;
}
