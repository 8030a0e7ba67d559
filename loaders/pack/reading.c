/* Reads rows of a pack into a batch, one after the other, and lets go of Python's lock only once.
 *
 * read(files, offsets, lengths, first, last, out) -> number of rows read
 *
 * One item per row of a batch: its open file (int32), the offset of its bytes and their number
 * (int64 each). Of these, the rows `first` to `last` are read. Each follows the one before in `out`.
 * It ends before the first row that cannot be read whole; what is wrong with that one, the caller
 * finds out by reading it alone.
 */
#define _FILE_OFFSET_BITS 64
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

typedef struct {
    Py_buffer files, offsets, lengths, out;
    Py_ssize_t first, last;
} Arguments;

static int read_row(int file, int64_t offset, int64_t length, char *into)
{
    while (length > 0) {
        ssize_t count = pread(file, into, (size_t)length, (off_t)offset);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return 0;
        into += count;
        offset += count;
        length -= count;
    }
    return 1;
}

static Py_ssize_t read_rows(const Arguments *given)
{
    const int32_t *files = given->files.buf;
    const int64_t *offsets = given->offsets.buf, *lengths = given->lengths.buf;
    char *into = given->out.buf;
    int64_t room = given->out.len;
    Py_ssize_t row = given->first;

    for (; row < given->last; row++) {
        if (lengths[row] < 0 || lengths[row] > room)
            break;
        if (!read_row(files[row], offsets[row], lengths[row], into))
            break;
        into += lengths[row];
        room -= lengths[row];
    }
    return row - given->first;
}

static int are_rows(const Arguments *given)
{
    Py_ssize_t rows = given->files.len / (Py_ssize_t)sizeof(int32_t);

    return given->offsets.len == rows * (Py_ssize_t)sizeof(int64_t) &&
           given->lengths.len == given->offsets.len && given->first >= 0 &&
           given->first <= given->last && given->last <= rows;
}

static PyObject *read_(PyObject *self, PyObject *arguments)
{
    (void)self;
    Arguments given;
    Py_ssize_t done = -1;

    if (!PyArg_ParseTuple(arguments, "y*y*y*nnw*", &given.files, &given.offsets, &given.lengths,
                          &given.first, &given.last, &given.out))
        return NULL;
    if (are_rows(&given)) {
        Py_BEGIN_ALLOW_THREADS
        done = read_rows(&given);
        Py_END_ALLOW_THREADS
    } else {
        PyErr_SetString(PyExc_ValueError, "files, offsets and lengths must have one item per row");
    }
    PyBuffer_Release(&given.files);
    PyBuffer_Release(&given.offsets);
    PyBuffer_Release(&given.lengths);
    PyBuffer_Release(&given.out);
    return done < 0 ? NULL : PyLong_FromSsize_t(done);
}

static PyMethodDef methods[] = {
    {"read", read_, METH_VARARGS, "Read rows of files into one piece of memory."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_reading",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__reading(void)
{
    return PyModule_Create(&module);
}
