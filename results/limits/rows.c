/* Ways to bring random rows of a file in the page cache into batches: CPU time per row.
 *
 * cc -O2 -o rows rows.c && ./rows FOLDER      writes and removes two files of 460 MB in FOLDER
 *
 * A row has the bytes of an image of 224 px. Eight batches of 32 rows are filled in turn.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ROW = 150528, BATCH = 32, BATCHES = 8, ROWS = 3072, REPEATS = 15, HUGE_PAGE = 1 << 21 };

typedef struct {
    int file;
    char *map;
} Opened;

static char *memory;
static int order[ROWS];
static struct {
    int file;
    unsigned *tail, *mask, *array, *done, *finished;
    struct io_uring_sqe *entries;
} ring;

static void check(int is_right, const char *what)
{
    if (!is_right) {
        perror(what);
        exit(1);
    }
}

static double now_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static char *touched(size_t size, int advice)
{
    char *begin = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    check(begin != MAP_FAILED, "mmap");
    begin = (char *)(((size_t)begin + HUGE_PAGE - 1) & -(size_t)HUGE_PAGE);
    madvise(begin, size, advice);
    return memset(begin, 1, size);
}

static Opened written(const char *folder, size_t piece)
{
    size_t size = (size_t)ROWS * ROW;
    char path[4096];
    Opened opened;

    snprintf(path, sizeof path, "%s/rows-%zu", folder, piece);
    opened.file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    check(opened.file >= 0, path);
    unlink(path);
    for (size_t done = 0; done < size; done += piece) {
        size_t length = piece < size - done ? piece : size - done;
        check(pwrite(opened.file, memory + done, length, done) == (ssize_t)length, path);
    }
    check(fsync(opened.file) == 0, path);
    opened.map = mmap(NULL, size, PROT_READ, MAP_SHARED, opened.file, 0);
    check(opened.map != MAP_FAILED, path);
    return opened;
}

static int open_ring(void)
{
    struct io_uring_params p = {0};
    int rights = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
    char *submitted, *completed;

    ring.file = (int)syscall(SYS_io_uring_setup, 2 * BATCH, &p);
    if (ring.file < 0)
        return 0;
    submitted = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned), rights, flags,
                     ring.file, IORING_OFF_SQ_RING);
    completed = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), rights,
                     flags, ring.file, IORING_OFF_CQ_RING);
    ring.entries = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), rights, flags, ring.file,
                        IORING_OFF_SQES);
    ring.tail = (unsigned *)(submitted + p.sq_off.tail);
    ring.mask = (unsigned *)(submitted + p.sq_off.ring_mask);
    ring.array = (unsigned *)(submitted + p.sq_off.array);
    ring.done = (unsigned *)(completed + p.cq_off.head);
    ring.finished = (unsigned *)(completed + p.cq_off.tail);
    return 1;
}

static void by_ring(const Opened *from, char *batch, const int *rows)
{
    for (unsigned i = 0; i < BATCH; i++) {
        unsigned place = (*ring.tail + i) & *ring.mask;
        struct io_uring_sqe *entry = ring.entries + place;

        memset(entry, 0, sizeof *entry);
        entry->opcode = IORING_OP_READ;
        entry->fd = from->file;
        entry->addr = (size_t)(batch + (size_t)i * ROW);
        entry->len = ROW;
        entry->off = (size_t)rows[i] * ROW;
        ring.array[place] = place;
    }
    __atomic_store_n(ring.tail, *ring.tail + BATCH, __ATOMIC_RELEASE);
    check(syscall(SYS_io_uring_enter, ring.file, BATCH, BATCH, IORING_ENTER_GETEVENTS, NULL, 0) ==
              BATCH, "io_uring_enter");
    __atomic_store_n(ring.done, *ring.finished, __ATOMIC_RELEASE);
}

static void from_memory(const Opened *from, char *into, size_t at)
{
    (void)from;
    memcpy(into, memory + at, ROW);
}

static void from_map(const Opened *from, char *into, size_t at)
{
    memcpy(into, from->map + at, ROW);
}

static void from_populated_map(const Opened *from, char *into, size_t at)
{
    size_t begin = at & -(size_t)4096;

    check(madvise(from->map + begin, at + ROW - begin, MADV_POPULATE_READ) == 0, "madvise");
    memcpy(into, from->map + at, ROW);
}

static void by_pread(const Opened *from, char *into, size_t at)
{
    check(pread(from->file, into, ROW, at) == ROW, "pread");
}

static const struct {
    const char *name;
    void (*read)(const Opened *, char *, size_t);
} ways[] = {
    {"a copy in memory", from_memory},
    {"`pread`", by_pread},
    {"io_uring, 32 rows at a time", NULL},
    {"a copy of a mapped file", from_map},
    {"the same, `MADV_POPULATE_READ` before each row", from_populated_map},
};
enum { WAYS = sizeof ways / sizeof *ways };

static double us_per_row(int way, const Opened *from, char *into)
{
    double begin = now_us();

    for (int number = 0; number < ROWS / BATCH; number++) {
        char *batch = into + (size_t)(number % BATCHES) * BATCH * ROW;
        const int *rows = order + number * BATCH;

        if (ways[way].read == NULL)
            by_ring(from, batch, rows);
        else
            for (int i = 0; i < BATCH; i++)
                ways[way].read(from, batch + (size_t)i * ROW, (size_t)rows[i] * ROW);
    }
    return (now_us() - begin) / ROWS;
}

static int by_size(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

int main(int count, char **words)
{
    size_t batches = (size_t)BATCHES * BATCH * ROW;
    static double times[WAYS][4][REPEATS];
    Opened files[2];
    char *into[2];
    int has_ring;

    check(count == 2, "usage: rows FOLDER");
    memory = touched((size_t)ROWS * ROW, MADV_HUGEPAGE);
    files[0] = written(words[1], ROW);
    files[1] = written(words[1], 1 << 22);
    into[0] = touched(batches, MADV_NOHUGEPAGE);
    into[1] = touched(batches, MADV_HUGEPAGE);
    has_ring = open_ring();
    for (int i = 0; i < ROWS; i++) {
        int other = rand() % (i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    for (int repeat = 0; repeat < REPEATS; repeat++)
        for (int way = 0; way < WAYS; way++)
            for (int kind = 0; kind < 4; kind++)
                if (ways[way].read != NULL || has_ring)
                    times[way][kind][repeat] = us_per_row(way, files + kind % 2, into[kind / 2]);
    puts("| | batches in small pages, file written row by row | file written in 4 MB | batches in "
         "huge pages, file written row by row | file written in 4 MB |\n|---|---|---|---|---|");
    for (int way = 0; way < WAYS; way++) {
        printf("| %s |", ways[way].name);
        for (int kind = 0; kind < 4; kind++) {
            qsort(times[way][kind], REPEATS, sizeof(double), by_size);
            printf(" %.1f |", times[way][kind][REPEATS / 2]);
        }
        puts("");
    }
    return 0;
}
