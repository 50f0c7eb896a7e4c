/*
 * The judge: on small traces the lazy explorer and the brute-force enumerator reach exactly the
 * same set of (outcome, worst grade), and count the same number of states, on real SQLite workloads
 * in every journal mode and synchronous setting, under every preset of a power loss and models
 * between them, with both sector sizes. Operations that SQLite never
 * makes are in harness/explore/test/test_random_traces.c.
 */
#include "harness/drive/test/equivalence_help.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* `model` by name, with `sector` over its own. */
static struct model model_of(const char *name, uint32_t sector)
{
	struct model model;
	struct err err = ERR_INIT;

	assert_int_equal(model_find(name, &model, &err), 0);
	assert_int_equal(model_set(&model, "sector", sector == 512 ? "512" : "4096", &err), 0);
	model.seed = 1;
	return model;
}

/* ---- a second crash, during recovery ---- */

static int examine_again(void *ctx, const struct explore_point *point, struct crashdisk *disk,
			 const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct lazy_ctx *lazy = ctx;
	int rc = examiner_examine(lazy->examiner, point, disk, choice, ret_next, err);
	struct examined x = examiner_last(lazy->examiner);

	*ret_next = EXPLORE_GO;
	if (rc == 0 && point->again.happened)
		outcome_add(&lazy->set, x.outcome, x.grade);
	return rc;
}

static int recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   enum explore_next *ret_next, struct err *err)
{
	const struct lazy_ctx *lazy = ctx;

	return examiner_recover(lazy->examiner, point, disk, ret_next, err);
}

struct again_ctx {
	struct brute_ctx brute;
	const struct model *model;
	uint64_t states;
};

static void stop_recording(void *disk)
{
	disk_record(disk, NULL);
}

static int visit_again(void *ctx, const struct enumerate_file *files, size_t count, struct err *err)
{
	struct again_ctx *a = ctx;

	a->states++;
	return brute_visit(&a->brute, files, count, err);
}

static bool is_lock(const struct op *op)
{
	return op->kind == OP_LOCK || op->kind == OP_UNLOCK;
}

/* A state of the first crash: recovers on it, records that, and builds all states of a crash at any
 * moment of it. */
static int visit_first(void *ctx, const struct enumerate_file *files, size_t count, struct err *err)
{
	struct again_ctx *a = ctx;
	struct disk *disk = disk_create();
	struct trace *t = trace_create(fi_vfs_default_device(), "recovery");
	int rc = 0;

	for (size_t i = 0; i < count; i++)
		disk_put(disk, files[i].path, files[i].data, files[i].size);
	disk_record(disk, t);
	examiner_recover_storage(a->brute.examiner, disk_storage(disk), a->brute.position,
				 stop_recording, disk);
	/* A recovery that only took locks has no moments to tell apart. */
	bool did = false;
	for (uint64_t p = 1; p <= t->op_count; p++)
		did = did || !is_lock(trace_at(t, p));
	for (uint64_t p = 0; p <= t->op_count && did && rc == 0; p++) {
		uint64_t n;
		if (p == 0 || !is_lock(trace_at(t, p)))
			rc = enumerate_states(t, a->model, p, EQUIVALENCE_STATES_MAX, visit_again,
					      a, &n, err);
	}
	disk_free(disk);
	trace_free(t);
	return rc;
}

static uint64_t compare_again(const struct subject *subject, const struct trace *t,
			      const struct model *model)
{
	struct err err = ERR_INIT;
	struct trace_index *ix;
	struct examiner *lazy, *brute;
	struct explore_points points;
	uint64_t *extra, states = 0;
	size_t extra_count;
	struct model honest = *model;

	/* The earlier disks behind a barrier are crash points of their own. */
	if (model->fsync == MODEL_FSYNC_BARRIER)
		honest.fsync = MODEL_FSYNC_HONEST;
	assert_int_equal(trace_index_build(t, model, &ix, &err), 0);
	assert_int_equal(examiner_create(subject, ix, false, &lazy, &err), 0);
	assert_int_equal(examiner_create(subject, ix, false, &brute, &err), 0);
	examiner_interrupt_recovery(lazy);
	examiner_interrupt_recovery(brute);
	history_points(examiner_history(lazy), &extra, &extra_count);
	explore_points(ix, model, extra, extra_count, &points);
	for (size_t i = 0; i < points.count; i++) {
		uint64_t n, p = points.items[i].position;
		struct lazy_ctx l = {.examiner = lazy};
		struct again_ctx a = {.brute = {.examiner = brute,
						.disk = disk_create(),
						.position = p,
						.promise = p},
				      .model = model};
		struct explore_point point = {
		    .position = p, .cut_bytes = SIZE_MAX, .promises = &p, .promise_count = 1};
		struct explore_callbacks callbacks = {
		    .examine = examine_again, .recover = recover, .ctx = &l};
		struct explore_stats stats;
		int rc = enumerate_states(t, &honest, p, 200, visit_first, &a, &n, &err);
		explore_stats_init(&stats);
		if (rc == 0) {
			if (explore(ix, model, &point, 1, &callbacks, &stats, &err) != 0)
				fail_msg("%s: %s", subject->id, err.message);
			assert_true(stats.exhaustive);
			outcomes_assert_equal(&l.set, &a.brute.set, subject->id, p);
			states += a.states;
		} else {
			assert_int_equal(rc, ERR_LIMIT);
		}
		explore_stats_release(&stats);
		free(l.set.items);
		free(a.brute.set.items);
		disk_free(a.brute.disk);
	}
	free(extra);
	explore_points_release(&points);
	examiner_free(lazy);
	examiner_free(brute);
	trace_index_free(ix);
	return states;
}

/* `again`: compares the states of a second crash instead of the first. */
static uint64_t compare_cases(const char *text, struct model model, bool every_position, bool again)
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
		states += again ? compare_again(subject, t, &model)
				: equivalence_compare(subject, t, &model, every_position);
		trace_free(t);
		subject_free(subject);
	}
	case_list_release(&cases);
	scenario_free(s);
	return states;
}

static uint64_t compare_scenario(const char *text, struct model model, bool every_position)
{
	return compare_cases(text, model, every_position, false);
}

/* One row, in one transaction, under the modes and levels of a matrix. */
#define ONE_ROW(matrix)                                                                            \
	"-- @scenario one row\n"                                                                   \
	"-- @matrix " matrix "\n"                                                                  \
	"-- @pragma page_size=512\n"                                                               \
	"-- @setup\n"                                                                              \
	"CREATE TABLE t(id INTEGER PRIMARY KEY, v);\n"                                             \
	"-- @client a\n"                                                                           \
	"INSERT INTO t VALUES (1, 'x');\n"

static const char one_row[] = ONE_ROW("journal_mode=delete,truncate,persist,memory,off,wal "
				      "synchronous=extra,full,normal,off");

/* All journal modes and synchronous settings, sectors of 512 bytes: one page is one sector. */
static void test_modes_512(void **state)
{
	(void)state;
	uint64_t states = compare_scenario(one_row, model_of("strict-posix", 512), true);
	print_message("%llu states by brute force\n", (unsigned long long)states);
	assert_true(states > 1000);
}

/* The same with sectors of 4096 bytes: eight pages share a sector. */
static void test_modes_4096(void **state)
{
	(void)state;
	uint64_t states = compare_scenario(one_row, model_of("strict-posix", 4096), true);
	assert_true(states > 1000);
}

/* `make check-long` compares all that there is; `make check` what takes a third of the time. */
static bool takes_long(void)
{
	return getenv("PLUGPULL_LONG") != NULL;
}

/* Every other preset at every sector size that it may have, or a fifth of these, with every journal
 * mode. */
static void test_presets(void **state)
{
	static const char modes[] = ONE_ROW("journal_mode=delete,truncate,persist,memory,off,wal "
					    "synchronous=full,normal");
	size_t count;
	const struct model_info *presets = model_presets(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct model *m = &presets[i].model;
		for (uint32_t sector = 512; sector <= 4096; sector += 4096 - 512) {
			if (m->process_crash || strcmp(m->name, "strict-posix") == 0 ||
			    m->sector == (sector == 512 ? 2 : 1))
				continue;
			if ((i + (sector == 512)) % 5 != 0 && !takes_long())
				continue;
			uint64_t states = compare_scenario(modes, model_of(m->name, sector), false);
			print_message("%s, %u-byte sectors: %llu states by brute force\n", m->name,
				      sector, (unsigned long long)states);
			assert_true(states > 400);
		}
	}
}

/* Models in which a file, or everything, survives as one prefix of its operations. */
static void test_prefixes(void **state)
{
	static const char *const settings[][2] = {{"reorder", "file"}, {"reorder", "none"}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (int damage = 0; damage < (takes_long() ? 2 : 1); damage++) {
			struct model model = model_of("strict-posix", 512);
			struct err err = ERR_INIT;
			assert_int_equal(model_set(&model, settings[i][0], settings[i][1], &err),
					 0);
			assert_int_equal(
			    model_set(&model, "psow", damage != 0 ? "no" : "yes", &err), 0);
			assert_int_equal(model_check(&model, &err), 0);
			uint64_t states = compare_scenario(one_row, model, true);
			print_message("reorder=%s: %llu states by brute force\n", settings[i][1],
				      (unsigned long long)states);
			assert_true(states > 500);
		}
	}
}

/* A crash during recovery, under every preset, or a third of them: what brute force finds, and
 * nothing else. Garbage is a function of the number of a file, and brute force numbers the files of
 * a recovery otherwise. */
static void test_again(void **state)
{
	static const char text[] = ONE_ROW("journal_mode=delete,truncate,persist,wal "
					   "synchronous=extra,normal");
	size_t count;
	const struct model_info *presets = model_presets(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct model *m = &presets[i].model;
		if (m->process_crash || m->no_psow || (i % 3 != 0 && !takes_long()))
			continue;
		uint64_t states = compare_cases(text, model_of(m->name, 4096), false, true);
		print_message("%s: %llu states of a second crash by brute force\n", m->name,
			      (unsigned long long)states);
		assert_true(states > 500);
	}
}

/* A history that returns to an earlier state: a commit that is lost at one crash point may look
 * like a later state at another. */
static void test_repeated_states(void **state)
{
	static const char text[] =
	    "-- @scenario insert, then delete\n"
	    "-- @matrix journal_mode=delete,wal synchronous=full,normal\n"
	    "-- @pragma page_size=512\n"
	    "-- @setup\n"
	    "CREATE TABLE t(id INTEGER PRIMARY KEY, v);\n"
	    "-- @client a\n"
	    "INSERT INTO t VALUES (1, 'x');\n"
	    "DELETE FROM t;\n";

	(void)state;
	(void)compare_scenario(text, model_of("strict-posix", 512), true);
}

/* Two files in one transaction: super-journal, or one log each. With sectors of 512 bytes brute
 * force has two million states of the journals. */
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
	(void)compare_scenario(text, model_of("strict-posix", takes_long() ? 512 : 4096), false);
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
	(void)compare_scenario(text, model_of("strict-posix", 4096), false);
}

/* What follows recovery, where there is something to object to: planted defects of recovery. */
static void test_aftermath(void **state)
{
	static const char *const defects[] = {"journal-stays", "log-vanishes",
					      "read-only-after-recovery", "lock-stays"};

	(void)state;
	for (size_t i = 0; i < sizeof defects / sizeof defects[0]; i++) {
		char *text = xasprintf(
		    "-- @scenario one row\n"
		    "-- @matrix journal_mode=delete,persist,wal synchronous=extra,normal\n"
		    "-- @pragma page_size=512\n"
		    "-- @plant %s\n"
		    "-- @setup\n"
		    "CREATE TABLE t(id INTEGER PRIMARY KEY, v);\n"
		    "-- @client a\n"
		    "INSERT INTO t VALUES (1, 'x');\n",
		    defects[i]);
		uint64_t states = compare_scenario(
		    text, model_of("strict-posix", takes_long() ? 512 : 4096), true);
		print_message("%s: %llu states by brute force\n", defects[i],
			      (unsigned long long)states);
		assert_true(states > 400);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_modes_512), cmocka_unit_test(test_modes_4096),
	    cmocka_unit_test(test_presets),   cmocka_unit_test(test_again),
	    cmocka_unit_test(test_prefixes),  cmocka_unit_test(test_repeated_states),
	    cmocka_unit_test(test_two_files), cmocka_unit_test(test_checkpoint),
	    cmocka_unit_test(test_aftermath),
	};

	observer_configure();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
