/*
 * What the workloads that use a service of the store (store/service.h) share: opening it for a
 * case, operations that acknowledge themselves, and the driver.
 *
 * In a recording the service is manual, and the driver steps its parts in a fixed order, each as
 * the connection that it is in the trace: writer, checkpointer, readers. Its clock counts the times
 * that it was asked, so that everything is a function of the calls. Under `kill` the service has
 * its threads, and an operation is acknowledged on the writer's thread at the moment at which its
 * caller is told.
 *
 * An operation that fails is an error of the workload, unless the case has asked for a failing sync
 * (parameter fail_sync): then it has promised nothing, and it is the workload that tries it again
 * or goes on, as a program would whose disk has hiccupped.
 */
#ifndef DRIVE_WORKLOAD_SERVICE_H
#define DRIVE_WORKLOAD_SERVICE_H

#include "harness/drive/workload.h"

#include "store/store.h"

#include <pthread.h>

/* The parameter `fail_sync` of a workload: env->fail_sync(N). */
#define WORKLOAD_FAIL_SYNC                                                                         \
	{                                                                                          \
		"fail_sync", 0, 100000, 0,                                                         \
		    "N: the N-th sync of the run fails once, and what it should have written is "  \
		    "clean in the cache; 0: none",                                                 \
		    0                                                                              \
	}

/* The parameter `wal_bytes`: the checkpointer's threshold. */
#define WORKLOAD_WAL_BYTES                                                                         \
	{                                                                                          \
		"wal_bytes", 4096, 1 << 30, 65536, "a checkpoint when the log has so many bytes",  \
		    0                                                                              \
	}

enum {
	WORKLOAD_ACK_SIZE = 64,
	WORKLOAD_IN_FLIGHT_MAX = 4096,
};

/* Connections of a recording. */
enum {
	WORKLOAD_WRITER = 0,
	WORKLOAD_CHECKPOINTER = 1,
	WORKLOAD_READER = 2,
	WORKLOAD_BACKUP = 3,
};

struct workload_service {
	const struct workload_env *env;
	struct store_service *service; /* NULL while it is closed */
	const struct store_migration *migrations;
	size_t migration_count; /* all of the schema's */
	enum store_schema schema;
	/* env->files, with the planted defects "file-never-synced" and "folder-never-synced". */
	const struct store_files *files;
	struct store_files unsynced;
	bool may_fail; /* a sync was asked to fail */
	/* In a recording: the monotonic clock, which counts how often it was asked. */
	int64_t clock_ns;
	/* NULL, or what the service takes for a monotonic clock; called with this struct. */
	int64_t (*monotonic_ns)(void *context);
	pthread_mutex_t mutex;
	pthread_cond_t settled;
	/* Guarded by mutex. */
	uint64_t submitted, delivered;
	struct err failed; /* the first failure that is an error of the workload */
	bool ack_pending;  /* in a recording: one acknowledgement for the step */
};

/*
 * One operation: what a command does, and what is said when it is kept. Owned by the caller until
 * its result was delivered; then `code` is the result. After that it is the workload's again.
 */
struct workload_operation {
	store_work *work;
	void *context;
	char ack[WORKLOAD_ACK_SIZE]; /* "" promises nothing */
	enum store_code code;
	struct workload_service *owner;
};

/* Nothing is opened yet. Ends with workload_service_release(), which closes what is open. */
void workload_service_init(struct workload_service *w, const struct workload_env *env,
			   enum store_schema schema, int64_t fail_sync);
void workload_service_release(struct workload_service *w);

/* Opens the service, as the program that knew `migration_count` migrations. `base` (may be NULL)
 * has what the workload wants beside that. With fail_sync an opening that fails is tried again. */
int workload_service_open(struct workload_service *w, size_t migration_count,
			  const struct store_service_options *base, struct err *err);
/* Everything is written, everybody is told. NULL service: no effect. */
int workload_service_close(struct workload_service *w, struct err *err);

/* Both are accepted, and not more: workload_service_settle() waits for the results. */
int workload_service_submit(struct workload_service *w, struct workload_operation *operation,
			    struct err *err);
int workload_service_buffer(struct workload_service *w, struct workload_operation *operation,
			    struct err *err);
/* A log of a step, as store_service_log(). */
int workload_service_log(struct workload_service *w, int64_t step_id, const void *text,
			 size_t text_bytes, struct workload_operation *operation, struct err *err);

/* In a recording: one step of each part but the checkpointer, and the promise for what it has
 * committed. */
void workload_service_step(struct workload_service *w);
/* Until every result was delivered; in a recording by stepping the parts, the checkpointer last.
 * The first failure that is one. */
int workload_service_settle(struct workload_service *w, struct err *err);

/* A reader of the pool, as the connection that readers are; give it back. */
int workload_service_reader(struct workload_service *w, struct store **ret_reader, struct err *err);
void workload_service_give(struct workload_service *w, struct store *reader);

/* Is that the defect that the case has? */
bool workload_planted(const struct workload_env *env, const char *defect);

/* A code of the store as an error of the workload. */
int workload_store_failed(enum store_code code, const struct store_error *e, struct err *err);

/* The options that a case gives a store: its pragmas, the schema, a clock that stands still. The
 * caller frees *ret_pragmas. */
struct store_options workload_store_options(const struct workload_env *env,
					    enum store_schema schema, size_t migration_count,
					    struct store_pragma **ret_pragmas);

/* ERR_SQLITE when this SQLite is too old for the store. */
int workload_store_usable(struct err *err);

/* Runs SQL on a connection of its own, which no store would: for planted defects. */
int workload_run_sql(const struct workload_env *env, const char *sql, struct err *err);

/* The one number that a query on `db` answers, with `text` (may be NULL) bound as ?1; 0: none. */
int workload_query_number(struct sqlite3 *db, const char *sql, const char *text,
			  int64_t *ret_number, struct err *err);

#endif
