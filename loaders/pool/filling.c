#include "module.h"

#include "filling.h"

#include <stdlib.h>
#include <string.h>

void free_filling(Filling *filling)
{
    PyBuffer_Release(&filling->rows);
    PyBuffer_Release(&filling->crops);
    PyBuffer_Release(&filling->out);
    Py_XDECREF(filling->object);
    Py_XDECREF(filling->source);
    Py_XDECREF(filling->paths);
    free(filling->wanted.paths);
    free(filling);
}

/* The paths belong to the list; an address that is no path becomes NULL. */
static const char **paths_in(PyObject *list, Py_ssize_t images)
{
    const char **paths = calloc((size_t)images + 1, sizeof *paths);

    if (paths == NULL)
        return (const char **)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < images; i++) {
        PyObject *path = PyList_GetItem(list, i);
        char *text = path == NULL ? NULL : PyBytes_AsString(path);
        if (text == NULL) {
            free(paths);
            return NULL;
        }
        paths[i] = strlen(text) == (size_t)PyBytes_Size(path) ? text : NULL;
    }
    return paths;
}

static int is_as_long(const Py_buffer *buffer, Py_ssize_t images, size_t values, size_t bytes)
{
    return buffer->buf == NULL ||
           (buffer->itemsize == (Py_ssize_t)bytes &&
            (size_t)buffer->len == (size_t)images * values * bytes);
}

/* What the images of a batch take, if it is the same for each and as the source needs it; or 0. */
static size_t bytes_per_image(const Filling *filling)
{
    const Source *source = filling->from;
    Py_ssize_t images = filling->batch.images;
    size_t bytes = images > 0 ? (size_t)filling->out.len / (size_t)images : 0;

    if (filling->out.itemsize != 1 || bytes * (size_t)images != (size_t)filling->out.len)
        return 0;
    if (source != NULL && source->decode != NULL &&
        bytes != 3 * (size_t)source->plan.side * (size_t)source->plan.side)
        return 0;
    if (source != NULL && source->images != NULL && bytes != source->row_bytes)
        return 0;
    return bytes;
}

int prepare_filling(Filling *filling)
{
    Py_ssize_t images = filling->batch.images;
    Wanted *wanted = &filling->wanted;

    wanted->rows = filling->rows.buf;
    wanted->crops = filling->crops.buf;
    wanted->out = filling->out.buf;
    wanted->image_bytes = bytes_per_image(filling);
    if (wanted->image_bytes == 0 || !is_as_long(&filling->rows, images, 1, sizeof(int64_t)) ||
        !is_as_long(&filling->crops, images, CROP_VALUES, sizeof(float))) {
        PyErr_SetString(PyExc_ValueError, "rows, crops or out do not fit the images or the source");
        return 0;
    }
    if (filling->from == NULL || filling->from->load != load_from_file)
        return 1;
    wanted->paths = paths_in(filling->paths, images);
    return wanted->paths != NULL;
}
