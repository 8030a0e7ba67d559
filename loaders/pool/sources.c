#include "sources.h"

#include <stdlib.h>

#define SOURCE "feedbench.loaders.pool.source"
#define BUFFERS 4

typedef struct {
    Source source; /* first, so that a pointer to it is one to the whole */
    Py_buffer held[BUFFERS];
} HeldSource;

static void free_source(HeldSource *held)
{
    for (int i = 0; i < BUFFERS; i++)
        PyBuffer_Release(&held->held[i]);
    free(held);
}

static void free_capsule(PyObject *capsule)
{
    free_source(PyCapsule_GetPointer(capsule, SOURCE));
}

/* A capsule of the source, if it could be made; frees it otherwise. */
static PyObject *made(HeldSource *held, int is_right)
{
    PyObject *capsule = is_right ? PyCapsule_New(held, SOURCE, free_capsule) : NULL;

    if (!is_right && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "the memory of a source is of other types or sizes");
    if (capsule == NULL)
        free_source(held);
    return capsule;
}

const Source *source_in(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, SOURCE);
}

/* `decoder` is the function that _jpeg exports, or None, and then no plan is needed. */
static int set_decoder(Source *source, PyObject *decoder, PyObject *plan)
{
    Plan *how = &source->plan;

    if (decoder == Py_None)
        return 1;
    source->decode = (Decode)PyCapsule_GetPointer(decoder, DECODER);
    return source->decode != NULL &&
           PyArg_ParseTuple(plan, "iippK", &how->side, &how->fit, &how->bilinear, &how->fast,
                            &how->most_pixels) &&
           how->side > 0;
}

PyObject *from_files(PyObject *self, PyObject *arguments)
{
    (void)self;
    HeldSource *held = calloc(1, sizeof *held);
    PyObject *decoder, *plan;

    if (held == NULL)
        return PyErr_NoMemory();
    held->source.load = load_from_file;
    return made(held, PyArg_ParseTuple(arguments, "OO!", &decoder, &PyTuple_Type, &plan) &&
                          decoder != Py_None && set_decoder(&held->source, decoder, plan));
}

PyObject *from_pack(PyObject *self, PyObject *arguments)
{
    (void)self;
    HeldSource *held = calloc(1, sizeof *held);
    Source *source = &held->source;
    Py_buffer *of = held == NULL ? NULL : held->held;
    PyObject *decoder, *plan;

    if (held == NULL)
        return PyErr_NoMemory();
    if (!PyArg_ParseTuple(arguments, "y*y*y*w*OO!", &of[0], &of[1], &of[2], &of[3], &decoder,
                          &PyTuple_Type, &plan))
        return made(held, 0);
    source->load = load_from_pack;
    source->entries = of[0].buf;
    source->positions = of[1].buf;
    source->files = of[2].buf;
    source->checked = of[3].buf;
    source->entry_count = of[0].len / (Py_ssize_t)sizeof(Entry);
    source->rows = of[1].len / (Py_ssize_t)sizeof(int64_t);
    source->file_count = of[2].len / (Py_ssize_t)sizeof(int32_t);
    return made(held, of[0].itemsize == sizeof(Entry) && of[1].itemsize == sizeof(int64_t) &&
                          of[2].itemsize == sizeof(int32_t) && of[3].len == source->rows &&
                          set_decoder(source, decoder, plan));
}

PyObject *from_memory(PyObject *self, PyObject *arguments)
{
    (void)self;
    HeldSource *held = calloc(1, sizeof *held);
    Py_buffer *images = held == NULL ? NULL : held->held;
    Py_ssize_t rows;

    if (held == NULL)
        return PyErr_NoMemory();
    if (!PyArg_ParseTuple(arguments, "y*n", images, &rows))
        return made(held, 0);
    held->source.load = load_from_memory;
    held->source.images = images->buf;
    held->source.rows = rows;
    held->source.row_bytes = rows > 0 ? (size_t)(images->len / rows) : 0;
    return made(held, images->itemsize == 1 && rows >= 0);
}
