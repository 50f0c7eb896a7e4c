/*
 * What follows recovery, through the whole chain: each planted defect of recovery is a finding of
 * its oracle, with the same token and words for any number of workers, and says so again when it is
 * replayed; without the defect there is none. And what counts as hot.
 */
#include "harness/drive/aftermath.h"

#include "faultinject/base/buf.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"
#include "harness/drive/examine.h"
#include "harness/drive/gate.h"
#include "harness/judge/oracle.h"
#include "harness/drive/test/record_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DURABLE(mode)                                                                              \
	"-- @pragma journal_mode=" mode " synchronous=extra\n"                                     \
	"-- @setup\n"                                                                              \
	"CREATE TABLE t(id INTEGER PRIMARY KEY, v);\n"                                             \
	"INSERT INTO t VALUES (1, zeroblob(6000));\n"                                              \
	"-- @client a\n"                                                                           \
	"UPDATE t SET v = zeroblob(7000);\n"

/* Explores; *ret has one case. */
static const struct case_result *explore_text(const char *head, const char *body, unsigned jobs,
					      struct gate *gate, struct result *ret)
{
	struct buf text;
	struct err err = ERR_INIT;
	struct recorded r;

	buf_init(&text);
	buf_printf(&text, "-- @scenario aftermath\n%s%s", head, body);
	record_text(buf_str(&text), &r);
	buf_release(&text);
	*gate = (struct gate){.jobs = jobs};
	result_init(ret, "run", 1);
	struct case_result *c = result_add(ret);
	c->required = GRADE_DURABLE;
	c->has_required = true;
	if (gate_explore(gate, r.subject, r.trace, c, &err) != 0)
		fail_msg("%s", err.message);
	if (c->verdict == CASE_ERROR)
		fail_msg("%s", c->reason);
	recorded_release(&r);
	return c;
}

static const struct result_violation *violation_of(const struct case_result *c, const char *oracle,
						   enum grade grade)
{
	for (size_t i = 0; i < c->violation_count; i++)
		if (strcmp(c->violations[i].oracle, oracle) == 0 && c->violations[i].grade == grade)
			return &c->violations[i];
	fail_msg("%s found nothing", oracle);
	return NULL;
}

static void expect_again(const struct gate *gate, const struct result_violation *v)
{
	struct gate_replay options = {0};
	struct verdict verdicts[JUDGE_VERDICTS_MAX];
	struct case_file *c = NULL;
	struct err err = ERR_INIT;
	uint64_t lost, commits;
	enum grade grade;
	size_t count, i = 0, same = 0;

	while (i < gate->case_count && strcmp(gate->cases[i].token, v->token) != 0)
		i++;
	assert_true(i < gate->case_count);
	assert_int_equal(
	    case_file_decode(gate->cases[i].bytes.data, gate->cases[i].bytes.size, &c, &err), 0);
	assert_string_equal(c->finding.oracle, v->oracle);
	assert_int_equal(c->finding.grade, v->grade);
	assert_int_equal(gate_replay(c, &options, verdicts, JUDGE_VERDICTS_MAX, &count, &grade,
				     &lost, &commits, &err),
			 0);
	for (i = 0; i < count; i++)
		same += strcmp(verdicts[i].oracle, v->oracle) == 0 &&
			verdicts[i].grade == v->grade &&
			strcmp(verdicts[i].message, v->message) == 0;
	assert_int_equal(same, 1);
	case_file_free(c);
}

/* `defect` makes `oracle` find something that says `words`; nothing does without it. */
static void check_defect(const char *defect, const char *body, const char *oracle, enum grade grade,
			 const char *words)
{
	char *head = xasprintf("-- @plant %s\n", defect), *token = NULL;
	struct gate gate;
	struct result result;
	const struct case_result *c;

	for (unsigned jobs = 1; jobs <= 3; jobs++) {
		c = explore_text(head, body, jobs, &gate, &result);
		assert_int_equal(c->verdict, CASE_VIOLATED);
		const struct result_violation *v = violation_of(c, oracle, grade);
		if (strstr(v->message, words) == NULL)
			fail_msg("'%s' does not say '%s'", v->message, words);
		assert_true(token == NULL || strcmp(token, v->token) == 0);
		free(token);
		token = xstrdup(v->token);
		expect_again(&gate, v);
		gate_release(&gate);
		result_release(&result);
	}
	free(token);
	free(head);
	c = explore_text("", body, 1, &gate, &result);
	assert_int_equal(c->violation_count, 0);
	assert_int_equal(c->verdict, CASE_HELD);
	assert_int_equal(c->not_applicable_count, 0);
	gate_release(&gate);
	result_release(&result);
}

/* A journal that stays: hot, and rolled back again at the second open. */
static void test_journal_stays(void **state)
{
	(void)state;
	check_defect("journal-stays", DURABLE("delete"), "leftovers", GRADE_NONE,
		     "leaves a hot journal: /db/main.db-journal");
	check_defect("journal-stays", DURABLE("delete"), "second-open", GRADE_NONE,
		     "still changes files: write to /db/main.db");
}

/* A log that vanishes takes with it what was observed. */
static void test_log_vanishes(void **state)
{
	(void)state;
	check_defect("log-vanishes", DURABLE("wal"), "second-open", GRADE_CORRUPT,
		     "the content is another one");
}

/* A database that refuses writes. */
static void test_read_only(void **state)
{
	(void)state;
	check_defect("read-only-after-recovery", DURABLE("wal"), "writable", GRADE_CORRUPT,
		     "cannot be written after recovery: PRAGMA \"main\".user_version");
}

/* Locks that stay shut others out, in both kinds of locks. */
static void test_lock_stays(void **state)
{
	(void)state;
	check_defect("lock-stays", DURABLE("wal"), "liveness", GRADE_NONE, "locked out");
	check_defect("lock-stays", DURABLE("delete"), "liveness", GRADE_NONE, "locked out");
}

/* What an application forbids itself is no finding, and is said. */
static void test_query_only(void **state)
{
	static const char body[] = "-- @pragma journal_mode=wal synchronous=full\n"
				   "-- @setup\n"
				   "PRAGMA query_only = 0;\n"
				   "CREATE TABLE t(v);\n"
				   "-- @client a\n"
				   "PRAGMA query_only = 0;\n"
				   "INSERT INTO t VALUES (1);\n";
	struct gate gate;
	struct result result;

	(void)state;
	const struct case_result *c =
	    explore_text("-- @pragma query_only=1\n", body, 1, &gate, &result);
	assert_int_equal(c->violation_count, 0);
	assert_int_equal(c->grade, GRADE_DURABLE);
	assert_int_equal(c->not_applicable_count, 1);
	assert_string_equal(c->not_applicable[0].oracle, "writable");
	assert_non_null(strstr(c->not_applicable[0].reason, "readonly"));
	gate_release(&gate);
	result_release(&result);
}

/* Every journal mode, with exclusive locks, attached files, small pages, eager checkpoints:
 * nothing to object to, at both depths. */
static void test_no_false_alarm(void **state)
{
	static const char *const modes[] = {"delete", "truncate", "persist", "wal"};
	static const char *const heads[] = {
	    "",
	    "-- @pragma locking_mode=exclusive\n",
	    "-- @attach side other.db\n",
	    "-- @pragma page_size=512 journal_size_limit=100\n",
	    "-- @pragma page_size=1024 wal_autocheckpoint=1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		for (size_t k = 0; k < sizeof heads / sizeof heads[0]; k++) {
			for (unsigned depth = 1; depth <= 2; depth++) {
				struct buf text;
				struct err err = ERR_INIT;
				struct recorded r;
				struct gate gate = {.jobs = 1, .depth = depth};
				struct result result;
				buf_init(&text);
				buf_printf(&text,
					   "-- @scenario aftermath\n%s"
					   "-- @pragma journal_mode=%s synchronous=extra\n"
					   "-- @setup\n"
					   "CREATE TABLE t(v);\n"
					   "-- @client a\n"
					   "INSERT INTO t VALUES (zeroblob(600));\n",
					   heads[k], modes[i]);
				record_text(buf_str(&text), &r);
				result_init(&result, "run", 1);
				struct case_result *c = result_add(&result);
				c->required = GRADE_CORRUPT;
				c->has_required = true;
				if (gate_explore(&gate, r.subject, r.trace, c, &err) != 0)
					fail_msg("%s", err.message);
				if (c->verdict == CASE_ERROR)
					fail_msg("%s", c->reason);
				for (size_t v = 0; v < c->violation_count; v++)
					if (strcmp(c->violations[v].oracle, "history") != 0)
						fail_msg("%s: %s: %s", buf_str(&text),
							 c->violations[v].oracle,
							 c->violations[v].message);
				assert_int_equal(c->not_applicable_count, 0);
				recorded_release(&r);
				gate_release(&gate);
				result_release(&result);
				buf_release(&text);
			}
		}
	}
}

/* ---- questions ---- */

/* The aftermath of a sound state asks an undecided disk nothing: recovery needs no more runs for
 * it, and what the memo knows decides it. Cold journals, logs with half a frame behind the last
 * commit, super-journals; pages larger and smaller than a sector. */
static void test_asks_nothing(void **state)
{
	static const char *const modes[] = {"delete", "truncate", "persist", "wal"};
	static const unsigned sectors[] = {512, 4096};

	(void)state;
	for (size_t m = 0; m < 4 * 2 * 2; m++) {
		struct buf text;
		struct err err = ERR_INIT;
		struct recorded r;
		struct model model;
		struct trace_index *ix;
		struct examiner *e;
		struct explore_points points;
		uint64_t *extra;
		size_t extra_count;

		buf_init(&text);
		buf_printf(&text,
			   "-- @scenario aftermath\n"
			   "-- @attach side other.db\n"
			   "-- @pragma journal_mode=%s synchronous=extra page_size=%u\n"
			   "-- @setup\n"
			   "CREATE TABLE main.t(v);\n"
			   "CREATE TABLE side.u(v);\n"
			   "-- @client a repeat=2\n"
			   "BEGIN;\n"
			   "INSERT INTO t VALUES (:i);\n"
			   "INSERT INTO u VALUES (:i);\n"
			   "COMMIT;\n",
			   modes[m % 4], sectors[m / 8]);
		record_text(buf_str(&text), &r);
		assert_int_equal(subject_model(r.subject, &model, &err), 0);
		assert_int_equal(model_set(&model, "sector", m / 4 % 2 == 0 ? "512" : "4096", &err),
				 0);
		assert_int_equal(trace_index_build(r.trace, &model, &ix, &err), 0);
		assert_int_equal(examiner_create(r.subject, ix, false, &e, &err), 0);
		history_points(examiner_history(e), &extra, &extra_count);
		explore_points(ix, &model, extra, extra_count, &points);
		/* Each with an examiner of its own that knows nothing yet. */
		for (size_t i = 0; i < points.count; i++) {
			struct explore_callbacks callbacks = {.examine = examiner_examine};
			struct explore_stats stats;
			examiner_free(e);
			assert_int_equal(examiner_create(r.subject, ix, false, &e, &err), 0);
			callbacks.ctx = e;
			explore_stats_init(&stats);
			if (explore(ix, &model, &points.items[i], 1, &callbacks, &stats, &err) != 0)
				fail_msg("%s: %s", buf_str(&text), err.message);
			if (examiner_asked(e) != 0)
				fail_msg("%s: %llu aftermaths asked something", buf_str(&text),
					 (unsigned long long)examiner_asked(e));
			explore_stats_release(&stats);
		}
		explore_points_release(&points);
		free(extra);
		examiner_free(e);
		trace_index_free(ix);
		recorded_release(&r);
		buf_release(&text);
	}
}

/* ---- what is hot ---- */

static void put_super(struct buf *b, const char *name)
{
	static const uint8_t magic[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
	uint32_t size = (uint32_t)strlen(name), sum = 0;

	buf_append(b, name, size);
	for (uint32_t i = 0; i < size; i++)
		sum += (uint8_t)name[i];
	const uint32_t numbers[] = {size, sum};
	for (size_t i = 0; i < 2; i++)
		for (int shift = 24; shift >= 0; shift -= 8)
			buf_put_u8(b, (uint8_t)(numbers[i] >> shift));
	buf_append(b, magic, sizeof magic);
}

static struct subject two_files(void)
{
	static struct scenario_attach side = {.name = "side", .file = "/side.db"};

	return (struct subject){.database = "/main.db", .attached = &side, .attached_count = 1};
}

/* `head` begins the journal of `file`; `super` (may be NULL) ends it; the database has `pages`
 * bytes. Returns whether that is hot. */
static bool is_hot(const char *database, const void *head, size_t head_size, const char *super,
		   size_t database_size)
{
	struct disk *disk = disk_create();
	struct subject subject = two_files();
	struct observer observer;
	struct aftermath a = {0};
	uint8_t page[1024] = {1};
	struct buf journal;
	char *path = xasprintf("%s-journal", database);

	buf_init(&journal);
	buf_append(&journal, head, head_size);
	if (super != NULL)
		put_super(&journal, super);
	disk_put(disk, database, page, database_size);
	disk_put(disk, path, journal.data, journal.size);
	disk_put(disk, "/super", "x", 1);
	fi_vfs_boot(disk_storage(disk), 1, fi_vfs_default_device());
	observer_init(&observer, &subject, NULL);
	aftermath_leftovers(&observer, &a);
	assert_int_equal(fi_vfs_open_count(), 0);
	assert_true(a.hot[0] == '\0' || strcmp(a.hot, path) == 0);
	observer_release(&observer);
	disk_free(disk);
	buf_release(&journal);
	free(path);
	return a.hot[0] != '\0';
}

/* Hot is what SQLite would play back: a header that is not zero, over pages, and no super-journal
 * that is gone. */
static void test_hot(void **state)
{
	static const uint8_t header[512] = {0xd9, 0xd5}, zeros[512] = {0};

	(void)state;
	assert_true(is_hot("/main.db", header, 512, NULL, 1024));
	assert_true(is_hot("/side.db", header, 512, NULL, 1024));
	assert_true(is_hot("/main.db", header, 3, NULL, 1024));
	assert_false(is_hot("/main.db", header, 0, NULL, 1024));
	assert_false(is_hot("/main.db", zeros, 512, NULL, 1024));
	assert_false(is_hot("/main.db", header, 512, NULL, 0));
	assert_true(is_hot("/main.db", header, 512, "/super", 1024));
	assert_false(is_hot("/main.db", header, 512, "/gone", 1024));
	assert_false(is_hot("/main.db", zeros, 512, "/super", 1024));
}

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	return fi_vfs_register(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hot),
	    cmocka_unit_test(test_journal_stays),
	    cmocka_unit_test(test_log_vanishes),
	    cmocka_unit_test(test_read_only),
	    cmocka_unit_test(test_lock_stays),
	    cmocka_unit_test(test_query_only),
	    cmocka_unit_test(test_no_false_alarm),
	    cmocka_unit_test(test_asks_nothing),
	};

	observer_configure();
	return cmocka_run_group_tests(tests, setup, NULL);
}
