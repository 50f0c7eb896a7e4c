/*
 * Tables of a matrix; see matrix.h.
 *
 * A table is what is left of the case ids without the keys of its row and column. Rows and columns
 * stand in the order in which the cases bring them up, so that nothing is known here of which
 * journal modes there are. Columns are as wide as their cells.
 */
#include "reports/matrix.h"

#include "reports/words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* SGR sequences (ECMA-48 8.3.117). */
static const char *const grade_colors[] = {
    [GRADE_CORRUPT] = "\033[31m",
    [GRADE_TORN] = "\033[31m",
    [GRADE_CONSISTENT] = "\033[33m",
    [GRADE_DURABLE] = "\033[32m",
};

struct names {
	const char **items; /* the strings are borrowed */
	size_t count, cap;
};

struct table {
	const struct case_result **cells; /* borrowed, in the order of the result */
	size_t cell_count;
	struct names rows, columns;
};

static void put(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

static void pad(struct buf *out, size_t from, size_t width)
{
	if (from < width)
		buf_printf(out, "%*s", (int)(width - from), "");
}

static void names_add(struct names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++) {
		if (strcmp(n->items[i], name) == 0)
			return;
	}
	n->items = xgrow(n->items, n->count, &n->cap, sizeof *n->items);
	n->items[n->count++] = name;
}

static const char *value_of(const struct case_result *c, const char *key)
{
	const char *value = kv_find(&c->config, key);

	return value == NULL ? "" : value;
}

static bool begins_with(const char *text, size_t size, const char *key)
{
	size_t n = strlen(key);

	return size > n && strncmp(text, key, n) == 0 && text[n] == '=';
}

/* The case id without its row and column; ids escape commas and brackets in values. The caller
 * frees it. */
static char *title_of(const struct case_result *c)
{
	const char *at = strchr(c->id, '[');
	const char *separator = "[";
	struct buf title;

	buf_init(&title);
	buf_append(&title, c->id, at == NULL ? strlen(c->id) : (size_t)(at - c->id));
	while (at != NULL && *at != ']' && *at != '\0') {
		size_t n = strcspn(++at, ",]");

		if (!begins_with(at, n, MATRIX_ROW) && !begins_with(at, n, MATRIX_COLUMN)) {
			put(&title, separator);
			buf_append(&title, at, n);
			separator = ",";
		}
		at += n;
	}
	if (separator[0] == ',')
		put(&title, "]");
	char *copy = xstrdup(buf_str(&title));

	buf_release(&title);
	return copy;
}

/* Whether more work could find this cell worse than it stands there. */
static bool at_best(const struct case_result *c)
{
	return c->verdict == CASE_INCONCLUSIVE ||
	       (c->grade != GRADE_NONE && c->grade != GRADE_CORRUPT && !c->exhaustive);
}

static void cell_text(struct buf *out, const struct case_result *c)
{
	if (c->verdict == CASE_SKIPPED || c->verdict == CASE_ERROR) {
		put(out, case_verdict_text(c->verdict));
		return;
	}
	put(out, c->grade == GRADE_NONE ? "-" : grade_text(c->grade));
	if (c->grade == GRADE_CONSISTENT)
		buf_printf(out, " %" PRIu64, c->lost_acked_max);
	if (c->grade != GRADE_NONE && at_best(c))
		put(out, "*");
	if (c->verdict == CASE_VIOLATED)
		put(out, "!");
}

static const struct case_result *cell_find(const struct table *t, const char *row,
					   const char *column)
{
	for (size_t i = 0; i < t->cell_count; i++) {
		if (strcmp(value_of(t->cells[i], MATRIX_ROW), row) == 0 &&
		    strcmp(value_of(t->cells[i], MATRIX_COLUMN), column) == 0)
			return t->cells[i];
	}
	return NULL;
}

static size_t column_width(const struct table *t, const char *column)
{
	size_t width = strlen(column);
	struct buf text;

	buf_init(&text);
	for (size_t i = 0; i < t->cell_count; i++) {
		buf_clear(&text);
		if (strcmp(value_of(t->cells[i], MATRIX_COLUMN), column) == 0)
			cell_text(&text, t->cells[i]);
		if (text.size > width)
			width = text.size;
	}
	buf_release(&text);
	return width;
}

static size_t longest(const struct names *n)
{
	size_t size = 0;

	for (size_t i = 0; i < n->count; i++) {
		if (strlen(n->items[i]) > size)
			size = strlen(n->items[i]);
	}
	return size;
}

static void grid(struct buf *out, const struct table *t, const struct terminal_style *style)
{
	const size_t first = longest(&t->rows);
	struct buf text;

	buf_init(&text);
	for (size_t i = 0; i <= t->rows.count; i++) {
		const char *row = i == 0 ? "" : t->rows.items[i - 1];
		size_t width = first, at = strlen(row);

		buf_printf(out, "  %s", row);
		for (size_t k = 0; k < t->columns.count; k++) {
			const char *column = t->columns.items[k];
			const struct case_result *c = i == 0 ? NULL : cell_find(t, row, column);
			bool color = style->color && c != NULL && c->grade < GRADE_NONE;

			buf_clear(&text);
			if (i == 0)
				put(&text, column);
			else if (c == NULL)
				put(&text, "-");
			else
				cell_text(&text, c);
			/* Before the cell and not behind it: no line ends in blanks. */
			pad(out, at, width + 2);
			if (color)
				put(out, grade_colors[c->grade]);
			buf_append(out, text.data, text.size);
			if (color)
				put(out, "\033[0m");
			at = text.size;
			width = column_width(t, column);
		}
		put(out, "\n");
	}
	buf_release(&text);
}

static void cell_name(struct buf *out, const struct case_result *c)
{
	words_clean(out, value_of(c, MATRIX_ROW));
	put(out, "/");
	words_clean(out, value_of(c, MATRIX_COLUMN));
}

static void findings(struct buf *out, const struct case_result *c, size_t width,
		     const struct terminal_style *style)
{
	for (size_t i = 0; i < c->violation_count && (i == 0 || style->verbose); i++) {
		const struct result_violation *v = &c->violations[i];

		size_t at = out->size;

		put(out, "  ");
		cell_name(out, c);
		pad(out, out->size - at, width);
		words_clean(out, v->message);
		if (v->token != NULL) {
			put(out, "; plugpull replay ");
			words_replay(out, style->report, v->token);
		}
		put(out, "\n");
	}
}

/* Why cells were not judged to the end; those with one reason on one line. */
static void reasons(struct buf *out, const struct table *t)
{
	for (size_t i = 0; i < t->cell_count; i++) {
		const struct case_result *c = t->cells[i];
		bool said = c->reason == NULL;

		for (size_t k = 0; k < i && !said; k++)
			said = t->cells[k]->reason != NULL &&
			       strcmp(t->cells[k]->reason, c->reason) == 0;
		if (said)
			continue;
		buf_printf(out, "  %s", case_verdict_text(c->verdict));
		for (size_t k = i; k < t->cell_count; k++) {
			if (t->cells[k]->reason == NULL ||
			    strcmp(t->cells[k]->reason, c->reason) != 0)
				continue;
			put(out, k == i ? " " : ", ");
			cell_name(out, t->cells[k]);
		}
		put(out, ": ");
		words_clean(out, c->reason);
		put(out, "\n");
	}
}

/* Adds a line unless it is among them already. Both begin with the end of a line, so that a part of
 * one is not taken for another. */
static void line_once(struct buf *lines, struct buf *line)
{
	if (memmem(lines->data, lines->size, line->data, line->size) == NULL)
		put(lines, buf_str(line) + 1);
}

/* The labels of its cases, without which the table would be misread; each once. */
static void labels(struct buf *out, const struct table *t)
{
	struct buf line, lines;

	buf_init(&line);
	buf_init(&lines);
	put(&lines, "\n");
	for (size_t i = 0; i < t->cell_count; i++) {
		const struct case_result *c = t->cells[i];

		for (size_t k = 0; k < c->note_count; k++) {
			buf_clear(&line);
			put(&line, "\n  note: ");
			words_clean(&line, c->notes[k]);
			put(&line, "\n");
			line_once(&lines, &line);
		}
		for (size_t k = 0; k < c->not_applicable_count; k++) {
			buf_clear(&line);
			put(&line, "\n  not applicable: ");
			words_clean(&line, c->not_applicable[k].oracle);
			put(&line, " (");
			words_clean(&line, c->not_applicable[k].reason);
			put(&line, ")\n");
			line_once(&lines, &line);
		}
	}
	put(out, buf_str(&lines) + 1);
	buf_release(&line);
	buf_release(&lines);
}

static void table_render(struct buf *out, const char *title, const struct table *t,
			 const struct terminal_style *style)
{
	bool starred = false, below = false;

	words_clean(out, title);
	if (t->cells[0]->title != NULL) {
		put(out, ": ");
		words_clean(out, t->cells[0]->title);
	}
	put(out, "\n");
	grid(out, t, style);
	for (size_t i = 0; i < t->cell_count; i++) {
		starred = starred || (t->cells[i]->grade != GRADE_NONE && at_best(t->cells[i]));
		below = below || t->cells[i]->verdict == CASE_VIOLATED;
	}
	if (starred)
		put(out, "  * at best: not every state of this cell was covered\n");
	if (below)
		buf_printf(out, "  ! %s is required\n", grade_text(t->cells[0]->required));
	labels(out, t);
	for (size_t i = 0; i < t->cell_count; i++)
		findings(out, t->cells[i], longest(&t->rows) + longest(&t->columns) + 5, style);
	reasons(out, t);
	put(out, "\n");
}

/* "explored" where nothing was required: "held" of a corrupt cell would be read as praise. */
static void last_line(struct buf *out, const struct result *r, const struct terminal_style *style)
{
	static const enum grade grades[] = {GRADE_DURABLE, GRADE_CONSISTENT, GRADE_TORN,
					    GRADE_CORRUPT};
	size_t of_grade[GRADE_NONE + 1] = {0};
	uint64_t crash_points = 0, recoveries = 0;
	double seconds = 0;
	bool required = false;

	for (size_t i = 0; i < r->case_count; i++) {
		of_grade[r->cases[i].grade]++;
		crash_points += r->cases[i].crash_points;
		recoveries += r->cases[i].recoveries;
		seconds += r->cases[i].seconds;
		required = required || r->cases[i].has_required;
	}
	enum case_verdict verdict = result_verdict(r);
	const char *separator = ": ";

	buf_printf(out, "%s, %s",
		   verdict == CASE_HELD && !required ? "explored" : case_verdict_text(verdict),
		   r->interrupted ? "interrupted, so far " : "");
	words_number(out, r->case_count, "cell");
	for (size_t i = 0; i < sizeof grades / sizeof grades[0]; i++) {
		if (of_grade[grades[i]] == 0)
			continue;
		buf_printf(out, "%s%zu %s", separator, of_grade[grades[i]], grade_text(grades[i]));
		separator = ", ";
	}
	if (of_grade[GRADE_NONE] > 0)
		buf_printf(out, "%s%zu without a grade", separator, of_grade[GRADE_NONE]);
	put(out, "; ");
	words_number(out, crash_points, "crash point");
	buf_printf(out, ", %" PRIu64 " %s; seed %" PRIu64, recoveries,
		   recoveries == 1 ? "recovery" : "recoveries", r->seed);
	if (style->timing)
		buf_printf(out, "; %.3f s", seconds);
	put(out, "\n");
}

void matrix_render(struct buf *out, const struct result *r, const struct terminal_style *style,
		   bool quiet)
{
	char **titles = xcalloc(r->case_count + 1, sizeof *titles);
	const struct case_result **cells = xcalloc(r->case_count + 1, sizeof *cells);

	for (size_t i = 0; i < r->case_count; i++)
		titles[i] = title_of(&r->cases[i]);
	for (size_t i = 0; i < r->case_count; i++) {
		struct table t = {.cells = cells};
		bool seen = false, failed = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = strcmp(titles[k], titles[i]) == 0;
		for (size_t k = i; k < r->case_count && !seen; k++) {
			const struct case_result *c = &r->cases[k];

			if (strcmp(titles[k], titles[i]) != 0)
				continue;
			cells[t.cell_count++] = c;
			names_add(&t.rows, value_of(c, MATRIX_ROW));
			names_add(&t.columns, value_of(c, MATRIX_COLUMN));
			failed = failed || (c->verdict != CASE_HELD && c->verdict != CASE_SKIPPED);
		}
		if (!seen && (failed || !quiet))
			table_render(out, titles[i], &t, style);
		free(t.rows.items);
		free(t.columns.items);
	}
	if (!quiet)
		last_line(out, r, style);
	for (size_t i = 0; i < r->case_count; i++)
		free(titles[i]);
	free(titles);
	free(cells);
}
