/* Bytes of files, read in as few system calls as possible into memory that is reused. */
#ifndef FEEDBENCH_FILE_H
#define FEEDBENCH_FILE_H

#include <stddef.h>
#include <stdint.h>

/* `data` is `room` bytes of the caller's memory, or memory of its own where more is needed. */
typedef struct {
    unsigned char *data;
    size_t room, size;
    void *own;
} Content;

/* Whether a file is a regular one that begins like a JPEG, and all of it could be read. */
int read_jpeg(const char *path, Content *content);

/* Whether so many bytes could be read from an offset in an open file. */
int read_part(int file, int64_t offset, size_t size, unsigned char *into);

/* Whether there is memory for so many bytes. */
int reserve(Content *content, size_t size);

void release(Content *content);

#endif
