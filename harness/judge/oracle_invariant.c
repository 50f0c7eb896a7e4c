/*
 * Oracle "invariant": what the user said must never be seen, is not seen.
 *
 * Checks: each `@invariant` query returns no row. A legal state that breaks it excuses nothing: the
 * rule is the user's. But then no crash is needed, and the finding says so.
 *
 * Does not check: the query itself. Where it cannot run in a legal state because its table does not
 * exist yet, it is not applicable to crash states with that schema; a query that could run in no
 * legal state is reported as not applicable.
 */
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <stdlib.h>

static const char name[] = "invariant";

struct invariants {
	const struct judge_invariant *items; /* borrowed */
	size_t *probes;			     /* one an item; owned */
	bool *broken;			     /* by a legal state; one an item; owned */
	size_t count;
};

static void *invariant_create(const struct judge_config *config, struct probe_list *probes)
{
	struct invariants *self;

	if (config->invariant_count == 0)
		return NULL;
	self = xcalloc(1, sizeof *self);
	self->items = config->invariants;
	self->count = config->invariant_count;
	self->probes = xcalloc(self->count, sizeof *self->probes);
	self->broken = xcalloc(self->count, sizeof *self->broken);
	for (size_t i = 0; i < self->count; i++)
		self->probes[i] = probe_list_add(probes, name, self->items[i].sql);
	return self;
}

static void invariant_free(void *p)
{
	struct invariants *self = p;

	free(self->probes);
	free(self->broken);
	free(self);
}

static void invariant_learn(void *p, const struct judge *j, const struct observation *o)
{
	struct invariants *self = p;

	(void)j;
	for (size_t i = 0; i < self->count; i++) {
		const struct probe_result *r = &o->probes[self->probes[i]];

		self->broken[i] = self->broken[i] || (r->rc == 0 && r->row_count > 0);
	}
}

static void report_rows(const char *text, const struct probe_result *r, bool broken,
			struct findings *f)
{
	const char *itself = broken ? "; the run makes such states itself, without any crash" : "";
	struct buf b = {0};

	for (size_t c = 0; c < r->column_count; c++) {
		char *cell = cell_shown(r, 0, c, f->show_data);

		buf_printf(&b, "%s%s", c == 0 ? "" : ", ", cell);
		free(cell);
	}
	if (r->row_count > 1)
		findings_add(f, name, GRADE_CORRUPT,
			     "'%s' is broken by %s%zu rows, the first: (%s)%s", text,
			     r->cut ? "more than " : "", r->row_count, buf_str(&b), itself);
	else
		findings_add(f, name, GRADE_CORRUPT, "'%s' is broken by the row (%s)%s", text,
			     buf_str(&b), itself);
	buf_release(&b);
}

static void invariant_judge(const void *p, const struct judge *j, const struct observation *o,
			    struct findings *f)
{
	const struct invariants *self = p;

	for (size_t i = 0; i < self->count; i++) {
		const struct probe_result *r = &o->probes[self->probes[i]];
		enum probe_status status = judge_probe_status(j, o, self->probes[i]);

		if (status == PROBE_ANSWERED && r->row_count > 0)
			report_rows(self->items[i].text, r, self->broken[i], f);
		else if (status == PROBE_FAILED)
			findings_add(f, name, GRADE_CORRUPT, "'%s' cannot be asked: %s (code %d)",
				     self->items[i].text,
				     r->error != NULL ? r->error : "unknown error", r->rc);
	}
}

const struct oracle oracle_invariant = {
    .info = {name, "each @invariant query returns no row",
	     "the query itself; states in which it cannot run, where a legal state with that "
	     "schema cannot run it either"},
    .create = invariant_create,
    .free = invariant_free,
    .learn = invariant_learn,
    .judge = invariant_judge,
};
