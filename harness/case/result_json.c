/*
 * A result as JSON; see result_json.h.
 *
 * Every string goes through text(), because jansson refuses a string that is not UTF-8 and a path
 * may hold any byte: a report that cannot be written for the sake of a file name helps nobody.
 */
#include "harness/case/result_json.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/case/version.h"

#include <jansson.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t result_utf8_next(const char *text, uint32_t *ret_codepoint)
{
	const unsigned char *s = (const unsigned char *)text;
	uint32_t cp, least;
	size_t size;

	ASSERT(s[0] != '\0');
	if (s[0] < 0x80) {
		*ret_codepoint = s[0];
		return 1;
	}
	if (s[0] >= 0xC2 && s[0] <= 0xDF) {
		size = 2, cp = s[0] & 0x1Fu, least = 0x80;
	} else if ((s[0] & 0xF0) == 0xE0) {
		size = 3, cp = s[0] & 0x0Fu, least = 0x800;
	} else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
		size = 4, cp = s[0] & 0x07u, least = 0x10000;
	} else {
		*ret_codepoint = RESULT_UTF8_REPLACEMENT;
		return 1;
	}
	for (size_t i = 1; i < size; i++) {
		/* The terminating zero is no continuation byte, so this never reads past it. */
		if ((s[i] & 0xC0) != 0x80) {
			*ret_codepoint = RESULT_UTF8_REPLACEMENT;
			return 1;
		}
		cp = cp << 6 | (s[i] & 0x3Fu);
	}
	if (cp < least || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) {
		*ret_codepoint = RESULT_UTF8_REPLACEMENT;
		return 1;
	}
	*ret_codepoint = cp;
	return size;
}

static json_t *not_null(json_t *json)
{
	ASSERT(json != NULL); /* jansson fails only for want of memory here */
	return json;
}

/* The bytes of `s` as well-formed UTF-8, in `out`. */
static const char *utf8(struct buf *out, const char *s)
{
	buf_clear(out);
	while (*s != '\0') {
		uint32_t cp;
		size_t size = result_utf8_next(s, &cp);

		if (cp == RESULT_UTF8_REPLACEMENT)
			buf_append(out, "\xEF\xBF\xBD", 3);
		else
			buf_append(out, s, size);
		s += size;
	}
	return buf_str(out);
}

static json_t *text(const char *s)
{
	if (s == NULL)
		return not_null(json_null());
	struct buf clean;

	buf_init(&clean);
	json_t *json = not_null(json_string(utf8(&clean, s)));
	buf_release(&clean);
	return json;
}

static json_t *grade(enum grade value)
{
	return text(grade_text(value));
}

static void set(json_t *object, const char *key, json_t *value)
{
	int failed = json_object_set_new(object, key, not_null(value));

	ASSERT(!failed);
}

static void append(json_t *array, json_t *value)
{
	int failed = json_array_append_new(array, not_null(value));

	ASSERT(!failed);
}

static int set_count(json_t *object, const char *key, uint64_t value, struct err *err)
{
	if (value > INT64_MAX)
		return err_set(err, ERR_LIMIT, "JSON: \"%s\" is above 9223372036854775807", key);
	set(object, key, json_integer((json_int_t)value));
	return 0;
}

static json_t *config(const struct kv_list *list)
{
	json_t *object = not_null(json_object());
	struct buf key;

	buf_init(&key);
	/* In order, so that the last one wins where a key stands twice, as in kv_find(). */
	for (size_t i = 0; i < list->count; i++)
		set(object, utf8(&key, list->items[i].key), text(list->items[i].value));
	buf_release(&key);
	return object;
}

static json_t *waiver(const struct result_waiver *w)
{
	json_t *object = not_null(json_object());

	set(object, "allowed", text(w->allowed));
	set(object, "until", text(w->until));
	set(object, "reason", text(w->reason));
	set(object, "line", json_integer((json_int_t)w->line));
	return object;
}

static json_t *violations(const struct case_result *c)
{
	json_t *array = not_null(json_array());

	for (size_t i = 0; i < c->violation_count; i++) {
		json_t *v = not_null(json_object());

		set(v, "oracle", text(c->violations[i].oracle));
		set(v, "grade", grade(c->violations[i].grade));
		set(v, "message", text(c->violations[i].message));
		set(v, "token", text(c->violations[i].token));
		if (c->violations[i].waived != NULL)
			set(v, "waived", waiver(c->violations[i].waived));
		append(array, v);
	}
	return array;
}

static json_t *not_applicable(const struct case_result *c)
{
	json_t *array = not_null(json_array());

	for (size_t i = 0; i < c->not_applicable_count; i++) {
		json_t *n = not_null(json_object());

		set(n, "oracle", text(c->not_applicable[i].oracle));
		set(n, "reason", text(c->not_applicable[i].reason));
		append(array, n);
	}
	return array;
}

static json_t *lint(const struct case_result *c)
{
	json_t *array = not_null(json_array());

	for (size_t i = 0; i < c->lint_count; i++) {
		json_t *l = not_null(json_object());

		set(l, "rule", text(c->lint[i].rule));
		set(l, "message", text(c->lint[i].message));
		set(l, "count", json_integer((json_int_t)c->lint[i].count));
		append(array, l);
	}
	return array;
}

static json_t *mutants(const struct case_result *c)
{
	json_t *array = not_null(json_array());

	for (size_t i = 0; i < c->mutant_count; i++) {
		json_t *m = not_null(json_object());

		set(m, "name", text(c->mutants[i].name));
		set(m, "kind", text(c->mutants[i].kind));
		set(m, "result", text(result_mutation_text(c->mutants[i].result)));
		set(m, "recoveries", json_integer((json_int_t)c->mutants[i].recoveries));
		set(m, "found", text(c->mutants[i].found));
		append(array, m);
	}
	return array;
}

static json_t *score(struct result_score s)
{
	json_t *object = not_null(json_object());

	set(object, "caught", json_integer((json_int_t)s.caught));
	set(object, "missed", json_integer((json_int_t)s.missed));
	set(object, "redundant", json_integer((json_int_t)s.redundant));
	return object;
}

static json_t *notes(const struct case_result *c)
{
	json_t *array = not_null(json_array());

	for (size_t i = 0; i < c->note_count; i++)
		append(array, text(c->notes[i]));
	return array;
}

static int case_object(const struct case_result *c, bool timing, json_t *out, struct err *err)
{
	const struct {
		const char *key;
		uint64_t value;
		bool present;
	} counts[] = {
	    {"crash_points", c->crash_points, true}, {"recoveries", c->recoveries, true},
	    {"commits", c->commits, true},	     {"lost_acked_max", c->lost_acked_max, true},
	    {"rounds", c->rounds, c->has_rounds},    {"sampled", c->sampled, c->has_sampled},
	};

	set(out, "id", text(c->id));
	set(out, "scenario", text(c->scenario));
	set(out, "model", text(c->model));
	set(out, "config", config(&c->config));
	set(out, "verdict", text(case_verdict_text(c->verdict)));
	set(out, "reason", text(c->reason));
	set(out, "grade", grade(c->grade));
	set(out, "required", c->has_required ? grade(c->required) : json_null());
	set(out, "expected", c->has_expected ? grade(c->expected) : json_null());
	set(out, "exhaustive", json_boolean(c->exhaustive));
	set(out, "states", text(c->states));
	set(out, "not_applicable", not_applicable(c));
	set(out, "violations", violations(c));
	if (c->lint_count > 0)
		set(out, "lint", lint(c));
	if (c->mutated) {
		set(out, "mutants", mutants(c));
		set(out, "score", score(case_result_score(c)));
	}
	if (c->has_program_exit)
		set(out, "program_exit", json_integer(c->program_exit));
	if (c->note_count > 0)
		set(out, "notes", notes(c));
	if (timing)
		set(out, "seconds", json_real(isfinite(c->seconds) ? c->seconds : 0));
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		int rc =
		    counts[i].present ? set_count(out, counts[i].key, counts[i].value, err) : 0;

		if (rc != 0)
			return rc;
	}
	return 0;
}

int result_json(const struct result *r, char **ret_text, size_t *ret_size, struct err *err)
{
	json_t *root = not_null(json_object());
	json_t *sqlite = not_null(json_object());
	json_t *cases = not_null(json_array());
	int rc;

	set(root, "plugpull", text(PLUGPULL_VERSION));
	set(root, "format", json_integer(RESULT_JSON_FORMAT));
	set(root, "command", text(r->command));
	set(root, "verdict", text(case_verdict_text(result_verdict(r))));
	set(sqlite, "version", text(r->sqlite_version));
	set(sqlite, "source_id", text(r->sqlite_source_id));
	set(root, "sqlite", sqlite);
	set(root, "cases", cases);
	if (result_mutated(r))
		set(root, "score", score(result_score(r)));
	if (r->has_program_exit)
		set(root, "program_exit", json_integer(r->program_exit));
	if (r->interrupted)
		set(root, "interrupted", json_true());
	rc = set_count(root, "seed", r->seed, err);
	for (size_t i = 0; rc == 0 && i < r->case_count; i++) {
		json_t *object = not_null(json_object());

		append(cases, object);
		rc = case_object(&r->cases[i], r->timing, object, err);
		if (rc != 0)
			(void)err_context(err, "cases[%zu]", i);
	}
	if (rc != 0)
		goto out;

	/* Six digits of a number of seconds: a clock tells no more. */
	char *dump = json_dumps(root, JSON_SORT_KEYS | JSON_INDENT(2) | JSON_REAL_PRECISION(6));

	ASSERT(dump != NULL);
	size_t size = strlen(dump);

	dump = xrealloc(dump, size + 2);
	dump[size++] = '\n';
	dump[size] = '\0';
	*ret_text = dump;
	*ret_size = size;
out:
	json_decref(root);
	return rc;
}
