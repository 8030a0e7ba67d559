/* Sources of images as Python holds them: capsules with the memory that is read. */
#ifndef FEEDBENCH_SOURCES_H
#define FEEDBENCH_SOURCES_H

#include "module.h"

#include "images.h"

/* The source in a capsule; NULL, with an error of Python, if it is another one. */
const Source *source_in(PyObject *capsule);

PyObject *from_files(PyObject *self, PyObject *arguments);
PyObject *from_pack(PyObject *self, PyObject *arguments);
PyObject *from_memory(PyObject *self, PyObject *arguments);

#endif
