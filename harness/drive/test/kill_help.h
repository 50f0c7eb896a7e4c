/*
 * For the tests of the real kills: running a scenario's text, looking at what came of it, and
 * making sure that nothing is left. All of it works in a folder of its own, which is $TMPDIR.
 */
#ifndef DRIVE_TEST_KILL_HELP_H
#define DRIVE_TEST_KILL_HELP_H

#include "harness/drive/kill.h"
#include "harness/drive/kill_internal.h"

#define ARCHIVE                                                                                    \
	"-- @scenario the store\n"                                                                 \
	"-- @pragma journal_mode=wal synchronous=full wal_autocheckpoint=8\n"                      \
	"-- @batch events id=batch_id count=batch_count\n"                                         \
	"-- @order events seq\n"                                                                   \
	"-- @schema-version 1,2,3,4\n"

#define TABLE                                                                                      \
	"-- @setup\n"                                                                              \
	"CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);\n"                                        \
	"CREATE INDEX t_v ON t(v);\n"                                                              \
	"INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c "            \
	"WHERE i < 24) SELECT i, printf('%0150d', i) FROM c;\n"

#define WRITER(repeat)                                                                             \
	"-- @client writer repeat=" #repeat "\n"                                                   \
	"BEGIN;\n"                                                                                 \
	"UPDATE t SET v = printf('%0150d', id + :r % 1000) WHERE id % 8 = 1;\n"                    \
	"INSERT INTO t(v) VALUES (printf('%0150d', :i));\n"                                        \
	"COMMIT;\n"

struct kill_outcome {
	struct result result; /* the caller releases it */
	struct case_result *c;
	int rc;
	struct err err;
};

/* Runs the first case of a scenario. */
void kill_test_run(const char *text, const struct kill_options *options, struct kill_outcome *ret);
/* The same with seed 1 and so many rounds; an error fails the test. */
void kill_test_rounds(const char *text, uint64_t rounds, struct kill_outcome *ret);

/* The same with power cuts under a model, two rounds at a time. */
void kill_test_power(const char *text, const char *model, uint64_t rounds,
		     struct kill_outcome *ret);

void kill_test_show(const struct case_result *c);
bool kill_test_violation(const struct case_result *c, const char *oracle);
bool kill_test_note(const struct case_result *c, const char *text);
/* Why durability was not judged, or "". */
const char *kill_test_unknown(const struct case_result *c);

/* Fails the test when a child, a folder, or a file of libfaketime is left. */
void kill_test_nothing_left(void);

/* Set-up and tear-down of a group. */
int kill_test_make_folder(void **state);
int kill_test_remove_folder(void **state);
const char *kill_test_folder(void);

#endif
