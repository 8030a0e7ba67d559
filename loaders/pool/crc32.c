/* Eight bytes at a time. Source: Kounavis and Berry, A systematic approach to building high
 * performance software-based CRC generators, IEEE ISCC (2005): slicing-by-8.
 */
#include "crc32.h"

#define POLYNOMIAL 0xedb88320u /* of zlib, its bits reversed */

static uint32_t tables[8][256];

void begin_crc32(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t sum = byte;
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? POLYNOMIAL : 0);
        tables[0][byte] = sum;
    }
    for (int table = 1; table < 8; table++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t sum = tables[table - 1][byte];
            tables[table][byte] = sum >> 8 ^ tables[0][sum & 255];
        }
}

uint32_t crc32_of(const unsigned char *data, size_t size)
{
    uint32_t sum = 0xffffffffu;

    for (; size >= 8; data += 8, size -= 8) {
        uint32_t low = sum ^ ((uint32_t)data[0] | (uint32_t)data[1] << 8 |
                              (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24);
        sum = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^
              tables[4][low >> 24] ^ tables[3][data[4]] ^ tables[2][data[5]] ^
              tables[1][data[6]] ^ tables[0][data[7]];
    }
    while (size-- > 0)
        sum = sum >> 8 ^ tables[0][(sum ^ *data++) & 255];
    return ~sum;
}
