/*
 * What an oracle is to oracle.c; internal to oracle*.c.
 *
 * An oracle is made once from the scenario's declarations, adds its probes, is shown the legal
 * states, and then judges observations, which changes nothing in it. oracle.c answers the questions
 * that all of them have about a failed probe (judge_probe_status).
 */
#ifndef JUDGE_ORACLE_INTERNAL_H
#define JUDGE_ORACLE_INTERNAL_H

#include "harness/judge/oracle.h"

/* Primary result codes, https://www.sqlite.org/rescode.html. */
enum {
	RESULT_PRIMARY = 0xff, /* the rest of an extended code is detail */
	RESULT_ERROR = 1,
	RESULT_IOERR = 10,
	RESULT_CORRUPT = 11,
	RESULT_NOTADB = 26,
};

/* Findings about one observation. When there are more than fit, the last message says how many
 * more. */
struct findings {
	struct verdict *items; /* borrowed */
	size_t count, max;
	size_t total;
	enum grade worst;
	bool show_data;
};

void findings_add(struct findings *f, const char *oracle, enum grade grade, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

enum probe_status {
	PROBE_ANSWERED,
	PROBE_NOT_APPLICABLE, /* fails the same way on a legal state with the same schema */
	PROBE_READER_ERROR,   /* corruption; the oracle "integrity" reports it */
	PROBE_FAILED,	      /* any other error */
};

struct oracle {
	struct oracle_info info;
	bool is_always_on;	/* no scenario asks for it by name */
	bool judges_unreadable; /* has something to say about what could not be read */
	/* NULL when the scenario does not ask for it. `config` lives as long as the oracle. */
	void *(*create)(const struct judge_config *config, struct probe_list *probes);
	void (*free)(void *self);
	/* NULL where nothing is to be learned. `o` could be read (rc == 0, not hung). */
	void (*learn)(void *self, const struct judge *j, const struct observation *o);
	/* NULL where a legal state excuses nothing. Adds up to `max`, returns how many. */
	size_t (*not_applicable)(const void *self, struct judge_not_applicable *ret, size_t max);
	void (*judge)(const void *self, const struct judge *j, const struct observation *o,
		      struct findings *f);
};

extern const struct oracle oracle_recovery, oracle_integrity, oracle_invariant, oracle_batch,
    oracle_order, oracle_schema, oracle_leftovers, oracle_second_open, oracle_writable,
    oracle_liveness, oracle_own_check;

/* The fate of a probe on an observation that could be read. */
enum probe_status judge_probe_status(const struct judge *j, const struct observation *o,
				     size_t probe);
/* Has any legal state been shown? Real kills have none. */
bool judge_has_learned(const struct judge *j);

/* The name in double quotes, for SQL; owned by the caller. */
char *quote_name(const char *name);
/* The same for a table that may be qualified by the name of an attached file ("side.log"). */
char *quote_table(const struct judge_config *config, const char *table);

/* A row's value for a message: as it is, or as "integer(1 byte, #1a2b3c4d)". Owned by the caller.
 */
char *cell_shown(const struct probe_result *r, size_t row, size_t column, bool show_data);

/* Reads a whole cell as an integer; false for NULL and anything else. */
bool cell_int64(const char *cell, int64_t *ret);

#endif
