/* What strace's text becomes: the cases of strace_cases.txt, which says how they are written, and
 * what holds for every text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "faultinject/base/buf.h"
#include "faultinject/record/strace.h"

#include <inttypes.h>
#include <stdio.h>

#define CASES "faultinject/record/test/strace_cases.txt"

static const char *const words[CALL_KIND_MAX + 1] = {
    [CALL_PROCESS] = "process",
    [CALL_EXIT] = "exit",
    [CALL_FILE] = "file",
    [CALL_CONTENT] = "content",
    [CALL_OPEN] = "open",
    [CALL_WRITE] = "write",
    [CALL_TRUNCATE] = "truncate",
    [CALL_ALLOCATE] = "allocate",
    [CALL_SYNC_BEGIN] = "sync-begin",
    [CALL_SYNC_END] = "sync-end",
    [CALL_DIRSYNC_BEGIN] = "dirsync-begin",
    [CALL_DIRSYNC_END] = "dirsync-end",
    [CALL_SYNC_ALL_BEGIN] = "sync-all-begin",
    [CALL_SYNC_ALL_END] = "sync-all-end",
    [CALL_RENAME] = "rename",
    [CALL_UNLINK] = "unlink",
    [CALL_LINK] = "link",
    [CALL_LOCK] = "lock",
    [CALL_UNLOCK] = "unlock",
    [CALL_CLOSE] = "close",
    [CALL_OUTPUT] = "output",
    [CALL_ACK] = "ack",
    [CALL_MARK] = "mark",
    [CALL_TROUBLE] = "trouble",
};

static void print_data(FILE *out, const struct call *c)
{
	size_t run = 1;

	/* Long runs of one byte, as of a page, are counted. */
	fputs(" \"", out);
	for (size_t i = 0; i < c->data_size; i += run) {
		for (run = 1; i + run < c->data_size && c->data[i + run] == c->data[i];)
			run++;
		if (run < 16)
			run = 1;
		if (c->data[i] >= ' ' && c->data[i] < 0x7f)
			fprintf(out, "%c", c->data[i]);
		else
			fprintf(out, "\\x%02x", c->data[i]);
		if (run > 1)
			fprintf(out, "{%zu}", run);
	}
	fputc('"', out);
}

static void print_call(FILE *out, const struct call *c)
{
	static const char *const flags[] = {"existed", "truncated", "data-only", "shared",
					    "shm",     "dsync",	    "perhaps"};

	fprintf(out, "%" PRIu32, c->pid);
	if (c->tid != c->pid)
		fprintf(out, "/%" PRIu32, c->tid);
	fprintf(out, " %s", words[c->kind] == NULL ? "?" : words[c->kind]);
	if (c->ino != 0)
		fprintf(out, " #%" PRIu64, c->ino);
	if (c->path != NULL)
		fprintf(out, " %s", c->path);
	if (c->path2 != NULL)
		fprintf(out, " to %s", c->path2);
	if (c->offset != 0 || c->length != 0)
		fprintf(out, " %" PRIu64 "+%" PRIu64, c->offset, c->length);
	if (c->mode != 0)
		fprintf(out, " mode=%" PRIu32, c->mode);
	if (c->other_pid != 0)
		fprintf(out, " parent=%" PRIu32, c->other_pid);
	if (c->kind == CALL_SYNC_END || c->kind == CALL_DIRSYNC_END || c->kind == CALL_SYNC_ALL_END)
		fprintf(out, " begin=%zu", c->begin);
	if (c->result != 0)
		fprintf(out, " result=%" PRId64, c->result);
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if ((c->flags & 1u << i) != 0)
			fprintf(out, " %s", flags[i]);
	if (c->data != NULL)
		print_data(out, c);
	fputc('\n', out);
}

/* The calls of a text, or the error. The caller frees it. */
static char *answer(const void *text, size_t text_size)
{
	struct call_list list = {0};
	struct err err = ERR_INIT;
	char *got = NULL;
	size_t size;
	FILE *out = open_memstream(&got, &size);
	char *exact = malloc(text_size == 0 ? 1 : text_size);

	/* Without a terminator behind it, so that a sanitizer sees a read that goes too far. */
	if (text_size > 0)
		memcpy(exact, text, text_size);
	if (strace_read(exact, text_size, &list, &err) != 0) {
		fprintf(out, "%s\n", err.message);
	} else {
		for (size_t i = 0; i < list.count; i++)
			print_call(out, &list.items[i]);
	}
	fclose(out);
	free(exact);
	call_list_release(&list);
	return got;
}

/* The calls, the order and the messages are those that the cases say. */
static void test_cases(void **state)
{
	FILE *f = fopen(CASES, "r");
	struct buf input = {0}, expected = {0};
	bool in_case = false, in_expected = false;
	char *line = NULL;
	size_t cap = 0;
	unsigned line_number = 0, case_line = 0, case_count = 0, failed = 0;
	ssize_t n;

	(void)state;
	assert_non_null(f);
	do {
		n = getline(&line, &cap, f);
		line_number++;
		if (n <= 0 || line[0] == '\n') {
			if (in_case) {
				static const char cut[] = "\nCUT\n";
				size_t size = input.size, k = sizeof cut - 1;

				if (size > k && memcmp(input.data + size - k, cut, k) == 0)
					size -= k;
				char *got = answer(input.data, size);

				if (strcmp(got, buf_str(&expected)) != 0) {
					print_error("%s:%u: got\n%sexpected\n%s\n", CASES,
						    case_line, got, buf_str(&expected));
					failed++;
				}
				free(got);
				case_count++;
			}
			buf_clear(&input);
			buf_clear(&expected);
			in_case = in_expected = false;
			continue;
		}
		if (!in_case && line[0] == '#')
			continue;
		if (!in_case)
			case_line = line_number;
		in_case = true;
		if (strcmp(line, "----\n") == 0)
			in_expected = true;
		else
			buf_append(in_expected ? &expected : &input, line, (size_t)n);
	} while (n > 0);
	free(line);
	fclose(f);
	buf_release(&input);
	buf_release(&expected);
	assert_true(case_count > 20);
	assert_int_equal(failed, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	};

	/* test_strace FILE: shows the calls of a text, for who writes a case. */
	if (argc == 2) {
		struct buf text = {0};
		FILE *f = fopen(argv[1], "r");
		uint8_t piece[65536];
		size_t n;

		while (f != NULL && (n = fread(piece, 1, sizeof piece, f)) > 0)
			buf_append(&text, piece, n);
		char *got = answer(text.data, text.size);

		fputs(got, stdout);
		free(got);
		buf_release(&text);
		return f == NULL || fclose(f) != 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
