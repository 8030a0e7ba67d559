/* The CRC-32 of zlib, without a library that would have to be there. */
#ifndef FEEDBENCH_CRC32_H
#define FEEDBENCH_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Call it once, before any other thread runs. */
void begin_crc32(void);

uint32_t crc32_of(const unsigned char *data, size_t size);

#endif
