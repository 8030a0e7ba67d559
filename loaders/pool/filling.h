/* A batch that is being filled, and what must not be freed while threads work on it. */
#ifndef FEEDBENCH_FILLING_H
#define FEEDBENCH_FILLING_H

#include "module.h"

#include "images.h"
#include "queue.h"

typedef struct {
    Batch batch; /* first, so that a pointer to it is one to the whole */
    int by_python; /* whether Python has a part in each piece */
    const Source *from; /* NULL where Python makes all images */
    Wanted wanted;
    Py_buffer rows, crops, out;
    PyObject *object, *source, *paths;
} Filling;

/* Set what the threads read, if it is there for each image; returns 0 with an error of Python. */
int prepare_filling(Filling *filling);

void free_filling(Filling *filling);

#endif
