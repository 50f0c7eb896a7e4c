/*
 * See oracle.h. Holds the list of oracles, runs them, and remembers for all of them which probes
 * fail on legal states: a query that meets a missing table in a state before the table was created
 * is no finding in a crash state with that same schema.
 *
 * Does not know what any oracle looks for.
 */
#include "harness/judge/oracle.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct oracle *const oracles[] = {
    &oracle_recovery, &oracle_integrity, &oracle_invariant, &oracle_batch,
    &oracle_order,    &oracle_schema,	 &oracle_leftovers, &oracle_second_open,
    &oracle_writable, &oracle_liveness,	 &oracle_own_check,
};

enum {
	ORACLE_COUNT = sizeof oracles / sizeof oracles[0],
	/* Schemas on which a probe may fail and be excused; a run has a handful. */
	PROBE_SCHEMAS_MAX = 256,
};

/* What legal states taught about one probe. */
struct probe_memory {
	bool answered;		/* on some legal state */
	bool reader_error;	/* on some legal state */
	char *error;		/* the first, owned; NULL = none */
	struct digest *schemas; /* where it failed with SQLITE_ERROR; owned */
	size_t schema_count, schema_cap;
	bool schemas_full;
};

struct judge {
	struct judge_config config; /* its arrays are copies */
	struct probe_list probes;
	struct probe_memory *memory; /* one a probe */
	void *selves[ORACLE_COUNT];  /* NULL: not asked for */
	bool learned;
};

static void *copy_array(const void *array, size_t count, size_t item_size)
{
	void *copy = xcalloc(count, item_size);

	if (count > 0)
		memcpy(copy, array, count * item_size);
	return copy;
}

struct judge *judge_create(const struct judge_config *config)
{
	struct judge *j = xcalloc(1, sizeof *j);
	struct judge_config *c = &j->config;

	*c = *config;
	c->invariants = copy_array(c->invariants, c->invariant_count, sizeof *c->invariants);
	c->batches = copy_array(c->batches, c->batch_count, sizeof *c->batches);
	c->orders = copy_array(c->orders, c->order_count, sizeof *c->orders);
	c->schemas = copy_array(c->schemas, c->schema_count, sizeof *c->schemas);
	if (c->schema_versions != NULL)
		c->schema_versions = copy_array(c->schema_versions, c->schema_version_count,
						sizeof *c->schema_versions);
	for (size_t i = 0; i < ORACLE_COUNT; i++)
		j->selves[i] = oracles[i]->create(c, &j->probes);
	j->memory = xcalloc(j->probes.count, sizeof *j->memory);
	return j;
}

void judge_free(struct judge *j)
{
	if (j == NULL)
		return;
	for (size_t i = 0; i < ORACLE_COUNT; i++)
		if (j->selves[i] != NULL)
			oracles[i]->free(j->selves[i]);
	for (size_t i = 0; i < j->probes.count; i++) {
		free(j->memory[i].error);
		free(j->memory[i].schemas);
	}
	free(j->memory);
	probe_list_release(&j->probes);
	free((void *)j->config.invariants);
	free((void *)j->config.batches);
	free((void *)j->config.orders);
	free((void *)j->config.schemas);
	free((void *)j->config.schema_versions);
	free(j);
}

const struct probe_list *judge_probes(const struct judge *j)
{
	return &j->probes;
}

bool judge_has_learned(const struct judge *j)
{
	return j->learned;
}

/* ---- failed probes ---- */

static bool is_reader_error(int rc)
{
	int primary = rc & RESULT_PRIMARY;

	return primary == RESULT_IOERR || primary == RESULT_CORRUPT || primary == RESULT_NOTADB;
}

/* The schemas of all files as one digest. */
static struct digest observed_schema(const struct observation *o)
{
	struct digest schemas[OBSERVED_FILES_MAX];

	for (size_t f = 0; f < o->file_count; f++)
		schemas[f] = o->files[f].schema;
	return hash128(schemas, o->file_count * sizeof *schemas);
}

static bool knows_schema(const struct probe_memory *m, struct digest schema)
{
	for (size_t i = 0; i < m->schema_count; i++)
		if (digest_equal(m->schemas[i], schema))
			return true;
	return false;
}

static void learn_probe(struct probe_memory *m, const char *sql, const struct observation *o,
			const struct probe_result *r)
{
	struct digest schema = observed_schema(o);

	if (r->rc == 0) {
		m->answered = true;
		return;
	}
	if (m->error == NULL)
		m->error = xasprintf("%s, asked with: %.120s",
				     r->error != NULL ? r->error : "unknown error", sql);
	if (is_reader_error(r->rc))
		m->reader_error = true;
	if ((r->rc & RESULT_PRIMARY) != RESULT_ERROR || knows_schema(m, schema))
		return;
	if (m->schema_count == PROBE_SCHEMAS_MAX) {
		m->schemas_full = true;
		return;
	}
	m->schemas = xgrow(m->schemas, m->schema_count, &m->schema_cap, sizeof *m->schemas);
	m->schemas[m->schema_count++] = schema;
}

enum probe_status judge_probe_status(const struct judge *j, const struct observation *o,
				     size_t probe)
{
	const struct probe_memory *m = &j->memory[probe];
	int rc = o->probes[probe].rc;

	if (rc == 0)
		return PROBE_ANSWERED;
	if (is_reader_error(rc))
		return m->reader_error ? PROBE_NOT_APPLICABLE : PROBE_READER_ERROR;
	if ((rc & RESULT_PRIMARY) == RESULT_ERROR && knows_schema(m, observed_schema(o)))
		return PROBE_NOT_APPLICABLE;
	return PROBE_FAILED;
}

/* ---- learning ---- */

void judge_learn(struct judge *j, const struct observation *o)
{
	if (o->rc != 0 || o->hung)
		return;
	ASSERT_OP(o->probe_count, ==, j->probes.count);
	j->learned = true;
	for (size_t i = 0; i < o->probe_count; i++)
		learn_probe(&j->memory[i], j->probes.items[i].sql, o, &o->probes[i]);
	for (size_t i = 0; i < ORACLE_COUNT; i++)
		if (j->selves[i] != NULL && oracles[i]->learn != NULL)
			oracles[i]->learn(j->selves[i], j, o);
}

size_t judge_not_applicable(const struct judge *j, struct judge_not_applicable *ret, size_t max)
{
	size_t count = 0;

	/* A query that no legal state could answer checks nothing; most likely it is misspelt. */
	for (size_t i = 0; i < j->probes.count && count < max; i++) {
		const struct probe_memory *m = &j->memory[i];

		if (m->answered || m->error == NULL ||
		    strcmp(j->probes.items[i].oracle, oracle_integrity.info.name) == 0)
			continue;
		ret[count++] = (struct judge_not_applicable){j->probes.items[i].oracle, m->error};
	}
	for (size_t i = 0; i < j->probes.count && count < max; i++)
		if (j->memory[i].schemas_full)
			ret[count++] = (struct judge_not_applicable){
			    j->probes.items[i].oracle,
			    "fails on more schemas than are remembered (256)"};
	for (size_t i = 0; i < ORACLE_COUNT; i++)
		if (j->selves[i] != NULL && oracles[i]->not_applicable != NULL)
			count += oracles[i]->not_applicable(j->selves[i], ret + count, max - count);
	return count;
}

bool judge_knows(const char *oracle, const char **ret_names)
{
	static char names[256];
	bool known = strcmp(oracle, "history") == 0 || strcmp(oracle, "check") == 0;
	size_t at = (size_t)snprintf(names, sizeof names, "history, check");

	for (size_t i = 0; i < ORACLE_COUNT; i++) {
		known = known || strcmp(oracles[i]->info.name, oracle) == 0;
		ASSERT_OP(at, <, sizeof names);
		at +=
		    (size_t)snprintf(names + at, sizeof names - at, ", %s", oracles[i]->info.name);
	}
	ASSERT_OP(at, <, sizeof names);
	if (ret_names != NULL)
		*ret_names = names;
	return known;
}

bool judge_always_on(const char *oracle)
{
	for (size_t i = 0; i < ORACLE_COUNT; i++)
		if (strcmp(oracles[i]->info.name, oracle) == 0)
			return oracles[i]->is_always_on;
	return strcmp(oracle, "history") == 0;
}

/* ---- judging ---- */

static enum grade worse(enum grade a, enum grade b)
{
	/* GRADE_NONE is outside the scale, and larger than all. */
	return a < b ? a : b;
}

void findings_add(struct findings *f, const char *oracle, enum grade grade, const char *fmt, ...)
{
	va_list ap;

	f->worst = worse(f->worst, grade);
	f->total++;
	if (f->count == f->max)
		return;
	f->items[f->count].oracle = oracle;
	f->items[f->count].grade = grade;
	va_start(ap, fmt);
	(void)vsnprintf(f->items[f->count].message, VERDICT_MESSAGE_SIZE, fmt, ap);
	va_end(ap);
	f->count++;
}

static void say_what_did_not_fit(struct findings *f)
{
	char tail[64];
	char *message;
	size_t size, at;

	if (f->total == f->count || f->count == 0)
		return;
	size = (size_t)snprintf(tail, sizeof tail, " (and %zu more findings)", f->total - f->count);
	message = f->items[f->count - 1].message;
	at = strlen(message);
	if (at + size >= VERDICT_MESSAGE_SIZE)
		at = VERDICT_MESSAGE_SIZE - 1 - size;
	memcpy(message + at, tail, size + 1);
}

size_t judge_observation(const struct judge *j, const struct history *h, uint64_t position,
			 const struct observation *o, struct verdict *ret, size_t max,
			 enum grade *ret_grade, uint64_t *ret_lost)
{
	struct findings f = {
	    .items = ret, .max = max, .worst = GRADE_DURABLE, .show_data = j->config.show_data};
	bool readable = o->rc == 0 && !o->hung;
	uint64_t lost = 0;

	ASSERT(!readable || o->probe_count == j->probes.count);
	if (readable && h != NULL) {
		struct history_judgement judgement;

		history_judge(h, position, o, &judgement);
		lost = judgement.lost_acked;
		if (judgement.verdict.grade != GRADE_DURABLE)
			findings_add(&f, judgement.verdict.oracle, judgement.verdict.grade, "%s",
				     judgement.verdict.message);
	}
	/* What could not be read has no answers. */
	for (size_t i = 0; i < ORACLE_COUNT; i++)
		if (j->selves[i] != NULL && (readable || oracles[i]->judges_unreadable))
			oracles[i]->judge(j->selves[i], j, o, &f);
	say_what_did_not_fit(&f);
	*ret_grade = f.worst;
	*ret_lost = lost;
	return f.count;
}

const struct oracle_info *oracle_infos(size_t *ret_count)
{
	static struct oracle_info infos[ORACLE_COUNT + 1] = {{
	    .name = "history",
	    .checks = "committed transactions are whole, in all their files or in none, and those "
		      "that were acknowledged are there",
	    .does_not_check = "whether the states of the recorded run are themselves right; the "
			      "order of independent files; bytes that no query sees",
	}};

	for (size_t i = 0; i < ORACLE_COUNT; i++)
		infos[i + 1] = oracles[i]->info;
	*ret_count = ORACLE_COUNT + 1;
	return infos;
}

/* ---- what several oracles need ---- */

char *quote_name(const char *name)
{
	struct buf b = {0};
	char *quoted;

	buf_append(&b, "\"", 1);
	for (; *name != '\0'; name++)
		buf_append(&b, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
	buf_append(&b, "\"", 1);
	quoted = xstrdup(buf_str(&b));
	buf_release(&b);
	return quoted;
}

bool cell_int64(const char *cell, int64_t *ret)
{
	char *end;
	long long v;

	if (cell == NULL || (*cell != '-' && (*cell < '0' || *cell > '9')))
		return false;
	errno = 0;
	v = strtoll(cell, &end, 10);
	if (errno != 0 || end == cell || *end != '\0')
		return false;
	*ret = v;
	return true;
}

char *cell_shown(const struct probe_result *r, size_t row, size_t column, bool show_data)
{
	const char *cell = probe_cell(r, row, column);
	const char *type = "value";

	if (cell == NULL)
		return xstrdup("NULL");
	if (show_data)
		return xstrdup(cell);
	switch (r->types == NULL ? '?' : r->types[row * r->column_count + column]) {
	case 'i':
		type = "integer";
		break;
	case 'r':
		type = "real";
		break;
	case 't':
		type = "text";
		break;
	case 'b':
		type = "blob";
		break;
	default:
		break;
	}
	size_t size = strlen(cell);
	return xasprintf("%s(%zu byte%s, #%08x)", type, size, size == 1 ? "" : "s",
			 (unsigned)hash64(cell, size, 0));
}

char *quote_table(const struct judge_config *config, const char *table)
{
	const char *dot = strchr(table, '.');

	for (size_t i = 0; dot != NULL && i < config->schema_count; i++) {
		size_t n = strlen(config->schemas[i]);
		if (n != (size_t)(dot - table) || strncmp(config->schemas[i], table, n) != 0)
			continue;
		char *schema = quote_name(config->schemas[i]), *name = quote_name(dot + 1);
		char *both = xasprintf("%s.%s", schema, name);
		free(schema);
		free(name);
		return both;
	}
	return quote_name(table);
}
