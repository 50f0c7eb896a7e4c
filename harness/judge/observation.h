/*
 * What a checking connection saw after a recovery: plain data, filled by harness/drive/observe.c
 * (the only code that runs SQL against a crash state) and judged by the oracles, which see nothing
 * else of the subject.
 */
#ifndef JUDGE_OBSERVATION_H
#define JUDGE_OBSERVATION_H

#include "faultinject/base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	OBSERVED_FILES_MAX = 16, /* main and attached databases */
	PROBE_ROWS_MAX = 4096,	 /* rows kept of one probe; more sets `cut` */
	OBSERVATION_TEXT_SIZE = 256,
};

/* One database file, independent of page layout: digests of the logical content. */
struct observed_file {
	struct digest state;  /* schema, rows in key order, user_version, application_id */
	struct digest schema; /* schema alone */
};

/* The rows that one query returned. Cells are text as sqlite3_column_text() gives it; NULL for an
 * SQL NULL. */
struct probe_result {
	int rc;	     /* 0, or the extended SQLite code of the failure */
	char *error; /* owned; NULL when rc is 0 */
	size_t row_count, column_count;
	char **cells; /* row by row; owned */
	char *types;  /* of each cell: i, r, t, b or n (integer, real, text, blob, null); owned; may
		       * be NULL */
	bool cut;     /* there were more than PROBE_ROWS_MAX rows */
	bool outside; /* it asked for files that are no databases of the subject, so that the
		       * answer is not a function of the databases */
};

/* The first call of a step that failed. */
struct observed_failure {
	int rc;				  /* 0, or the extended SQLite code */
	char text[OBSERVATION_TEXT_SIZE]; /* which call and SQLite's words */
};

/* What became of the database after it had recovered and been observed, and every connection was
 * closed: see harness/drive/aftermath.h. All zeros: nothing to object to, or not looked at. */
struct aftermath {
	char hot[OBSERVATION_TEXT_SIZE];     /* a journal that was left hot; "" = none */
	struct observed_failure second;	     /* of opening, recovering or reading again */
	bool hung;			     /* that went on past its call limit */
	bool differs;			     /* it showed other content */
	char changed[OBSERVATION_TEXT_SIZE]; /* what it did first to a file; "" = nothing */
	struct observed_failure write;	     /* of writing to each schema and committing */
	bool unread;			     /* another connection did not read what was written */
	struct observed_failure locked_out;  /* busy, locked or protocol, with nobody else there */
	/* What the program's own check (harness/drive/own_check.h) finds wrong; "" = nothing */
	char objection[OBSERVATION_TEXT_SIZE];
};

struct observation {
	uint64_t id; /* hash of everything below: equal ids are the same observation */
	int rc;	     /* 0, or the extended SQLite code of the first call that failed */
	/* Which call and SQLite's words, "open: ..." for the open itself; "" when rc is 0. */
	char failed[OBSERVATION_TEXT_SIZE];
	bool hung; /* recovery went on past its call limit */
	size_t file_count;
	struct observed_file files[OBSERVED_FILES_MAX]; /* main first, then @attach order */
	struct probe_result *probes;			/* in the order of the probe list; owned */
	size_t probe_count;
	struct aftermath aftermath;
};

static inline const char *probe_cell(const struct probe_result *r, size_t row, size_t column)
{
	return r->cells[row * r->column_count + column];
}

void observation_release(struct observation *o);   /* accepts a zeroed one */
void probe_result_release(struct probe_result *r); /* likewise */
/* A copy that owns all that it holds. */
struct observation observation_copy(const struct observation *o);

/* The primary code says that another connection is in the way: SQLITE_BUSY, SQLITE_LOCKED or
 * SQLITE_PROTOCOL. */
bool observed_locked_out(int rc);

/* A query that an oracle wants answered on every observed state. */
struct probe {
	const char *oracle; /* static: who asked */
	char *sql;	    /* owned by the list */
};

struct probe_list {
	struct probe *items;
	size_t count, cap;
};

/* Copies sql; returns the index. */
size_t probe_list_add(struct probe_list *list, const char *oracle, const char *sql);
void probe_list_release(struct probe_list *list);

#endif
