/* See result_read.h. */
#include "harness/case/result_read.h"

#include "faultinject/base/buf.h"
#include "harness/case/result_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where in the document the reader is, for messages. */
struct reader {
	char where[64];
	struct err *err;
};

static int fail(const struct reader *r, const char *key, const char *what)
{
	return err_set(r->err, ERR_INPUT, "%s\"%s\" %s", r->where, key, what);
}

void result_origin_release(struct result_origin *o)
{
	free(o->plugpull);
	free(o->command);
	memset(o, 0, sizeof *o);
}

/* ---- values ---- */

static int read_text(const struct reader *r, const json_t *o, const char *key, char **ret)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return fail(r, key, "is no text");
	*ret = xstrdup(json_string_value(v));
	return 0;
}

static int read_text_or_null(const struct reader *r, const json_t *o, const char *key, char **ret)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL)
		return fail(r, key, "is missing");
	return json_is_null(v) ? 0 : read_text(r, o, key, ret);
}

static int read_count(const struct reader *r, const json_t *o, const char *key, uint64_t *ret)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return fail(r, key, "is no count");
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

static int read_grade(const struct reader *r, const json_t *o, const char *key, bool *ret_has,
		      enum grade *ret)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL)
		return fail(r, key, "is missing");
	if (json_is_null(v))
		return 0;
	if (!json_is_string(v) || grade_parse(json_string_value(v), ret) != 0)
		return fail(r, key, "is no grade");
	if (ret_has != NULL)
		*ret_has = true;
	return 0;
}

static int read_list(const struct reader *r, const json_t *o, const char *key, bool must,
		     const json_t **ret)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL && !must) {
		*ret = NULL;
		return 0;
	}
	if (!json_is_array(v))
		return fail(r, key, "is no list");
	*ret = v;
	return 0;
}

/* ---- a case ---- */

static int read_config(const struct reader *r, const json_t *o, struct case_result *c)
{
	json_t *config = json_object_get(o, "config"), *value;
	const char *key;

	if (!json_is_object(config))
		return fail(r, "config", "is no object");
	json_object_foreach (config, key, value) {
		if (!json_is_string(value))
			return fail(r, "config", "has a value that is no text");
		kv_set(&c->config, key, json_string_value(value));
	}
	return 0;
}

static int read_waiver(const struct reader *r, const json_t *o, struct result_violation *v)
{
	const json_t *waived = json_object_get(o, "waived");
	char *allowed = NULL, *until = NULL, *reason = NULL;
	uint64_t line = 0;

	if (waived == NULL)
		return 0;
	int rc = read_text(r, waived, "allowed", &allowed);

	if (rc == 0)
		rc = read_text(r, waived, "until", &until);
	if (rc == 0)
		rc = read_text(r, waived, "reason", &reason);
	if (rc == 0)
		rc = read_count(r, waived, "line", &line);
	if (rc == 0)
		result_violation_waive(v, allowed, until, reason, line);
	free(allowed);
	free(until);
	free(reason);
	return rc;
}

static int read_violations(const struct reader *r, const json_t *o, struct case_result *c)
{
	const json_t *list;
	int rc = read_list(r, o, "violations", true, &list);

	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		char *oracle = NULL, *message = NULL, *token = NULL;
		enum grade grade = GRADE_NONE;

		rc = read_text(r, v, "oracle", &oracle);
		if (rc == 0)
			rc = read_text(r, v, "message", &message);
		if (rc == 0)
			rc = read_text_or_null(r, v, "token", &token);
		if (rc == 0)
			rc = read_grade(r, v, "grade", NULL, &grade);
		if (rc == 0) {
			case_result_violation(c, oracle, grade, message, token);
			rc = read_waiver(r, v, &c->violations[c->violation_count - 1]);
		}
		free(oracle);
		free(message);
		free(token);
	}
	return rc;
}

static int read_not_applicable(const struct reader *r, const json_t *o, struct case_result *c)
{
	const json_t *list;
	int rc = read_list(r, o, "not_applicable", true, &list);

	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
		char *oracle = NULL, *reason = NULL;

		rc = read_text(r, json_array_get(list, i), "oracle", &oracle);
		if (rc == 0)
			rc = read_text(r, json_array_get(list, i), "reason", &reason);
		if (rc == 0)
			case_result_not_applicable(c, oracle, reason);
		free(oracle);
		free(reason);
	}
	return rc;
}

static int read_lint(const struct reader *r, const json_t *o, struct case_result *c)
{
	const json_t *list;
	int rc = read_list(r, o, "lint", false, &list);

	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
		char *rule = NULL, *message = NULL;
		uint64_t count = 0;

		rc = read_text(r, json_array_get(list, i), "rule", &rule);
		if (rc == 0)
			rc = read_text(r, json_array_get(list, i), "message", &message);
		if (rc == 0)
			rc = read_count(r, json_array_get(list, i), "count", &count);
		if (rc == 0)
			case_result_lint(c, rule, message, count);
		free(rule);
		free(message);
	}
	return rc;
}

static int read_mutant(const struct reader *r, const json_t *o, struct case_result *c)
{
	static const char *const kinds[] = {"sync", "defect"};
	char *name = NULL, *kind = NULL, *result = NULL, *found = NULL;
	uint64_t recoveries = 0;
	size_t k = 0;
	int m = 0;
	int rc = read_text(r, o, "name", &name);

	if (rc == 0)
		rc = read_text(r, o, "kind", &kind);
	if (rc == 0)
		rc = read_text(r, o, "result", &result);
	if (rc == 0)
		rc = read_text_or_null(r, o, "found", &found);
	if (rc == 0)
		rc = read_count(r, o, "recoveries", &recoveries);
	while (rc == 0 && k < 2 && strcmp(kind, kinds[k]) != 0)
		k++;
	while (rc == 0 && m <= MUTATION_MISSED &&
	       strcmp(result, result_mutation_text((enum result_mutation)m)) != 0)
		m++;
	if (rc == 0 && k == 2)
		rc = fail(r, "kind", "is no kind of mutant");
	if (rc == 0 && m > MUTATION_MISSED)
		rc = fail(r, "result", "is nothing that becomes of a mutant");
	if (rc == 0)
		case_result_mutant(c, name, kinds[k], (enum result_mutation)m, false, recoveries,
				   found);
	free(name);
	free(kind);
	free(result);
	free(found);
	return rc;
}

static int read_mutants(const struct reader *r, const json_t *o, struct case_result *c)
{
	const json_t *list;
	int rc = read_list(r, o, "mutants", false, &list);

	c->mutated = rc == 0 && list != NULL;
	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
		rc = read_mutant(r, json_array_get(list, i), c);
	return rc;
}

static int read_notes(const struct reader *r, const json_t *o, struct case_result *c)
{
	const json_t *list;
	int rc = read_list(r, o, "notes", false, &list);

	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
		const char *note = json_string_value(json_array_get(list, i));

		if (note == NULL)
			rc = fail(r, "notes", "has something that is no text");
		else
			case_result_note(c, "%s", note);
	}
	return rc;
}

static int read_verdict(const struct reader *r, const json_t *o, struct case_result *c)
{
	const char *text = json_string_value(json_object_get(o, "verdict"));

	for (int v = 0; text != NULL && v <= CASE_SKIPPED; v++) {
		if (strcmp(text, case_verdict_text((enum case_verdict)v)) == 0) {
			c->verdict = (enum case_verdict)v;
			return 0;
		}
	}
	return fail(r, "verdict", "is no verdict");
}

static int read_counts(const struct reader *r, const json_t *o, struct case_result *c)
{
	c->has_rounds = json_object_get(o, "rounds") != NULL;
	c->has_sampled = json_object_get(o, "sampled") != NULL;
	const struct {
		const char *key;
		uint64_t *value;
		bool present;
	} counts[] = {
	    {"crash_points", &c->crash_points, true}, {"recoveries", &c->recoveries, true},
	    {"commits", &c->commits, true},	      {"lost_acked_max", &c->lost_acked_max, true},
	    {"rounds", &c->rounds, c->has_rounds},    {"sampled", &c->sampled, c->has_sampled},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof counts / sizeof counts[0]; i++)
		if (counts[i].present)
			rc = read_count(r, o, counts[i].key, counts[i].value);
	return rc;
}

static int read_case(const struct reader *r, const json_t *o, struct case_result *c)
{
	const json_t *exhaustive = json_object_get(o, "exhaustive");
	int rc = read_text(r, o, "id", &c->id);

	if (rc == 0)
		rc = read_text(r, o, "scenario", &c->scenario);
	if (rc == 0)
		rc = read_text_or_null(r, o, "model", &c->model);
	if (rc == 0)
		rc = read_config(r, o, c);
	if (rc == 0)
		rc = read_verdict(r, o, c);
	if (rc == 0)
		rc = read_text_or_null(r, o, "reason", &c->reason);
	if (rc == 0)
		rc = read_grade(r, o, "grade", NULL, &c->grade);
	if (rc == 0)
		rc = read_grade(r, o, "required", &c->has_required, &c->required);
	if (rc == 0)
		rc = read_grade(r, o, "expected", &c->has_expected, &c->expected);
	if (rc == 0 && !json_is_boolean(exhaustive))
		rc = fail(r, "exhaustive", "is neither true nor false");
	if (rc == 0)
		c->exhaustive = json_is_true(exhaustive);
	if (rc == 0)
		rc = read_text_or_null(r, o, "states", &c->states);
	if (rc == 0)
		rc = read_counts(r, o, c);
	if (rc == 0)
		rc = read_not_applicable(r, o, c);
	if (rc == 0)
		rc = read_violations(r, o, c);
	if (rc == 0)
		rc = read_lint(r, o, c);
	if (rc == 0)
		rc = read_mutants(r, o, c);
	if (rc == 0)
		rc = read_notes(r, o, c);
	return rc;
}

/* ---- the document ---- */

static int compare_ids(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int check_ids(const struct result *result, struct err *err)
{
	char **ids = xcalloc(result->case_count + 1, sizeof *ids);
	int rc = 0;

	for (size_t i = 0; i < result->case_count; i++)
		ids[i] = result->cases[i].id;
	qsort(ids, result->case_count, sizeof *ids, compare_ids);
	for (size_t i = 1; i < result->case_count && rc == 0; i++)
		if (strcmp(ids[i - 1], ids[i]) == 0)
			rc = err_set(err, ERR_INPUT, "the case '%.200s' is there more than once",
				     ids[i]);
	free(ids);
	return rc;
}

static int read_cases(struct reader *r, const json_t *root, struct result *result)
{
	const json_t *list;
	int rc = read_list(r, root, "cases", true, &list);

	if (rc == 0 && json_array_size(list) > RESULT_READ_CASES_MAX)
		rc = err_set(r->err, ERR_INPUT, "more than %d cases", RESULT_READ_CASES_MAX);
	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
		(void)snprintf(r->where, sizeof r->where, "case %zu: ", i + 1);
		rc = read_case(r, json_array_get(list, i), result_add(result));
	}
	r->where[0] = '\0';
	return rc;
}

/* Before anything else: what another format has is not for this reader to say. */
static int check_format(const struct reader *r, const json_t *root)
{
	const json_t *format = json_object_get(root, "format");

	if (!json_is_object(root) || !json_is_string(json_object_get(root, "plugpull")))
		return err_set(r->err, ERR_INPUT, "not a result of plugpull");
	if (!json_is_integer(format))
		return fail(r, "format", "is no number");
	if (json_integer_value(format) != RESULT_JSON_FORMAT)
		return err_set(r->err, ERR_INPUT,
			       "format %" JSON_INTEGER_FORMAT
			       " cannot be read; this plugpull reads %d",
			       json_integer_value(format), RESULT_JSON_FORMAT);
	return 0;
}

int result_read(const char *text, size_t size, struct result *ret_result,
		struct result_origin *ret_origin, struct err *err)
{
	struct reader r = {.err = err};
	struct result result;
	struct result_origin origin = {0};
	json_error_t why;

	if (size > RESULT_READ_SIZE_MAX)
		return err_set(err, ERR_INPUT, "larger than %d bytes", RESULT_READ_SIZE_MAX);
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);

	if (root == NULL)
		return err_set(err, ERR_INPUT, "no JSON: line %d: %s", why.line, why.text);
	result_init(&result, NULL, 0);
	const json_t *sqlite = json_object_get(root, "sqlite");
	int rc = check_format(&r, root);

	if (rc == 0)
		rc = read_text(&r, root, "plugpull", &origin.plugpull);
	if (rc == 0)
		rc = read_text(&r, root, "command", &origin.command);
	if (rc == 0)
		rc = read_count(&r, root, "seed", &result.seed);
	if (rc == 0)
		rc = read_text(&r, sqlite, "version", &result.sqlite_version);
	if (rc == 0)
		rc = read_text(&r, sqlite, "source_id", &result.sqlite_source_id);
	result.interrupted = json_is_true(json_object_get(root, "interrupted"));
	if (rc == 0)
		rc = read_cases(&r, root, &result);
	if (rc == 0)
		rc = check_ids(&result, err);
	json_decref(root);
	if (rc != 0) {
		result_release(&result);
		result_origin_release(&origin);
		return rc;
	}
	*ret_result = result;
	*ret_origin = origin;
	return 0;
}
