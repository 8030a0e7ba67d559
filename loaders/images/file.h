/* The bytes of a file, read in as few system calls as possible into memory that is reused. */
#ifndef FEEDBENCH_FILE_H
#define FEEDBENCH_FILE_H

#include <stddef.h>

/* `data` is `room` bytes of the caller's memory, or memory of its own where a file needs more. */
typedef struct {
    unsigned char *data;
    size_t room, size;
    void *own;
} Content;

/* Whether a file is a regular one that begins like a JPEG, and all of it could be read. */
int read_jpeg(const char *path, Content *content);

void release(Content *content);

#endif
