/* Decodes a rectangle of a JPEG: columns and rows outside of it are not transformed, and what comes
 * below it is not even read. Of libjpeg-turbo's interfaces only this one, which needs setjmp and
 * the layout of a struct, can do it; so it cannot be called without a compiler.
 *
 * decode(data, ratio, fast, top, left, height, width, out) -> first column, columns; or None
 *
 * Rows of `columns` pixels of 3 bytes are written to `out`, the rectangle begins in column
 * `left - first column`. None: the file is damaged as far as it was read, its colours are not
 * those of a plain JPEG, or `out` is too small. The caller then decodes the whole file.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

/* Chroma is interpolated between neighbours: at the edge of what is decoded it would lack one. */
#define MARGIN 2

typedef struct {
    struct jpeg_error_mgr manager; /* first, so that libjpeg's pointer to it is one to the whole */
    jmp_buf escape;
} Errors;

typedef struct {
    unsigned int top, left, height, width;
} Region;

typedef struct {
    unsigned char *pixels;
    size_t size;
    JDIMENSION first, columns;
} Output;

static void leave(j_common_ptr info)
{
    longjmp(((Errors *)info->err)->escape, 1);
}

/* Damaged data is a warning, of level -1: Pillow then decides whether it may be ignored. */
static void leave_if_warned(j_common_ptr info, int level)
{
    if (level < 0)
        leave(info);
}

static int is_plain(const struct jpeg_decompress_struct *info)
{
    return info->jpeg_color_space == JCS_YCbCr || info->jpeg_color_space == JCS_GRAYSCALE ||
           info->jpeg_color_space == JCS_RGB;
}

static void limit_columns(struct jpeg_decompress_struct *info, const Region *region, Output *output)
{
    JDIMENSION first = region->left > MARGIN ? region->left - MARGIN : 0;
    JDIMENSION end = region->left + region->width + MARGIN;
    JDIMENSION columns = (end < info->output_width ? end : info->output_width) - first;

    jpeg_crop_scanline(info, &first, &columns); /* moves `first` to the left, to a block's edge */
    output->first = first;
    output->columns = columns;
}

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

static int begin(struct jpeg_decompress_struct *info, int ratio, int fast)
{
    jpeg_read_header(info, TRUE);
    if (!is_plain(info))
        return 0;
    info->out_color_space = JCS_RGB;
    info->scale_num = 1;
    info->scale_denom = (unsigned int)ratio;
    info->dct_method = fast ? JDCT_IFAST : JDCT_ISLOW;
    info->do_fancy_upsampling = fast ? FALSE : TRUE;
    jpeg_start_decompress(info);
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
    struct jpeg_decompress_struct info;
    Errors errors;
    volatile int done = 0;

    info.err = jpeg_std_error(&errors.manager);
    errors.manager.error_exit = leave;
    errors.manager.emit_message = leave_if_warned;
    if (setjmp(errors.escape)) {
        jpeg_destroy_decompress(&info);
        return 0;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, (unsigned char *)data, (unsigned long)size);
    if (begin(&info, ratio, fast) && holds(&info, region)) {
        limit_columns(&info, region, output);
        done = read_rows(&info, region, output);
    }
    jpeg_destroy_decompress(&info); /* without jpeg_finish_decompress, which reads to the end */
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

static PyMethodDef methods[] = {
    {"decode", decode, METH_VARARGS, "Decode a rectangle of a JPEG."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_region",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__region(void)
{
    return PyModule_Create(&module);
}
