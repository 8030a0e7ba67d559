/* Decodes JPEGs as far as they are needed: a rectangle alone, or the rows that resizing takes.
 *
 * decode(data, ratio, fast, top, left, height, width, out) -> first column, columns; or None
 *     Rows of `columns` pixels of 3 bytes are written to `out`; the rectangle begins in column
 *     `left - first column`. What comes below it is not even read. None: the file is damaged as
 *     far as it was read, its colours are not those of a plain JPEG, or `out` is too small.
 *
 * fit(data, plan, crop, out) -> bool
 *     Writes one image, `[side, side, 3]`.
 *
 * fill(paths, first, last, plan, crops, memory, stop, out) -> list
 * fit_several(data, lengths, first, last, plan, crops, out) -> list
 *     The same for the images `first` to `last` of a batch, in one call and without Python's lock:
 *     from their files, or from their bytes, which follow one another in `data`. Returns the numbers
 *     of those that were not written. `memory` takes the bytes of a file. No image is begun once
 *     the byte `stop` is not 0.
 *
 * plan: side, how it becomes square (0 stretch, 1 crop, 2 pad), bilinear, fast, most pixels.
 * crop, crops: float32, the values of one or of several random-resized crops, or None.
 * paths, lengths (int64), crops, out: of the whole batch.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <string.h>

#include "decoder.h"
#include "file.h"
#include "resized.h"

typedef struct {
    unsigned int top, left, height, width;
} Region;

typedef struct {
    unsigned char *pixels;
    size_t size;
    JDIMENSION first, columns;
} Output;

static int read_rows(struct jpeg_decompress_struct *info, const Region *region, Output *output)
{
    size_t row = (size_t)output->columns * 3;

    if (row * region->height > output->size)
        return 0;
    if (region->top > 0)
        jpeg_skip_scanlines(info, region->top);
    for (unsigned int done = 0; done < region->height;) {
        JSAMPROW line = output->pixels + row * done;
        done += jpeg_read_scanlines(info, &line, 1);
    }
    return 1;
}

static int holds(const struct jpeg_decompress_struct *info, const Region *region)
{
    return region->height > 0 && region->width > 0 && region->top < info->output_height &&
           region->height <= info->output_height - region->top &&
           region->left < info->output_width &&
           region->width <= info->output_width - region->left;
}

static int decode_region(const unsigned char *data, size_t size, int ratio, int fast,
                         const Region *region, Output *output)
{
    Decoder decoder = {0};
    volatile int done = 0;

    prepare_errors(&decoder);
    if (setjmp(decoder.escape) == 0 && read_header(&decoder, data, size)) {
        if (start_rows(&decoder, ratio, fast) && holds(&decoder.info, region)) {
            output->first = limit_columns(&decoder, region->left, region->width, &output->columns);
            done = read_rows(&decoder.info, region, output);
        }
    }
    jpeg_destroy_decompress(&decoder.info); /* finishing would read to the end */
    return done;
}

static PyObject *decode(PyObject *self, PyObject *arguments)
{
    (void)self;
    Py_buffer data, out;
    Region region;
    Output output = {0};
    int ratio, fast, done;

    if (!PyArg_ParseTuple(arguments, "y*ipIIIIw*", &data, &ratio, &fast, &region.top,
                          &region.left, &region.height, &region.width, &out))
        return NULL;
    output.pixels = out.buf;
    output.size = (size_t)out.len;
    Py_BEGIN_ALLOW_THREADS
    done = decode_region(data.buf, (size_t)data.len, ratio, fast, &region, &output);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    PyBuffer_Release(&out);
    if (!done)
        Py_RETURN_NONE;
    return Py_BuildValue("II", output.first, output.columns);
}

static size_t image_bytes(const Plan *plan)
{
    return 3 * (size_t)plan->side * (size_t)plan->side;
}

static int has_items_of(const Py_buffer *buffer, size_t bytes)
{
    return buffer->buf == NULL || buffer->itemsize == (Py_ssize_t)bytes;
}

/* Whether the memory is of the right types, and holds what `count` images take. */
static int is_enough(const Plan *plan, Py_ssize_t count, const Py_buffer *crops,
                     const Py_buffer *out)
{
    size_t images = (size_t)count;

    if (!has_items_of(out, 1) || !has_items_of(crops, sizeof(float))) {
        PyErr_SetString(PyExc_TypeError, "out must be uint8 and crops float32");
        return 0;
    }
    if (plan->side > 0 && (size_t)out->len / image_bytes(plan) >= images &&
        (crops->buf == NULL || (size_t)crops->len / (CROP_VALUES * sizeof(float)) >= images))
        return 1;
    PyErr_SetString(PyExc_ValueError, "out or crops are too small for the images");
    return 0;
}

static PyObject *fit(PyObject *self, PyObject *arguments)
{
    (void)self;
    Py_buffer data, crop, out;
    Plan plan;
    int done = -1;

    if (!PyArg_ParseTuple(arguments, "y*(iippK)z*w*", &data, &plan.side, &plan.fit,
                          &plan.bilinear, &plan.fast, &plan.most_pixels, &crop, &out))
        return NULL;
    if (is_enough(&plan, 1, &crop, &out)) {
        Py_BEGIN_ALLOW_THREADS
        done = decode_resized(data.buf, (size_t)data.len, &plan, crop.buf, out.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&crop);
    PyBuffer_Release(&out);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

/* Images `first` to `last` of a batch: how they are made, where they go, and which are done. */
typedef struct {
    Plan plan;
    Py_buffer crops, out;
    Py_ssize_t first, last;
    char *done;
} Piece;

static int begin_piece(Piece *piece)
{
    if (piece->first < 0 || piece->first > piece->last) {
        PyErr_SetString(PyExc_ValueError, "first and last must be places in the batch");
        return 0;
    }
    if (!is_enough(&piece->plan, piece->last, &piece->crops, &piece->out))
        return 0;
    piece->done = PyMem_Calloc((size_t)(piece->last - piece->first) + 1, 1);
    if (piece->done == NULL)
        PyErr_NoMemory();
    return piece->done != NULL;
}

static void decode_into(Piece *piece, Py_ssize_t number, const unsigned char *data, size_t size)
{
    const float *crops = piece->crops.buf;
    unsigned char *out = piece->out.buf;

    piece->done[number - piece->first] =
        decode_resized(data, size, &piece->plan,
                       crops == NULL ? NULL : crops + CROP_VALUES * (size_t)number,
                       out + image_bytes(&piece->plan) * (size_t)number) != 0;
}

static PyObject *undone(const Piece *piece)
{
    PyObject *numbers = PyList_New(0);

    for (Py_ssize_t i = piece->first; numbers != NULL && i < piece->last; i++) {
        PyObject *number;
        if (piece->done[i - piece->first])
            continue;
        number = PyLong_FromSsize_t(i);
        if (number == NULL || PyList_Append(numbers, number) < 0)
            Py_CLEAR(numbers);
        Py_XDECREF(number);
    }
    return numbers;
}

static void end_piece(Piece *piece)
{
    PyMem_Free(piece->done);
    PyBuffer_Release(&piece->crops);
    PyBuffer_Release(&piece->out);
}

/* The paths belong to the list; an address that is no path becomes NULL. */
static const char **paths_of(PyObject *list, const Piece *piece)
{
    const char **paths = PyMem_Calloc((size_t)(piece->last - piece->first) + 1, sizeof(char *));

    if (paths == NULL)
        return (const char **)PyErr_NoMemory();
    for (Py_ssize_t i = piece->first; i < piece->last; i++) {
        PyObject *path = PyList_GetItem(list, i);
        char *text = path == NULL ? NULL : PyBytes_AsString(path);
        if (text == NULL) {
            PyMem_Free(paths);
            return NULL;
        }
        paths[i - piece->first] = strlen(text) == (size_t)PyBytes_Size(path) ? text : NULL;
    }
    return paths;
}

static void fill_from_files(Piece *piece, const char **paths, const Py_buffer *memory,
                            const unsigned char *stop)
{
    for (Py_ssize_t i = piece->first; i < piece->last; i++) {
        Content content = {memory->buf, (size_t)memory->len, 0, NULL};
        const char *path = paths[i - piece->first];

        if (__atomic_load_n(stop, __ATOMIC_RELAXED))
            break;
        if (path != NULL && read_jpeg(path, &content))
            decode_into(piece, i, content.data, content.size);
        release(&content);
    }
}

static PyObject *fill(PyObject *self, PyObject *arguments)
{
    (void)self;
    Py_buffer memory, stop;
    Piece piece = {.done = NULL};
    Plan *plan = &piece.plan;
    const char **paths = NULL;
    PyObject *list, *numbers = NULL;

    if (!PyArg_ParseTuple(arguments, "O!nn(iippK)z*w*y*w*", &PyList_Type, &list, &piece.first,
                          &piece.last, &plan->side, &plan->fit, &plan->bilinear, &plan->fast,
                          &plan->most_pixels, &piece.crops, &memory, &stop, &piece.out))
        return NULL;
    if (stop.len < 1)
        PyErr_SetString(PyExc_ValueError, "stop must be a byte");
    else if (begin_piece(&piece))
        paths = paths_of(list, &piece);
    if (paths != NULL) {
        Py_BEGIN_ALLOW_THREADS
        fill_from_files(&piece, paths, &memory, stop.buf);
        Py_END_ALLOW_THREADS
        numbers = undone(&piece);
        PyMem_Free(paths);
    }
    end_piece(&piece);
    PyBuffer_Release(&memory);
    PyBuffer_Release(&stop);
    return numbers;
}

/* Whether there is a length for each image, and `data` holds as many bytes. */
static int holds_all(const Piece *piece, const Py_buffer *data, const Py_buffer *lengths)
{
    const int64_t *length = lengths->buf;
    int64_t left = data->len;

    if (lengths->len / (Py_ssize_t)sizeof(int64_t) < piece->last)
        left = -1;
    for (Py_ssize_t i = piece->first; left >= 0 && i < piece->last; i++)
        left = length[i] < 0 || length[i] > left ? -1 : left - length[i];
    if (left < 0)
        PyErr_SetString(PyExc_ValueError, "data or lengths are too small for the images");
    return left >= 0;
}

static void fit_all(Piece *piece, const unsigned char *data, const int64_t *lengths)
{
    for (Py_ssize_t i = piece->first; i < piece->last; data += lengths[i++])
        decode_into(piece, i, data, (size_t)lengths[i]);
}

static PyObject *fit_several(PyObject *self, PyObject *arguments)
{
    (void)self;
    Py_buffer data, lengths;
    Piece piece = {.done = NULL};
    Plan *plan = &piece.plan;
    PyObject *numbers = NULL;

    if (!PyArg_ParseTuple(arguments, "y*y*nn(iippK)z*w*", &data, &lengths, &piece.first,
                          &piece.last, &plan->side, &plan->fit, &plan->bilinear, &plan->fast,
                          &plan->most_pixels, &piece.crops, &piece.out))
        return NULL;
    if (begin_piece(&piece) && holds_all(&piece, &data, &lengths)) {
        Py_BEGIN_ALLOW_THREADS
        fit_all(&piece, data.buf, lengths.buf);
        Py_END_ALLOW_THREADS
        numbers = undone(&piece);
    }
    end_piece(&piece);
    PyBuffer_Release(&data);
    PyBuffer_Release(&lengths);
    return numbers;
}

static PyMethodDef methods[] = {
    {"decode", decode, METH_VARARGS, "Decode a rectangle of a JPEG."},
    {"fit", fit, METH_VARARGS, "Decode and resize a JPEG."},
    {"fill", fill, METH_VARARGS, "Read, decode and resize JPEG files of a batch."},
    {"fit_several", fit_several, METH_VARARGS, "Decode and resize JPEGs of a batch."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_jpeg",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__jpeg(void)
{
    return PyModule_Create(&module);
}
