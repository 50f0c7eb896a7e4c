/*
 * Oracle "integrity": SQLite finds nothing wrong with its own files.
 *
 * Checks: `PRAGMA integrity_check` of every schema (b-tree structure, page use, indexes against
 * their tables, NOT NULL, CHECK, UNIQUE), and that no query of any oracle meets corruption or a
 * failed read.
 *
 * A legal state may fail the check without any crash: a CHECK that came after its rows, a collation
 * that is not loaded. Each line of such a complaint is excused, in every crash state, and what is
 * excused is reported; any other line still counts.
 *
 * Does not check: foreign keys; wrong values in well-formed rows; how often an excused line is
 * said; what integrity_check does not say because it ends after 100 complaints.
 */
#include "faultinject/base/buf.h"
#include "harness/judge/oracle_internal.h"

#include <stdlib.h>
#include <string.h>

static const char name[] = "integrity";

enum {
	/* Different lines that may be excused for one schema; more switch the check off. */
	EXCUSED_MAX = 4096,
	/* Where integrity_check stops: https://www.sqlite.org/pragma.html#pragma_integrity_check */
	COMPLAINTS_MAX = 100,
};

struct schema_check {
	char *schema; /* owned */
	size_t probe;
	struct digest *excused; /* lines that legal states got, sorted; owned */
	size_t excused_count, excused_cap;
	bool full;   /* there were more */
	bool cut;    /* a legal state had more complaints than were said */
	char *first; /* the first line that was excused, owned; NULL = none */
	char *said;  /* all this, for the report, owned; NULL = nothing is excused */
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
		free(self->checks[i].excused);
		free(self->checks[i].first);
		free(self->checks[i].said);
	}
	free(self->checks);
	free(self);
}

/* ---- complaints ---- */

/* One line of what the check said. */
struct complaint {
	const char *text; /* borrowed from the observation; not terminated */
	size_t size;
};

/* Where the lines of an answer are. */
struct complaint_cursor {
	const struct probe_result *r;
	size_t row;
	const char *rest; /* of the row's text; NULL = begin the row */
};

/* What the row says, in SQLite's words. An answer that is no answer is a complaint as well. */
static const char *row_text(const struct probe_result *r, size_t row)
{
	const char *cell;

	if (r->rc != 0)
		return r->error != NULL ? r->error : "unknown error";
	if (r->row_count == 0 || r->column_count == 0)
		return "no answer";
	cell = probe_cell(r, row, 0);
	return cell != NULL ? cell : "NULL";
}

static size_t text_rows(const struct probe_result *r)
{
	return r->rc != 0 || r->row_count == 0 || r->column_count == 0 ? 1 : r->row_count;
}

static bool is_happy(const struct probe_result *r)
{
	return r->rc == 0 && r->row_count == 1 && r->column_count > 0 &&
	       strcmp(row_text(r, 0), "ok") == 0;
}

/* SQLite puts all complaints about b-trees into one row, below a line with the schema's name, which
 * says nothing by itself. */
static bool is_title(const struct complaint *c)
{
	static const char title[] = "*** in database ";

	return c->size >= sizeof title - 1 && memcmp(c->text, title, sizeof title - 1) == 0;
}

static bool next_complaint(struct complaint_cursor *at, struct complaint *ret)
{
	while (!is_happy(at->r) && at->row < text_rows(at->r)) {
		const char *text = at->rest != NULL ? at->rest : row_text(at->r, at->row);
		const char *end = strchr(text, '\n');
		struct complaint c = {text, end != NULL ? (size_t)(end - text) : strlen(text)};
		bool alone = at->rest == NULL && end == NULL;

		at->rest = end != NULL ? end + 1 : NULL;
		at->row += end == NULL;
		if (alone || (c.size > 0 && !is_title(&c))) {
			*ret = c;
			return true;
		}
	}
	return false;
}

/* ---- excuses ---- */

/* Where the line stands among the excused ones, or should. */
static size_t find_excuse(const struct schema_check *c, struct digest line)
{
	size_t low = 0, high = c->excused_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(&c->excused[middle], &line, sizeof line) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_excused(const struct schema_check *c, const struct complaint *said)
{
	struct digest line = hash128(said->text, said->size);
	size_t at = find_excuse(c, line);

	return c->full || (at < c->excused_count && digest_equal(c->excused[at], line));
}

static void excuse(struct schema_check *c, const struct complaint *said)
{
	struct digest line = hash128(said->text, said->size);
	size_t at = find_excuse(c, line);

	if (c->excused_count == EXCUSED_MAX) {
		c->full = true;
		return;
	}
	c->excused = xgrow(c->excused, c->excused_count, &c->excused_cap, sizeof *c->excused);
	memmove(&c->excused[at + 1], &c->excused[at], (c->excused_count - at) * sizeof *c->excused);
	c->excused[at] = line;
	c->excused_count++;
	if (c->first == NULL)
		c->first = xasprintf("%.*s", (int)said->size, said->text);
}

/* The sentence for the report. */
static char *describe(const struct schema_check *c)
{
	if (c->full)
		return xasprintf("legal states get more than %d different complaints of %s, so "
				 "that none counts, the first: %s",
				 EXCUSED_MAX, c->schema, c->first);
	return xasprintf("%zu complaint%s of %s excused because legal states get %s: %s%s%s",
			 c->excused_count, c->excused_count == 1 ? "" : "s", c->schema,
			 c->excused_count == 1 ? "it" : "them", c->first,
			 c->excused_count == 1 ? "" : " (the first)",
			 c->cut ? "; a legal state has more than integrity_check says" : "");
}

static void learn_check(struct schema_check *c, const struct probe_result *r)
{
	struct complaint_cursor at = {.r = r};
	size_t before = c->excused_count, count = 0;
	bool full = c->full, cut = c->cut;
	struct complaint said;

	for (; next_complaint(&at, &said); count++)
		if (!is_excused(c, &said))
			excuse(c, &said);
	c->cut = c->cut || r->cut || count >= COMPLAINTS_MAX;
	if (c->excused_count == before && c->full == full && c->cut == cut)
		return;
	free(c->said);
	c->said = describe(c);
}

static void integrity_learn(void *p, const struct judge *j, const struct observation *o)
{
	struct integrity *self = p;

	(void)j;
	for (size_t i = 0; i < self->count; i++)
		learn_check(&self->checks[i], &o->probes[self->checks[i].probe]);
}

static size_t integrity_not_applicable(const void *p, struct judge_not_applicable *ret, size_t max)
{
	const struct integrity *self = p;
	size_t count = 0;

	for (size_t i = 0; i < self->count && count < max; i++)
		if (self->checks[i].said != NULL)
			ret[count++] = (struct judge_not_applicable){name, self->checks[i].said};
	return count;
}

/* ---- judging ---- */

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

static void judge_check(const struct schema_check *c, const struct probe_result *r,
			struct findings *f)
{
	struct complaint_cursor at = {.r = r};
	struct complaint said, first = {0};
	size_t count = 0;

	while (next_complaint(&at, &said)) {
		if (is_excused(c, &said))
			continue;
		if (count++ == 0)
			first = said;
	}
	if (count > 1)
		findings_add(f, name, GRADE_CORRUPT, "integrity_check of %s: %.*s (and %zu%s more)",
			     c->schema, (int)first.size, first.text, count - 1,
			     r->cut ? " or" : "");
	else if (count == 1)
		findings_add(f, name, GRADE_CORRUPT, "integrity_check of %s: %.*s", c->schema,
			     (int)first.size, first.text);
}

static void integrity_judge(const void *p, const struct judge *j, const struct observation *o,
			    struct findings *f)
{
	const struct integrity *self = p;

	judge_readers(j, o, f);
	for (size_t i = 0; i < self->count; i++) {
		const struct schema_check *c = &self->checks[i];

		if (judge_probe_status(j, o, c->probe) != PROBE_READER_ERROR)
			judge_check(c, &o->probes[c->probe], f);
	}
}

const struct oracle oracle_integrity = {
    .info =
	{name,
	 "PRAGMA integrity_check of every schema says ok, and no query meets corruption or a "
	 "failed read",
	 "foreign keys; wrong values in well-formed rows; complaints that a legal state gets as "
	 "well"},
    .is_always_on = true,
    .create = integrity_create,
    .free = integrity_free,
    .learn = integrity_learn,
    .not_applicable = integrity_not_applicable,
    .judge = integrity_judge,
};
