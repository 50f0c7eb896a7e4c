/*
 * queue.c: the bounded queue of commands in front of the one writer, and how a caller waits for a
 * result.
 *
 * A ring that is allocated once. What does not fit waits outside, in its producer, or is refused:
 * the queue never grows. Whoever makes room or lets commands of the buffer become due moves these
 * at once, so that while some of them wait the queue is full, and nothing overtakes them.
 */
#include <stdlib.h>

#include "store/service_internal.h"

enum store_code store_queue_init(struct store_service *service, struct store_error *err)
{
	struct store_queue *queue = &service->queue;

	queue->count_max = service->options.queue_count_max;
	queue->entries = calloc(queue->count_max, sizeof(*queue->entries));
	service->group = calloc(service->options.group_count_max, sizeof(*service->group));
	if (!queue->entries || !service->group)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0,
				       "%.200s: no memory for a queue of %u commands",
				       service->path, (unsigned)queue->count_max);
	return STORE_OK;
}

void store_queue_release(struct store_service *service)
{
	free(service->queue.entries);
	free(service->group);
	service->queue.entries = NULL;
	service->group = NULL;
}

uint32_t store_queue_room(const struct store_service *service)
{
	return service->queue.count_max - service->queue.count;
}

void store_queue_push(struct store_service *service, const struct store_queued *queued)
{
	struct store_queue *queue = &service->queue;

	queue->entries[(queue->first + queue->count) % queue->count_max] = *queued;
	queue->count++;
	if (queue->count > queue->count_max_seen)
		queue->count_max_seen = queue->count;
	store_service_wake(service, STORE_PART_WRITER);
}

bool store_service_is_writer(const struct store_service *service)
{
	return service->stepping && pthread_equal(service->writer_id, pthread_self());
}

static enum store_code queue_full(const struct store_service *service, const char *why,
				  struct store_error *err)
{
	return store_error_set(err, STORE_ERR_QUEUE_FULL, 0, "%.200s: %u commands are waiting%s",
			       service->path, (unsigned)service->queue.count, why);
}

/* Waits until the queue has room, with the mutex held, and as far as that is allowed. */
static enum store_code room_make(struct store_service *service, bool inside, bool wait,
				 struct store_error *err)
{
	for (;;) {
		if (service->closing && !inside)
			return store_error_set(err, STORE_ERR_CLOSED, 0,
					       "%.200s: the service is being closed",
					       service->path);
		if (store_queue_room(service) > 0)
			return STORE_OK;
		if (!wait)
			return queue_full(service, ", which is the most", err);
		/* Only the writer makes room: it would wait for itself. */
		if (store_service_is_writer(service))
			return queue_full(service, ", and the writer cannot wait for itself", err);
		if (service->options.manual) {
			pthread_mutex_unlock(&service->mutex);
			store_writer_step(service, NULL, NULL);
			pthread_mutex_lock(&service->mutex);
		} else {
			pthread_cond_wait(&service->room, &service->mutex);
		}
	}
}

static enum store_code queue_put(struct store_service *service, const struct store_queued *queued,
				 bool inside, bool wait, struct store_error *err)
{
	enum store_code code;

	pthread_mutex_lock(&service->mutex);
	code = room_make(service, inside, wait, err);
	if (code == STORE_OK)
		store_queue_push(service, queued);
	pthread_mutex_unlock(&service->mutex);
	return code;
}

enum store_code store_service_put(struct store_service *service,
				  const struct store_command *command, struct store_error *err)
{
	const struct store_queued queued = {.command = *command};

	return queue_put(service, &queued, true, true, err);
}

enum store_code store_service_submit(struct store_service *service,
				     const struct store_command *command, struct store_error *err)
{
	struct store_queued queued = {0};

	if (!service || !command || !command->work)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "the service, the command or its work is NULL");
	queued.command = *command;
	return queue_put(service, &queued, false,
			 service->options.when_full == STORE_WHEN_FULL_BLOCK, err);
}

/* Somebody who waits for a result. It lives on that thread's stack. */
struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t delivered;
	bool is_there;
	enum store_code code;
	struct store_error err;
	store_work *work;
	void *context;
};

static enum store_code waiter_work(struct store *store, void *context, struct store_error *err)
{
	struct waiter *waiter = context;

	return waiter->work(store, waiter->context, err);
}

static void waiter_done(void *context, enum store_code code, const struct store_error *err)
{
	struct waiter *waiter = context;

	/* Signalled inside: once the mutex is free, the waiter may be gone. */
	pthread_mutex_lock(&waiter->mutex);
	waiter->code = code;
	if (err)
		waiter->err = *err;
	waiter->is_there = true;
	pthread_cond_signal(&waiter->delivered);
	pthread_mutex_unlock(&waiter->mutex);
}

static void waiter_wait(struct store_service *service, struct waiter *waiter)
{
	/* In manual mode there is only this thread: each step takes commands off the queue, until
	 * this one was among them. */
	while (service->options.manual && !waiter->is_there)
		store_writer_step(service, NULL, NULL);
	pthread_mutex_lock(&waiter->mutex);
	while (!waiter->is_there)
		pthread_cond_wait(&waiter->delivered, &waiter->mutex);
	pthread_mutex_unlock(&waiter->mutex);
}

enum store_code store_service_run(struct store_service *service, store_work *work, void *context,
				  bool alone, struct store_error *err)
{
	struct waiter waiter = {.work = work, .context = context};
	struct store_queued queued = {.command = {waiter_work, waiter_done, &waiter},
				      .alone = alone};
	enum store_code code;
	bool is_writer;
	int rc;

	pthread_mutex_lock(&service->mutex);
	is_writer = store_service_is_writer(service);
	pthread_mutex_unlock(&service->mutex);
	if (is_writer)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "%.200s: work and done cannot wait for a result, which "
				       "their own thread would have to deliver",
				       service->path);
	rc = store_condition_init(&waiter.delivered);
	if (rc != 0)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0,
				       "%.200s: cannot wait for a result: error %d", service->path,
				       rc);
	pthread_mutex_init(&waiter.mutex, NULL);
	code = queue_put(service, &queued, false,
			 service->options.when_full == STORE_WHEN_FULL_BLOCK, err);
	if (code == STORE_OK) {
		waiter_wait(service, &waiter);
		code = waiter.code;
		if (code != STORE_OK && err)
			*err = waiter.err;
	}
	pthread_mutex_destroy(&waiter.mutex);
	pthread_cond_destroy(&waiter.delivered);
	return code;
}

enum store_code store_service_call(struct store_service *service, store_work *work, void *context,
				   struct store_error *err)
{
	if (!service || !work)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the service or work is NULL");
	return store_service_run(service, work, context, false, err);
}
