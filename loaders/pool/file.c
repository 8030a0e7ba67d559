#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int reserve(Content *content, size_t size)
{
    if (size <= content->room)
        return 1;
    content->own = malloc(size);
    content->data = content->own;
    return content->own != NULL;
}

static int read_all(int file, Content *content, size_t size)
{
    while (content->size < size) {
        ssize_t more = read(file, content->data + content->size, size - content->size);
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0)
            return 0;
        content->size += (size_t)more;
    }
    return 1;
}

static int begins_like_a_jpeg(const Content *content)
{
    return content->size > 3 && memcmp(content->data, "\xff\xd8\xff", 3) == 0;
}

int read_jpeg(const char *path, Content *content)
{
    /* Not blocking: to open a FIFO could wait forever. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), done;
    struct stat status;

    if (file < 0)
        return 0;
    done = fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
           reserve(content, (size_t)status.st_size) &&
           read_all(file, content, (size_t)status.st_size) && begins_like_a_jpeg(content);
    close(file);
    return done;
}

int read_part(int file, int64_t offset, size_t size, unsigned char *into)
{
    while (size > 0) {
        ssize_t count = pread(file, into, size, (off_t)offset);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return 0;
        into += count;
        offset += count;
        size -= (size_t)count;
    }
    return 1;
}

void release(Content *content)
{
    free(content->own);
}
