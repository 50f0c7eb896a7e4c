/*
 * The judge: on small traces the lazy explorer and the brute-force enumerator reach exactly the
 * same set of (outcome, worst grade), and count the same number of states, on real SQLite workloads
 * in every journal mode and synchronous setting and both sector sizes. Operations that SQLite never
 * makes are in harness/explore/test/test_random_traces.c.
 */
#include "harness/drive/examine.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"
#include "harness/drive/record.h"
#include "harness/explore/enumerate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- sets of outcomes ---------------------------------------------------------------------- */

struct outcome {
	uint64_t id;
	enum grade worst;
};

struct outcome_set {
	struct outcome *items;
	size_t count, cap;
};

static void add_outcome(struct outcome_set *set, uint64_t id, enum grade grade)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->items[i].id == id) {
			if (grade < set->items[i].worst)
				set->items[i].worst = grade;
			return;
		}
	}
	set->items = xgrow(set->items, set->count, &set->cap, sizeof *set->items);
	set->items[set->count++] = (struct outcome){id, grade};
}

/* Every outcome of `a` is in `b` with a grade at least as bad. */
static bool contains(const struct outcome_set *b, const struct outcome_set *a, bool same_grade)
{
	for (size_t i = 0; i < a->count; i++) {
		bool found = false;
		for (size_t k = 0; k < b->count && !found; k++)
			found = a->items[i].id == b->items[k].id &&
				(!same_grade || a->items[i].worst == b->items[k].worst);
		if (!found)
			return false;
	}
	return true;
}

static void assert_equal(const struct outcome_set *lazy, const struct outcome_set *brute,
			 const char *what, uint64_t position)
{
	if (contains(lazy, brute, true) && contains(brute, lazy, true))
		return;
	fail_msg("%s, position %llu: explorer found %zu outcomes, enumerator %zu, and they differ",
		 what, (unsigned long long)position, lazy->count, brute->count);
}

/* ---- SQLite workloads ---------------------------------------------------------------------- */

struct lazy_ctx {
	struct examiner *examiner;
	struct outcome_set set;
};

/* Goes on after a corrupt state: the enumerator does, too. */
static int examine_all(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		       const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct lazy_ctx *lazy = ctx;
	int rc = examiner_examine(lazy->examiner, point, disk, choice, ret_next, err);
	struct examined x = examiner_last(lazy->examiner);

	*ret_next = EXPLORE_GO;
	if (rc == 0)
		add_outcome(&lazy->set, x.outcome, x.grade);
	return rc;
}

struct brute_ctx {
	struct examiner *examiner;
	struct disk *disk;
	uint64_t position;
	struct outcome_set set;
};

static int visit(void *ctx, const struct enumerate_file *files, size_t count, struct err *err)
{
	struct brute_ctx *brute = ctx;
	uint64_t outcome, lost;
	enum grade grade;

	disk_clear(brute->disk);
	for (size_t i = 0; i < count; i++)
		disk_put(brute->disk, files[i].path, files[i].data, files[i].size);
	int rc =
	    examiner_examine_storage(brute->examiner, disk_storage(brute->disk), brute->position,
				     brute->position, &outcome, &grade, &lost, err);
	if (rc == 0)
		add_outcome(&brute->set, outcome, grade);
	return rc;
}

enum { STATES_MAX = 10000 }; /* crash points with more are left to those with fewer */

/* Compares both at every crash point, and brute force at every position in between against the
 * crash points. Returns how many states brute force recovered. */
static uint64_t compare(const struct subject *subject, const struct trace *t, uint32_t sector,
			const char *model_name, bool every_position)
{
	struct err err = ERR_INIT;
	struct trace_index *ix;
	struct examiner *lazy, *brute;
	struct explore_points points;
	uint64_t *extra, states = 0;
	size_t extra_count, compared = 0;
	struct model model;
	struct outcome_set all_lazy = {0}, all_brute = {0};

	assert_int_equal(model_find(model_name, &model, &err), 0);
	assert_int_equal(trace_index_build(t, sector, &ix, &err), 0);
	assert_int_equal(examiner_create(subject, ix, false, &lazy, &err), 0);
	assert_int_equal(examiner_create(subject, ix, false, &brute, &err), 0);
	history_points(examiner_history(lazy), &extra, &extra_count);
	explore_points(ix, &model, extra, extra_count, &points);
	for (size_t i = 0; i < points.count; i++) {
		struct lazy_ctx l = {.examiner = lazy};
		struct brute_ctx b = {brute, disk_create(), points.items[i].position, {0}};
		struct explore_callbacks callbacks = {.examine = examine_all, .ctx = &l};
		struct explore_stats stats;
		uint64_t n;
		explore_stats_init(&stats);
		int rc = enumerate_states(t, &model, sector, points.items[i].position, STATES_MAX,
					  visit, &b, &n, &err);
		if (rc == 0) {
			if (explore(ix, &model, &points.items[i], 1, &callbacks, &stats, &err) != 0)
				fail_msg("%s: %s", subject->id, err.message);
			assert_true(mpz_cmp_ui(stats.states, n) == 0);
			assert_true(stats.exhaustive);
			assert_equal(&l.set, &b.set, subject->id, points.items[i].position);
			states += n;
			compared++;
		} else {
			assert_int_equal(rc, ERR_LIMIT);
		}
		for (size_t k = 0; k < l.set.count; k++)
			add_outcome(&all_lazy, l.set.items[k].id, l.set.items[k].worst);
		for (size_t k = 0; k < b.set.count; k++)
			add_outcome(&all_brute, b.set.items[k].id, b.set.items[k].worst);
		free(l.set.items);
		free(b.set.items);
		disk_free(b.disk);
		explore_stats_release(&stats);
	}
	/* Crash points cover what lies between them. Only meaningful when none was too large. */
	for (uint64_t p = 0; every_position && compared == points.count && p <= t->op_count; p++) {
		struct brute_ctx b = {brute, disk_create(), p, {0}};
		uint64_t n;
		assert_int_equal(
		    enumerate_states(t, &model, sector, p, STATES_MAX, visit, &b, &n, &err), 0);
		for (size_t k = 0; k < b.set.count; k++)
			add_outcome(&all_brute, b.set.items[k].id, b.set.items[k].worst);
		states += n;
		free(b.set.items);
		disk_free(b.disk);
	}
	if (every_position && compared == points.count)
		assert_equal(&all_lazy, &all_brute, subject->id, UINT64_MAX);
	assert_true(compared > 0);
	free(all_lazy.items);
	free(all_brute.items);
	free(extra);
	explore_points_release(&points);
	examiner_free(lazy);
	examiner_free(brute);
	trace_index_free(ix);
	return states;
}

static uint64_t compare_scenario(const char *text, uint32_t sector, const char *model,
				 bool every_position)
{
	struct err err = ERR_INIT;
	struct scenario *s;
	struct case_list cases = {0};
	struct case_options options = {.default_require = GRADE_DURABLE};
	uint64_t states = 0;

	assert_int_equal(fi_vfs_register(&err), 0);
	if (scenario_parse("small.sql", text, strlen(text), NULL, &s, &err) != 0)
		fail_msg("%s", err.message);
	if (scenario_cases(s, "small.sql", NULL, &options, &cases, &err) != 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < cases.count; i++) {
		struct subject *subject = subject_from_scenario(s, &cases.items[i], 1);
		struct trace *t = NULL;
		char *skip = NULL;
		if (record_case(s, &cases.items[i], subject, &t, &skip, &err) != 0)
			fail_msg("%s", err.message);
		assert_null(skip);
		states += compare(subject, t, sector, model, every_position);
		trace_free(t);
		subject_free(subject);
	}
	case_list_release(&cases);
	scenario_free(s);
	return states;
}

static const char one_row[] = "-- @scenario one row\n"
			      "-- @matrix journal_mode=delete,truncate,persist,memory,off,wal "
			      "synchronous=extra,full,normal,off\n"
			      "-- @pragma page_size=512\n"
			      "-- @setup\n"
			      "CREATE TABLE t(id INTEGER PRIMARY KEY, v);\n"
			      "-- @client a\n"
			      "INSERT INTO t VALUES (1, 'x');\n";

/* All journal modes and synchronous settings, sectors of 512 bytes: one page is one sector. */
static void test_modes_512(void **state)
{
	(void)state;
	uint64_t states = compare_scenario(one_row, 512, "strict-posix", true);
	print_message("%llu states by brute force\n", (unsigned long long)states);
	assert_true(states > 1000);
}

/* The same with sectors of 4096 bytes: eight pages share a sector. */
static void test_modes_4096(void **state)
{
	(void)state;
	uint64_t states = compare_scenario(one_row, 4096, "strict-posix", true);
	assert_true(states > 1000);
}

/* Under a disk that lies about fsync everything stays pending. */
static void test_lying_disk(void **state)
{
	(void)state;
	(void)compare_scenario(one_row, 4096, "lying-disk", false);
}

/* A history that returns to an earlier state: a commit that is lost at one crash point may look
 * like a later state at another. */
static void test_repeated_states(void **state)
{
	static const char text[] =
	    "-- @scenario insert, then delete\n"
	    "-- @matrix journal_mode=delete,persist,wal synchronous=full,normal\n"
	    "-- @pragma page_size=512\n"
	    "-- @setup\n"
	    "CREATE TABLE t(id INTEGER PRIMARY KEY, v);\n"
	    "-- @client a\n"
	    "INSERT INTO t VALUES (1, 'x');\n"
	    "DELETE FROM t;\n";

	(void)state;
	(void)compare_scenario(text, 512, "strict-posix", true);
}

/* Two files in one transaction: super-journal, or one log each. */
static void test_two_files(void **state)
{
	static const char text[] = "-- @scenario two files\n"
				   "-- @matrix journal_mode=delete,wal\n"
				   "-- @attach aux other.db\n"
				   "-- @pragma page_size=512 synchronous=full\n"
				   "-- @setup\n"
				   "CREATE TABLE main.t(v);\n"
				   "CREATE TABLE aux.u(v);\n"
				   "-- @client a\n"
				   "BEGIN;\n"
				   "INSERT INTO t VALUES (1);\n"
				   "INSERT INTO u VALUES (1);\n"
				   "COMMIT;\n";

	(void)state;
	(void)compare_scenario(text, 512, "strict-posix", false);
}

/* A checkpoint into the database, which then begins a new log. */
static void test_checkpoint(void **state)
{
	static const char text[] = "-- @scenario checkpoint\n"
				   "-- @matrix synchronous=full,normal\n"
				   "-- @pragma page_size=512 journal_mode=wal\n"
				   "-- @setup\n"
				   "CREATE TABLE t(v);\n"
				   "-- @client a\n"
				   "INSERT INTO t VALUES (1);\n"
				   "PRAGMA wal_checkpoint(TRUNCATE);\n"
				   "INSERT INTO t VALUES (2);\n";

	(void)state;
	(void)compare_scenario(text, 4096, "strict-posix", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_modes_512),  cmocka_unit_test(test_modes_4096),
	    cmocka_unit_test(test_lying_disk), cmocka_unit_test(test_repeated_states),
	    cmocka_unit_test(test_two_files),  cmocka_unit_test(test_checkpoint),
	};

	observer_configure();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
