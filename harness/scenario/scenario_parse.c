/*
 * Turns the directives and statements that scenario_text.c cuts out into a struct scenario.
 *
 * One function a directive (directive_<id>, listed in SCENARIO_DIRECTIVES). @open, @setup, @client
 * and @invariant, which stand here, open a section that takes statements; any other directive but
 * @may-fail closes it, so that no SQL ends up where its author did not mean it. The directives that
 * only declare something are in scenario_directives.c. What can only be known at the end of the
 * file (the keys of axes and rules, process numbers) is settled in finish().
 *
 * Nothing here runs SQL.
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/buf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLAIN_TEXT_MAX = 80 }; /* bytes of a statement that stand for its name */

static const char *const directive_names[DIRECTIVE_COUNT] = {
#define X(id, name, once) name,
    SCENARIO_DIRECTIVES(X)
#undef X
};

static const bool directive_once[DIRECTIVE_COUNT] = {
#define X(id, name, once) once,
    SCENARIO_DIRECTIVES(X)
#undef X
};

bool scenario_statement_complete(const char *sql)
{
	/* SQLITE_NOMEM counts as incomplete: it ends in an error, never in a cut statement. */
	return sqlite3_complete(sql) == 1;
}

/* ---- sections ---- */

static int section_close(struct parser *p)
{
	bool empty = p->section == SECTION_INVARIANT
			 ? p->s->invariants[p->s->invariant_count - 1].sql == NULL
			 : p->statements != NULL && p->statements->count == 0;

	if (p->may_fail_line != 0)
		return parser_fail(p, p->may_fail_line,
				   "'@may-fail' without a statement behind it");
	if (p->section != SECTION_NONE && empty)
		return parser_fail(p, p->section_line, "'@%s' without a statement",
				   p->section_name);
	p->section = SECTION_NONE;
	p->statements = NULL;
	return 0;
}

static void section_begin(struct parser *p, enum section section, struct statement_list *statements)
{
	p->section = section;
	p->section_name = p->name;
	p->section_line = p->line;
	p->statements = statements;
}

/* By its first word: somebody's schema or data, given as a file of invariants, would be run against
 * every crash state. */
static bool is_query(const char *sql)
{
	static const char *const words[] = {"SELECT", "WITH", "VALUES", "PRAGMA", "EXPLAIN"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		size_t n = strlen(words[i]);

		if (sqlite3_strnicmp(sql, words[i], (int)n) == 0 && !isalnum((uint8_t)sql[n]) &&
		    sql[n] != '_')
			return true;
	}
	return false;
}

static const char no_query[] =
    "an invariant is a query: SELECT, WITH, VALUES or PRAGMA; '@open' takes other statements";

/* In a file of invariants a statement without a directive is one that bears its own first line. */
static int add_plain_invariant(struct parser *p, struct text_item *item)
{
	struct scenario *s = p->s;
	size_t line_size = strcspn(item->sql, "\r\n");
	bool cut = line_size > PLAIN_TEXT_MAX || item->sql[line_size] != '\0';
	int rc;

	p->line = item->line;
	if (!is_query(item->sql))
		return parser_fail(p, item->line, "%s", no_query);
	rc = parser_list_room(p, s->invariant_count);
	if (rc != 0)
		return rc;
	if (line_size > PLAIN_TEXT_MAX)
		line_size = PLAIN_TEXT_MAX;
	s->invariants =
	    xgrow(s->invariants, s->invariant_count, &s->invariant_cap, sizeof *s->invariants);
	struct scenario_invariant *in = &s->invariants[s->invariant_count++];
	*in = (struct scenario_invariant){
	    .text = xasprintf("%.*s%s", (int)line_size, item->sql, cut ? " ..." : ""),
	    .sql = item->sql,
	    .line = item->line};
	item->sql = NULL;
	for (char *c = in->text; *c != '\0'; c++)
		if (iscntrl((uint8_t)*c))
			*c = ' ';
	text_repair(in->text);
	return 0;
}

/* Takes item->sql. */
static int add_statement(struct parser *p, struct text_item *item)
{
	struct statement_list *list = p->statements;

	if (p->only_invariants && p->section != SECTION_OPEN &&
	    (p->section == SECTION_NONE || p->s->invariants[p->s->invariant_count - 1].sql != NULL))
		return add_plain_invariant(p, item);
	if (p->section == SECTION_NONE)
		return parser_fail(
		    p, item->line,
		    "SQL outside a section: '@open', '@setup', '@client' or '@invariant' "
		    "must stand before it");
	if (p->section == SECTION_INVARIANT) {
		if (p->only_invariants && !is_query(item->sql))
			return parser_fail(p, item->line, "%s", no_query);
		struct scenario_invariant *in = &p->s->invariants[p->s->invariant_count - 1];

		if (in->sql != NULL)
			return parser_fail(p, item->line,
					   "'@invariant' takes exactly one statement");
		in->sql = item->sql;
		item->sql = NULL;
		return 0;
	}
	list->items = xgrow(list->items, list->count, &list->cap, sizeof *list->items);
	list->items[list->count++] = (struct statement){
	    .sql = item->sql, .line = item->line, .may_fail = p->may_fail_line != 0};
	item->sql = NULL;
	p->may_fail_line = 0;
	return 0;
}

int directive_open(struct parser *p)
{
	int rc = parser_words_expect(p, 0, 0, "");

	if (rc == 0)
		section_begin(p, SECTION_OPEN, &p->s->open);
	return rc;
}

int directive_setup(struct parser *p)
{
	static const char *const keys[] = {"crash"};
	const char *values[1] = {NULL};
	int rc = parser_words_expect(p, 0, 1, "[crash=yes]");

	if (rc != 0 || (rc = parser_known_settings(p, 0, keys, 1, values)) != 0)
		return rc;
	if (values[0] != NULL && strcmp(values[0], "yes") != 0 && strcmp(values[0], "no") != 0)
		return parser_fail(p, p->line, "'crash=%.60s': expected yes or no", values[0]);
	p->s->has_setup = true;
	p->s->setup_crash = values[0] != NULL && strcmp(values[0], "yes") == 0;
	section_begin(p, SECTION_SETUP, &p->s->setup);
	return 0;
}

int directive_client(struct parser *p)
{
	static const char *const keys[] = {"repeat", "process"};
	const char *values[2] = {NULL, NULL};
	uint64_t repeat = 1, process = 0; /* 0: settled in finish() */
	struct scenario *s = p->s;
	int rc = parser_words_expect(p, 1, 3, "NAME [repeat=N] [process=P]");

	if (rc != 0)
		return rc;
	const char *name = p->words[0].text;
	if (!scenario_key_valid(name))
		return parser_fail(p, p->line, "'%.60s' cannot be the name of a client", name);
	rc = parser_known_settings(p, 1, keys, 2, values);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < s->client_count; i++) {
		if (strcmp(s->clients[i].name, name) == 0)
			return parser_fail(p, p->line, "client '%.60s' stands in line %d already",
					   name, s->clients[i].line);
	}
	if (values[0] != NULL && text_number(values[0], 1, SCENARIO_REPEAT_MAX, &repeat) != 0)
		return parser_fail(p, p->line, "'repeat=%.60s': expected a number from 1 to %d",
				   values[0], SCENARIO_REPEAT_MAX);
	if (values[1] != NULL && text_number(values[1], 1, SCENARIO_PROCESS_MAX, &process) != 0)
		return parser_fail(p, p->line, "'process=%.60s': expected a number from 1 to %d",
				   values[1], SCENARIO_PROCESS_MAX);
	rc = parser_list_room(p, s->client_count);
	if (rc != 0)
		return rc;
	s->clients = xgrow(s->clients, s->client_count, &s->client_cap, sizeof *s->clients);
	struct scenario_client *c = &s->clients[s->client_count++];
	*c = (struct scenario_client){.name = xstrdup(name),
				      .repeat = (uint32_t)repeat,
				      .process = (uint32_t)process,
				      .line = p->line};
	section_begin(p, SECTION_CLIENT, &c->statements);
	return 0;
}

int directive_may_fail(struct parser *p)
{
	int rc = parser_words_expect(p, 0, 0, "");

	if (rc != 0)
		return rc;
	if (p->section != SECTION_CLIENT)
		return parser_fail(p, p->line, "'@may-fail' outside a client");
	if (p->may_fail_line != 0)
		return parser_fail(p, p->may_fail_line,
				   "'@may-fail' without a statement behind it");
	p->may_fail_line = p->line;
	return 0;
}

int directive_invariant(struct parser *p)
{
	struct scenario *s = p->s;
	int rc = parser_words_expect(p, 1, 1, "\"TEXT\"");

	if (rc != 0 || (rc = parser_list_room(p, s->invariant_count)) != 0)
		return rc;
	s->invariants =
	    xgrow(s->invariants, s->invariant_count, &s->invariant_cap, sizeof *s->invariants);
	s->invariants[s->invariant_count++] =
	    (struct scenario_invariant){.text = xstrdup(p->words[0].text), .line = p->line};
	section_begin(p, SECTION_INVARIANT, NULL);
	return 0;
}

/* ---- the file ---- */

static int (*const directive_functions[DIRECTIVE_COUNT])(struct parser *) = {
#define X(id, name, once) directive_##id,
    SCENARIO_DIRECTIVES(X)
#undef X
};

static int add_directive(struct parser *p, const struct text_item *item)
{
	int id = 0, rc = 0;

	p->line = item->line;
	p->rest = item->rest;
	while (id < DIRECTIVE_COUNT && strcmp(directive_names[id], item->name) != 0)
		id++;
	if (id == DIRECTIVE_COUNT)
		return parser_fail_unknown(p, "directive", "@", item->name, "", directive_names,
					   DIRECTIVE_COUNT);
	p->name = directive_names[id];
	if (p->only_invariants && id != DIRECTIVE_invariant && id != DIRECTIVE_open &&
	    id != DIRECTIVE_load)
		return parser_fail(p, p->line,
				   "'@%s' in a file of invariants: it holds queries, "
				   "'@invariant', '@open' and '@load'",
				   p->name);
	if (!p->only_invariants && item->line == 1 && id != DIRECTIVE_scenario)
		return parser_fail(p, 1, "the first line must be '-- @scenario TEXT'");
	if (directive_once[id] && p->seen_line[id] != 0)
		return parser_fail(p, p->line, "'@%s' stands in line %d already", p->name,
				   p->seen_line[id]);
	p->seen_line[id] = p->line;
	if ((id == DIRECTIVE_client || id == DIRECTIVE_workload) &&
	    p->seen_line[DIRECTIVE_client] != 0 && p->seen_line[DIRECTIVE_workload] != 0)
		return parser_fail(p, p->line, "'@client' and '@workload' exclude each other");
	if (id != DIRECTIVE_may_fail)
		rc = section_close(p);
	if (rc != 0)
		return rc;
	if (id != DIRECTIVE_scenario && text_words(item->rest, &p->words, &p->word_count) != 0)
		return parser_fail(p, p->line, "'@%s' with a quote that is never closed", p->name);
	rc = directive_functions[id](p);
	text_words_free(p->words, p->word_count);
	p->words = NULL;
	p->word_count = 0;
	return rc;
}

/* Clients without process=P get the smallest numbers that are still free, in file order. */
static void processes_assign(struct scenario *s)
{
	bool used[SCENARIO_PROCESS_MAX + 1] = {false};
	uint32_t next = 1;

	for (size_t i = 0; i < s->client_count; i++)
		used[s->clients[i].process] = true;
	for (size_t i = 0; i < s->client_count; i++) {
		if (s->clients[i].process != 0)
			continue;
		while (used[next])
			next++;
		used[next] = true;
		s->clients[i].process = next;
	}
}

/* What stands behind an 'if'. */
static int check_conditions(struct parser *p, int line, const struct kv_list *conditions)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < conditions->count; i++) {
		const struct kv *kv = &conditions->items[i];

		rc = strcmp(kv->key, "model") == 0
			 ? parser_model_check(p, line, kv->value)
			 : parser_setting_check(p, line, kv->key, kv->value);
	}
	return rc;
}

static int finish(struct parser *p)
{
	struct scenario *s = p->s;
	int rc = section_close(p);

	if (rc == 0 && p->only_invariants && s->invariant_count == 0)
		rc = parser_fail(p, 1, "there is no query in this file");
	if (rc != 0 || p->only_invariants)
		return rc;
	if (s->workload == NULL && s->client_count == 0)
		return parser_fail(p, 1, "the scenario has neither '@client' nor '@workload'");
	for (size_t i = 0; i < s->axis_count; i++) {
		for (size_t k = 0; rc == 0 && k < s->axes[i].value_count; k++)
			rc = parser_setting_check(p, s->axes[i].line, s->axes[i].key,
						  s->axes[i].values[k]);
		if (rc != 0)
			return rc;
	}
	for (size_t i = 0; rc == 0 && i < s->rule_count; i++)
		rc = check_conditions(p, s->rules[i].line, &s->rules[i].conditions);
	for (size_t i = 0; rc == 0 && i < s->redundant_count; i++)
		rc = check_conditions(p, s->redundant[i].line, &s->redundant[i].conditions);
	if (rc != 0)
		return rc;
	if (s->model_count == 0) {
		s->models = xgrow(s->models, 0, &s->model_cap, sizeof *s->models);
		s->models[s->model_count++] = xstrdup("strict-posix");
	}
	processes_assign(s);
	return 0;
}

static int parse(const char *path, const char *text, size_t size,
		 const struct scenario_vocabulary *vocabulary, bool only_invariants,
		 struct scenario **ret_scenario, struct err *err)
{
	struct parser p = {
	    .path = path, .vocabulary = vocabulary, .err = err, .only_invariants = only_invariants};
	struct text_item item = {.kind = TEXT_END};
	struct text_reader reader;
	bool done;
	int rc = text_reader_init(&reader, path, text, size, err);

	if (rc != 0)
		return rc;
	p.s = xcalloc(1, sizeof *p.s);
	p.s->path = xstrdup(path);
	p.s->text = xmalloc(size + 1);
	memcpy(p.s->text, text, size);
	p.s->text[size] = '\0';
	/* Looked at before the text is read: whatever is no scenario gets this message, and not one
	 * about a statement that never ends. */
	const char *at = reader.at;
	bool comment = reader.end - at > 2 && at[0] == '-' && at[1] == '-';
	for (at += comment ? 2 : 0; at < reader.end && (*at == ' ' || *at == '\t');)
		at++;
	if (!only_invariants && (!comment || at == reader.end || *at != '@')) {
		rc = parser_fail(&p, 1, "the first line must be '-- @scenario TEXT'");
		goto out;
	}
	do {
		rc = text_reader_next(&reader, &item, err);
		if (rc == 0 && item.kind == TEXT_DIRECTIVE)
			rc = add_directive(&p, &item);
		else if (rc == 0 && item.kind == TEXT_STATEMENT)
			rc = add_statement(&p, &item);
		else if (rc == 0)
			rc = finish(&p);
		if (rc != 0)
			goto out;
		done = item.kind == TEXT_END;
		text_item_release(&item);
	} while (!done);
	*ret_scenario = p.s;
	p.s = NULL;
out:
	if (rc != 0 && err != NULL)
		text_repair(err->message);
	text_item_release(&item);
	text_words_free(p.words, p.word_count);
	scenario_free(p.s);
	return rc;
}

int scenario_parse(const char *path, const char *text, size_t size,
		   const struct scenario_vocabulary *vocabulary, struct scenario **ret_scenario,
		   struct err *err)
{
	return parse(path, text, size, vocabulary, false, ret_scenario, err);
}

int scenario_parse_invariants(const char *path, const char *text, size_t size,
			      struct scenario **ret_scenario, struct err *err)
{
	return parse(path, text, size, NULL, true, ret_scenario, err);
}

static int load(const char *path, const struct scenario_vocabulary *vocabulary,
		bool only_invariants, struct scenario **ret_scenario, struct err *err)
{
	char *text = xmalloc(SCENARIO_FILE_SIZE_MAX + 1);
	size_t size = 0;
	int rc, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		rc = err_set(err, errno == ENOENT ? ERR_INPUT : ERR_IO, "%s: %s", path,
			     strerror(errno));
		goto out;
	}
	/* One byte more than allowed is asked for, so that a file that is too large shows. */
	while (size <= SCENARIO_FILE_SIZE_MAX) {
		ssize_t n = read(fd, text + size, SCENARIO_FILE_SIZE_MAX + 1 - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
			goto out;
		}
		if (n == 0)
			break;
		size += (size_t)n;
	}
	rc = parse(path, text, size, vocabulary, only_invariants, ret_scenario, err);
out:
	if (fd >= 0)
		(void)close(fd);
	free(text);
	return rc;
}

int scenario_load(const char *path, const struct scenario_vocabulary *vocabulary,
		  struct scenario **ret_scenario, struct err *err)
{
	return load(path, vocabulary, false, ret_scenario, err);
}

int scenario_load_invariants(const char *path, struct scenario **ret_scenario, struct err *err)
{
	return load(path, NULL, true, ret_scenario, err);
}
