/* libjpeg-turbo's decompressor, whose errors and warnings jump back to whoever decodes. */
#ifndef FEEDBENCH_DECODER_H
#define FEEDBENCH_DECODER_H

#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>

#include <jpeglib.h>

typedef struct {
    struct jpeg_decompress_struct info; /* first, so that a pointer to it is one to the whole */
    struct jpeg_error_mgr errors;
    jmp_buf escape; /* set it by setjmp before any other call, and destroy `info` after a jump */
} Decoder;

/* Whether it is a JPEG in colours that become RGB as in all other decoders. */
int read_header(Decoder *decoder, const unsigned char *data, size_t size);

/* Rows come as RGB, shrunk by `ratio`; `fast` takes the fast inverse DCT and upsampling. Returns 0 for
 * a progressive image without all of its scans: each version of libjpeg-turbo guesses in its own way
 * what these would show, and not the same in a part as in the whole.
 */
int start_rows(Decoder *decoder, int ratio, int fast);

/* Decode no columns but these and some beside them; returns the first one that is decoded. */
JDIMENSION limit_columns(Decoder *decoder, JDIMENSION left, JDIMENSION width, JDIMENSION *columns);

/* Call it first. */
void prepare_errors(Decoder *decoder);

#endif
