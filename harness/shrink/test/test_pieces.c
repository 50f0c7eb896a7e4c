/*
 * Tests of what can be taken out of a scenario: pieces.txt, and properties of the scenarios that
 * are shipped. Programs run from the root of the repository.
 */
#include "harness/shrink/pieces.h"

#include "faultinject/base/buf.h"
#include "harness/cli/command.h"
#include "harness/scenario/scenario.h"
#include "harness/shrink/fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA "harness/shrink/test/pieces.txt"

enum { LINE_MAX_BYTES = 512 };

static const char *const kind_words[PIECE_KIND_COUNT] = {
    [PIECE_SETTINGS] = "settings",
    [PIECE_SECTIONS] = "sections",
    [PIECE_TRANSACTIONS] = "transactions",
    [PIECE_STATEMENTS] = "statements",
    [PIECE_NAMES] = "names",
    [PIECE_BRACKETS] = "brackets",
    [PIECE_WORDS] = "words",
    [PIECE_ROWS] = "rows",
    [PIECE_NUMBERS] = "numbers",
    [PIECE_STRINGS] = "strings",
};

static enum piece_kind kind_of(const char *word, size_t size)
{
	for (int k = 0; k < PIECE_KIND_COUNT; k++)
		if (strlen(kind_words[k]) == size && strncmp(kind_words[k], word, size) == 0)
			return (enum piece_kind)k;
	fail_msg("unknown kind '%.*s'", (int)size, word);
	return PIECE_SECTIONS;
}

/* What a block's command makes of its text. */
static char *answer(const char *command, const char *text)
{
	bool applies = strncmp(command, "apply ", 6) == 0;
	const char *word = strchr(command, ' ') + 1;
	size_t size = strcspn(word, " \n");
	struct pieces pieces = {0};
	struct err err = ERR_INIT;
	struct buf b = {0};

	if (pieces_find(text, kind_of(word, size), &pieces, &err) != 0)
		fail_msg("%s: %s", command, err.message);
	if (applies) {
		bool *taken = xcalloc(pieces.count + 1, sizeof *taken);
		char *rest = xstrdup(word + size);
		for (char *n = strtok(rest, " \n"); n != NULL; n = strtok(NULL, " \n")) {
			assert_in_range(atoi(n), 1, pieces.count);
			taken[atoi(n) - 1] = true;
		}
		char *left = pieces_apply(text, &pieces, taken);
		buf_printf(&b, "%s", left);
		free(left);
		free(rest);
		free(taken);
	} else {
		for (size_t i = 0; i < pieces.count; i++)
			buf_printf(&b, "%s\n", pieces.items[i].what);
	}
	pieces_release(&pieces);
	(void)buf_str(&b);
	return (char *)b.data;
}

static void check_block(const char *command, struct buf *text, struct buf *expected, int line)
{
	char *got = answer(command, buf_str(text));

	if (strcmp(got, buf_str(expected)) != 0)
		fail_msg(DATA ":%d: %s\nexpected:\n%s\ngot:\n%s\n", line, command,
			 buf_str(expected), got);
	free(got);
}

/* Each kind finds what it should, under a name that says what it is, and taking pieces leaves the
 * text without them and nothing else changed. */
static void test_data(void **state)
{
	FILE *f = fopen(DATA, "r");
	char line[LINE_MAX_BYTES], command[LINE_MAX_BYTES] = "";
	struct buf text = {0}, expected = {0};
	int number = 0, at = 0, blocks = 0;
	bool behind = false;

	(void)state;
	assert_non_null(f);
	for (bool more = true; more; number++) {
		more = fgets(line, sizeof line, f) != NULL;
		if (!more || strcmp(line, "\n") == 0) {
			if (command[0] != '\0') {
				check_block(command, &text, &expected, at);
				blocks++;
			}
			command[0] = '\0';
			buf_clear(&text);
			buf_clear(&expected);
			behind = false;
		} else if (command[0] == '\0') {
			if (line[0] != '#') {
				memcpy(command, line, sizeof command);
				at = number + 1;
			}
		} else if (strcmp(line, "----\n") == 0) {
			behind = true;
		} else {
			const char *content = line[0] == '|' ? line + 1 : line;
			buf_append(behind ? &expected : &text, content, strlen(content));
		}
	}
	(void)fclose(f);
	buf_release(&text);
	buf_release(&expected);
	assert_in_range(blocks, 15, 1000);
}

static struct scenario *parse(const char *text)
{
	struct scenario *s = NULL;
	struct err err = ERR_INIT;

	if (scenario_parse("t.sql", text, strlen(text), cli_vocabulary(), &s, &err) != 0)
		return NULL;
	return s;
}

/* A piece that is taken makes the text smaller, or a value in it, and what is left is cut into the
 * same items as if it had been written so: tidying it again changes nothing. */
static void test_smaller(void **state)
{
	static const char *const paths[] = {"scenarios"};
	struct scenario_path *found = NULL;
	struct err err = ERR_INIT;
	size_t count = 0, pieces_seen = 0, valid = 0;

	(void)state;
	assert_int_equal(scenario_collect(paths, 1, &found, &count, &err), 0);
	for (size_t i = 0; i < count; i++) {
		struct scenario *s = NULL;
		assert_int_equal(scenario_load(found[i].path, cli_vocabulary(), &s, &err), 0);
		for (int k = 0; k < PIECE_KIND_COUNT; k++) {
			struct pieces p = {0};
			assert_int_equal(pieces_find(s->text, (enum piece_kind)k, &p, &err), 0);
			bool *taken = xcalloc(p.count + 1, sizeof *taken);
			for (size_t n = 0; n < p.count; n++) {
				taken[n] = true;
				char *left = pieces_apply(s->text, &p, taken);
				char *again = pieces_tidy(left);
				struct scenario *parsed = parse(left);
				assert_string_equal(left, again);
				assert_true(strlen(left) <= strlen(s->text) + 1);
				assert_string_not_equal(left, s->text);
				pieces_seen++;
				valid += parsed != NULL;
				scenario_free(parsed);
				free(left);
				free(again);
				taken[n] = false;
			}
			free(taken);
			pieces_release(&p);
		}
		scenario_free(s);
	}
	scenario_paths_free(found, count);
	/* Most of what is proposed is a scenario still. */
	assert_in_range(pieces_seen, 500, 1000000);
	assert_true(valid * 10 > pieces_seen * 8);
}

/* A case folded into a scenario of its own is the same case: the same settings on the same model.
 */
static void test_fold(void **state)
{
	static const char text[] = "-- @scenario a\n"
				   "-- @pragma foreign_keys=on synchronous=full\n"
				   "-- @define-model mine hole=garbage\n"
				   "-- @define-model other hole=stale\n"
				   "-- @models strict-posix mine\n"
				   "-- @matrix journal_mode=wal,delete model.sector=512,4096\n"
				   "-- @require durable\n"
				   "-- @kill writers=2\n"
				   "-- @client a\nSELECT 1;\n";
	struct scenario *s = parse(text);
	struct case_list cases = {0};
	struct case_options options = {.default_require = GRADE_DURABLE};
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(s);
	assert_int_equal(scenario_cases(s, "t.sql", cli_vocabulary(), &options, &cases, &err), 0);
	assert_int_equal(cases.count, 8);
	for (size_t i = 0; i < cases.count; i++) {
		const struct case_spec *spec = &cases.items[i];
		struct case_source *source = case_source_create(s, spec, 7), *folded = NULL;
		struct case_again again = {0};

		assert_int_equal(shrink_fold(source, "small.sql", cli_vocabulary(), &folded, &err),
				 0);
		assert_string_equal(folded->id, spec->id);
		assert_int_equal(folded->set.count, 0);
		if (case_source_read(folded, cli_vocabulary(), &again, &err) != 0)
			fail_msg("%s\n%s", err.message, folded->text);
		const struct case_spec *got = &again.cases.items[0];
		assert_string_equal(got->model, spec->model);
		assert_int_equal(got->config.count, spec->config.count);
		for (size_t k = 0; k < spec->config.count; k++)
			assert_string_equal(kv_find(&got->config, spec->config.items[k].key),
					    spec->config.items[k].value);
		assert_int_equal(got->model_params.count, spec->model_params.count);
		for (size_t k = 0; k < spec->model_params.count; k++)
			assert_string_equal(
			    kv_find(&got->model_params, spec->model_params.items[k].key),
			    spec->model_params.items[k].value);
		assert_null(strstr(folded->text, "@require"));
		assert_null(strstr(folded->text, "@kill"));
		assert_null(strstr(folded->text, "stale"));
		case_again_release(&again);
		case_source_free(folded);
		case_source_free(source);
	}
	case_list_release(&cases);
	scenario_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_data),
	    cmocka_unit_test(test_smaller),
	    cmocka_unit_test(test_fold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
