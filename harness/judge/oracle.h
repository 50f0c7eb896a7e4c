/*
 * The oracles besides history, one file each. An oracle declares the queries it wants answered
 * (probes) and judges the answers; it never talks to SQLite itself.
 */
#ifndef JUDGE_ORACLE_H
#define JUDGE_ORACLE_H

#include "harness/judge/history.h"
#include "harness/judge/observation.h"
#include "harness/judge/verdict.h"

/* What a scenario declares. Borrowed strings. */
struct judge_invariant {
	const char *text, *sql;
};
struct judge_batch {
	const char *table, *id_column, *count_column;
};
struct judge_order {
	const char *table, *column;
};
struct judge_config {
	const struct judge_invariant *invariants;
	size_t invariant_count;
	const struct judge_batch *batches;
	size_t batch_count;
	const struct judge_order *orders;
	size_t order_count;
	const int64_t *schema_versions; /* declared list; NULL = oracle off */
	size_t schema_version_count;
	const char *const *schemas; /* schema names of the files: "main", then attached names */
	size_t schema_count;
	bool show_data; /* messages show row values; otherwise type, size and hash of each */
};

struct judge; /* oracles in use, their probes, and what they learned from the legal states */

struct judge *judge_create(const struct judge_config *config);
void judge_free(struct judge *j); /* accepts NULL */

/* The queries to answer on every state; borrowed, fixed after creation. */
const struct probe_list *judge_probes(const struct judge *j);

/* Shows a legal state, before any crash state is judged: baselines ("not applicable") and the
 * schema of each version are learned from these. */
void judge_learn(struct judge *j, const struct observation *o);

/* What oracles leave out because a legal state already fails it. Borrowed strings, valid until the
 * next judge_learn(). The name says whether somebody asked for the oracle (judge_always_on()):
 * "invariant", "batch", "order" and "schema" are on because the scenario declares them. Those come
 * first, so that a small `max` cuts off none of them for the others. */
struct judge_not_applicable {
	const char *oracle;
	const char *reason;
};
size_t judge_not_applicable(const struct judge *j, struct judge_not_applicable *ret, size_t max);

/* Nobody asked for this oracle by name; where it does not apply, nothing that was asked for is
 * missing. */
bool judge_always_on(const char *oracle);

/* Is there an oracle of this name that can object in a result? Also those that are none of this
 * list: the history, and the user's command (--check). *ret_names (static; may be NULL) lists them
 * all. */
bool judge_knows(const char *oracle, const char **ret_names);

enum { JUDGE_VERDICTS_MAX = 16 };

/* Judges one observation (rc == 0 or not) at a crash position: history first, then each oracle.
 * Returns the number of findings (0 = durable and all held); the worst grade and the number of
 * lost acknowledged commits go to *ret_grade, *ret_lost. A failing user invariant counts as
 * corrupt; GRADE_NONE findings do not lower the grade. */
size_t judge_observation(const struct judge *j, const struct history *h, uint64_t position,
			 const struct observation *o, struct verdict *ret, size_t max,
			 enum grade *ret_grade, uint64_t *ret_lost);

/* For --help and docs: name, what it checks, what it does not. */
struct oracle_info {
	const char *name, *checks, *does_not_check;
};
const struct oracle_info *oracle_infos(size_t *ret_count);

#endif
