#include "queue.h"

#include <stddef.h>
#include <time.h>

int begin_queue(Queue *queue, long threads, long most)
{
    pthread_condattr_t monotonic;

    queue->threads = threads;
    queue->most = most;
    return !pthread_condattr_init(&monotonic) &&
           !pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) &&
           !pthread_mutex_init(&queue->lock, NULL) &&
           !pthread_cond_init(&queue->has_images, NULL) &&
           !pthread_cond_init(&queue->has_result, &monotonic);
}

void add_batch(Queue *queue, Batch *batch)
{
    batch->unfinished = batch->images;
    pthread_mutex_lock(&queue->lock);
    if (queue->newest != NULL)
        queue->newest->later = batch;
    else
        queue->oldest = batch;
    queue->newest = batch;
    if (queue->open == NULL)
        queue->open = batch;
    pthread_cond_broadcast(&queue->has_images);
    pthread_mutex_unlock(&queue->lock);
}

static void finish(Queue *queue, Batch *batch)
{
    batch->is_done = 1;
    pthread_cond_broadcast(&queue->has_result);
}

/* Returns whether the batch's images are made, and the thread has to complete it. */
static int end_piece(Queue *queue, Piece *piece)
{
    Batch *batch = piece->batch;

    if (batch == NULL)
        return 0;
    batch->unfinished -= piece->last - piece->first;
    piece->first = piece->last;
    if (batch->unfinished > 0 || batch->has_failed)
        return 0;
    if (batch->to_complete && !piece->completes)
        return 1;
    finish(queue, batch);
    return 0;
}

static Batch *open_batch(Queue *queue)
{
    while (queue->open != NULL && queue->open->next == queue->open->images)
        queue->open = queue->open->later;
    return queue->open;
}

static void take_images(const Queue *queue, Batch *batch, Piece *piece)
{
    long share = (batch->images - batch->next) / (2 * queue->threads);

    share = share < 1 ? 1 : share < queue->most ? share : queue->most;
    piece->batch = batch;
    piece->first = batch->next;
    piece->last = batch->next += share;
}

int next_piece(Queue *queue, Piece *piece)
{
    Batch *batch = NULL;
    int goes_on;

    pthread_mutex_lock(&queue->lock);
    piece->completes = end_piece(queue, piece);
    if (!piece->completes) {
        piece->batch = NULL;
        while (!queue->is_stopped && (batch = open_batch(queue)) == NULL)
            pthread_cond_wait(&queue->has_images, &queue->lock);
        if (!queue->is_stopped)
            take_images(queue, batch, piece);
    }
    goes_on = !queue->is_stopped;
    pthread_mutex_unlock(&queue->lock);
    return goes_on;
}

int is_stopped(const Queue *queue)
{
    return __atomic_load_n(&queue->is_stopped, __ATOMIC_RELAXED);
}

void fail_batch(Queue *queue, const Piece *piece)
{
    pthread_mutex_lock(&queue->lock);
    piece->batch->has_failed = 1;
    piece->batch->next = piece->batch->images;
    pthread_cond_broadcast(&queue->has_result);
    pthread_mutex_unlock(&queue->lock);
}

void complete_later(Queue *queue, Batch *batch)
{
    pthread_mutex_lock(&queue->lock);
    batch->to_complete = 1;
    pthread_mutex_unlock(&queue->lock);
}

static int state_of(const Queue *queue)
{
    const Batch *batch;

    if (queue->is_stopped)
        return STOPPED;
    batch = queue->oldest;
    if (batch == NULL)
        return BUSY;
    return batch->has_failed ? FAILED : batch->is_done ? DONE : BUSY;
}

static struct timespec later_by(long milliseconds)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += milliseconds * 1000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

static Batch *without_oldest(Queue *queue)
{
    Batch *oldest = queue->oldest;

    open_batch(queue); /* which must not be the one that goes */
    queue->oldest = oldest->later;
    if (queue->oldest == NULL)
        queue->newest = NULL;
    return oldest;
}

int await_oldest(Queue *queue, long milliseconds, Batch **done)
{
    struct timespec end = later_by(milliseconds);
    int state, is_over = milliseconds == 0;

    pthread_mutex_lock(&queue->lock);
    while ((state = state_of(queue)) == BUSY && !is_over)
        is_over = pthread_cond_timedwait(&queue->has_result, &queue->lock, &end) != 0;
    if (state == DONE)
        *done = without_oldest(queue);
    pthread_mutex_unlock(&queue->lock);
    return state;
}

Batch *take_all(Queue *queue)
{
    Batch *oldest = queue->oldest;

    queue->oldest = queue->newest = queue->open = NULL;
    return oldest;
}

void stop_queue(Queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    __atomic_store_n(&queue->is_stopped, 1, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&queue->has_images);
    pthread_cond_broadcast(&queue->has_result);
    pthread_mutex_unlock(&queue->lock);
}
