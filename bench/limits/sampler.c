/* Notes, once in a while of each thread's CPU time, whether the thread holds Python's lock.
 *
 * start(most)     begin, with room for so many samples
 * watch(thread)   sample a thread, by the number that the kernel gives it; False if it has ended
 * hold(lock)      note that the calling thread holds a lock of this number: returns a place, or 0 if
 *                 the thread holds another one already
 * let_go(place)   note that the thread of this place holds no lock any more
 * stop()          end, and return the samples as bytes
 *
 * A sample is two int32: the thread, and twice the number of its lock, plus 1 if it holds Python's.
 *
 * A timer for each thread counts the CPU time of that thread alone and interrupts it where it is.
 * So neither the time in which a thread waits nor other programs count. The kernel looks at these
 * timers at its own ticks, 100 to 1,000 times a second.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define PERIOD_NS 1000000
#define PLACES 65536 /* of threads; two whose numbers differ by a multiple of it share one */

/* Every version exports it, though it is not declared for the stable interface. */
PyAPI_FUNC(int) PyGILState_Check(void);

typedef struct {
    int32_t thread, state;
} Sample;

static Sample *samples;
static atomic_size_t taken;
static size_t room;
static atomic_int locks[PLACES]; /* the lock that each thread holds */
static timer_t *timers;
static size_t timer_count, timer_room;
static _Thread_local int own_place;

static int place_of(int thread)
{
    return 1 + thread % (PLACES - 1);
}

static void note(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    int before = errno, thread = info->si_value.sival_int;
    size_t index = atomic_fetch_add(&taken, 1);

    if (index < room)
        samples[index] = (Sample){
            thread, 2 * atomic_load(&locks[place_of(thread)]) + PyGILState_Check()};
    errno = before;
}

static PyObject *start_(PyObject *self, PyObject *most)
{
    (void)self;
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    Py_ssize_t count = PyLong_AsSsize_t(most);
    Sample *made;

    if (count < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "most must be positive");
    made = calloc((size_t)count, sizeof *made);
    if (made == NULL)
        return PyErr_NoMemory();
    free(samples);
    samples = made;
    atomic_store(&taken, 0);
    room = (size_t)count;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGPROF, &action, NULL))
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static int has_room_for_timer(void)
{
    size_t more = timer_room ? 2 * timer_room : 64;
    timer_t *larger;

    if (timer_count < timer_room)
        return 1;
    larger = realloc(timers, more * sizeof *larger);
    if (larger == NULL)
        return 0;
    timers = larger;
    timer_room = more;
    return 1;
}

static clockid_t clock_of(int thread)
{
    return (clockid_t)((~(unsigned)thread << 3) | 6); /* the kernel's way to name a thread's clock */
}

static PyObject *watch_(PyObject *self, PyObject *number)
{
    (void)self;
    struct itimerspec period = {{0, PERIOD_NS}, {0, PERIOD_NS}};
    struct sigevent event;
    int thread = (int)PyLong_AsLong(number);

    if (thread == -1 && PyErr_Occurred())
        return NULL;
    if (!has_room_for_timer())
        return PyErr_NoMemory();
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
    event.sigev_value.sival_int = thread;
    event.sigev_notify_thread_id = thread;
    if (timer_create(clock_of(thread), &event, &timers[timer_count])) {
        if (errno == EINVAL || errno == ESRCH)
            Py_RETURN_FALSE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    timer_count++;
    if (timer_settime(timers[timer_count - 1], 0, &period, NULL))
        Py_RETURN_FALSE;
    Py_RETURN_TRUE;
}

static PyObject *hold_(PyObject *self, PyObject *lock)
{
    (void)self;
    int none = 0, number = (int)PyLong_AsLong(lock);

    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (!own_place)
        own_place = place_of((int)syscall(SYS_gettid));
    if (!atomic_compare_exchange_strong(&locks[own_place], &none, number))
        return PyLong_FromLong(0);
    return PyLong_FromLong(own_place);
}

static PyObject *let_go_(PyObject *self, PyObject *place)
{
    (void)self;
    long number = PyLong_AsLong(place);

    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (number > 0 && number < PLACES)
        atomic_store(&locks[number], 0);
    Py_RETURN_NONE;
}

static PyObject *stop_(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    size_t count;

    while (timer_count)
        timer_delete(timers[--timer_count]);
    signal(SIGPROF, SIG_IGN); /* one may be on its way, and would end the process */
    count = atomic_load(&taken) < room ? atomic_load(&taken) : room;
    room = 0;
    return PyBytes_FromStringAndSize((const char *)samples, (Py_ssize_t)(count * sizeof *samples));
}

static PyMethodDef methods[] = {
    {"start", start_, METH_O, "Begin, with room for so many samples."},
    {"watch", watch_, METH_O, "Sample a thread; False if it has ended."},
    {"hold", hold_, METH_O, "Note that this thread holds a lock; return a place, or 0."},
    {"let_go", let_go_, METH_O, "Note that the thread of a place holds no lock any more."},
    {"stop", stop_, METH_NOARGS, "End, and return the samples."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_sampler",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__sampler(void)
{
    return PyModule_Create(&module);
}
