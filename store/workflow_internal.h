/*
 * workflow_internal.h: what the files of workflows and their logs share with each other.
 *
 *   schema_workflow.c  the migrations
 *   workflow.c         saving executions, steps and artifacts
 *   workflow_read.c    reading them
 *   workflow_log.c     the rows of logs, and the files that they name
 *   log.c              the service's queue of logs: files first, then rows
 */
#ifndef STORE_WORKFLOW_INTERNAL_H
#define STORE_WORKFLOW_INTERNAL_H

#include "store/internal.h"

/* The first versions with the tables of logs, and with step_count. */
#define STORE_WORKFLOW_VERSION_LOGS  2
#define STORE_WORKFLOW_VERSION_COUNT 3

/* The store is running, has this schema at that version or later, and is not NULL. */
enum store_code store_workflow_ready(const struct store *store, int version_min,
				     struct store_error *err);

/* *ret_status stays as it is if the text is none. */
bool store_status_parse(const char *text, enum store_status *ret_status);

/* ---- workflow_log.c ---- */

/* Old files that are looked at in one transaction. */
#define STORE_LOG_OLD_COUNT_MAX 64

struct store_log_names {
	size_t count;
	char names[STORE_LOG_OLD_COUNT_MAX][STORE_LOG_NAME_BYTES_MAX + 1];
};

/* Writes the name of a log's file; false if it does not fit. */
bool store_log_name(char *ret_name, int64_t step_id, int64_t number);

/* folder, "/", name, suffix; freed by free(). NULL: no memory. */
char *store_log_path(const char *folder, const char *name, const char *suffix);

/*
 * Writes the row of a log whose file is durable, and puts the name of the file that it replaces on
 * the list of old ones and into ret_old ("" if there was none). *ret_removable: once this is
 * committed, power loss cannot take it back, so that the old file can go. STORE_ERR_NOT_FOUND:
 * there is no such step. Writes ret_old and *ret_removable also on failure.
 */
enum store_code store_step_log_put(struct store *store, const struct store_step_log *log,
				   char *ret_old, bool *ret_removable, struct store_error *err);

/* Takes `count` numbers that no file has had: *ret_first and those behind it. They are the caller's
 * once this is committed. */
enum store_code store_log_numbers_take(struct store *store, int64_t count, int64_t *ret_first,
				       struct store_error *err);

/* Whether a commit of this store cannot be taken back by power loss, as SQLite documents it for
 * the settings that the connection has. */
enum store_code store_commits_are_durable(struct store *store, bool *ret_durable,
					  struct store_error *err);

/* Some of the old files, in the order of their names. */
enum store_code store_log_old_list(struct store *store, struct store_log_names *ret_names,
				   struct store_error *err);

/* Takes these off the list: the files are gone. */
enum store_code store_log_old_forget(struct store *store, const struct store_log_names *names,
				     struct store_error *err);

#endif
