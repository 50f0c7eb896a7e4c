/*
 * Oracle "schema": the schema is that of the version it claims.
 *
 * Checks: the rows of schema_version in main are the first few of the declared list, in order and
 * without a gap (linear migrations), and main's schema is the one that the legal states of the run
 * had at that version. A version that legal states show with two schemas is a finding in each crash
 * state of that version: some DDL ran outside its version's transaction. States without the table
 * are legal as far as legal states were like that.
 *
 * Does not check: attached databases; the data that a migration moved; the schema, where no legal
 * state was shown (real kills): then only the list counts.
 */
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <stdio.h>
#include <stdlib.h>

static const char name[] = "schema";

enum {
	VERSION_ABSENT = -1,  /* no table */
	VERSION_ILLEGAL = -2, /* not the beginning of the declared list */
};

/* The schemas seen at one number of versions. */
struct learned {
	struct digest *schemas; /* owned */
	size_t count, cap;
};

struct schema_oracle {
	const int64_t *versions; /* borrowed */
	size_t version_count;
	size_t probe;
	struct learned absent;
	struct learned *reached; /* [version_count + 1], by number of versions; owned */
};

static void *schema_create(const struct judge_config *config, struct probe_list *probes)
{
	struct schema_oracle *self;

	if (config->schema_versions == NULL)
		return NULL;
	self = xcalloc(1, sizeof *self);
	self->versions = config->schema_versions;
	self->version_count = config->schema_version_count;
	self->reached = xcalloc(self->version_count + 1, sizeof *self->reached);
	self->probe = probe_list_add(
	    probes, name, "SELECT schema_version.version FROM main.schema_version ORDER BY 1");
	return self;
}

static void schema_free(void *p)
{
	struct schema_oracle *self = p;

	free(self->absent.schemas);
	for (size_t i = 0; i <= self->version_count; i++)
		free(self->reached[i].schemas);
	free(self->reached);
	free(self);
}

/* How many of the declared versions are there, or VERSION_*. */
static long long versions_reached(const struct schema_oracle *self, const struct probe_result *r)
{
	if (r->rc != 0)
		return VERSION_ABSENT;
	if (r->row_count > self->version_count || (r->row_count > 0 && r->column_count != 1))
		return VERSION_ILLEGAL;
	for (size_t i = 0; i < r->row_count; i++) {
		int64_t version;

		if (!cell_int64(probe_cell(r, i, 0), &version) || version != self->versions[i])
			return VERSION_ILLEGAL;
	}
	return (long long)r->row_count;
}

static bool knows(const struct learned *l, struct digest schema)
{
	for (size_t i = 0; i < l->count; i++)
		if (digest_equal(l->schemas[i], schema))
			return true;
	return false;
}

static void schema_learn(void *p, const struct judge *j, const struct observation *o)
{
	struct schema_oracle *self = p;
	const struct probe_result *r = &o->probes[self->probe];
	long long reached = versions_reached(self, r);
	struct learned *l;

	(void)j;
	if (reached == VERSION_ILLEGAL ||
	    (reached == VERSION_ABSENT && (r->rc & RESULT_PRIMARY) != RESULT_ERROR))
		return;
	l = reached == VERSION_ABSENT ? &self->absent : &self->reached[reached];
	if (knows(l, o->files[0].schema))
		return;
	l->schemas = xgrow(l->schemas, l->count, &l->cap, sizeof *l->schemas);
	l->schemas[l->count++] = o->files[0].schema;
}

static void report_list(const struct schema_oracle *self, const struct probe_result *r,
			struct findings *f)
{
	struct buf b = {0};

	for (size_t i = 0; i < r->row_count && r->column_count == 1; i++) {
		const char *cell = probe_cell(r, i, 0);

		buf_printf(&b, "%s%s", i == 0 ? "" : ", ", cell != NULL ? cell : "NULL");
	}
	buf_printf(&b, "; declared:");
	for (size_t i = 0; i < self->version_count; i++)
		buf_printf(&b, "%s %lld", i == 0 ? "" : ",", (long long)self->versions[i]);
	findings_add(f, name, GRADE_TORN,
		     "schema_version is not the beginning of the declared list: %s", buf_str(&b));
	buf_release(&b);
}

static void judge_schema(const struct schema_oracle *self, size_t reached, struct digest schema,
			 struct findings *f)
{
	const struct learned *l = &self->reached[reached];
	char which[64] = "an empty schema_version";

	if (reached > 0)
		(void)snprintf(which, sizeof which, "schema version %lld",
			       (long long)self->versions[reached - 1]);
	if (l->count == 0)
		findings_add(f, name, GRADE_TORN, "%s never existed in the run", which);
	else if (!knows(l, schema))
		findings_add(f, name, GRADE_TORN, "%s comes with a schema that is not its own",
			     which);
	else if (l->count > 1)
		findings_add(f, name, GRADE_TORN,
			     "%s had %zu different schemas in the run itself: some of its DDL ran "
			     "outside its transaction",
			     which, l->count);
}

static void schema_judge(const void *p, const struct judge *j, const struct observation *o,
			 struct findings *f)
{
	const struct schema_oracle *self = p;
	const struct probe_result *r = &o->probes[self->probe];
	enum probe_status status = judge_probe_status(j, o, self->probe);
	long long reached = versions_reached(self, r);

	if (status == PROBE_READER_ERROR)
		return;
	if (reached == VERSION_ILLEGAL)
		report_list(self, r, f);
	else if (reached == VERSION_ABSENT) {
		if (!knows(&self->absent, o->files[0].schema))
			findings_add(f, name, GRADE_TORN,
				     "there is no schema_version, in a schema that never was "
				     "without one: %s (code %d)",
				     r->error != NULL ? r->error : "unknown error", r->rc);
	} else if (judge_has_learned(j))
		judge_schema(self, (size_t)reached, o->files[0].schema, f);
}

const struct oracle oracle_schema = {
    .info = {name,
	     "schema_version holds the beginning of the declared list, and main's schema is that "
	     "version's",
	     "attached databases; the data that a migration moved"},
    .create = schema_create,
    .free = schema_free,
    .learn = schema_learn,
    .judge = schema_judge,
};
