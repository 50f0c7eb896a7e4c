/*
 * The directives that only declare something (everything but the sections @open, @setup, @client
 * and @invariant, which scenario_parse.c holds), and what all directives use to read their words.
 *
 * A directive is called with p->words; whatever it refuses is one line "path:line: ...". No name of
 * a pragma, model, workload or defect stands here: the vocabulary knows those.
 */
#include "harness/scenario/scenario_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int parser_fail(struct parser *p, int line, const char *fmt, ...)
{
	char message[ERR_MESSAGE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	return err_set(p->err, ERR_INPUT, "%s:%d: %s", p->path, line, message);
}

int parser_fail_unknown(struct parser *p, const char *what, const char *mark, const char *word,
			const char *of, const char *const *names, size_t name_count)
{
	const char *suggestion = text_suggest(word, names, name_count);

	if (suggestion == NULL)
		return parser_fail(p, p->line, "unknown %s '%s%.60s'%s", what, mark, word, of);
	return parser_fail(p, p->line, "unknown %s '%s%.60s'%s (did you mean '%s%s'?)", what, mark,
			   word, of, mark, suggestion);
}

/* ---- words and lists ---- */

/* Every list of strings and structs grows through here, so that none is without a bound. */
int parser_list_room(struct parser *p, size_t count)
{
	if (count >= SCENARIO_LIST_MAX)
		return parser_fail(p, p->line, "more than %d of '@%s'", SCENARIO_LIST_MAX, p->name);
	return 0;
}

int parser_words_expect(struct parser *p, size_t least, size_t most, const char *usage)
{
	if (p->word_count < least || p->word_count > most)
		return parser_fail(p, p->line, "'@%s' is written '-- @%s%s%s'", p->name, p->name,
				   usage[0] == '\0' ? "" : " ", usage);
	for (size_t i = 0; i < p->word_count; i++) {
		if (p->words[i].text[0] == '\0')
			return parser_fail(p, p->line, "'@%s' with an empty value", p->name);
	}
	return 0;
}

/* Cuts "k=v" in two, in place. */
int parser_setting_split(struct parser *p, struct text_word *word, const char **ret_key,
			 char **ret_value)
{
	size_t i = 0;

	while (word->text[i] != '\0' && (word->text[i] != '=' || word->quoted[i] == '1'))
		i++;
	if (word->text[i] == '\0')
		return parser_fail(p, p->line, "'@%s' expects KEY=VALUE, found '%.60s'", p->name,
				   word->text);
	word->text[i] = '\0';
	if (!scenario_key_valid(word->text))
		return parser_fail(p, p->line, "'%.60s' cannot be a key", word->text);
	if (word->text[i + 1] == '\0')
		return parser_fail(p, p->line, "key '%.60s' has no value", word->text);
	*ret_key = word->text;
	*ret_value = word->text + i + 1;
	return 0;
}

/* Reads words [from, end) as settings of the keys that the directive knows. values[i] belongs to
 * keys[i] and stays NULL where it is not given. */
int parser_known_settings(struct parser *p, size_t from, const char *const *keys, size_t key_count,
			  const char **values)
{
	for (size_t i = from; i < p->word_count; i++) {
		const char *key = NULL;
		char *value = NULL;
		size_t k = 0;
		char of[64];
		int rc = parser_setting_split(p, &p->words[i], &key, &value);

		if (rc != 0)
			return rc;
		ASSERT(key != NULL && value != NULL);
		while (k < key_count && strcmp(keys[k], key) != 0)
			k++;
		if (k == key_count) {
			(void)snprintf(of, sizeof of, " of '@%s'", p->name);
			return parser_fail_unknown(p, "key", "", key, of, keys, key_count);
		}
		if (values[k] != NULL)
			return parser_fail(p, p->line, "key '%s' stands twice", key);
		values[k] = value;
	}
	return 0;
}

/* Appends a setting; a key that stands twice is an error. */
int parser_setting_add(struct parser *p, struct kv_list *list, const char *key, const char *value)
{
	int rc = parser_list_room(p, list->count);

	if (rc != 0)
		return rc;
	if (kv_find(list, key) != NULL)
		return parser_fail(p, p->line, "key '%.60s' stands twice", key);
	kv_set(list, key, value);
	return 0;
}

int parser_string_add(struct parser *p, char ***list, size_t *count, size_t *cap, const char *text)
{
	int rc = parser_list_room(p, *count);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < *count; i++) {
		if (strcmp((*list)[i], text) == 0)
			return parser_fail(p, p->line, "'%.60s' stands twice", text);
	}
	*list = xgrow(*list, *count, cap, sizeof **list);
	(*list)[(*count)++] = xstrdup(text);
	return 0;
}

int parser_setting_check(struct parser *p, int line, const char *key, const char *value)
{
	struct err inner = ERR_INIT;

	if (scenario_setting_check(p->vocabulary, p->s->workload, key, value, ERR_INPUT, &inner) ==
	    0)
		return 0;
	return parser_fail(p, line, "%s", inner.message);
}

/* ---- the other directives ---- */

int directive_scenario(struct parser *p)
{
	/* The one directive of free text: quotes are optional, and inner ones stay. */
	if (p->rest[0] != '"') {
		if (p->rest[0] == '\0')
			return parser_words_expect(p, 1, 1, "TEXT");
		p->s->title = xstrdup(p->rest);
		return 0;
	}
	if (text_words(p->rest, &p->words, &p->word_count) != 0)
		return parser_fail(p, p->line, "'@scenario' with a quote that is never closed");
	int rc = parser_words_expect(p, 1, 1, "TEXT");
	if (rc == 0)
		p->s->title = xstrdup(p->words[0].text);
	return rc;
}

int directive_pragma(struct parser *p)
{
	int rc = parser_words_expect(p, 1, SIZE_MAX, "KEY=VALUE ...");

	for (size_t i = 0; rc == 0 && i < p->word_count; i++) {
		const char *key;
		char *value;

		rc = parser_setting_split(p, &p->words[i], &key, &value);
		if (rc != 0)
			break;
		if (scenario_key_after(key, "model.") != NULL ||
		    scenario_key_after(key, "workload.") != NULL)
			return parser_fail(p, p->line, "'%.60s' is no pragma", key);
		rc = parser_setting_check(p, p->line, key, value);
		if (rc == 0)
			rc = parser_setting_add(p, &p->s->pragmas, key, value);
	}
	return rc;
}

const struct scenario_model *scenario_model_find(const struct scenario *s, const char *name)
{
	for (size_t i = 0; i < s->defined_count; i++)
		if (strcmp(s->defined[i].name, name) == 0)
			return &s->defined[i];
	return NULL;
}

int parser_model_check(struct parser *p, int line, const char *name)
{
	struct err reason = ERR_INIT;

	if (scenario_model_find(p->s, name) != NULL)
		return 0;
	if (scenario_key_valid(name) && (p->vocabulary == NULL || p->vocabulary->model == NULL ||
					 p->vocabulary->model(name, &reason)))
		return 0;
	if (reason.message[0] != '\0')
		return parser_fail(p, line, "%s", reason.message);
	return parser_fail(p, line, "unknown model '%.60s'", name);
}

int directive_attach(struct parser *p)
{
	struct scenario *s = p->s;
	int rc = parser_words_expect(p, 2, 2, "NAME FILE");

	if (rc != 0 || (rc = parser_list_room(p, s->attached_count)) != 0)
		return rc;
	const char *name = p->words[0].text, *file = p->words[1].text;
	if (strcasecmp(name, "main") == 0 || strcasecmp(name, "temp") == 0)
		return parser_fail(p, p->line, "'%s' cannot be attached: SQLite owns that name",
				   name);
	/* The harness decides in which folder a database lies; a scenario must not leave it. */
	if (strcmp(file, "main.db") == 0 || strcmp(file, "main.db-wal") == 0 ||
	    strcmp(file, "main.db-journal") == 0 || strcmp(file, "main.db-shm") == 0)
		return parser_fail(p, p->line, "'%s' is a file of the main database", file);
	if (strchr(file, '/') != NULL || strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
		return parser_fail(p, p->line, "'%.60s': a file name without a folder is expected",
				   file);
	for (size_t i = 0; i < s->attached_count; i++) {
		if (strcasecmp(s->attached[i].name, name) == 0 ||
		    strcmp(s->attached[i].file, file) == 0)
			return parser_fail(p, p->line, "'%.60s' or its file is attached already",
					   name);
	}
	s->attached = xgrow(s->attached, s->attached_count, &s->attached_cap, sizeof *s->attached);
	s->attached[s->attached_count++] =
	    (struct scenario_attach){.name = xstrdup(name), .file = xstrdup(file)};
	return 0;
}

int directive_models(struct parser *p)
{
	struct scenario *s = p->s;
	int rc = parser_words_expect(p, 1, SIZE_MAX, "NAME ...");

	for (size_t i = 0; rc == 0 && i < p->word_count; i++) {
		const char *name = p->words[i].text;

		rc = parser_model_check(p, p->line, name);
		if (rc != 0)
			return rc;
		rc = parser_string_add(p, &s->models, &s->model_count, &s->model_cap, name);
	}
	return rc;
}

int directive_define_model(struct parser *p)
{
	struct scenario *s = p->s;
	const struct scenario_vocabulary *v = p->vocabulary;
	struct err reason = ERR_INIT;
	int rc = parser_words_expect(p, 2, SIZE_MAX, "NAME KEY=VALUE ...");

	if (rc != 0 || (rc = parser_list_room(p, s->defined_count)) != 0)
		return rc;
	const char *name = p->words[0].text;
	if (!scenario_key_valid(name))
		return parser_fail(
		    p, p->line, "'%.60s' is no name: letters, digits, '-', '_' and '.' are", name);
	if (scenario_model_find(s, name) != NULL ||
	    (v != NULL && v->model != NULL && v->model(name, NULL)))
		return parser_fail(p, p->line, "there is a model '%.60s' already", name);
	s->defined = xgrow(s->defined, s->defined_count, &s->defined_cap, sizeof *s->defined);
	struct scenario_model *m = &s->defined[s->defined_count++];
	*m = (struct scenario_model){.name = xstrdup(name)};
	for (size_t i = 1; rc == 0 && i < p->word_count; i++) {
		const char *key;
		char *value;

		rc = parser_setting_split(p, &p->words[i], &key, &value);
		if (rc != 0)
			break;
		if (v != NULL && v->model_param != NULL && !v->model_param(key, value, &reason))
			return reason.message[0] != '\0'
				   ? parser_fail(p, p->line, "%s", reason.message)
				   : parser_fail(p, p->line, "unknown key or value '%.60s=%.60s'",
						 key, value);
		rc = parser_setting_add(p, &m->params, key, value);
	}
	if (rc == 0 && v != NULL && v->model_defined != NULL &&
	    !v->model_defined(m->name, &m->params, &reason))
		rc = parser_fail(p, p->line, "%s", reason.message);
	return rc;
}

static int axis_add(struct parser *p, struct text_word *word)
{
	struct scenario *s = p->s;
	struct scenario_axis *axis;
	const char *key;
	char *value;
	size_t cap = 0;
	int rc = parser_setting_split(p, word, &key, &value);

	if (rc != 0 || (rc = parser_list_room(p, s->axis_count)) != 0)
		return rc;
	for (size_t i = 0; i < s->axis_count; i++) {
		if (strcmp(s->axes[i].key, key) == 0)
			return parser_fail(p, p->line, "axis '%.60s' stands in line %d already",
					   key, s->axes[i].line);
	}
	s->axes = xgrow(s->axes, s->axis_count, &s->axis_cap, sizeof *s->axes);
	axis = &s->axes[s->axis_count++];
	*axis = (struct scenario_axis){.key = xstrdup(key), .line = p->line};
	for (bool more = true; more;) {
		size_t i = 0, offset = (size_t)(value - word->text);

		while (value[i] != '\0' && (value[i] != ',' || word->quoted[offset + i] == '1'))
			i++;
		more = value[i] == ',';
		value[i] = '\0';
		if (i == 0)
			return parser_fail(p, p->line, "axis '%.60s' has an empty value",
					   axis->key);
		rc = parser_string_add(p, &axis->values, &axis->value_count, &cap, value);
		if (rc != 0)
			return rc;
		value += i + 1;
	}
	return 0;
}

int directive_matrix(struct parser *p)
{
	int rc = parser_words_expect(p, 1, SIZE_MAX, "KEY=V1,V2 ...");

	for (size_t i = 0; rc == 0 && i < p->word_count; i++)
		rc = axis_add(p, &p->words[i]);
	return rc;
}

static int rule_add(struct parser *p, bool expect)
{
	struct scenario *s = p->s;
	enum grade grade;
	int rc = parser_words_expect(p, 1, SIZE_MAX, "GRADE [if KEY=VALUE ...]");

	if (rc != 0 || (rc = parser_list_room(p, s->rule_count)) != 0)
		return rc;
	if (grade_parse(p->words[0].text, &grade) != 0) {
		static const char *const grades[] = {
#define X(name, num, text) text,
		    GRADES(X)
#undef X
		};
		return parser_fail_unknown(p, "grade", "", p->words[0].text, "", grades,
					   sizeof grades / sizeof *grades);
	}
	if (p->word_count > 1 && strcmp(p->words[1].text, "if") != 0)
		return parser_fail(p, p->line, "expected 'if' behind the grade, found '%.60s'",
				   p->words[1].text);
	if (p->word_count == 2)
		return parser_fail(p, p->line, "'if' without a condition");
	if (p->word_count > 2 + SCENARIO_CONDITIONS_MAX)
		return parser_fail(p, p->line, "more than %d conditions", SCENARIO_CONDITIONS_MAX);
	s->rules = xgrow(s->rules, s->rule_count, &s->rule_cap, sizeof *s->rules);
	struct scenario_rule *rule = &s->rules[s->rule_count++];
	*rule = (struct scenario_rule){.grade = grade, .expect = expect, .line = p->line};
	for (size_t i = 2; i < p->word_count; i++) {
		const char *key;
		char *value;

		rc = parser_setting_split(p, &p->words[i], &key, &value);
		if (rc != 0 || (rc = parser_setting_add(p, &rule->conditions, key, value)) != 0)
			return rc;
	}
	return 0;
}

int directive_require(struct parser *p)
{
	return rule_add(p, false);
}

int directive_expect(struct parser *p)
{
	return rule_add(p, true);
}

int directive_load(struct parser *p)
{
	int rc = parser_words_expect(p, 1, 1, "EXTENSION.so");

	if (rc != 0)
		return rc;
	return parser_string_add(p, &p->s->loads, &p->s->load_count, &p->s->load_cap,
				 p->words[0].text);
}

int directive_workload(struct parser *p)
{
	const struct scenario_vocabulary *v = p->vocabulary;
	int rc = parser_words_expect(p, 1, SIZE_MAX, "NAME [KEY=VALUE ...]");

	if (rc != 0)
		return rc;
	const char *name = p->words[0].text;
	if (!scenario_key_valid(name) || (v != NULL && v->workload != NULL && !v->workload(name)))
		return parser_fail(p, p->line, "unknown workload '%.60s'", name);
	p->s->workload = xstrdup(name);
	p->s->workload_line = p->line;
	for (size_t i = 1; i < p->word_count; i++) {
		const char *key;
		char *value, *whole;

		rc = parser_setting_split(p, &p->words[i], &key, &value);
		if (rc != 0)
			return rc;
		whole = xasprintf("workload.%s", key);
		rc = parser_setting_check(p, p->line, whole, value);
		free(whole);
		if (rc != 0 ||
		    (rc = parser_setting_add(p, &p->s->workload_params, key, value)) != 0)
			return rc;
	}
	return 0;
}

int directive_kill(struct parser *p)
{
	int rc = parser_words_expect(p, 1, SIZE_MAX, "[writers=N] [readers=N] [checkpointers=N]");

	for (size_t i = 0; i < p->word_count && rc == 0; i++) {
		struct err why = ERR_INIT;
		const char *key;
		char *value;

		rc = parser_setting_split(p, &p->words[i], &key, &value);
		if (rc == 0 && scenario_kill_check(key, value, ERR_INPUT, &why) != 0)
			rc = parser_fail(p, p->line, "'@kill': %s", why.message);
		if (rc == 0)
			rc = parser_setting_add(p, &p->s->kill_params, key, value);
	}
	return rc;
}

int directive_batch(struct parser *p)
{
	static const char *const keys[] = {"id", "count"};
	const char *values[2] = {NULL, NULL};
	struct scenario *s = p->s;
	int rc = parser_words_expect(p, 3, 3, "TABLE id=COLUMN count=COLUMN");

	if (rc != 0 || (rc = parser_known_settings(p, 1, keys, 2, values)) != 0 ||
	    (rc = parser_list_room(p, s->batch_count)) != 0)
		return rc;
	for (size_t i = 0; i < s->batch_count; i++) {
		if (strcasecmp(s->batches[i].table, p->words[0].text) == 0)
			return parser_fail(p, p->line, "'@batch' of table '%.60s' stands twice",
					   p->words[0].text);
	}
	s->batches = xgrow(s->batches, s->batch_count, &s->batch_cap, sizeof *s->batches);
	s->batches[s->batch_count++] = (struct scenario_batch){.table = xstrdup(p->words[0].text),
							       .id_column = xstrdup(values[0]),
							       .count_column = xstrdup(values[1])};
	return 0;
}

int directive_order(struct parser *p)
{
	struct scenario *s = p->s;
	int rc = parser_words_expect(p, 2, 2, "TABLE COLUMN");

	if (rc != 0 || (rc = parser_list_room(p, s->order_count)) != 0)
		return rc;
	for (size_t i = 0; i < s->order_count; i++) {
		if (strcasecmp(s->orders[i].table, p->words[0].text) == 0 &&
		    strcasecmp(s->orders[i].column, p->words[1].text) == 0)
			return parser_fail(p, p->line, "'@order' of '%.60s' stands twice",
					   p->words[0].text);
	}
	s->orders = xgrow(s->orders, s->order_count, &s->order_cap, sizeof *s->orders);
	s->orders[s->order_count++] = (struct scenario_order){.table = xstrdup(p->words[0].text),
							      .column = xstrdup(p->words[1].text)};
	return 0;
}

int directive_schema_version(struct parser *p)
{
	struct scenario *s = p->s;
	int rc = parser_words_expect(p, 1, 1, "N,N,...");
	char *at = rc == 0 ? p->words[0].text : NULL;

	while (rc == 0 && at != NULL) {
		char *comma = strchr(at, ',');
		uint64_t version;

		if (comma != NULL)
			*comma = '\0';
		if (text_number(at, 0, INT32_MAX, &version) != 0)
			return parser_fail(p, p->line,
					   "'%.60s' is no schema version (0 to 2147483647)", at);
		/* The list is linear: the order in which migrations can take a database. */
		if (s->schema_version_count > 0 &&
		    (int64_t)version <= s->schema_versions[s->schema_version_count - 1])
			return parser_fail(p, p->line,
					   "schema version %s does not follow the one before", at);
		rc = parser_list_room(p, s->schema_version_count);
		if (rc != 0)
			return rc;
		s->schema_versions = xgrow(s->schema_versions, s->schema_version_count,
					   &s->schema_version_cap, sizeof *s->schema_versions);
		s->schema_versions[s->schema_version_count++] = (int64_t)version;
		at = comma == NULL ? NULL : comma + 1;
	}
	return rc;
}

int directive_clock(struct parser *p)
{
	const struct scenario_vocabulary *v = p->vocabulary;
	int rc = parser_words_expect(p, 1, 1, "PLAN");

	if (rc != 0)
		return rc;
	if (v != NULL && v->clock != NULL && !v->clock(p->words[0].text))
		return parser_fail(p, p->line, "unknown clock '%.60s'", p->words[0].text);
	p->s->clock = xstrdup(p->words[0].text);
	return 0;
}

int directive_plant(struct parser *p)
{
	const struct scenario_vocabulary *v = p->vocabulary;
	int rc = parser_words_expect(p, 1, 1, "DEFECT");

	if (rc != 0)
		return rc;
	if (v != NULL && v->defect != NULL && !v->defect(p->words[0].text))
		return parser_fail(p, p->line, "unknown defect '%.60s'", p->words[0].text);
	p->s->plant = xstrdup(p->words[0].text);
	p->s->plant_line = p->line;
	return 0;
}
