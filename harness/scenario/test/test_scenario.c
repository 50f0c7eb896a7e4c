/*
 * Tests of the scenario parser and of the expansion into cases.
 *
 * Most of them are data: parse.txt, errors.txt and cases.txt hold blocks of a command, its input,
 * "----", and what must come out, up to an empty line. Properties of many inputs and of sizes are
 * in test_scenario_properties.c. Programs run from the root of the repository.
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA "harness/scenario/test/"

/* ---- a small vocabulary ---- */

static bool one_of(const char *word, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (strcmp(*words, word) == 0)
			return true;
	}
	return false;
}

static bool know_model(const char *name, struct err *err)
{
	static const char *const words[] = {"strict-posix", "process-crash", "lying-disk", NULL};

	(void)err;
	return one_of(name, words);
}

static bool know_model_param(const char *key, const char *value, struct err *err)
{
	(void)err;
	return strcmp(key, "sector") == 0 &&
	       (strcmp(value, "512") == 0 || strcmp(value, "4096") == 0);
}

static bool know_workload(const char *name)
{
	static const char *const words[] = {"store.archival", "fuzz", NULL};

	return one_of(name, words);
}

static bool know_workload_param(const char *workload, const char *key, const char *value,
				struct err *err)
{
	uint64_t number;

	(void)err;
	return strcmp(workload, "store.archival") == 0 && strcmp(key, "batches") == 0 &&
	       text_number(value, 1, 1000, &number) == 0;
}

static bool know_defect(const char *name)
{
	return strcmp(name, "missing-sync") == 0;
}

static bool know_clock(const char *name)
{
	return strcmp(name, "back") == 0;
}

static bool know_pragma(const char *key, const char *value, struct err *err)
{
	static const char *const keys[] = {"journal_mode", "synchronous", "page_size", NULL};

	if (!one_of(key, keys)) {
		(void)err_set(err, ERR_USAGE, "unknown pragma '%s'", key);
		return false;
	}
	return strcmp(value, "bogus") != 0;
}

static const struct scenario_vocabulary vocabulary = {
    .model = know_model,
    .model_param = know_model_param,
    .workload = know_workload,
    .workload_param = know_workload_param,
    .defect = know_defect,
    .clock = know_clock,
    .pragma = know_pragma,
};

/* ---- structs as text ---- */

static void print_escaped(struct buf *out, const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\n')
			buf_printf(out, "\\n");
		else if (*p == '\r')
			buf_printf(out, "\\r");
		else
			buf_append(out, p, 1);
	}
}

static void print_kv(struct buf *out, const char *what, const struct kv_list *list)
{
	if (list->count == 0)
		return;
	buf_printf(out, "%s", what);
	for (size_t i = 0; i < list->count; i++)
		buf_printf(out, " %s=<%s>", list->items[i].key, list->items[i].value);
	buf_printf(out, "\n");
}

static void print_statements(struct buf *out, const struct statement_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		buf_printf(out, "  %d%s: ", list->items[i].line,
			   list->items[i].may_fail ? " may-fail" : "");
		print_escaped(out, list->items[i].sql);
		buf_printf(out, "\n");
	}
}

static void print_scenario(struct buf *out, const struct scenario *s)
{
	if (s->title != NULL) /* a file of invariants has none */
		buf_printf(out, "scenario %s <%s>\n", s->path, s->title);
	print_kv(out, "pragma", &s->pragmas);
	for (size_t i = 0; i < s->attached_count; i++)
		buf_printf(out, "attach %s <%s>\n", s->attached[i].name, s->attached[i].file);
	for (size_t i = 0; i < s->model_count; i++)
		buf_printf(out, "%s %s", i == 0 ? "models" : "", s->models[i]);
	buf_printf(out, "%s", s->model_count == 0 ? "" : "\n");
	for (size_t i = 0; i < s->axis_count; i++) {
		buf_printf(out, "%d axis %s", s->axes[i].line, s->axes[i].key);
		for (size_t k = 0; k < s->axes[i].value_count; k++)
			buf_printf(out, " <%s>", s->axes[i].values[k]);
		buf_printf(out, "\n");
	}
	for (size_t i = 0; i < s->rule_count; i++) {
		buf_printf(out, "%d %s %s\n", s->rules[i].line,
			   s->rules[i].expect ? "expect" : "require",
			   grade_text(s->rules[i].grade));
		print_kv(out, "  if", &s->rules[i].conditions);
	}
	if (s->open.count > 0)
		buf_printf(out, "open\n");
	print_statements(out, &s->open);
	for (size_t i = 0; i < s->load_count; i++)
		buf_printf(out, "load <%s>\n", s->loads[i]);
	if (s->has_setup)
		buf_printf(out, "setup%s\n", s->setup_crash ? " crash" : "");
	print_statements(out, &s->setup);
	for (size_t i = 0; i < s->client_count; i++) {
		buf_printf(out, "%d client %s repeat=%u process=%u\n", s->clients[i].line,
			   s->clients[i].name, s->clients[i].repeat, s->clients[i].process);
		print_statements(out, &s->clients[i].statements);
	}
	if (s->workload != NULL)
		buf_printf(out, "%d workload %s\n", s->workload_line, s->workload);
	print_kv(out, " ", &s->workload_params);
	for (size_t i = 0; i < s->invariant_count; i++) {
		buf_printf(out, "%d invariant <%s> ", s->invariants[i].line, s->invariants[i].text);
		print_escaped(out, s->invariants[i].sql);
		buf_printf(out, "\n");
	}
	for (size_t i = 0; i < s->batch_count; i++)
		buf_printf(out, "batch <%s> id=<%s> count=<%s>\n", s->batches[i].table,
			   s->batches[i].id_column, s->batches[i].count_column);
	for (size_t i = 0; i < s->order_count; i++)
		buf_printf(out, "order <%s> <%s>\n", s->orders[i].table, s->orders[i].column);
	if (s->schema_version_count > 0) {
		buf_printf(out, "schema-version");
		for (size_t i = 0; i < s->schema_version_count; i++)
			buf_printf(out, " %lld", (long long)s->schema_versions[i]);
		buf_printf(out, "\n");
	}
	if (s->clock != NULL)
		buf_printf(out, "clock %s\n", s->clock);
	if (s->plant != NULL)
		buf_printf(out, "%d plant %s\n", s->plant_line, s->plant);
}

static void print_cases(struct buf *out, const struct case_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct case_spec *c = &list->items[i];

		buf_printf(out, "%s require=%s", c->id, grade_text(c->required));
		if (c->has_expect)
			buf_printf(out, " expect=%s", grade_text(c->expected));
		else if (!c->has_required)
			buf_printf(out, " unjudged");
		buf_printf(out, "\n");
		print_kv(out, "  config", &c->config);
		print_kv(out, "  model", &c->model_params);
		print_kv(out, "  workload", &c->workload_params);
	}
	if (list->count == 0)
		buf_printf(out, "no case\n");
}

/* ---- the commands of the data files ---- */

/* \r, \0 and \xNN as in C; \c at the end of a line takes the line's end away. */
static void unescape(const char *text, size_t size, struct buf *out)
{
	for (size_t i = 0; i < size; i++) {
		char hex[3] = "";
		char byte;

		if (text[i] != '\\' || i + 1 == size) {
			buf_append(out, text + i, 1);
			continue;
		}
		i++;
		switch (text[i]) {
		case 'r':
			buf_append(out, "\r", 1);
			break;
		case '0':
			buf_append(out, "\0", 1);
			break;
		case 'x':
			assert_true(size - i > 2);
			memcpy(hex, text + i + 1, 2);
			byte = (char)strtoul(hex, NULL, 16);
			buf_append(out, &byte, 1);
			i += 2;
			break;
		case 'c':
			i++; /* the line's end */
			break;
		default:
			fail_msg("unknown escape \\%c", text[i]);
		}
	}
}

/* "parse": the struct, or the error. "parse escaped": with escapes in the input. "invariants": as a
 * file of invariants. */
static void command_parse(const char *args, bool invariants, const char *input, size_t size,
			  struct buf *out)
{
	struct scenario *s = NULL;
	struct err err = ERR_INIT;
	struct buf text;

	buf_init(&text);
	if (strcmp(args, "escaped") == 0)
		unescape(input, size, &text);
	else
		buf_append(&text, input, size);
	int rc = invariants ? scenario_parse_invariants("f.sql", (const char *)text.data, text.size,
							&s, &err)
			    : scenario_parse("f.sql", (const char *)text.data, text.size,
					     &vocabulary, &s, &err);
	if (rc == 0) {
		assert_non_null(s);
		print_scenario(out, s);
	} else {
		assert_int_equal(rc, ERR_INPUT);
		assert_int_equal(rc, err.code);
		assert_true(text_printable(err.message));
		assert_null(s);
		buf_printf(out, "%s\n", err.message);
	}
	scenario_free(s);
	buf_release(&text);
}

/* "cases OPTION=VALUE ...": relative, model (may repeat), set (may repeat), require, case, shard,
 * unjudged=yes, and axis=KEY:VALUE:VALUE (may repeat), an axis of the command's own. */
static void command_cases(char *args, const char *input, size_t size, struct buf *out)
{
	const char *models[8], *relative = "dir/f.sql";
	struct kv_list set = {NULL, 0, 0};
	struct case_options options = {.default_require = GRADE_DURABLE, .set = &set};
	struct case_list list = {NULL, 0, 0};
	struct scenario *s = NULL;
	struct err err = ERR_INIT;
	enum grade require;
	struct scenario_axis axes[2] = {0};
	char *axis_values[2][4];
	char *rest = NULL;

	for (char *word = strtok_r(args, " ", &rest); word != NULL;
	     word = strtok_r(NULL, " ", &rest)) {
		char *value = strchr(word, '=');

		assert_non_null(value);
		*value++ = '\0';
		if (strcmp(word, "relative") == 0) {
			relative = value;
		} else if (strcmp(word, "model") == 0) {
			assert_true(options.model_count < 8);
			models[options.model_count++] = value;
			options.models = models;
		} else if (strcmp(word, "set") == 0) {
			char *equals = strchr(value, '=');

			assert_non_null(equals);
			*equals = '\0';
			kv_set(&set, value, equals + 1);
		} else if (strcmp(word, "require") == 0) {
			assert_int_equal(grade_parse(value, &require), 0);
			options.require = &require;
		} else if (strcmp(word, "case") == 0) {
			options.glob = value;
		} else if (strcmp(word, "shard") == 0) {
			assert_int_equal(
			    sscanf(value, "%u/%u", &options.shard_index, &options.shard_count), 2);
		} else if (strcmp(word, "unjudged") == 0) {
			options.unjudged = true;
		} else if (strcmp(word, "axis") == 0) {
			assert_true(options.axis_count < 2);
			struct scenario_axis *axis = &axes[options.axis_count];

			axis->key = strtok(value, ":");
			axis->values = axis_values[options.axis_count++];
			for (char *v = strtok(NULL, ":"); v != NULL; v = strtok(NULL, ":")) {
				assert_true(axis->value_count < 4);
				axis->values[axis->value_count++] = v;
			}
			options.axes = axes;
		} else {
			fail_msg("unknown option %s", word);
		}
	}
	if (scenario_parse("f.sql", input, size, &vocabulary, &s, &err) != 0) {
		fail_msg("%s", err.message);
	} else if (scenario_cases(s, relative, &vocabulary, &options, &list, &err) == 0) {
		print_cases(out, &list);
	} else {
		assert_int_equal(list.count, 0);
		buf_printf(out, "%s: %s\n", err.code == ERR_USAGE ? "usage" : "input", err.message);
	}
	case_list_release(&list);
	kv_release(&set);
	scenario_free(s);
}

static char *read_file(const char *path, size_t *ret_size)
{
	FILE *f = fopen(path, "rb");
	char *text = xmalloc(1 << 20);

	if (f == NULL)
		fail_msg("cannot open %s: run from the root of the repository", path);
	*ret_size = fread(text, 1, (1 << 20) - 1, f);
	(void)fclose(f);
	text[*ret_size] = '\0';
	return text;
}

/* Runs every block of a data file; returns how many there were. */
static size_t run_data(const char *path)
{
	size_t size, count = 0;
	int failures = 0;
	char *text = read_file(path, &size), *at = text;

	for (;;) {
		struct buf out;
		char *command, *input, *expected, *end;

		while (*at == '\n' || *at == '#')
			at = *at == '#' ? strchr(at, '\n') : at + 1;
		if (*at == '\0')
			break;
		command = at;
		input = strchr(command, '\n') + 1;
		input[-1] = '\0';
		expected = strstr(input, "\n----\n");
		if (input[0] == '-' && strncmp(input, "----\n", 5) == 0)
			expected = input - 1;
		assert_non_null(expected);
		size_t input_size = expected < input ? 0 : (size_t)(expected + 1 - input);
		expected += 6;
		end = strstr(expected, "\n\n");
		at = end == NULL ? text + size : end + 1;
		if (end != NULL)
			end[1] = '\0';
		char *label = xstrdup(command), *args = strchr(command, ' ');
		buf_init(&out);
		if (args != NULL)
			*args++ = '\0';
		if (strcmp(command, "parse") == 0 || strcmp(command, "invariants") == 0)
			command_parse(args == NULL ? "" : args, command[0] == 'i', input,
				      input_size, &out);
		else if (strcmp(command, "cases") == 0)
			command_cases(args == NULL ? label + strlen(label) : args, input,
				      input_size, &out);
		else
			fail_msg("%s: unknown command '%s'", path, command);
		if (strcmp(buf_str(&out), expected) != 0) {
			print_error("%s: %s\n%.*s----\nexpected:\n%sfound:\n%s\n", path, label,
				    (int)input_size, input, expected, buf_str(&out));
			failures++;
		}
		buf_release(&out);
		free(label);
		if (end != NULL)
			at++;
		count++;
	}
	free(text);
	assert_int_equal(failures, 0);
	return count;
}

/* What each directive reads and how SQL is cut. */
static void test_parse(void **state)
{
	(void)state;
	assert_true(run_data(DATA "parse.txt") >= 10);
}

/* A file of invariants: queries with and without a name, @open, @load, and what it refuses. */
static void test_invariants(void **state)
{
	(void)state;
	assert_true(run_data(DATA "invariants.txt") >= 15);
}

/* Everything that is refused, with its line. */
static void test_errors(void **state)
{
	(void)state;
	assert_true(run_data(DATA "errors.txt") >= 60);
}

/* Expansion, --model, --set, rules, globs, shards. */
static void test_cases(void **state)
{
	(void)state;
	assert_true(run_data(DATA "cases.txt") >= 15);
}

/* ---- the rest ---- */

/* Lists of keys: the last value wins, order is kept, a value may be set to itself. */
static void test_kv(void **state)
{
	struct kv_list list = {NULL, 0, 0};

	(void)state;
	assert_null(kv_find(&list, "a"));
	kv_set(&list, "b", "1");
	kv_set(&list, "a", "2");
	kv_set(&list, "b", "3");
	kv_set(&list, "a", kv_find(&list, "a"));
	assert_int_equal(list.count, 2);
	assert_string_equal(list.items[0].key, "b");
	assert_string_equal(kv_find(&list, "b"), "3");
	assert_string_equal(kv_find(&list, "a"), "2");
	kv_release(&list);
	assert_int_equal(list.count, 0);
	scenario_free(NULL);
}

/* Every example of scenarios/README.md is a scenario. */
static void test_readme(void **state)
{
	size_t size, count = 0;
	char *text = read_file("scenarios/README.md", &size), *at = text;

	(void)state;
	while ((at = strstr(at, "```sql\n")) != NULL) {
		char *end = strstr(at + 7, "```");
		struct scenario *s = NULL;
		struct err err = ERR_INIT;

		assert_non_null(end);
		if (scenario_parse("README", at + 7, (size_t)(end - at - 7), NULL, &s, &err) != 0)
			fail_msg("%s", err.message);
		scenario_free(s);
		at = end;
		count++;
	}
	assert_true(count >= 3);
	free(text);
}

static void expect_load(const char *path, const char *message)
{
	struct scenario *s = NULL;
	struct err err = ERR_INIT;
	int rc = scenario_load(path, &vocabulary, &s, &err);

	if (message == NULL) {
		assert_string_equal(err.message, "");
		assert_int_equal(rc, 0);
		assert_string_equal(s->path, path);
	} else {
		assert_true(rc == ERR_INPUT || rc == ERR_IO);
		assert_non_null(strstr(err.message, message));
		assert_null(s);
	}
	scenario_free(s);
}

/* Files: read as they are; missing, folders and endless ones are refused with their name. */
static void test_load(void **state)
{
	char path[] = "/tmp/scenario-load-XXXXXX";
	int fd = mkstemp(path);
	static const char text[] = "-- @scenario x\n-- @workload fuzz\n";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	expect_load(path, NULL);
	assert_int_equal(ftruncate(fd, 0), 0);
	expect_load(path, ":1: the file is empty");
	(void)close(fd);
	(void)unlink(path);
	expect_load(path, "No such file");
	expect_load("/tmp", "/tmp: Is a directory");
	expect_load("/dev/zero", "/dev/zero: larger than");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kv),	  cmocka_unit_test(test_invariants),
	    cmocka_unit_test(test_parse), cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_cases), cmocka_unit_test(test_readme),
	    cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
