/* The stable interface of Python, for each file that needs it. */
#ifndef FEEDBENCH_MODULE_H
#define FEEDBENCH_MODULE_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#endif
