/* The parts of the real kills that need no writer: jobs, records and observations as bytes, the
 * folder, the judgement of promises, the verdict. */
#include "harness/drive/kill_case.h"
#include "harness/drive/kill_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- jobs ---- */

static struct subject *sample_subject(void)
{
	struct subject *s = subject_create();

	s->id = xstrdup("sample@kill");
	s->title = xstrdup("a sample");
	s->database = xstrdup("/nowhere/main.db");
	s->model = xstrdup("kill");
	kv_set(&s->pragmas, "journal_mode", "wal");
	s->seed = UINT64_MAX;
	return s;
}

static struct statement statements[] = {
    {(char *)"INSERT INTO t VALUES ('\"quoted\" \xc3\xa4');", 7, false},
    {(char *)"COMMIT;", 9, true},
};

static char *encoded_job(void)
{
	struct subject *subject = sample_subject();
	struct kill_client client = {
	    .name = (char *)"alice",
	    .index = 3,
	    .repeat = UINT32_MAX,
	    .statements = {statements, 2, 2},
	    .from = {.turn = 4, .repetition = 5, .statement = 1},
	};
	struct kill_job job = {
	    .role = KILL_ROLE_REFERENCE,
	    .path = (char *)"sample.sql",
	    .subject = subject,
	    .workload = (char *)"store.archival",
	    .worker = 6,
	    .seed = UINT64_MAX - 1,
	    .setup = {statements, 1, 1},
	    .clients = &client,
	    .client_count = 1,
	    .reopen = true,
	    .plan = {.moment = FI_KILL_AFTER, .number = 42},
	};
	struct err err = ERR_INIT;
	char *text = NULL;

	kv_set(&job.params, "batches", "9");
	assert_int_equal(kill_job_encode(&job, &text, &err), 0);
	kv_release(&job.params);
	subject_free(subject);
	return text;
}

/* What a writer reads is what it was told. */
static void test_job_round_trip(void **state)
{
	char *text = encoded_job();
	struct kill_job job = {0};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(kill_job_decode(text, strlen(text), &job, &err), 0);
	assert_int_equal(job.role, KILL_ROLE_REFERENCE);
	assert_string_equal(job.path, "sample.sql");
	assert_string_equal(job.subject->database, "/nowhere/main.db");
	assert_true(job.subject->seed == UINT64_MAX);
	assert_string_equal(job.workload, "store.archival");
	assert_null(job.plant);
	assert_string_equal(kv_find(&job.params, "batches"), "9");
	assert_int_equal(job.worker, 6);
	assert_true(job.seed == UINT64_MAX - 1);
	assert_int_equal(job.setup.count, 1);
	assert_string_equal(job.setup.items[0].sql, statements[0].sql);
	assert_int_equal(job.client_count, 1);
	assert_string_equal(job.clients[0].name, "alice");
	assert_int_equal(job.clients[0].index, 3);
	assert_true(job.clients[0].repeat == UINT32_MAX);
	assert_int_equal(job.clients[0].from.turn, 4);
	assert_int_equal(job.clients[0].from.repetition, 5);
	assert_int_equal(job.clients[0].from.statement, 1);
	assert_int_equal(job.clients[0].statements.count, 2);
	assert_int_equal(job.clients[0].statements.items[1].line, 9);
	assert_true(job.clients[0].statements.items[1].may_fail);
	assert_true(job.reopen);
	assert_int_equal(job.plan.moment, FI_KILL_AFTER);
	assert_int_equal(job.plan.number, 42);
	kill_job_release(&job);
	free(text);
}

static char *replaced(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);

	assert_non_null(at);
	return xasprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

/* A job that is cut or changed is refused, and what was read of it is released. */
static void test_broken_jobs(void **state)
{
	static const char *const changes[][2] = {
	    {"\"role\":1", "\"role\":9"},
	    {"\"role\":1", "\"roll\":1"},
	    {"\"worker\":6", "\"worker\":-1"},
	    {"\"moment\":2", "\"moment\":7"},
	    {"{\"batches\":\"9\"}", "{\"batches\":9}"},
	    {"{\"batches\":\"9\"}", "[]"},
	    {"/nowhere/main.db", "main.db"},
	    {"\"repetition\":5", "\"repetition\":\"5\""},
	    {"\"statement\":1", "\"statement\":3"},
	    {"\"COMMIT;\",9,true", "\"COMMIT;\",9"},
	    {"\"setup\":[", "\"setup\":0,\"x\":["},
	};
	char *text = encoded_job();
	struct kill_job job = {0};

	(void)state;
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		char *broken = replaced(text, changes[i][0], changes[i][1]);
		struct err err = ERR_INIT;

		assert_true(kill_job_decode(broken, strlen(broken), &job, &err) < 0);
		assert_true(err.message[0] != '\0');
		free(broken);
	}
	for (size_t size = 0; size < strlen(text); size++) {
		struct err err = ERR_INIT;

		assert_true(kill_job_decode(text, size, &job, &err) < 0);
	}
	assert_null(job.path);
	free(text);
}

/* ---- records ---- */

/* Records arrive in pieces: one is taken when it is whole, and never before. */
static void test_records(void **state)
{
	struct kill_record sent[] = {
	    {.type = KILL_RECORD_STARTED, .clock = -5},
	    {.type = KILL_RECORD_TEXT, .text = "server-0 17"},
	    {.type = KILL_RECORD_TURN, .client = 2, .position = {UINT64_MAX, 3, 4}},
	    {.type = KILL_RECORD_STATE, .position = {1, 2, 3}, .file_count = OBSERVED_FILES_MAX},
	    {.type = KILL_RECORD_IMPURE, .text = "random()"},
	    {.type = KILL_RECORD_DONE, .counts = {12, 3}},
	    {.type = KILL_RECORD_FAILED, .code = ERR_INPUT, .text = "no such table"},
	    {.type = KILL_RECORD_SEEN, .text = "server-1 9"},
	    {.type = KILL_RECORD_SEEN_STATE, .position = {.turn = 12}},
	    {.type = KILL_RECORD_FOUND, .code = GRADE_TORN, .text = "history it changed"},
	};
	enum { COUNT = sizeof sent / sizeof sent[0] };
	struct buf all, part;
	size_t got = 0, offset = 0;
	struct err err = ERR_INIT;

	(void)state;
	sent[3].states[OBSERVED_FILES_MAX - 1].hi = 99;
	buf_init(&all);
	buf_init(&part);
	for (size_t i = 0; i < COUNT; i++)
		kill_record_encode(&sent[i], &all);
	for (size_t i = 0; i < all.size; i++) {
		struct kill_record r;

		buf_append(&part, all.data + i, 1);
		int rc = kill_record_decode(&part, &offset, &r, &err);

		assert_true(rc == 0 || rc == 1);
		if (rc == 0)
			continue;
		assert_true(got < COUNT);
		assert_int_equal(r.type, sent[got].type);
		assert_int_equal(r.clock, sent[got].clock);
		assert_int_equal(r.client, sent[got].client);
		assert_true(r.position.turn == sent[got].position.turn);
		assert_int_equal(r.position.statement, sent[got].position.statement);
		assert_memory_equal(r.states, sent[got].states, sizeof r.states);
		assert_int_equal(r.counts.syncs, sent[got].counts.syncs);
		assert_int_equal(r.code, sent[got].code);
		assert_string_equal(r.text, sent[got].text);
		got++;
	}
	assert_int_equal(got, COUNT);
	assert_int_equal(offset, all.size);
	buf_release(&all);
	buf_release(&part);
}

/* What no writer sends is an error of the harness. */
static void test_broken_records(void **state)
{
	static const struct {
		size_t size;
		uint8_t bytes[16];
	} rows[] = {
	    {2, {0, 0}},			   /* empty */
	    {2, {255, 255}},			   /* too long */
	    {3, {1, 0, 200}},			   /* unknown type */
	    {4, {2, 0, KILL_RECORD_STARTED, 1}},   /* cut */
	    {12, {10, 0, KILL_RECORD_STARTED, 1}}, /* a byte too many */
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct kill_record r;
		struct err err = ERR_INIT;
		struct buf b;
		size_t offset = 0;

		buf_init(&b);
		buf_append(&b, rows[i].bytes, rows[i].size);
		assert_int_equal(kill_record_decode(&b, &offset, &r, &err), ERR_HARNESS);
		buf_release(&b);
	}
}

/* ---- observations ---- */

static struct observation sample_observation(void)
{
	struct observation o = {.id = 77, .rc = -3, .failed = "open: no", .file_count = 2};

	o.files[1].state.lo = 5;
	strcpy(o.aftermath.hot, "/db-journal");
	o.probe_count = 3;
	o.probes = xcalloc(3, sizeof *o.probes);
	o.probes[0] = (struct probe_result){.row_count = 2, .column_count = 2};
	o.probes[0].cells = xcalloc(4, sizeof *o.probes[0].cells);
	o.probes[0].types = xstrdup("tnib");
	o.probes[0].cells[0] = xstrdup("one");
	o.probes[0].cells[3] = xstrdup("");
	o.probes[1] = (struct probe_result){.rc = 1, .error = xstrdup("no such table: t")};
	o.probes[2] = (struct probe_result){.column_count = 4, .cut = true};
	return o;
}

/* An observation survives its way between processes; whatever is cut of it is refused. */
static void test_observations(void **state)
{
	struct observation o = sample_observation(), got = {0};
	struct err err = ERR_INIT;
	struct buf b;

	(void)state;
	buf_init(&b);
	kill_observation_encode(&o, &b);
	assert_int_equal(kill_observation_decode(&b, &got, &err), 0);
	assert_int_equal(got.id, 77);
	assert_int_equal(got.rc, -3);
	assert_string_equal(got.failed, "open: no");
	assert_string_equal(got.aftermath.hot, "/db-journal");
	assert_int_equal(got.file_count, 2);
	assert_int_equal(got.files[1].state.lo, 5);
	assert_int_equal(got.probe_count, 3);
	assert_string_equal(probe_cell(&got.probes[0], 0, 0), "one");
	assert_null(probe_cell(&got.probes[0], 0, 1));
	assert_string_equal(probe_cell(&got.probes[0], 1, 1), "");
	assert_memory_equal(got.probes[0].types, "tnib", 4);
	assert_string_equal(got.probes[1].error, "no such table: t");
	assert_int_equal(got.probes[2].column_count, 4);
	assert_true(got.probes[2].cut);
	observation_release(&got);
	for (size_t size = 0; size < b.size; size++) {
		struct buf cut = {b.data, size, b.cap};

		assert_int_equal(kill_observation_decode(&cut, &got, &err), ERR_HARNESS);
	}
	buf_put_u8(&b, 0);
	assert_int_equal(kill_observation_decode(&b, &got, &err), ERR_HARNESS);
	buf_release(&b);
	observation_release(&o);
}

/* ---- promises ---- */

struct server {
	const char *name, *count, *min, *max;
};

static struct kill_durability judge(const struct server *servers, size_t server_count,
				    const struct kill_promise *promises, size_t promise_count)
{
	char *cells[16];
	struct probe_result answer = {.row_count = server_count, .column_count = 4, .cells = cells};
	struct kill_durability d;

	for (size_t i = 0; i < server_count; i++) {
		cells[4 * i] = (char *)(uintptr_t)servers[i].name;
		cells[4 * i + 1] = (char *)(uintptr_t)servers[i].count;
		cells[4 * i + 2] = (char *)(uintptr_t)servers[i].min;
		cells[4 * i + 3] = (char *)(uintptr_t)servers[i].max;
	}
	kill_judge_promises(&answer, promises, promise_count, &d);
	return d;
}

/* Everything promised must be there, more may be, and nothing may be missing in between. */
static void test_promises(void **state)
{
	static const struct kill_promise promises[] = {
	    {"server-0", 5}, {"server-1", 5}, {"server-0", 10}, {"server-0", 15}};
	static const struct server more[] = {{"server-0", "20", "1", "20"},
					     {"server-1", "5", "1", "5"}};
	static const struct server less[] = {{"server-0", "5", "1", "5"},
					     {"server-1", "5", "1", "5"}};
	static const struct server gone[] = {{"server-0", "15", "1", "15"}};
	static const struct server hole[] = {{"server-0", "15", "1", "16"},
					     {"server-1", "5", "1", "5"}};
	static const struct server late[] = {{"server-0", "15", "2", "16"},
					     {"server-1", "5", "1", "5"}};
	static const struct server sparse[] = {{"server-0", NULL, NULL, "16"},
					       {"server-1", NULL, "3", "7"}};
	static const struct kill_promise promises_beyond[] = {{"server-1", 8}};
	struct kill_durability d;

	(void)state;
	d = judge(more, 2, promises, 4);
	assert_int_equal(d.grade, GRADE_DURABLE);
	assert_int_equal(d.lost, 0);
	d = judge(less, 2, promises, 4);
	assert_int_equal(d.grade, GRADE_CONSISTENT);
	assert_int_equal(d.lost, 2);
	assert_non_null(strstr(d.message, "server-0"));
	d = judge(gone, 1, promises, 4);
	assert_int_equal(d.grade, GRADE_CONSISTENT);
	assert_int_equal(d.lost, 1);
	d = judge(NULL, 0, promises, 4);
	assert_int_equal(d.lost, 4);
	assert_int_equal(judge(NULL, 0, NULL, 0).grade, GRADE_DURABLE);
	assert_int_equal(judge(hole, 2, promises, 4).grade, GRADE_TORN);
	assert_int_equal(judge(late, 2, promises, 4).grade, GRADE_TORN);
	/* Where positions are not dense there are no holes, but losses. */
	assert_int_equal(judge(sparse, 2, promises, 4).grade, GRADE_DURABLE);
	d = judge(sparse, 2, promises_beyond, 1);
	assert_int_equal(d.grade, GRADE_CONSISTENT);
	assert_int_equal(d.lost, 1);
}

/* The files are at the state after the acknowledged transactions; one more only if the writer was
 * killed; earlier is a loss; any other is torn. */
static void test_turns(void **state)
{
	struct kill_record states[5];
	struct observation o = {.file_count = 2};
	struct kill_durability d;

	(void)state;
	memset(states, 0, sizeof states);
	for (size_t i = 0; i < 5; i++) {
		states[i].states[0].lo = i == 4 ? 1 : i; /* the last is the second again */
		states[i].states[1].hi = i == 4 ? 1 : i;
	}
	for (uint64_t there = 0; there < 4; there++) {
		for (uint64_t acked = 0; acked < 4; acked++) {
			bool is_second = there == 1 && acked >= 3;

			o.files[0].state.lo = o.files[1].state.hi = there;
			kill_judge_turns(&o, states, 5, acked, true, &d);
			if (there == acked || there == acked + 1 || is_second) {
				assert_int_equal(d.grade, GRADE_DURABLE);
				assert_int_equal(d.turn, is_second ? 4 : there);
			} else if (there < acked) {
				assert_int_equal(d.grade, GRADE_CONSISTENT);
				assert_int_equal(d.lost, acked - there);
				assert_int_equal(d.turn, there);
			} else {
				assert_int_equal(d.grade, GRADE_TORN);
			}
		}
	}
	o.files[0].state.lo = o.files[1].state.hi = 2;
	kill_judge_turns(&o, states, 5, 1, false, &d);
	assert_int_equal(d.grade, GRADE_TORN);
	o.files[0].state.lo = 1;
	kill_judge_turns(&o, states, 5, 1, true, &d);
	assert_int_equal(d.grade, GRADE_TORN);
	assert_non_null(strstr(d.message, "in one of its files"));
	o.files[0].state.lo = 12345;
	kill_judge_turns(&o, states, 5, 1, true, &d);
	assert_int_equal(d.grade, GRADE_TORN);
	assert_non_null(strstr(d.message, "never had"));
}

/* ---- the folder ---- */

static void write_file(const char *folder, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static bool file_is(const char *folder, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", folder, name);
	char got[64] = "";
	FILE *f = fopen(path, "r");

	free(path);
	if (f == NULL)
		return text == NULL;
	(void)fgets(got, sizeof got, f);
	(void)fclose(f);
	return text != NULL && strcmp(got, text) == 0;
}

/* The folder is private, a fresh start replaces everything by what @setup left, and nothing of it
 * is left in the end. */
static void test_folder(void **state)
{
	struct kill_folder f = {0};
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(kill_folder_create(&f, &err), 0);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	write_file(f.base, "main.db", "base");
	write_file(f.data, "main.db", "old");
	write_file(f.data, "main.db-wal", "old");
	assert_int_equal(kill_folder_fresh(&f, f.data, &err), 0);
	assert_true(file_is(f.data, "main.db", "base"));
	assert_true(file_is(f.data, "main.db-wal", NULL));
	assert_true(file_is(f.base, "main.db", "base"));
	assert_int_equal(kill_clock_set(f.clock, -86400, &err), 0);
	assert_int_equal(kill_clock_set(f.clock, 315619200, &err), 0);
	assert_true(file_is(f.path, "clock", "+315619200\n"));
	char *path = xstrdup(f.path);

	kill_folder_remove(&f);
	assert_int_equal(stat(path, &st), -1);
	assert_null(f.path);
	assert_int_equal(setenv("TMPDIR", path, 1), 0);
	assert_int_equal(kill_folder_create(&f, &err), ERR_IO);
	assert_non_null(strstr(err.message, path));
	assert_int_equal(unsetenv("TMPDIR"), 0);
	free(path);
}

/* ---- the verdict ---- */

static void add(struct kill_score *s, uint64_t number, const char *oracle, enum grade grade,
		bool power, const char *message)
{
	kill_score_find(s, &(struct kill_finding){
			       .oracle = (char *)(uintptr_t)oracle,
			       .grade = grade,
			       .power = power,
			       .message = (char *)(uintptr_t)message,
			       .number = number,
			   });
}

struct verdict_row {
	uint64_t rounds, kills;
	bool interrupted, unknown;
	enum grade found, cut; /* after kills, after power cuts; GRADE_DURABLE: nothing */
	bool expects;
	enum grade rule, power_rule;
	enum case_verdict verdict;
	enum grade grade;
};

#define C GRADE_CORRUPT
#define T GRADE_TORN
#define S GRADE_CONSISTENT
#define D GRADE_DURABLE
#define N GRADE_NONE

/* Nothing that was not checked is claimed, and rounds that killed nobody prove nothing; what a
 * power cut may lose, a kill alone may not. */
static void test_verdict(void **state)
{
	static const struct verdict_row rows[] = {
	    {20, 20, 0, 0, D, D, 0, D, D, CASE_HELD, D},
	    {20, 10, 0, 0, D, D, 0, D, D, CASE_HELD, D},
	    {20, 9, 0, 0, D, D, 0, D, D, CASE_INCONCLUSIVE, D},
	    {20, 0, 0, 0, D, D, 0, D, D, CASE_INCONCLUSIVE, D},
	    {0, 0, 0, 0, D, D, 0, D, D, CASE_INCONCLUSIVE, D},
	    {7, 7, 1, 0, D, D, 0, D, D, CASE_INCONCLUSIVE, D},
	    {20, 20, 0, 1, D, D, 0, D, D, CASE_INCONCLUSIVE, N},
	    {20, 20, 0, 1, D, D, 0, S, S, CASE_INCONCLUSIVE, N},
	    {20, 20, 0, 1, D, D, 0, T, T, CASE_HELD, N},
	    {20, 20, 0, 1, T, D, 0, D, D, CASE_VIOLATED, T},
	    {20, 20, 0, 0, S, D, 0, D, D, CASE_VIOLATED, S},
	    {20, 20, 0, 0, S, D, 0, S, S, CASE_HELD, S},
	    {20, 0, 0, 0, T, D, 0, S, S, CASE_VIOLATED, T},
	    {7, 7, 1, 0, T, D, 0, S, S, CASE_VIOLATED, T},
	    {20, 20, 0, 0, N, D, 0, C, C, CASE_VIOLATED, D},
	    {20, 20, 0, 0, T, D, 1, T, T, CASE_HELD, T},
	    {20, 20, 0, 0, C, D, 1, T, T, CASE_VIOLATED, C},
	    {20, 20, 0, 0, D, D, 1, T, T, CASE_INCONCLUSIVE, D},
	    {20, 20, 0, 0, D, S, 0, D, D, CASE_VIOLATED, S},
	    {20, 20, 0, 0, D, S, 0, D, S, CASE_HELD, S},
	    {20, 20, 0, 0, S, D, 0, D, S, CASE_VIOLATED, S},
	    {20, 20, 0, 0, D, T, 0, D, S, CASE_VIOLATED, T},
	    {20, 20, 0, 0, D, C, 1, C, C, CASE_HELD, C},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct verdict_row *row = &rows[i];
		struct kill_run k = {.total = {.rounds = row->rounds,
					       .kills = row->kills,
					       .checks = row->rounds + 1},
				     .rule = {row->expects, row->rule},
				     .power_rule = {row->expects, row->power_rule},
				     .interrupted = row->interrupted};
		struct result r;
		struct case_result *c;

		if (row->unknown)
			k.unknown = xstrdup("unknown");
		if (row->found != GRADE_DURABLE)
			add(&k.total, 1, "oracle", row->found, false, "found");
		if (row->cut != GRADE_DURABLE)
			add(&k.total, 2, "oracle", row->cut, true, "found");
		result_init(&r, "kill", 1);
		c = result_add(&r);
		kill_run_verdict(&k, c);
		if (c->verdict != row->verdict || c->grade != row->grade)
			fail_msg("row %zu: %s, %s", i, case_verdict_text(c->verdict),
				 grade_text(c->grade) == NULL ? "-" : grade_text(c->grade));
		assert_true((c->reason != NULL) == (c->verdict == CASE_INCONCLUSIVE));
		result_release(&r);
		kill_run_release(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_job_round_trip), cmocka_unit_test(test_broken_jobs),
	    cmocka_unit_test(test_records),	   cmocka_unit_test(test_broken_records),
	    cmocka_unit_test(test_observations),   cmocka_unit_test(test_promises),
	    cmocka_unit_test(test_turns),	   cmocka_unit_test(test_folder),
	    cmocka_unit_test(test_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
