/* Rows of an image, as a decoder gives them, resized to a rectangle of a batch's image. */
#ifndef FEEDBENCH_ROWS_H
#define FEEDBENCH_ROWS_H

#include <stddef.h>

#define ROW_SLACK 16 /* bytes behind a row's last pixel that may be read, and do not count */

typedef struct {
    int height, width;
} Size;

/* `out` is the rectangle's first pixel, `stride` the bytes from one of its rows to the next. */
typedef struct {
    Size from, to;
    int bilinear;
    unsigned char *out;
    size_t stride;
    int done;        /* rows of the rectangle that are finished */
    int taken[2];    /* rows of the image that are held, or -1 */
    short *held[2];  /* resized across only, in units of 1/128, four values per pixel */
    int *rows;       /* the row of the image for each row of the rectangle; the upper one of two */
    int *columns;    /* the same for columns, in bytes */
    short *down;     /* weights of the upper and the lower row, in units of 1/2048 */
    short *across;   /* weights of the left and the right pixel, for each of four values */
} Resizing;

/* Bytes of memory that `begin_resizing` needs. */
size_t resizing_bytes(const Resizing *resizing);

/* Set `from`, `to`, `bilinear`, `out` and `stride` before. */
void begin_resizing(Resizing *resizing, void *memory);

/* The next row of the image that is needed, or -1 if all is done; rows never go back. */
int needed_row(Resizing *resizing);

/* Give the row that `needed_row` asked for. */
void take_row(Resizing *resizing, const unsigned char *row);

#endif
