/* A shrink in words and as JSON; see shrink.h. */
#include "faultinject/base/assert.h"
#include "harness/case/json_text.h"
#include "harness/case/version.h"
#include "harness/judge/verdict.h"
#include "harness/shrink/shrink.h"

#include <stdlib.h>

void shrink_without_say(const struct shrink_without *w, struct buf *ret)
{
	switch (w->outcome) {
	case ATTEMPT_SAME: /* it was taken away */
	case ATTEMPT_PASSES:
		buf_printf(ret, "passes");
		break;
	case ATTEMPT_DIFFERS:
		buf_printf(ret, "fails differently: %s", w->other == NULL ? "?" : w->other);
		break;
	case ATTEMPT_OPEN:
		buf_printf(ret, "not found in what could be looked at");
		break;
	case ATTEMPT_INVALID:
		buf_printf(ret, "cannot be run: %s", w->other == NULL ? "?" : w->other);
		break;
	}
}

static json_t *not_null(json_t *json)
{
	ASSERT(json != NULL); /* jansson fails only for want of memory here */
	return json;
}

static void set(json_t *object, const char *key, json_t *value)
{
	int failed = json_object_set_new(object, key, not_null(value));

	ASSERT(!failed);
}

static void set_text(json_t *object, const char *key, const char *text)
{
	set(object, key, text == NULL ? json_null() : json_text_write(text));
}

static json_t *before_after(uint64_t before, uint64_t after)
{
	json_t *o = not_null(json_object());

	set(o, "before", json_integer((json_int_t)before));
	set(o, "after", json_integer((json_int_t)after));
	return o;
}

static json_t *without(const struct shrink_result *r)
{
	json_t *list = not_null(json_array());

	for (size_t i = 0; i < r->without_count; i++) {
		json_t *o = not_null(json_object());
		struct buf b = {0};

		shrink_without_say(&r->without[i], &b);
		set_text(o, "what", r->without[i].what);
		set_text(o, "result", buf_str(&b));
		buf_release(&b);
		int failed = json_array_append_new(list, o);
		ASSERT(!failed);
	}
	return list;
}

static void set_found(json_t *o, const struct shrink_result *r)
{
	const struct shrink_counts *b = &r->before, *a = &r->after;
	const struct case_file *c = r->found;

	set_text(o, "oracle", c->finding.oracle);
	set_text(o, "grade", grade_text(c->finding.grade));
	set_text(o, "message", c->finding.message);
	set_text(o, "id", c->subject->id);
	set_text(o, "scenario", c->source == NULL ? NULL : c->source->text);
	set(o, "depth", json_integer(c->state.depth));
	set(o, "seed", json_integer((json_int_t)(c->subject->seed & INT64_MAX)));
	set(o, "statements",
	    c->source == NULL ? json_null() : before_after(b->statements, a->statements));
	set(o, "clients", c->source == NULL ? json_null() : before_after(b->clients, a->clients));
	set(o, "commits", before_after(b->commits, a->commits));
	set(o, "operations", before_after(b->operations, a->operations));
	set(o, "crash", before_after(b->crash, a->crash));
	set(o, "lost_writes", before_after(b->lost, a->lost));
}

void shrink_json(const struct shrink_result *r, double seconds, struct buf *ret)
{
	static const char *const ends[] = {[SHRINK_MINIMAL] = "minimal",
					   [SHRINK_OPEN] = "open",
					   [SHRINK_SPENT] = "budget spent",
					   [SHRINK_INTERRUPTED] = "interrupted",
					   [SHRINK_GONE] = "gone"};
	json_t *o = not_null(json_object());

	set_text(o, "plugpull", PLUGPULL_VERSION);
	set(o, "format", json_integer(1));
	set_text(o, "command", "shrink");
	set_text(o, "from", r->from);
	set_text(o, "token", r->found == NULL ? NULL : r->token);
	set_text(o, "end", ends[r->end]);
	set(o, "minimal", json_boolean(r->end == SHRINK_MINIMAL));
	set_text(o, "note", r->note);
	set(o, "recoveries", json_integer((json_int_t)r->recoveries));
	set(o, "without", without(r));
	if (r->found != NULL)
		set_found(o, r);
	if (seconds >= 0)
		set(o, "seconds", json_real(seconds));
	char *dump = json_dumps(o, JSON_SORT_KEYS | JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	ASSERT(dump != NULL);
	buf_printf(ret, "%s\n", dump);
	free(dump);
	json_decref(o);
}
