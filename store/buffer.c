/*
 * buffer.c: commands that are in no hurry, in front of the queue. Nothing in it is acknowledged.
 *
 *   entries:  [ due ─────── | not due ── ]      due: they go to the queue as there is room, in
 *              first          first + due_count  order, and nothing overtakes them
 *
 * Commands become due all at once: when the buffer is full, when the oldest has waited for
 * buffer_after_ms, on flush, and on close. Whoever makes room in the queue moves what is due, so
 * that nobody has to wait for the buffer but a producer who finds it full.
 */
#include <stdlib.h>

#include "store/service_internal.h"

enum store_code store_buffer_init(struct store_service *service, struct store_error *err)
{
	struct store_buffer *buffer = &service->buffer;

	buffer->count_max = service->options.buffer_count;
	buffer->entries = calloc(buffer->count_max, sizeof(*buffer->entries));
	if (!buffer->entries)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0,
				       "%.200s: no memory for a buffer of %u commands",
				       service->path, (unsigned)buffer->count_max);
	return STORE_OK;
}

void store_buffer_release(struct store_service *service)
{
	free(service->buffer.entries);
	service->buffer.entries = NULL;
}

uint32_t store_buffer_move(struct store_service *service)
{
	struct store_buffer *buffer = &service->buffer;
	uint32_t moved = 0;

	while (buffer->due_count > 0 && store_queue_room(service) > 0) {
		const struct store_queued queued = {.command = buffer->entries[buffer->first]};

		store_queue_push(service, &queued);
		buffer->first = (buffer->first + 1) % buffer->count_max;
		buffer->count--;
		buffer->due_count--;
		moved++;
	}
	if (moved > 0)
		pthread_cond_broadcast(&service->room);
	return moved;
}

void store_buffer_hurry(struct store_service *service)
{
	service->buffer.due_count = service->buffer.count;
	/* With the queue empty, only the writer would come by to move them. */
	if (service->buffer.due_count > 0)
		store_service_wake(service, STORE_PART_WRITER);
}

static enum store_code buffer_is_full(const struct store_service *service, const char *why,
				      struct store_error *err)
{
	return store_error_set(err, STORE_ERR_QUEUE_FULL, 0,
			       "%.200s: the buffer is full and %u commands are waiting in the "
			       "queue%s",
			       service->path, (unsigned)service->queue.count, why);
}

/* Waits for room in the buffer, with the mutex held. */
static enum store_code room_make(struct store_service *service, struct store_error *err)
{
	for (;;) {
		if (service->closing)
			return store_error_set(err, STORE_ERR_CLOSED, 0,
					       "%.200s: the service is being closed",
					       service->path);
		store_buffer_move(service);
		if (service->buffer.count < service->buffer.count_max)
			return STORE_OK;
		if (service->options.when_full == STORE_WHEN_FULL_FAIL)
			return buffer_is_full(service, ", which is the most", err);
		if (store_service_is_writer(service))
			return buffer_is_full(service, ", and the writer cannot wait for itself",
					      err);
		if (service->options.manual) {
			pthread_mutex_unlock(&service->mutex);
			store_writer_step(service, NULL, NULL);
			pthread_mutex_lock(&service->mutex);
		} else {
			pthread_cond_wait(&service->room, &service->mutex);
		}
	}
}

enum store_code store_service_buffer(struct store_service *service,
				     const struct store_command *command, struct store_error *err)
{
	struct store_buffer *buffer;
	enum store_code code;

	if (!service || !command || !command->work)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "the service, the command or its work is NULL");
	buffer = &service->buffer;
	pthread_mutex_lock(&service->mutex);
	code = room_make(service, err);
	if (code == STORE_OK) {
		if (buffer->count == buffer->due_count) {
			buffer->since_ns = store_service_now_ns(service);
			store_service_wake(service, STORE_PART_FLUSHER);
		}
		buffer->entries[(buffer->first + buffer->count) % buffer->count_max] = *command;
		buffer->count++;
		if (buffer->count == buffer->count_max) {
			store_buffer_hurry(service);
			store_buffer_move(service);
		}
	}
	pthread_mutex_unlock(&service->mutex);
	return code;
}

enum store_code store_service_flush(struct store_service *service, struct store_error *err)
{
	enum store_code code = STORE_OK;

	if (!service)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the service is NULL");
	pthread_mutex_lock(&service->mutex);
	if (service->closing) {
		code = store_error_set(err, STORE_ERR_CLOSED, 0,
				       "%.200s: the service is being closed", service->path);
	} else {
		store_buffer_hurry(service);
		store_buffer_move(service);
	}
	pthread_mutex_unlock(&service->mutex);
	return code;
}

/* When the oldest that is not due has waited long enough. */
int64_t store_buffer_due_ns(struct store_service *service)
{
	const struct store_buffer *buffer = &service->buffer;
	const int64_t after_ns = (int64_t)service->options.buffer_after_ms * STORE_NS_PER_MS;
	int64_t waited_ns;

	if (buffer->count == buffer->due_count)
		return STORE_DUE_NEVER;
	waited_ns = store_service_now_ns(service) - buffer->since_ns;
	return waited_ns >= after_ns ? 0 : after_ns - waited_ns;
}

enum store_code store_buffer_step(struct store_service *service, size_t *ret_count,
				  struct store_error *err)
{
	uint32_t moved = 0;

	(void)err; /* it cannot fail */
	pthread_mutex_lock(&service->mutex);
	if (store_buffer_due_ns(service) == 0)
		store_buffer_hurry(service);
	moved = store_buffer_move(service);
	pthread_mutex_unlock(&service->mutex);
	if (ret_count)
		*ret_count = moved;
	return STORE_OK;
}
