/*
 * service_time.c: what the service takes for time, and waiting.
 *
 * Everything that the service does later (flush, look at the log, give up waiting) compares two
 * times of one clock, CLOCK_MONOTONIC or the caller's. A clock is not always what it should be: a
 * virtual machine that is moved, or a program under libfaketime, may see its monotonic clock go
 * back or stand still. A time that was remembered would then lie ahead for a day, or for ever, and
 * what waits for it with it. So the service has a time of its own, which the clock only drives:
 *
 *   the clock goes on       the service's time does, as far
 *   the clock goes back     the service's time stands for that moment, and goes on with the clock
 *   the clock stands still  a wait that has timed out has lasted as long as it was to last
 *
 * A clock that jumps ahead is believed: what waits is early then, which harms nothing.
 *
 * No decision is made by the time of day. It is written into rows (store_now_us()), and nothing
 * reads it from there.
 */
#include <errno.h>
#include <time.h>

#include "store/service_internal.h"

#define NS_PER_S INT64_C(1000000000)

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t clock_ns(const struct store_service *service)
{
	if (service->options.monotonic_ns)
		return service->options.monotonic_ns(service->options.time_context);
	return monotonic_ns();
}

void store_time_init(struct store_service *service)
{
	pthread_mutex_init(&service->time.mutex, NULL);
	service->time.clock_ns = clock_ns(service);
	service->time.now_ns = 0;
}

void store_time_release(struct store_service *service)
{
	pthread_mutex_destroy(&service->time.mutex);
}

/* With the mutex of the time held. */
static void time_go_on(struct store_service *service)
{
	struct store_time *time = &service->time;
	const int64_t clock = clock_ns(service);

	if (clock > time->clock_ns)
		time->now_ns += clock - time->clock_ns;
	time->clock_ns = clock;
}

int64_t store_service_now_ns(struct store_service *service)
{
	struct store_time *time = &service->time;
	int64_t now_ns;

	pthread_mutex_lock(&time->mutex);
	time_go_on(service);
	now_ns = time->now_ns;
	pthread_mutex_unlock(&time->mutex);
	return now_ns;
}

void store_service_sleep_ms(const struct store_service *service, uint32_t delay_ms)
{
	struct timespec left = {
	    .tv_sec = (time_t)(delay_ms / 1000),
	    .tv_nsec = (long)(delay_ms % 1000) * STORE_NS_PER_MS,
	};

	if (service->options.sleep_ms) {
		service->options.sleep_ms(service->options.time_context, delay_ms);
		return;
	}
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

int store_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;
	int rc = pthread_condattr_init(&attributes);

	if (rc != 0)
		return rc;
	rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (rc == 0)
		rc = pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
	return rc;
}

void store_service_wait(struct store_service *service, pthread_cond_t *condition,
			pthread_mutex_t *mutex, int64_t wait_ns)
{
	struct store_time *time = &service->time;
	const int64_t until_clock_ns = monotonic_ns();
	const int64_t before_ns = store_service_now_ns(service);
	struct timespec until;

	if (wait_ns >= INT64_MAX - until_clock_ns || wait_ns >= INT64_MAX - before_ns) {
		pthread_cond_wait(condition, mutex);
		return;
	}
	until.tv_sec = (time_t)((until_clock_ns + wait_ns) / NS_PER_S);
	until.tv_nsec = (long)((until_clock_ns + wait_ns) % NS_PER_S);
	if (pthread_cond_timedwait(condition, mutex, &until) != ETIMEDOUT)
		return;
	pthread_mutex_lock(&time->mutex);
	time_go_on(service);
	if (time->now_ns < before_ns + wait_ns)
		time->now_ns = before_ns + wait_ns;
	pthread_mutex_unlock(&time->mutex);
}
