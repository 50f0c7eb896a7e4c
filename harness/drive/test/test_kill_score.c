/* What rounds of the real kills came to: added up, as bytes, and in the file that a run goes on
 * with. */
#include "harness/drive/kill_case.h"
#include "harness/drive/kill_resume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

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

static struct kill_score sample_score(uint64_t number)
{
	struct kill_score s = {
	    .number = number, .rounds = 1, .kills = 1, .checks = 3, .acked = 7, .lost_max = number};

	add(&s, number, "batch", GRADE_TORN, false, number == 2 ? "early" : "late");
	add(&s, number, "batch", GRADE_TORN, false, "the same round again");
	add(&s, number, "batch", GRADE_TORN, true, "cut");
	return s;
}

/* Findings of an oracle and a grade are one, apart for kills and power cuts; rounds that show it
 * are counted, and the earliest tells it, in whatever order they come. */
static void test_scores_add(void **state)
{
	(void)state;
	for (int order = 0; order < 2; order++) {
		struct kill_score a = sample_score(order == 0 ? 2 : 5);
		struct kill_score b = sample_score(order == 0 ? 5 : 2);
		struct kill_score sum = {0};

		kill_score_add(&sum, &a);
		kill_score_add(&sum, &b);
		assert_int_equal(sum.rounds, 2);
		assert_int_equal(sum.acked, 14);
		assert_int_equal(sum.lost_max, 5);
		assert_int_equal(sum.finding_count, 2);
		assert_int_equal(sum.findings[0].rounds, 2);
		assert_int_equal(sum.findings[0].number, 2);
		assert_string_equal(sum.findings[0].message, "early");
		assert_true(sum.findings[1].power);
		kill_score_release(&a);
		kill_score_release(&b);
		kill_score_release(&sum);
	}
}

/* A score survives its way between processes; whatever is cut or changed in size is refused. */
static void test_scores_as_bytes(void **state)
{
	struct kill_score s = sample_score(9), got;
	struct err err = ERR_INIT;
	struct buf b;

	(void)state;
	buf_init(&b);
	kill_score_encode(&s, &b);
	assert_int_equal(kill_score_decode(b.data, b.size, &got, &err), 0);
	assert_int_equal(got.number, 9);
	assert_int_equal(got.checks, 3);
	assert_int_equal(got.finding_count, 2);
	assert_string_equal(got.findings[0].message, "late");
	assert_true(got.findings[1].power);
	kill_score_release(&got);
	for (size_t size = 0; size < b.size; size++)
		assert_int_equal(kill_score_decode(b.data, size, &got, &err), ERR_INPUT);
	buf_put_u8(&b, 0);
	assert_int_equal(kill_score_decode(b.data, b.size, &got, &err), ERR_INPUT);
	buf_release(&b);
	kill_score_release(&s);
}

/* ---- the file ---- */

static void write_file(const char *folder, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	free(path);
}

struct sum {
	uint64_t count, numbers;
};

static void add_up(void *ctx, const struct kill_score *score)
{
	struct sum *sum = ctx;

	sum->count++;
	sum->numbers += score->number;
}

static struct sum read_resume(const char *path, struct digest key, uint64_t *ret_torn)
{
	struct kill_resume *r = NULL;
	struct err err = ERR_INIT;
	struct sum sum = {0};

	if (kill_resume_open(path, &r, ret_torn, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(kill_resume_each(r, key, add_up, &sum, &err), 0);
	kill_resume_close(r);
	return sum;
}

static void write_rounds(const char *path, struct digest key, uint64_t from, uint64_t to)
{
	struct kill_resume *r = NULL;
	struct err err = ERR_INIT;
	uint64_t torn;

	assert_int_equal(kill_resume_open(path, &r, &torn, &err), 0);
	for (uint64_t n = from; n <= to; n++) {
		struct kill_score s = sample_score(n);

		assert_int_equal(kill_resume_add(r, key, &s, &err), 0);
		kill_score_release(&s);
	}
	kill_resume_close(r);
}

/* Rounds come back under their key alone, wherever the file was cut; damage in the middle, another
 * file and a second command are refused. */
static void test_resume(void **state)
{
	const struct digest one = {1, 2}, other = {3, 4};
	char folder[] = "/tmp/test-kill-resume-XXXXXX";
	struct kill_resume *r = NULL, *second = NULL;
	struct err err = ERR_INIT;
	struct stat st;
	uint64_t torn;

	(void)state;
	assert_non_null(mkdtemp(folder));
	char *path = xasprintf("%s/rounds", folder);

	write_rounds(path, one, 1, 3);
	write_rounds(path, other, 4, 4);
	assert_int_equal(stat(path, &st), 0);
	struct sum sum = read_resume(path, one, &torn);

	assert_int_equal(torn, 0);
	assert_int_equal(sum.count, 3);
	assert_int_equal(sum.numbers, 6);
	assert_int_equal(read_resume(path, other, &torn).numbers, 4);
	/* Cut inside the last record, it is gone, and the next one takes its place. */
	assert_int_equal(truncate(path, st.st_size - 5), 0);
	assert_int_equal(read_resume(path, other, &torn).count, 0);
	assert_true(torn > 5);
	write_rounds(path, other, 8, 8);
	assert_int_equal(read_resume(path, other, &torn).numbers, 8);
	assert_int_equal(torn, 0);
	assert_int_equal(read_resume(path, one, &torn).numbers, 6);
	/* One at a time. */
	assert_int_equal(kill_resume_open(path, &r, &torn, &err), 0);
	assert_int_equal(kill_resume_open(path, &second, &torn, &err), ERR_IO);
	kill_resume_close(r);
	/* A changed byte of the first record is damage. */
	FILE *f = fopen(path, "r+");

	assert_non_null(f);
	assert_int_equal(fseek(f, 60, SEEK_SET), 0);
	assert_int_equal(fputc(0xee, f), 0xee);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(kill_resume_open(path, &r, &torn, &err), ERR_INPUT);
	assert_non_null(strstr(err.message, "damaged at byte 16"));
	write_file(folder, "rounds", "something else entirely");
	assert_int_equal(kill_resume_open(path, &r, &torn, &err), ERR_INPUT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scores_add),
	    cmocka_unit_test(test_scores_as_bytes),
	    cmocka_unit_test(test_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
