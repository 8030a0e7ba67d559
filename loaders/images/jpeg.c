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
 * decoder
 *     A capsule of the C function that `fit` calls, for the module that fills batches.
 *
 * plan: side, how it becomes square (0 stretch, 1 crop, 2 pad), bilinear, fast, most pixels.
 * crop: float32, the values of a random-resized crop, or None.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "decoder.h"
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

/* Whether the memory is of the right types, and holds what an image takes. */
static int is_enough(const Plan *plan, const Py_buffer *crop, const Py_buffer *out)
{
    if (!has_items_of(out, 1) || !has_items_of(crop, sizeof(float))) {
        PyErr_SetString(PyExc_TypeError, "out must be uint8 and crop float32");
        return 0;
    }
    if (plan->side > 0 && (size_t)out->len >= image_bytes(plan) &&
        (crop->buf == NULL || (size_t)crop->len >= CROP_VALUES * sizeof(float)))
        return 1;
    PyErr_SetString(PyExc_ValueError, "out or crop is too small");
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
    if (is_enough(&plan, &crop, &out)) {
        Py_BEGIN_ALLOW_THREADS
        done = decode_resized(data.buf, (size_t)data.len, &plan, crop.buf, out.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&crop);
    PyBuffer_Release(&out);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

static PyMethodDef methods[] = {
    {"decode", decode, METH_VARARGS, "Decode a rectangle of a JPEG."},
    {"fit", fit, METH_VARARGS, "Decode and resize a JPEG."},
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
    PyObject *made = PyModule_Create(&module);
    PyObject *decoder = PyCapsule_New((void *)decode_resized, DECODER, NULL);

    if (made != NULL && PyModule_AddObjectRef(made, "decoder", decoder) < 0)
        Py_CLEAR(made);
    Py_XDECREF(decoder);
    return made;
}
