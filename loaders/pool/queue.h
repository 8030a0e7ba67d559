/* Batches whose images several threads make, those of the oldest batch first.
 *
 * A thread takes some images at a time: fewer, the fewer of the batch are left, so that none of the
 * others waits long for the last ones. Source: guided self-scheduling, Polychronopoulos and Kuck,
 * IEEE Transactions on Computers C-36 (1987).
 */
#ifndef FEEDBENCH_QUEUE_H
#define FEEDBENCH_QUEUE_H

#include <pthread.h>

typedef struct Batch {
    struct Batch *later;
    long images, next, unfinished; /* `next` is the first one that no thread has taken */
    int to_complete;               /* whether a thread has to complete it once all are made */
    int is_done, has_failed;
} Batch;

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t has_images, has_result;
    Batch *oldest, *newest;
    Batch *open; /* no batch before this one has images that no thread has taken */
    long threads, most;
    int is_stopped;
} Queue;

/* What a thread works on: images `first` to `last`, or the completion of a batch. */
typedef struct {
    Batch *batch; /* NULL at first */
    long first, last;
    int completes;
} Piece;

/* most: images that a thread takes at a time. Returns 0 if the system refuses. */
int begin_queue(Queue *queue, long threads, long most);

/* Set `images` and `to_complete` before, and all else to 0. */
void add_batch(Queue *queue, Batch *batch);

/* End a thread's piece and wait for its next one. Returns 0 once the queue is stopped. */
int next_piece(Queue *queue, Piece *piece);

/* Whether a thread that is at work must end. */
int is_stopped(const Queue *queue);

/* No further image of the piece's batch is made, and nobody waits for it any more. */
void fail_batch(Queue *queue, const Piece *piece);

/* A batch that was not to be completed will be. */
void complete_later(Queue *queue, Batch *batch);

enum { BUSY, DONE, FAILED, STOPPED };

/* How far the oldest batch is, after at most this time; one that is done is taken out and returned,
 * one that has failed stays: other threads may be writing to it. */
int await_oldest(Queue *queue, long milliseconds, Batch **done);

void stop_queue(Queue *queue);

/* Take out all batches and return the oldest. No lock is taken: the threads have ended, or are those
 * of the process that this one was forked from, where one of them may have held it. */
Batch *take_all(Queue *queue);

#endif
