/*
 * service_options.c: the options of a service: their ranges, their defaults, and the store's
 * options that every connection of the service is opened with.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "store/service_internal.h"

/* Ranges of options that have no name in service.h. */
#define RETRY_COUNT_MAX	     1000
#define DELAY_MAX_MS	     (60 * 60 * 1000)
#define READER_TIMEOUT_MS    5000
#define INTERVAL_MAX_MS	     ((uint64_t)(INT64_MAX / STORE_NS_PER_MS))
#define RETRY_COUNT	     5
#define RETRY_DELAY_FIRST_MS 10
#define RETRY_DELAY_MAX_MS   2000

static enum store_code option_complaint(struct store_error *err, const char *name,
					unsigned long long value, unsigned long long most)
{
	return store_error_set(err, STORE_ERR_INVALID, 0,
			       "%s is %llu; it is at least 1 and at most %llu, or 0 for its "
			       "default",
			       name, value, most);
}

static enum store_code ranges_check(const struct store_service_options *options,
				    struct store_error *err)
{
	const struct {
		const char *name;
		unsigned long long value, most;
	} ranges[] = {
	    {"queue_count_max", options->queue_count_max, STORE_QUEUE_COUNT_MAX},
	    {"group_count_max", options->group_count_max, STORE_QUEUE_COUNT_MAX},
	    {"reader_count", options->reader_count, STORE_READER_COUNT_MAX},
	    {"buffer_count", options->buffer_count, STORE_QUEUE_COUNT_MAX},
	    {"wal_bytes_max", options->wal_bytes_max, INT64_MAX},
	    {"interval_ms", options->interval_ms, INTERVAL_MAX_MS},
	    {"retry.count_max", options->retry.count_max, RETRY_COUNT_MAX},
	    {"retry.delay_first_ms", options->retry.delay_first_ms, DELAY_MAX_MS},
	    {"retry.delay_max_ms", options->retry.delay_max_ms, DELAY_MAX_MS},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (ranges[i].value > ranges[i].most)
			return option_complaint(err, ranges[i].name, ranges[i].value,
						ranges[i].most);
	}
	return STORE_OK;
}

/* The service has several connections, and that setting keeps all but the first out. */
static enum store_code locking_mode_check(const struct store_options *options,
					  struct store_error *err)
{
	bool exclusive = false;

	/* Of two the later counts. */
	for (size_t i = 0; i < options->pragma_count; i++) {
		if (strcasecmp(options->pragmas[i].name, "locking_mode") == 0)
			exclusive = strcasecmp(options->pragmas[i].value, "exclusive") == 0;
	}
	if (!exclusive)
		return STORE_OK;
	return store_error_set(err, STORE_ERR_INVALID, 0,
			       "locking_mode=exclusive: the connections of a service share the "
			       "file");
}

enum store_code store_service_options_check(const struct store_service_options *options,
					    struct store_error *err)
{
	enum store_code code;

	if (options->when_full != STORE_WHEN_FULL_BLOCK &&
	    options->when_full != STORE_WHEN_FULL_FAIL)
		return store_error_set(err, STORE_ERR_INVALID, 0, "unknown when_full %d",
				       (int)options->when_full);
	if (options->reader_timeout_ms < -1)
		return store_error_set(err, STORE_ERR_INVALID, 0, "a reader_timeout_ms of %d",
				       options->reader_timeout_ms);
	if (options->strategy_count > STORE_STRATEGY_COUNT_MAX)
		return store_error_set(err, STORE_ERR_INVALID, 0, "%zu strategies; the most is %d",
				       options->strategy_count, STORE_STRATEGY_COUNT_MAX);
	if ((options->strategies == NULL) != (options->strategy_count == 0))
		return store_error_set(
		    err, STORE_ERR_INVALID, 0, "strategy_count is %zu and strategies is %s",
		    options->strategy_count, options->strategies ? "not NULL" : "NULL");
	for (size_t i = 0; i < options->strategy_count; i++) {
		if (!options->strategies[i].decide)
			return store_error_set(err, STORE_ERR_INVALID, 0,
					       "strategy %zu decides nothing: decide is NULL", i);
	}
	if (!options->manual && sqlite3_threadsafe() == 0)
		return store_error_set(err, STORE_ERR_SETTING, 0,
				       "this SQLite was built without threads "
				       "(SQLITE_THREADSAFE=0); only a manual service can use it");
	code = ranges_check(options, err);
	if (code == STORE_OK)
		code = store_pragmas_check(&options->store, err);
	return code == STORE_OK ? locking_mode_check(&options->store, err) : code;
}

static uint32_t or_default(uint32_t value, uint32_t standard)
{
	return value != 0 ? value : standard;
}

static uint32_t reader_count_default(void)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 1)
		return 2;
	return cores > STORE_READER_COUNT_MAX / 2 ? STORE_READER_COUNT_MAX : (uint32_t)cores * 2;
}

void store_service_options_complete(struct store_service_options *options)
{
	struct store_retry *retry = &options->retry;
	uint32_t buffer_count = STORE_BUFFER_COUNT_DEFAULT;

	options->queue_count_max = or_default(options->queue_count_max, STORE_QUEUE_COUNT_DEFAULT);
	options->group_count_max = or_default(options->group_count_max, STORE_GROUP_COUNT_DEFAULT);
	if (options->group_count_max > options->queue_count_max)
		options->group_count_max = options->queue_count_max;
	if (options->reader_count == 0)
		options->reader_count = reader_count_default();
	if (options->reader_timeout_ms == 0)
		options->reader_timeout_ms = READER_TIMEOUT_MS;
	if (buffer_count > options->queue_count_max)
		buffer_count = options->queue_count_max;
	options->buffer_count = or_default(options->buffer_count, buffer_count);
	options->buffer_after_ms =
	    or_default(options->buffer_after_ms, STORE_BUFFER_AFTER_DEFAULT_MS);
	if (options->wal_bytes_max == 0)
		options->wal_bytes_max = STORE_WAL_BYTES_DEFAULT;
	if (options->interval_ms == 0)
		options->interval_ms = STORE_INTERVAL_DEFAULT_MS;
	retry->count_max = or_default(retry->count_max, RETRY_COUNT);
	retry->delay_first_ms = or_default(retry->delay_first_ms, RETRY_DELAY_FIRST_MS);
	retry->delay_max_ms = or_default(retry->delay_max_ms, RETRY_DELAY_MAX_MS);
}

enum store_code store_service_pragmas_copy(struct store_service *service, struct store_error *err)
{
	const struct store_options *from = &service->options.store;
	struct store_options *to = &service->store_options;

	*to = *from;
	to->pragmas = service->pragmas;
	for (size_t i = 0; i < from->pragma_count; i++) {
		service->pragmas[i].name = strdup(from->pragmas[i].name);
		service->pragmas[i].value = strdup(from->pragmas[i].value);
		if (!service->pragmas[i].name || !service->pragmas[i].value)
			return store_error_set(err, STORE_ERR_NO_MEMORY, 0,
					       "%.200s: no memory for pragmas", service->path);
	}
	/* The copies stand in for the caller's, which are only borrowed. */
	service->options.store = *to;
	if (store_pragma_is_set(from, "wal_autocheckpoint"))
		return STORE_OK;
	if (from->pragma_count == STORE_PRAGMA_COUNT_MAX)
		return store_error_set(err, STORE_ERR_INVALID, 0,
				       "%d pragmas, and the service needs one of them itself",
				       STORE_PRAGMA_COUNT_MAX);
	service->pragmas[to->pragma_count] =
	    (struct store_pragma){strdup("wal_autocheckpoint"), strdup("0")};
	to->pragma_count++;
	if (!service->pragmas[to->pragma_count - 1].name ||
	    !service->pragmas[to->pragma_count - 1].value)
		return store_error_set(err, STORE_ERR_NO_MEMORY, 0, "%.200s: no memory for pragmas",
				       service->path);
	service->options.store.pragma_count = to->pragma_count;
	return STORE_OK;
}

void store_service_pragmas_release(struct store_service *service)
{
	for (size_t i = 0; i <= STORE_PRAGMA_COUNT_MAX; i++) {
		free((char *)(uintptr_t)service->pragmas[i].name);
		free((char *)(uintptr_t)service->pragmas[i].value);
	}
}
