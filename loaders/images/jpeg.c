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
 * fill(paths, plan, crops, memory, out) -> list
 *     The same for each of some files, in one call and without Python's lock; returns the numbers
 *     of those that were not written. `memory` takes the bytes of a file.
 *
 * plan: side, how it becomes square (0 stretch, 1 crop, 2 pad), bilinear, fast, most pixels.
 * crop, crops: float32, the values of one or of several random-resized crops, or None.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

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

/* Whether the memory holds what `count` images take. */
static int is_enough(const Plan *plan, Py_ssize_t count, const Py_buffer *crops,
                     const Py_buffer *out)
{
    size_t images = (size_t)count;

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

typedef struct {
    const char *path; /* NULL for an address that is no path */
    int done;
} File;

/* The paths belong to the list. */
static File *files_of(PyObject *paths)
{
    Py_ssize_t count = PyList_Size(paths);
    File *files = PyMem_Calloc((size_t)count + 1, sizeof(File));

    if (files == NULL)
        return (File *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *path = PyList_GetItem(paths, i);
        char *text = PyBytes_AsString(path);
        if (text == NULL) {
            PyMem_Free(files);
            return NULL;
        }
        files[i].path = strlen(text) == (size_t)PyBytes_Size(path) ? text : NULL;
    }
    return files;
}

static PyObject *undone(const File *files, Py_ssize_t count)
{
    PyObject *numbers = PyList_New(0);

    for (Py_ssize_t i = 0; numbers != NULL && i < count; i++) {
        PyObject *number = files[i].done ? NULL : PyLong_FromSsize_t(i);
        if (!files[i].done && (number == NULL || PyList_Append(numbers, number) < 0))
            Py_CLEAR(numbers);
        Py_XDECREF(number);
    }
    return numbers;
}

static void fill_all(File *files, Py_ssize_t count, const Plan *plan, const float *crops,
                     const Py_buffer *memory, unsigned char *out)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Content content = {memory->buf, (size_t)memory->len, 0, NULL};
        const float *crop = crops == NULL ? NULL : crops + CROP_VALUES * i;

        if (files[i].path != NULL && read_jpeg(files[i].path, &content))
            files[i].done = decode_resized(content.data, content.size, plan, crop,
                                           out + image_bytes(plan) * (size_t)i);
        release(&content);
    }
}

static PyObject *fill(PyObject *self, PyObject *arguments)
{
    (void)self;
    Py_buffer crops, memory, out;
    PyObject *paths, *numbers = NULL;
    File *files = NULL;
    Plan plan;

    if (!PyArg_ParseTuple(arguments, "O!(iippK)z*w*w*", &PyList_Type, &paths, &plan.side,
                          &plan.fit, &plan.bilinear, &plan.fast, &plan.most_pixels, &crops,
                          &memory, &out))
        return NULL;
    if (is_enough(&plan, PyList_Size(paths), &crops, &out))
        files = files_of(paths);
    if (files != NULL) {
        Py_ssize_t count = PyList_Size(paths);
        Py_BEGIN_ALLOW_THREADS
        fill_all(files, count, &plan, crops.buf, &memory, out.buf);
        Py_END_ALLOW_THREADS
        numbers = undone(files, count);
        PyMem_Free(files);
    }
    PyBuffer_Release(&crops);
    PyBuffer_Release(&memory);
    PyBuffer_Release(&out);
    return numbers;
}

static PyMethodDef methods[] = {
    {"decode", decode, METH_VARARGS, "Decode a rectangle of a JPEG."},
    {"fit", fit, METH_VARARGS, "Decode and resize a JPEG."},
    {"fill", fill, METH_VARARGS, "Read, decode and resize JPEG files."},
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
