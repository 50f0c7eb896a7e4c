/* The text twin: the cases of trace_text.txt, which says how they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "faultinject/trace.h"

/* What a command answers to an input, as text; the caller frees it. */
static char *answer(const char *command, struct buf *input)
{
	struct trace *t = NULL;
	struct err err = ERR_INIT;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	char *exact = malloc(input->size == 0 ? 1 : input->size);

	/* Without a terminator behind it, so that a sanitizer sees a read that goes too far. */
	if (input->size > 0)
		memcpy(exact, input->data, input->size);
	if (trace_parse_text(exact, input->size, &t, &err) != 0) {
		assert_int_equal(err.code, ERR_INPUT);
		assert_null(t);
		fprintf(out, "%s\n", err.message);
	} else if (strcmp(command, "parse") == 0) {
		trace_print(t, true, out);
	} else if (strcmp(command, "show") == 0) {
		trace_print(t, false, out);
	} else {
		fprintf(out, "unknown command '%s'\n", command);
	}
	fclose(out);
	free(exact);
	trace_free(t);
	return text;
}

static void test_cases(void **state)
{
	FILE *f = fopen("faultinject/test/trace_text.txt", "r");
	struct buf input = {0}, expected = {0};
	char command[32] = "";
	bool in_expected = false;
	char *line = NULL;
	size_t cap = 0;
	unsigned line_number = 0, case_line = 0, case_count = 0;
	ssize_t n;

	(void)state;
	assert_non_null(f);
	do {
		n = getline(&line, &cap, f);
		line_number++;
		bool blank = n <= 0 || line[0] == '\n';

		if (blank && command[0] != '\0') {
			char *got = answer(command, &input);

			if (strcmp(got, buf_str(&expected)) != 0)
				fail_msg("trace_text.txt:%u: got\n%sexpected\n%s", case_line, got,
					 buf_str(&expected));
			free(got);
			buf_clear(&input);
			buf_clear(&expected);
			command[0] = '\0';
			in_expected = false;
			case_count++;
		} else if (command[0] == '\0' && !blank && line[0] != '#') {
			snprintf(command, sizeof command, "%.*s", (int)strcspn(line, "\n"), line);
			case_line = line_number;
		} else if (strcmp(line, "----\n") == 0) {
			in_expected = true;
		} else if (command[0] != '\0') {
			buf_append(in_expected ? &expected : &input, line, (size_t)n);
		}
	} while (n > 0);
	assert_true(case_count > 40);
	buf_release(&input);
	buf_release(&expected);
	free(line);
	fclose(f);
}

/* A single operation prints as its line in the whole. */
static void test_print_op(void **state)
{
	static const char text[] = "trace 1\n1 ack process=2\n2 mark size=1 data=2a\n"
				   "end operations=2";
	struct trace *t = NULL;
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	(void)state;
	assert_int_equal(trace_parse_text(text, strlen(text), &t, NULL), 0);
	trace_print_op(t, 2, true, out);
	fclose(out);
	assert_string_equal(line, "2 mark size=1 data=2a\n");
	free(line);
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_print_op),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
