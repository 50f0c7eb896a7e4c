/*
 * Oracle "integrity": SQLite finds nothing wrong with its own files.
 *
 * Checks: `PRAGMA integrity_check` of every schema (b-tree structure, page use, indexes against
 * their tables, NOT NULL, CHECK, UNIQUE), and that no query of any oracle meets corruption or a
 * failed read.
 *
 * Does not check: foreign keys; wrong values in well-formed rows; a schema that fails the check in
 * a legal state already (not applicable, with what the check said).
 */
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <stdlib.h>
#include <string.h>

static const char name[] = "integrity";

struct schema_check {
	char *schema; /* owned */
	size_t probe;
	char *excuse; /* owned; why it is not applicable, or NULL */
};

struct integrity {
	struct schema_check *checks; /* owned */
	size_t count;
};

static void *integrity_create(const struct judge_config *config, struct probe_list *probes)
{
	struct integrity *self = xcalloc(1, sizeof *self);

	self->count = config->schema_count;
	self->checks = xcalloc(self->count, sizeof *self->checks);
	for (size_t i = 0; i < self->count; i++) {
		char *schema = quote_name(config->schemas[i]);
		char *sql = xasprintf("PRAGMA %s.integrity_check", schema);

		self->checks[i].schema = xstrdup(config->schemas[i]);
		self->checks[i].probe = probe_list_add(probes, name, sql);
		free(sql);
		free(schema);
	}
	return self;
}

static void integrity_free(void *p)
{
	struct integrity *self = p;

	for (size_t i = 0; i < self->count; i++) {
		free(self->checks[i].schema);
		free(self->checks[i].excuse);
	}
	free(self->checks);
	free(self);
}

/* What is wrong, in SQLite's words; NULL when nothing is. */
static const char *complaint(const struct probe_result *r)
{
	const char *first;

	if (r->rc != 0)
		return r->error != NULL ? r->error : "unknown error";
	if (r->row_count == 0 || r->column_count == 0)
		return "no answer";
	first = probe_cell(r, 0, 0);
	if (r->row_count == 1 && first != NULL && strcmp(first, "ok") == 0)
		return NULL;
	return first != NULL ? first : "NULL";
}

static void integrity_learn(void *p, const struct judge *j, const struct observation *o)
{
	struct integrity *self = p;

	(void)j;
	for (size_t i = 0; i < self->count; i++) {
		struct schema_check *c = &self->checks[i];
		const char *said = complaint(&o->probes[c->probe]);

		if (said != NULL && c->excuse == NULL)
			c->excuse = xasprintf("%s fails on a legal state: %s", c->schema, said);
	}
}

static size_t integrity_not_applicable(const void *p, struct judge_not_applicable *ret, size_t max)
{
	const struct integrity *self = p;
	size_t count = 0;

	for (size_t i = 0; i < self->count && count < max; i++)
		if (self->checks[i].excuse != NULL)
			ret[count++] = (struct judge_not_applicable){name, self->checks[i].excuse};
	return count;
}

static void judge_readers(const struct judge *j, const struct observation *o, struct findings *f)
{
	const struct probe_list *probes = judge_probes(j);
	size_t first = 0, count = 0;

	for (size_t i = 0; i < probes->count; i++) {
		if (judge_probe_status(j, o, i) != PROBE_READER_ERROR)
			continue;
		if (count++ == 0)
			first = i;
	}
	if (count == 0)
		return;
	const struct probe_result *r = &o->probes[first];
	findings_add(f, name, GRADE_CORRUPT,
		     "a reader gets an error: %s (code %d, %zu of %zu "
		     "queries): %s",
		     r->error != NULL ? r->error : "unknown error", r->rc, count, probes->count,
		     probes->items[first].sql);
}

static void integrity_judge(const void *p, const struct judge *j, const struct observation *o,
			    struct findings *f)
{
	const struct integrity *self = p;

	judge_readers(j, o, f);
	for (size_t i = 0; i < self->count; i++) {
		const struct schema_check *c = &self->checks[i];
		const struct probe_result *r = &o->probes[c->probe];
		const char *said = complaint(r);

		if (said == NULL || c->excuse != NULL ||
		    judge_probe_status(j, o, c->probe) == PROBE_READER_ERROR)
			continue;
		if (r->row_count > 1)
			findings_add(f, name, GRADE_CORRUPT,
				     "integrity_check of %s: %s (and %zu%s more)", c->schema, said,
				     r->row_count - 1, r->cut ? " or" : "");
		else
			findings_add(f, name, GRADE_CORRUPT, "integrity_check of %s: %s", c->schema,
				     said);
	}
}

const struct oracle oracle_integrity = {
    .info = {name,
	     "PRAGMA integrity_check of every schema says ok, and no query meets corruption or a "
	     "failed read",
	     "foreign keys; wrong values in well-formed rows; schemas that fail the check in a "
	     "legal state"},
    .create = integrity_create,
    .free = integrity_free,
    .learn = integrity_learn,
    .not_applicable = integrity_not_applicable,
    .judge = integrity_judge,
};
