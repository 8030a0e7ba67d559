/* Threads of Python that make the images of batches in C, without Python's lock.
 *
 * queue(threads, most) -> queue
 *     Of batches; a thread takes at most so many images at a time.
 * put(queue, batch, images, by_python, complete, source, rows, paths, crops, out)
 *     Append a batch of so many images. Python gets each piece of it (`by_python`), or the whole at
 *     the end (`complete`). source: one of those below; None if Python makes all images. rows
 *     (int64), paths (bytes) and crops (float32), which may be None, have one item per image; `out`
 *     holds the images.
 * wait(queue) -> bool
 *     Until the oldest batch is done, which is removed, or has failed. False if the queue is stopped.
 * stop(queue)
 *     Let all threads return.
 * clear(queue)
 *     Free the batches, after the threads have ended. Without it, an error that a batch holds may keep
 *     the queue alive: its traceback leads to the worker, and Python finds no cycle through a capsule.
 * worker(queue) -> worker
 *     What one thread keeps.
 * take(worker) -> task, or None
 *     End the last task, and make images until there is one for Python: (batch, (first, last),
 *     [places that were not made]), or (batch, None, None) for a batch to be completed. None if the
 *     queue is stopped.
 * fail(worker)
 *     Give up the batch of the last task.
 *
 * from_files(decoder, plan) -> source
 * from_pack(index, positions, files, checked, decoder, plan) -> source
 *     Without a decoder, the rows of the pack are the pixels.
 * from_memory(images, rows) -> source
 *     So many rows of memory.
 */
#include "module.h"

#include <stdlib.h>

#include "crc32.h"
#include "filling.h"
#include "sources.h"

#define QUEUE "feedbench.loaders.pool.queue"
#define WORKER "feedbench.loaders.pool.worker"
#define FILE_BYTES (1 << 20) /* kept per thread for the bytes of a file */
#define LOOK_MS 100 /* how often a thread that waits for a batch looks for signals */

typedef struct {
    Queue *queue;
    PyObject *owner; /* of the queue */
    Piece piece;
    unsigned char *memory;
    long *left, left_count;
} Worker;

static Queue *queue_in(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, QUEUE);
}

static void free_batches(Queue *queue)
{
    for (Batch *batch = take_all(queue), *later; batch != NULL; batch = later) {
        later = batch->later;
        free_filling((Filling *)batch);
    }
}

static void free_queue(PyObject *capsule)
{
    Queue *queue = queue_in(capsule);

    free_batches(queue);
    free(queue);
}

static PyObject *queue_(PyObject *self, PyObject *arguments)
{
    (void)self;
    long threads, most;
    Queue *queue;

    if (!PyArg_ParseTuple(arguments, "ll", &threads, &most))
        return NULL;
    if (threads < 1 || most < 1)
        return PyErr_Format(PyExc_ValueError, "threads and most must be at least 1");
    queue = calloc(1, sizeof *queue);
    if (queue == NULL || !begin_queue(queue, threads, most)) {
        free(queue);
        return PyErr_NoMemory();
    }
    return PyCapsule_New(queue, QUEUE, free_queue);
}

static PyObject *put(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *capsule, *object, *source, *paths;
    Filling *filling = calloc(1, sizeof *filling);
    Queue *queue = NULL;

    if (filling == NULL)
        return PyErr_NoMemory();
    if (PyArg_ParseTuple(arguments, "OOlppOy*Oz*w*", &capsule, &object, &filling->batch.images,
                         &filling->by_python, &filling->batch.to_complete, &source,
                         &filling->rows, &paths, &filling->crops, &filling->out)) {
        filling->object = Py_NewRef(object);
        filling->source = Py_NewRef(source);
        filling->paths = Py_NewRef(paths);
        filling->from = source == Py_None ? NULL : source_in(source);
        queue = PyErr_Occurred() ? NULL : queue_in(capsule);
    }
    if (queue == NULL || !prepare_filling(filling)) {
        free_filling(filling);
        return NULL;
    }
    add_batch(queue, &filling->batch);
    Py_RETURN_NONE;
}

static PyObject *wait_(PyObject *self, PyObject *capsule)
{
    (void)self;
    Queue *queue = queue_in(capsule);
    Batch *done = NULL;
    int state;

    if (queue == NULL)
        return NULL;
    state = await_oldest(queue, 0, &done);
    while (state == BUSY) {
        Py_BEGIN_ALLOW_THREADS
        state = await_oldest(queue, LOOK_MS, &done);
        Py_END_ALLOW_THREADS
        if (state == BUSY && PyErr_CheckSignals())
            return NULL;
    }
    if (done != NULL)
        free_filling((Filling *)done);
    return PyBool_FromLong(state != STOPPED);
}

static PyObject *stop(PyObject *self, PyObject *capsule)
{
    (void)self;
    Queue *queue = queue_in(capsule);

    if (queue == NULL)
        return NULL;
    stop_queue(queue);
    Py_RETURN_NONE;
}

static PyObject *clear(PyObject *self, PyObject *capsule)
{
    (void)self;
    Queue *queue = queue_in(capsule);

    if (queue == NULL)
        return NULL;
    free_batches(queue);
    Py_RETURN_NONE;
}

static void free_worker(PyObject *capsule)
{
    Worker *worker = PyCapsule_GetPointer(capsule, WORKER);

    Py_DECREF(worker->owner);
    free(worker->memory);
    free(worker->left);
    free(worker);
}

static PyObject *worker_(PyObject *self, PyObject *owner)
{
    (void)self;
    Queue *queue = queue_in(owner);
    Worker *worker = queue == NULL ? NULL : calloc(1, sizeof *worker);
    PyObject *capsule;

    if (queue == NULL)
        return NULL;
    if (worker == NULL)
        return PyErr_NoMemory();
    worker->queue = queue;
    worker->owner = Py_NewRef(owner);
    worker->memory = malloc(FILE_BYTES);
    worker->left = calloc((size_t)queue->most, sizeof *worker->left);
    capsule = PyCapsule_New(worker, WORKER, free_worker); /* which frees all of it */
    if (capsule == NULL || worker->memory == NULL || worker->left == NULL) {
        Py_CLEAR(capsule);
        return PyErr_NoMemory();
    }
    return capsule;
}

static int load(const Worker *worker, const Filling *filling, long place)
{
    Content content = {worker->memory, FILE_BYTES, 0, NULL};
    const Source *from = filling->from;
    int done = from != NULL && from->load(from, &filling->wanted, place, &content);

    release(&content);
    return done;
}

/* Make the images of a piece; returns whether Python has a part in it. */
static int load_piece(Worker *worker)
{
    const Filling *filling = (Filling *)worker->piece.batch;

    worker->left_count = 0;
    for (long i = worker->piece.first; i < worker->piece.last && !is_stopped(worker->queue); i++)
        if (!load(worker, filling, i))
            worker->left[worker->left_count++] = i;
    if (worker->left_count > 0) /* if one of them fails, another row takes its place */
        complete_later(worker->queue, worker->piece.batch);
    return worker->left_count > 0 || filling->by_python;
}

static PyObject *places_left(const Worker *worker)
{
    PyObject *places = PyList_New(0);

    for (long i = 0; places != NULL && i < worker->left_count; i++) {
        PyObject *place = PyLong_FromLong(worker->left[i]);
        if (place == NULL || PyList_Append(places, place) < 0)
            Py_CLEAR(places);
        Py_XDECREF(place);
    }
    return places;
}

static PyObject *take(PyObject *self, PyObject *capsule)
{
    (void)self;
    Worker *worker = PyCapsule_GetPointer(capsule, WORKER);
    PyObject *object;
    Piece *piece;
    int goes_on;

    if (worker == NULL)
        return NULL;
    piece = &worker->piece;
    Py_BEGIN_ALLOW_THREADS
    do
        goes_on = next_piece(worker->queue, piece);
    while (goes_on && !piece->completes && !load_piece(worker));
    Py_END_ALLOW_THREADS
    if (!goes_on)
        Py_RETURN_NONE;
    object = ((Filling *)piece->batch)->object;
    if (piece->completes)
        return Py_BuildValue("(OOO)", object, Py_None, Py_None);
    return Py_BuildValue("(O(ll)N)", object, piece->first, piece->last, places_left(worker));
}

static PyObject *fail(PyObject *self, PyObject *capsule)
{
    (void)self;
    Worker *worker = PyCapsule_GetPointer(capsule, WORKER);

    if (worker == NULL)
        return NULL;
    if (worker->piece.batch == NULL)
        return PyErr_Format(PyExc_ValueError, "this worker has no task");
    fail_batch(worker->queue, &worker->piece);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"queue", queue_, METH_VARARGS, "Begin a queue of batches."},
    {"put", put, METH_VARARGS, "Append a batch."},
    {"wait", wait_, METH_O, "Wait for the oldest batch; False if the queue is stopped."},
    {"stop", stop, METH_O, "Let all threads return."},
    {"clear", clear, METH_O, "Free the batches, after the threads have ended."},
    {"worker", worker_, METH_O, "Return what one thread keeps."},
    {"take", take, METH_O, "Make images until there is a task for Python."},
    {"fail", fail, METH_O, "Give up the batch of the last task."},
    {"from_files", from_files, METH_VARARGS, "Return a source of JPEG files."},
    {"from_pack", from_pack, METH_VARARGS, "Return a source of the rows of a pack."},
    {"from_memory", from_memory, METH_VARARGS, "Return a source of rows in memory."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_pool",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__pool(void)
{
    begin_crc32();
    return PyModule_Create(&module);
}
