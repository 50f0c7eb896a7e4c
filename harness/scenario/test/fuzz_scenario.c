/*
 * libFuzzer target: any bytes are refused or read, and what is read keeps its promises.
 *
 * Build with clang -fsanitize=fuzzer,address,undefined and the files of harness/scenario,
 * harness/judge/verdict.c and faultinject/base. The vocabulary is empty, so everything is known.
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/assert.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_statements(const struct statement_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		ASSERT(scenario_statement_complete(list->items[i].sql));
		ASSERT_OP(list->items[i].line, >, 1);
		ASSERT(i == 0 || list->items[i].line >= list->items[i - 1].line);
	}
}

static void check_scenario(const struct scenario *s)
{
	ASSERT(s->title[0] != '\0' && text_printable(s->title));
	ASSERT_OP(s->model_count, >, 0);
	ASSERT_OP(s->workload != NULL, !=, s->client_count > 0);
	check_statements(&s->open);
	check_statements(&s->setup);
	ASSERT(s->has_setup == (s->setup.count > 0));
	for (size_t i = 0; i < s->client_count; i++) {
		const struct scenario_client *c = &s->clients[i];

		ASSERT_OP(c->repeat, >=, 1);
		ASSERT_OP(c->repeat, <=, SCENARIO_REPEAT_MAX);
		ASSERT_OP(c->process, >=, 1);
		ASSERT_OP(c->process, <=, SCENARIO_PROCESS_MAX);
		ASSERT_OP(c->statements.count, >, 0);
		check_statements(&c->statements);
	}
	for (size_t i = 0; i < s->invariant_count; i++)
		ASSERT(scenario_statement_complete(s->invariants[i].sql));
}

/* The same bytes as a file of invariants. */
static void check_invariants(const uint8_t *data, size_t size)
{
	struct scenario *s = NULL;
	struct err err = ERR_INIT;

	if (scenario_parse_invariants("f.sql", (const char *)data, size, &s, &err) != 0) {
		ASSERT(s == NULL);
		ASSERT(strncmp(err.message, "f.sql:", 6) == 0);
		ASSERT(text_printable(err.message));
		return;
	}
	ASSERT_OP(s->invariant_count, >, 0);
	ASSERT_OP(s->client_count + s->setup.count + s->model_count, ==, 0);
	for (size_t i = 0; i < s->invariant_count; i++) {
		ASSERT(scenario_statement_complete(s->invariants[i].sql));
		ASSERT(text_printable(s->invariants[i].text));
	}
	scenario_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct case_options options = {.default_require = GRADE_DURABLE};
	struct case_list list = {NULL, 0, 0};
	struct scenario *s = NULL;
	struct err err = ERR_INIT;

	if (scenario_parse("f.sql", (const char *)data, size, NULL, &s, &err) != 0) {
		ASSERT(s == NULL);
		ASSERT(strncmp(err.message, "f.sql:", 6) == 0);
		ASSERT(text_printable(err.message));
		check_invariants(data, size);
		return 0;
	}
	check_scenario(s);
	check_invariants(data, size);
	if (scenario_cases(s, "f.sql", NULL, &options, &list, &err) == 0) {
		ASSERT_OP(list.count, >, 0);
		for (size_t i = 1; i < list.count; i++)
			ASSERT(strcmp(list.items[i].id, list.items[i - 1].id) != 0);
	}
	case_list_release(&list);
	scenario_free(s);
	return 0;
}
