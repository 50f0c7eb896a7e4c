/*
 * workflow.h: executions, their steps and artifacts, and the log file of each step. Included by
 * store.h. The store must have been opened with STORE_SCHEMA_WORKFLOW.
 *
 * An execution is known by its id, a step by its execution and index, an artifact by its execution
 * and name. Saving writes whole rows: one that is there already takes every field of the new one
 * and stays the row that it is (a step keeps its step_id, and what refers to it stays); the later
 * of two in one batch counts.
 *
 * What STORE_OK of a function that writes means is P1 to P6, with "event" read as "row". Alone it
 * is a transaction; inside store_transaction() or a service's command it is a part of that, and
 * stored when that is.
 *
 * Many small saves: store_service_buffer() of service.h collects commands and commits them
 * together. Such a command calls these functions; what it saved is stored when its `done` has been
 * called with STORE_OK, and not when it went into the buffer.
 *
 *
 * The tables, for programs that look from outside (version 3). Texts are UTF-8; times are
 * microseconds since 1970-01-01 UTC, NULL where not yet; status is one of STORE_STATUSES.
 *
 *   executions     seq                 INTEGER PRIMARY KEY
 *                  execution_id        TEXT, unique
 *                  name, command, working_directory  TEXT
 *                  status              TEXT
 *                  exit_code           INTEGER or NULL
 *                  error_message       TEXT or NULL
 *                  created_us          INTEGER
 *                  started_us, completed_us  INTEGER or NULL
 *                  environment, user_name, tags, metadata  TEXT or NULL
 *                  total_steps, completed_steps, current_step_index  INTEGER, as saved
 *                  step_count          INTEGER, rows of steps (from version 3; kept by triggers)
 *   steps          step_id             INTEGER PRIMARY KEY, never used twice
 *                  execution_id        TEXT, of executions
 *                  step_index          INTEGER >= 0, unique in its execution
 *                  name, status, exit_code, error_message, started_us, completed_us, metadata
 *   artifacts      artifact_id         INTEGER PRIMARY KEY
 *                  execution_id        TEXT, of executions
 *                  name                TEXT, unique in its execution
 *                  path                TEXT
 *                  size_bytes          INTEGER >= 0
 *                  media_type          TEXT
 *                  created_us          INTEGER
 *   step_logs      step_id             INTEGER PRIMARY KEY, of steps (this and the next two from
 *                                      version 2)
 *                  file_name           TEXT, unique: the file in the log folder
 *                  bytes               INTEGER, its size
 *                  checksum            INTEGER, FNV-1a of its bytes as a signed 64-bit number
 *                  written_us          INTEGER, from store_options.clock_us
 *   step_logs_old  file_name           TEXT: a file that no row of step_logs names any more and
 *                                      that may still be there
 *   log_numbers    next                INTEGER, in the one row: the first number that no log file
 *                                      has been given; numbers are handed out in blocks
 */
#ifndef STORE_WORKFLOW_H
#define STORE_WORKFLOW_H

#include "api.h"

#ifndef STORE_STORE_H
#error "include store.h, which includes this file"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

STORE_API_BEGIN

/* ---- rows ---- */

/* Every status with the text that stands for it in the tables: X(status, text). */
#define STORE_STATUSES(X)                                                                          \
	X(STORE_STATUS_PENDING, "pending")                                                         \
	X(STORE_STATUS_RUNNING, "running")                                                         \
	X(STORE_STATUS_COMPLETED, "completed")                                                     \
	X(STORE_STATUS_FAILED, "failed")                                                           \
	X(STORE_STATUS_CANCELLED, "cancelled")                                                     \
	X(STORE_STATUS_SKIPPED, "skipped")

enum store_status {
#define STORE_STATUS_ENUM(status, text) status,
	STORE_STATUSES(STORE_STATUS_ENUM)
#undef STORE_STATUS_ENUM
};

/* The text; static; NULL for a number that is no status. */
const char *store_status_text(enum store_status status);

/* Limits, in bytes without the NUL, unless they say otherwise. Ids: STORE_ID_BYTES_MAX. */
#define STORE_WORKFLOW_NAME_BYTES_MAX  255
#define STORE_WORKFLOW_PATH_BYTES_MAX  4095
#define STORE_WORKFLOW_MEDIA_BYTES_MAX 127
#define STORE_WORKFLOW_TEXT_BYTES_MAX  (1024 * 1024)
#define STORE_WORKFLOW_COUNT_MAX       (64 * 1024) /* rows in a batch, all kinds together */

/*
 * Texts are NUL-terminated and valid UTF-8. "Text" below is up to STORE_WORKFLOW_TEXT_BYTES_MAX
 * bytes and is not looked into. A time of 0 is "not yet".
 */
struct store_execution {
	const char *execution_id;      /* 1 to STORE_ID_BYTES_MAX bytes */
	const char *name;	       /* 1 to STORE_WORKFLOW_NAME_BYTES_MAX */
	const char *command;	       /* text */
	const char *working_directory; /* 0 to STORE_WORKFLOW_PATH_BYTES_MAX */
	enum store_status status;
	bool has_exit_code;
	int exit_code;		   /* where has_exit_code is set */
	const char *error_message; /* text, or NULL: none */
	int64_t created_us;
	int64_t started_us;
	int64_t completed_us;
	const char *environment;    /* text, or NULL */
	const char *user_name;	    /* 0 to STORE_WORKFLOW_NAME_BYTES_MAX, or NULL */
	const char *tags;	    /* text, or NULL */
	const char *metadata;	    /* text, or NULL */
	int64_t total_steps;	    /* >= 0 */
	int64_t completed_steps;    /* >= 0 */
	int64_t current_step_index; /* >= -1; -1: none */
};

struct store_step {
	const char *execution_id;
	int64_t step_index; /* >= 0 */
	const char *name;   /* 1 to STORE_WORKFLOW_NAME_BYTES_MAX bytes */
	enum store_status status;
	bool has_exit_code;
	int exit_code;
	const char *error_message; /* text, or NULL */
	int64_t started_us;
	int64_t completed_us;
	const char *metadata; /* text, or NULL */
};

/* A file that an execution made. The store keeps its description and never looks at the file. */
struct store_artifact {
	const char *execution_id;
	const char *name;	/* 1 to STORE_WORKFLOW_NAME_BYTES_MAX bytes */
	const char *path;	/* 1 to STORE_WORKFLOW_PATH_BYTES_MAX */
	int64_t size_bytes;	/* >= 0 */
	const char *media_type; /* 0 to STORE_WORKFLOW_MEDIA_BYTES_MAX */
	int64_t created_us;
};

/* ---- saving ---- */

/*
 * Rows of all three kinds, saved in this order. Borrowed until the call returns. An array may be
 * NULL if its count is 0.
 */
struct store_workflow_batch {
	const struct store_execution *executions;
	size_t execution_count;
	const struct store_step *steps;
	size_t step_count;
	/* Where the step_id of each step goes; room for step_count, or NULL. */
	int64_t *ret_step_ids;
	const struct store_artifact *artifacts;
	size_t artifact_count;
};

/*
 * Saves a batch: all of it or nothing. A batch without rows does nothing and succeeds.
 *
 * All rows are checked first, then saved in order; the first that fails ends the call. err->index
 * is its index in its own array, and the message says of which kind it is. STORE_ERR_INVALID (a
 * field), STORE_ERR_NOT_FOUND (a step's or an artifact's execution is neither in the store nor in
 * the batch). Other errors: those of store_events().
 */
enum store_code store_workflow(struct store *store, const struct store_workflow_batch *batch,
			       struct store_error *err);

/* The same with rows of one kind. */
enum store_code store_executions(struct store *store, const struct store_execution *executions,
				 size_t execution_count, struct store_error *err);
enum store_code store_steps(struct store *store, const struct store_step *steps, size_t step_count,
			    int64_t *ret_step_ids, struct store_error *err);
enum store_code store_artifacts(struct store *store, const struct store_artifact *artifacts,
				size_t artifact_count, struct store_error *err);

/* ---- reading ---- */

struct store_execution_row {
	struct store_execution execution;
	int64_t step_count; /* steps of it that are in the store */
};

struct store_step_row {
	struct store_step step;
	int64_t step_id;
};

/*
 * What is read is handed to a visitor, row by row, in one snapshot; one row is in memory at a time.
 * The row is borrowed until the visitor returns. It returns false to stop, which is no error. It
 * must not call functions on this store.
 */
typedef bool store_visit_execution(void *context, const struct store_execution_row *row);
typedef bool store_visit_step(void *context, const struct store_step_row *row);
typedef bool store_visit_artifact(void *context, const struct store_artifact *artifact);

/*
 * _find: the one with that id, or STORE_ERR_NOT_FOUND. _by_time: those created from first to last,
 * both included, by time; _by_status: of these, those of one status. Steps by index, artifacts by
 * name; an execution that has none, or is not there, is no error.
 *
 * Errors: STORE_ERR_INVALID, _CORRUPT (a row that these functions cannot have written), _STOPPED,
 * _BUSY, _IO, _NO_MEMORY, _SQLITE.
 */
enum store_code store_execution_find(struct store *store, const char *execution_id,
				     store_visit_execution *visit, void *context,
				     struct store_error *err);
enum store_code store_executions_by_time(struct store *store, int64_t created_first_us,
					 int64_t created_last_us, store_visit_execution *visit,
					 void *context, struct store_error *err);
enum store_code store_executions_by_status(struct store *store, enum store_status status,
					   int64_t created_first_us, int64_t created_last_us,
					   store_visit_execution *visit, void *context,
					   struct store_error *err);
enum store_code store_steps_of(struct store *store, const char *execution_id,
			       store_visit_step *visit, void *context, struct store_error *err);
enum store_code store_artifacts_of(struct store *store, const char *execution_id,
				   store_visit_artifact *visit, void *context,
				   struct store_error *err);

/* ---- log files ---- */

/*
 * Logs are written by store_service_log() of service.h. The bytes are taken as they are. A log is
 * never written over: each has a new file, named "step-<step_id>-<number>.log" with a number that
 * no other had, also of other processes; the row changes when the new file is durable, and the old
 * file goes some time after the new row is durable: with the next log of this service or of a later
 * one, or with store_logs_sweep(). So whatever row is found, before a crash or after one, its file
 * is there and whole (P11). In the balanced and bulk profiles a commit may be taken back by power
 * loss: there the old file waits in step_logs_old for store_logs_sweep().
 */
#define STORE_LOG_BYTES_MAX	  (64 * 1024 * 1024)  /* of one log */
#define STORE_LOG_QUEUE_BYTES_MAX (128 * 1024 * 1024) /* of those that wait to be written */
#define STORE_LOG_QUEUE_COUNT_MAX 1024		      /* logs that wait to be written */
#define STORE_LOG_NAME_BYTES_MAX  63

/* The row of a log. */
struct store_step_log {
	int64_t step_id;
	char file_name[STORE_LOG_NAME_BYTES_MAX + 1]; /* in the log folder */
	uint64_t bytes;
	uint64_t checksum; /* FNV-1a, 64 bits */
	int64_t written_us;
};

/* Errors: STORE_ERR_NOT_FOUND (the step has no log, or there is no such step), those of reading. */
enum store_code store_step_log_find(struct store *store, int64_t step_id,
				    struct store_step_log *ret_log, struct store_error *err);

/*
 * Reads a step's log from its file (store_options.files) and compares it with its row. Moves the
 * bytes to *ret_text, which the caller owns and frees by store_log_free(); ret_log may be NULL. A
 * log that is replaced meanwhile is no error: the new one is read then.
 *
 * STORE_ERR_VERIFY: the file is missing or is not what the row says. STORE_ERR_NOT_FOUND as above;
 * STORE_ERR_CANNOT_OPEN, _IO of the file; those of reading.
 */
enum store_code store_log_read(struct store *store, const char *log_folder, int64_t step_id,
			       struct store_step_log *ret_log, void **ret_text, size_t *ret_bytes,
			       struct store_error *err);
void store_log_free(void *text);

/*
 * Removes the files that step_logs_old names, and these rows, after it has made sure that the rows
 * which replaced them are durable: in the balanced profile by a checkpoint (STORE_ERR_BUSY when
 * readers or a writer keep it from moving everything: nothing was removed). *ret_count (may be
 * NULL): files that are gone. Services may be writing logs meanwhile. A crash in the middle of
 * store_service_log() can leave a file that no table names; it is in nobody's way, and not found
 * here.
 *
 * Errors: STORE_ERR_SETTING in the bulk profile, and under overrides with which a commit is not
 * durable; STORE_ERR_INVALID inside a transaction; those of writing, and of the files.
 */
enum store_code store_logs_sweep(struct store *store, const char *log_folder, size_t *ret_count,
				 struct store_error *err);

STORE_API_END

#endif
