/*
 * --check: which states a command is shown, on small traces written by hand, and how it is run. The
 * commands are ordinary shell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "faultinject/base/buf.h"
#include "harness/drive/check_command.h"
#include "harness/drive/check_sample.h"

static char folder[64]; /* $TMPDIR of these tests */

/* ---- a trace, and its points ---- */

struct rig {
	struct trace *t;
	struct model model;
	struct trace_index *ix;
	struct explore_points points;
	struct check_job job;
	struct check_sampled result;
};

static void rig_open(struct rig *r, const char *model, const char *text)
{
	struct err err = ERR_INIT;
	char *whole = xasprintf("trace 1 sector=512 producer=\"test\"\n%s", text);
	uint64_t *outputs;
	size_t count = 0;

	memset(r, 0, sizeof *r);
	if (trace_parse_text(whole, strlen(whole), &r->t, &err) != 0 ||
	    model_find(model, &r->model, &err) != 0 ||
	    trace_index_build(r->t, &r->model, &r->ix, &err) != 0)
		fail_msg("%s", err.message);
	outputs = xcalloc(r->t->op_count + 1, sizeof *outputs);
	for (uint64_t p = 1; p <= r->t->op_count; p++)
		if (trace_at(r->t, p)->kind == OP_OUTPUT)
			outputs[count++] = p;
	explore_points(r->ix, &r->model, outputs, count, &r->points);
	r->job = (struct check_job){.ix = r->ix,
				    .model = &r->model,
				    .points = &r->points,
				    .seed = 1,
				    .states_max = CHECK_STATES};
	free(outputs);
	free(whole);
}

static void rig_close(struct rig *r)
{
	check_sampled_release(&r->result);
	explore_points_release(&r->points);
	trace_index_free(r->ix);
	trace_free(r->t);
}

static void rig_run(struct rig *r, const char *command)
{
	struct err err = ERR_INIT;

	check_sampled_release(&r->result);
	r->job.command = command;
	if (check_sample(&r->job, &r->result, &err) != 0)
		fail_msg("%s", err.message);
}

/* Two lines, each written, then told; the first is synced, the second is not. 0x61 is 'a', 0x62
 * 'b'. */
#define LINE_A "size=2 data=610a"
#define LINE_B "size=2 data=620a"
#define TWO_LINES                                                                                  \
	"1 create inode=1 name=\"/w/log\"\n"                                                       \
	"2 write inode=1 offset=0 " LINE_A "\n"                                                    \
	"3 sync-begin inode=1\n"                                                                   \
	"4 sync-end inode=1 begin=3\n"                                                             \
	"5 dirsync-begin name=\"/w\"\n"                                                            \
	"6 dirsync-end name=\"/w\" begin=5\n"                                                      \
	"7 output " LINE_A "\n"                                                                    \
	"8 write inode=1 offset=512 " LINE_B "\n"

#define TOLD_IS_THERE                                                                              \
	"while read -r line; do grep -aqs \"$line\" log || { echo lost $line; exit 3; }; done"

/* What had been told is on stdin, and was there in every state: nothing to object to. */
static void test_sound(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "strict-posix", TWO_LINES "end operations=8\n");
	rig_run(&r, TOLD_IS_THERE);
	assert_false(r.result.objects);
	assert_true(r.result.whole);
	assert_null(r.result.not_applicable);
	assert_int_equal(r.result.points_over, 0);
	assert_true(r.result.states > r.result.points);
	rig_close(&r);
}

/* A line that was told before it was synced can be lost; the message has the command's words, and
 * the state is found again, deterministically. */
static void test_told_too_early(void **state)
{
	struct rig r;
	struct case_state again = {0};
	struct verdict v;
	bool objects = false;
	struct err err = ERR_INIT;

	(void)state;
	rig_open(&r, "strict-posix", TWO_LINES "9 output " LINE_B "\nend operations=9\n");
	rig_run(&r, TOLD_IS_THERE);
	assert_true(r.result.objects);
	assert_true(r.result.whole);
	assert_int_equal(r.result.finding.verdict.grade, GRADE_CORRUPT);
	assert_string_equal(r.result.finding.verdict.oracle, "check");
	assert_string_equal(r.result.finding.verdict.message,
			    "the command of --check objects: exit status 3: lost b");
	assert_int_equal(r.result.finding.position, 9);

	again.position = again.promise = 9;
	again.answers = r.result.finding.answers;
	again.answer_count = r.result.finding.answer_count;
	assert_int_equal(check_again(&r.job, &again, NULL, NULL, &objects, &v, &err), 0);
	assert_true(objects);
	assert_string_equal(v.message, r.result.finding.verdict.message);
	/* When it no longer objects, the finding is gone; other questions are noticed. */
	r.job.command = "true";
	assert_int_equal(check_again(&r.job, &again, NULL, NULL, &objects, &v, &err), 0);
	assert_false(objects);
	again.answer_count--;
	assert_int_equal(check_again(&r.job, &again, NULL, NULL, &objects, &v, &err), ERR_HARNESS);
	rig_close(&r);

	rig_open(&r, "process-crash", TWO_LINES "9 output " LINE_B "\nend operations=9\n");
	rig_run(&r, TOLD_IS_THERE);
	assert_false(r.result.objects); /* processes die, and lose nothing */
	rig_close(&r);
}

/* Every state that omits one write is shown, whole whatever its size; so are the oldest one and
 * some that are neither. */
static void test_omissions(void **state)
{
	enum { WRITES = 12, SIZE = 1024, STATES = 60 };
	bool seen[1 << WRITES] = {false};
	struct rig r;
	struct buf text, command;
	size_t others = 0;

	(void)state;
	buf_init(&text);
	buf_init(&command);
	buf_printf(&text, "base inode=1 name=\"/w/f\" size=%d data=", WRITES * SIZE);
	for (int i = 0; i < WRITES * SIZE; i++)
		buf_printf(&text, "2e");
	buf_printf(&command, "cut -c ");
	for (int w = 0; w < WRITES; w++) {
		buf_printf(&text, "\n%d write inode=1 offset=%d size=%d data=", w + 1, w * SIZE,
			   SIZE);
		for (int i = 0; i < SIZE; i++)
			buf_printf(&text, "%02x", 'a' + w);
		buf_printf(&command, "%s%d,%d", w == 0 ? "" : ",", w * SIZE + 1, (w + 1) * SIZE);
	}
	buf_printf(&text, "\nend operations=%d\n", WRITES);
	/* The first and the last byte of each write, a line a state. */
	buf_printf(&command, " f >> %s/shown", folder);
	rig_open(&r, "strict-posix", buf_str(&text));
	r.job.states_max = STATES;
	rig_run(&r, buf_str(&command));
	assert_false(r.result.objects);
	char *shown = xasprintf("%s/shown", folder);
	FILE *f = fopen(shown, "r");
	char line[2 * WRITES + 2];
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		unsigned lost = 0;
		for (unsigned w = 0; w < WRITES; w++) {
			assert_int_equal(line[2 * w], line[2 * w + 1]);
			lost |= line[2 * w] == '.' ? 1u << w : 0;
		}
		assert_false(seen[lost]);
		seen[lost] = true;
	}
	fclose(f);
	assert_true(seen[0]);
	assert_true(seen[(1 << WRITES) - 1]);
	for (unsigned w = 0; w < WRITES; w++)
		assert_true(seen[1u << w]);
	for (unsigned lost = 0; lost < 1u << WRITES; lost++)
		others += seen[lost];
	assert_int_equal(others, r.result.states);
	assert_true(others > 2 * WRITES && others <= STATES);
	unlink(shown);
	free(shown);
	buf_release(&command);
	buf_release(&text);
	rig_close(&r);
}

/* A disk may lag behind a barrier: then more has been told than it holds. */
static void test_lag(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "apfs-barrier", TWO_LINES "end operations=8\n");
	rig_run(&r, TOLD_IS_THERE);
	assert_true(r.result.objects);
	assert_non_null(strstr(r.result.finding.verdict.message, "lost a"));
	assert_true(r.result.finding.position < 7);
	assert_true(r.result.finding.promise >= 7);
	rig_close(&r);
}

/* A file that lost its name, one that has two, and a folder below: the layout is that of the trace.
 */
static void test_layout(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "process-crash",
		 "base inode=1 name=\"/w/app/data/a b\" size=1 data=61\n"
		 "base inode=1 name=\"/w/app/again\" link\n"
		 "base inode=2 name=\"/w/app/$x\" size=0\n"
		 "1 create inode=3 name=\"/w/app/deep/er/c\"\n"
		 "2 unlink name=\"/w/app/$x\"\n"
		 "end operations=2\n");
	rig_run(&r, "test \"$PWD\" = \"$PLUGPULL_STATE\" && cd / && cd \"$PLUGPULL_STATE\" && "
		    "test 'data/a b' -ef again && test ! -s \"$PLUGPULL_OUTPUT\" && "
		    "test -d deep/er && test ! -e data/data");
	assert_null(r.result.not_applicable);
	assert_false(r.result.objects);
	assert_int_equal(r.result.points_over, 0);
	assert_int_equal(r.result.points, 3);
	assert_int_equal(r.result.states, 3);
	rig_run(&r, "test -e '$x'");
	assert_non_null(r.result.not_applicable); /* not so at the end */
	rig_run(&r, "test -f deep/er/c");
	assert_int_equal(r.result.points_over, 1);
	assert_false(r.result.objects);
	rig_close(&r);
}

/* A command that objects to what the program left at its end says nothing; nor does one that cannot
 * be run. */
static void test_not_applicable(void **state)
{
	static const struct {
		const char *command, *says;
	} cases[] = {
	    {"false", "exit status 1"},
	    {"echo looking; echo \"  bad  \"; echo; exit 9", "exit status 9: bad"},
	    {"echo \"$PLUGPULL_STATE/log is bad\" >&2; exit 1", "$PLUGPULL_STATE/log is bad"},
	    {"kill -SEGV $$", "signal 11"},
	    {"/no/such/command", "exit status 127"},
	};
	struct rig r;

	(void)state;
	rig_open(&r, "strict-posix", TWO_LINES "end operations=8\n");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		rig_run(&r, cases[i].command);
		assert_non_null(r.result.not_applicable);
		if (strstr(r.result.not_applicable, cases[i].says) == NULL)
			fail_msg("'%s'", r.result.not_applicable);
		assert_false(r.result.objects);
		assert_int_equal(r.result.states, 1);
	}
	rig_close(&r);
}

/* A command that does not end is ended, with whatever it started, and that is an objection. */
static void test_hang(void **state)
{
	struct timespec begin, end;
	struct rig r;

	(void)state;
	rig_open(&r, "strict-posix", TWO_LINES "end operations=8\n");
	r.job.timeout_ns = 1000 * 1000 * 1000;
	char *command =
	    xasprintf("grep -aq b log || { sleep 5 & echo $! > %s/pid; sleep 5; }", folder);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	rig_run(&r, command);
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(r.result.objects);
	assert_string_equal(r.result.finding.verdict.message,
			    "the command of --check objects: it did not end within 1 s");
	assert_true(end.tv_sec - begin.tv_sec < 5);
	char *pid_path = xasprintf("%s/pid", folder);
	FILE *f = fopen(pid_path, "r");
	int pid = 0;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	/* It would sleep for 5 s. Its new parent may not have reaped it. */
	char *stat_path = xasprintf("/proc/%d/stat", pid);
	char how = '?';
	for (int i = 0; i < 100 && how != 'Z'; i++) {
		f = fopen(stat_path, "r");
		if (f == NULL || fscanf(f, "%*d %*s %c", &how) != 1)
			how = 'Z';
		if (f != NULL)
			fclose(f);
		(void)nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	assert_int_equal(how, 'Z');
	unlink(pid_path);
	free(stat_path);
	free(pid_path);
	free(command);
	rig_close(&r);
}

static bool stop_after(void *ctx)
{
	unsigned *left = ctx;

	return *left == 0 || --*left == 0;
}

/* A budget and an interruption end it early, and that is said; the states are no more than asked.
 */
static void test_bounds(void **state)
{
	unsigned left = 3;
	struct rig r;

	(void)state;
	rig_open(&r, "strict-posix", TWO_LINES "end operations=8\n");
	r.job.states_max = 2;
	rig_run(&r, "true");
	assert_int_equal(r.result.states, 2);
	assert_false(r.result.whole);
	r.job.states_max = 0;
	rig_run(&r, "true");
	assert_int_equal(r.result.states, 0);
	assert_false(r.result.whole);
	r.job.states_max = CHECK_STATES;
	r.job.stopped = stop_after;
	r.job.ctx = &left;
	rig_run(&r, "sleep 1");
	assert_false(r.result.whole);
	assert_false(r.result.objects);
	rig_close(&r);
}

/* What a command leaves behind is no part of the next state, and of the folder nothing stays. */
static void test_clean(void **state)
{
	struct rig r;
	struct dirent *entry;
	unsigned entries = 0;

	(void)state;
	rig_open(&r, "strict-posix", TWO_LINES "end operations=8\n");
	rig_run(&r, "test ! -e left && mkdir left && touch left/x && chmod 0 left && rm -f log");
	assert_null(r.result.not_applicable);
	assert_false(r.result.objects);
	assert_int_equal(r.result.points_over, 0);
	rig_close(&r);
	DIR *d = opendir(folder);
	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		entries += entry->d_name[0] != '.';
	closedir(d);
	assert_int_equal(entries, 0);
}

/* A file larger than a state may be is said, and not laid out. */
static void test_too_large(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "process-crash",
		 "1 create inode=1 name=\"/w/f\"\n2 truncate inode=1 size=300000000\n"
		 "end operations=2\n");
	rig_run(&r, "true");
	assert_non_null(r.result.not_applicable);
	assert_non_null(strstr(r.result.not_applicable, "larger than 256 MiB"));
	assert_int_equal(r.result.states, 0);
	rig_close(&r);
}

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/test_check_sample.XXXXXX");
	return mkdtemp(folder) == NULL ? -1 : setenv("TMPDIR", folder, 1);
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sound),     cmocka_unit_test(test_told_too_early),
	    cmocka_unit_test(test_omissions), cmocka_unit_test(test_lag),
	    cmocka_unit_test(test_layout),    cmocka_unit_test(test_not_applicable),
	    cmocka_unit_test(test_hang),      cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_clean),     cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
