/* A comparison as text and as JSON; see compare.h. */
#include "reports/compare.h"

#include "faultinject/base/assert.h"
#include "harness/case/version.h"
#include "reports/words.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void put(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

/* ---- text ---- */

static enum case_verdict color_of(const struct compare_case *c)
{
	if (c->worse)
		return CASE_VIOLATED;
	if (c->kind == COMPARE_BETTER || (c->kind == COMPARE_APPEARED && !c->worse))
		return CASE_HELD;
	return CASE_SKIPPED;
}

static void put_change(struct buf *out, const struct compare_change *d)
{
	words_clean(out, d->what);
	put(out, ": ");
	words_clean(out, d->base);
	put(out, " before, ");
	words_clean(out, d->now);
	put(out, " now");
}

/* Did BASE have a finding of that oracle and grade? */
static bool was_known(const struct case_result *base, const struct result_violation *v)
{
	for (size_t i = 0; base != NULL && i < base->violation_count; i++)
		if (base->violations[i].grade == v->grade &&
		    strcmp(base->violations[i].oracle, v->oracle) == 0)
			return true;
	return false;
}

/* The findings that are new; where none is, the worst. */
static void put_findings(struct buf *out, const struct compare_case *c,
			 const struct terminal_style *style)
{
	size_t shown = 0;

	for (size_t i = 0; i < c->now->violation_count; i++) {
		const struct result_violation *v = &c->now->violations[i];

		if (was_known(c->base, v))
			continue;
		if (shown == TERMINAL_VIOLATIONS_MAX) {
			put(out, "  and more\n");
			return;
		}
		terminal_violation(out, v, style->report);
		shown++;
	}
	if (shown == 0 && c->now->violation_count > 0)
		terminal_violation(out, &c->now->violations[0], style->report);
}

static void put_case(struct buf *out, const struct compare_case *c,
		     const struct terminal_style *style)
{
	const struct case_result *any = c->now != NULL ? c->now : c->base;
	struct buf text;

	terminal_word(out, compare_kind_text(c->kind), color_of(c), style);
	words_clean(out, any->id);
	if (c->base == NULL || c->now == NULL) {
		const char *grade = grade_text(any->grade);

		buf_printf(out, "  %s%s%s%s", c->now == NULL ? "it was " : "",
			   case_verdict_text(any->verdict), grade == NULL ? "" : ", ",
			   grade == NULL ? "" : grade);
	}
	put(out, "\n");
	for (size_t i = 0; i < c->change_count; i++) {
		buf_printf(out, "  %-8s", compare_kind_text(c->changes[i].kind));
		put_change(out, &c->changes[i]);
		put(out, "\n");
	}
	if (!c->worse || c->now == NULL)
		return;
	if (c->now->verdict != CASE_HELD && c->now->verdict != CASE_SKIPPED) {
		buf_init(&text);
		words_sentence(&text, c->now);
		buf_printf(out, "  %s\n", buf_str(&text));
		buf_release(&text);
	}
	put_findings(out, c, style);
}

void compare_render(struct buf *out, const struct compare *c, const struct terminal_style *style,
		    bool quiet)
{
	const char *separator = ": ";

	for (size_t i = 0; i < c->difference_count && !quiet; i++) {
		put(out, "note: ");
		put_change(out, &c->differences[i]);
		put(out, "\n");
	}
	for (size_t i = 0; i < c->count; i++)
		if (c->cases[i].kind != COMPARE_SAME && (!quiet || c->cases[i].worse))
			put_case(out, &c->cases[i], style);
	if (quiet)
		return;
	terminal_word(out, c->worse > 0 ? "worse" : "no worse",
		      c->worse > 0 ? CASE_VIOLATED : CASE_HELD, style);
	words_number(out, c->count, "case");
	for (int k = 0; k <= COMPARE_SAME; k++) {
		if (c->kinds[k] == 0)
			continue;
		buf_printf(out, "%s%zu %s", separator, c->kinds[k],
			   compare_kind_text((enum compare_kind)k));
		separator = ", ";
	}
	put(out, "\n");
}

/* ---- JSON ---- */

static void set(json_t *object, const char *key, json_t *value)
{
	int failed = json_object_set_new(object, key, value);

	ASSERT(!failed); /* jansson fails only for want of memory here */
}

static void append(json_t *array, json_t *value)
{
	int failed = json_array_append_new(array, value);

	ASSERT(!failed);
}

static json_t *texts(const char *s)
{
	return s == NULL ? json_null() : json_string(s);
}

static json_t *changes_json(const struct compare_change *changes, size_t count, bool kinds)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *o = json_object();

		set(o, "what", texts(changes[i].what));
		set(o, "base", texts(changes[i].base));
		set(o, "new", texts(changes[i].now));
		if (kinds)
			set(o, "change", texts(compare_kind_text(changes[i].kind)));
		append(array, o);
	}
	return array;
}

static json_t *side_json(const struct compare_side *s)
{
	json_t *o = json_object(), *sqlite = json_object();

	set(o, "plugpull", texts(s->plugpull));
	set(o, "command", texts(s->command));
	set(o, "seed", json_integer((json_int_t)s->result->seed));
	set(o, "verdict", texts(case_verdict_text(result_verdict(s->result))));
	set(o, "cases", json_integer((json_int_t)s->result->case_count));
	set(sqlite, "version", texts(s->result->sqlite_version));
	set(sqlite, "source_id", texts(s->result->sqlite_source_id));
	set(o, "sqlite", sqlite);
	return o;
}

static json_t *case_json(const struct compare_case *c)
{
	const struct case_result *any = c->now != NULL ? c->now : c->base;
	json_t *o = json_object(), *tokens = json_array();

	set(o, "id", texts(any->id));
	set(o, "result", texts(compare_kind_text(c->kind)));
	set(o, "worse", json_boolean(c->worse));
	set(o, "changes", changes_json(c->changes, c->change_count, true));
	set(o, "verdict", texts(case_verdict_text(any->verdict)));
	set(o, "grade", texts(grade_text(any->grade)));
	for (size_t i = 0; c->now != NULL && i < c->now->violation_count; i++)
		if (c->now->violations[i].token != NULL &&
		    !was_known(c->base, &c->now->violations[i]))
			append(tokens, texts(c->now->violations[i].token));
	/* As for people: where nothing is new, the worst. */
	if (json_array_size(tokens) == 0 && c->now != NULL && c->now->violation_count > 0 &&
	    c->now->violations[0].token != NULL)
		append(tokens, texts(c->now->violations[0].token));
	set(o, "tokens", tokens);
	return o;
}

void compare_json(struct buf *out, const struct compare *c)
{
	json_t *root = json_object(), *cases = json_array(), *counts = json_object();

	set(root, "plugpull", texts(PLUGPULL_VERSION));
	set(root, "format", json_integer(1));
	set(root, "command", texts("compare"));
	set(root, "verdict", texts(case_verdict_text(c->worse > 0 ? CASE_VIOLATED : CASE_HELD)));
	set(root, "base", side_json(&c->base));
	set(root, "new", side_json(&c->now));
	set(root, "differences", changes_json(c->differences, c->difference_count, false));
	for (int k = 0; k <= COMPARE_SAME; k++)
		set(counts, compare_kind_text((enum compare_kind)k),
		    json_integer((json_int_t)c->kinds[k]));
	set(root, "counts", counts);
	for (size_t i = 0; i < c->count; i++)
		if (c->cases[i].kind != COMPARE_SAME)
			append(cases, case_json(&c->cases[i]));
	set(root, "cases", cases);

	char *dump = json_dumps(root, JSON_SORT_KEYS | JSON_INDENT(2));

	ASSERT(dump != NULL);
	put(out, dump);
	put(out, "\n");
	free(dump);
	json_decref(root);
}
