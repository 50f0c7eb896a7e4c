/*
 * See story_text.h. Paragraphs are wrapped; of long lists what is nearest the crash, or comes
 * first, is shown, and the rest is counted.
 */
#include "reports/story_text.h"

#include "reports/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct teller {
	struct buf *out;
	const struct story *s;
	const struct story_style *style;
};

enum color { PLAIN, BOLD, RED, GREEN, YELLOW, DIM };

static void put(struct teller *t, const char *text)
{
	buf_append(t->out, text, strlen(text));
}

/* SGR sequences (ECMA-48 8.3.117). */
static void color(struct teller *t, enum color c)
{
	static const char *const codes[] = {"\033[0m",	"\033[1m",  "\033[31m",
					    "\033[32m", "\033[33m", "\033[2m"};

	if (t->style->color)
		put(t, codes[c]);
}

/* Columns that bytes of UTF-8 take, as far as each character takes one. */
static size_t columns(const char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

/* The rest of a paragraph whose first line has come to a column; the other lines begin there, or at
 * half of the width where that is too far. */
static void wrapped(struct teller *t, int column, const char *text)
{
	size_t at = (size_t)column;
	size_t indent = at > STORY_TEXT_WIDTH / 2 ? STORY_TEXT_WIDTH / 2 : at;
	struct buf clean;
	bool first = true;

	buf_init(&clean);
	words_clean(&clean, text);
	for (const char *p = buf_str(&clean); *p != '\0';) {
		size_t n = strcspn(p, " "), width = columns(p, n);

		if (!first && at + 1 + width > STORY_TEXT_WIDTH) {
			buf_printf(t->out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!first) {
			put(t, " ");
			at++;
		}
		buf_append(t->out, p, n);
		at += width;
		first = false;
		p += n;
		while (*p == ' ')
			p++;
	}
	put(t, "\n");
	buf_release(&clean);
}

/* A paragraph: wrapped, the first line begins with `lead`, the others are indented as far. */
static void paragraph(struct teller *t, const char *lead, const char *text)
{
	put(t, lead);
	wrapped(t, (int)columns(lead, strlen(lead)), text);
}

static void heading(struct teller *t, const char *text)
{
	put(t, "\n");
	color(t, BOLD);
	put(t, text);
	color(t, PLAIN);
	put(t, "\n");
}

static void left_out(struct teller *t, uint64_t n, const char *what)
{
	if (n > 0)
		buf_printf(t->out, "  and %" PRIu64 " more %s%s\n", n, what, n == 1 ? "" : "s");
}

static size_t shown(const struct teller *t, size_t count)
{
	return t->style->verbose || count <= STORY_TEXT_LIST_MAX ? count : STORY_TEXT_LIST_MAX;
}

/* ---- head ---------------------------------------------------------------------------------- */

static void head(struct teller *t)
{
	const struct story *s = t->s;

	color(t, BOLD);
	paragraph(t, "", s->verdict);
	color(t, PLAIN);
	put(t, "\n");
	paragraph(t, "case      ", s->id);
	if (s->title != NULL)
		paragraph(t, "shows     ", s->title);
	char *found = s->grade != GRADE_NONE
			  ? xasprintf("%s, by the oracle %s", grade_text(s->grade), s->oracle)
			  : xasprintf("by the oracle %s", s->oracle);
	paragraph(t, "found     ", found);
	free(found);
	paragraph(t, "says      ", s->message);
	char *disk = xasprintf("%s: %s", s->model, s->model_words == NULL ? "" : s->model_words);
	paragraph(t, "disk      ", disk);
	free(disk);
	if (s->config.count > 0) {
		struct buf b;
		buf_init(&b);
		for (size_t i = 0; i < s->config.count; i++)
			buf_printf(&b, "%s%s=%s", i == 0 ? "" : " ", s->config.items[i].key,
				   s->config.items[i].value);
		paragraph(t, "settings  ", buf_str(&b));
		buf_release(&b);
	}
}

/* ---- transactions -------------------------------------------------------------------------- */

static enum color color_of_presence(enum story_presence p)
{
	return p == STORY_PRESENT ? GREEN : p == STORY_LATER ? DIM : p == STORY_GONE ? RED : YELLOW;
}

/* A PRAGMA that allows what happened to this transaction; it stands at the first of them. */
static bool is_setting_of(const struct story *s, const struct story_statement *st,
			  const struct story_transaction *x)
{
	if (!st->setting || st->process != x->process || st->connection != x->connection)
		return false;
	for (const struct story_transaction *y = s->transactions; y < x; y++)
		if (y->wrong && y->process == x->process && y->connection == x->connection &&
		    y->begin > st->position)
			return false;
	return x->wrong && x->begin > st->position;
}

static void transaction(struct teller *t, const struct story_transaction *x)
{
	const struct story *s = t->s;
	const char *how = x->acked				 ? "acknowledged"
			  : x->presence == STORY_LATER		 ? ""
			  : x->committed && x->end <= s->promise ? "committed"
			  : x->presence == STORY_PRESENT	 ? "unacknowledged"
								 : "unfinished";
	char *first =
	    xasprintf("op %" PRIu64 " to %" PRIu64 "%s%s", x->begin, x->end,
		      x->changes == NULL ? "" : ": ", x->changes == NULL ? "" : x->changes);
	char lead[64];

	buf_printf(t->out, "  %-4zu ", x->number);
	color(t, color_of_presence(x->presence));
	buf_printf(t->out, "%-8s", story_presence_text(x->presence));
	color(t, PLAIN);
	(void)snprintf(lead, sizeof lead, " %-14s ", how);
	put(t, lead);
	wrapped(t, (int)(strlen("  1234 ") + strlen("12345678") + strlen(lead)), first);
	free(first);
	for (size_t i = 0; i < s->statement_count; i++) {
		const struct story_statement *st = &s->statements[i];
		if (is_setting_of(s, st, x)) {
			char *text = xasprintf("%s%s%s  <- before it, on its connection",
					       st->source == NULL ? "" : st->source,
					       st->source == NULL ? "" : "  ", st->sql);
			paragraph(t, "         ", text);
			free(text);
		}
		if (st->transaction == 0 || &s->transactions[st->transaction - 1] != x)
			continue;
		char *text = st->source == NULL ? xstrdup(st->sql)
						: xasprintf("%s  %s", st->source, st->sql);
		paragraph(t, "         ", text);
		free(text);
	}
}

/* Those that are wrong, and the last ones before the crash. */
static void transactions(struct teller *t)
{
	const struct story *s = t->s;
	size_t last = 0, told = 0, all = 0;

	if (s->transaction_count == 0)
		return;
	heading(t, "Transactions");
	while (last < s->transaction_count && s->transactions[last].presence != STORY_LATER)
		last++;
	for (size_t i = 0; i < s->transaction_count; i++) {
		const struct story_transaction *x = &s->transactions[i];
		bool near = i + 3 >= last && i <= last;

		all++;
		if (!t->style->verbose && !near && !(x->wrong && told < STORY_TEXT_LIST_MAX))
			continue;
		transaction(t, x);
		told++;
	}
	left_out(t, all - told, "transaction");
}

/* ---- operations ---------------------------------------------------------------------------- */

static enum color color_of_fate(enum story_fate f)
{
	switch (f) {
	case STORY_LOST:
	case STORY_TORN:
	case STORY_DAMAGED:
		return RED;
	case STORY_KEPT:
		return GREEN;
	case STORY_UNASKED:
		return YELLOW;
	case STORY_DURABLE:
	case STORY_AFTER:
	case STORY_NO_CHANGE:
		break;
	}
	return DIM;
}

static const char *file_name(const struct story *s, const struct story_op *o)
{
	const char *path = o->file == SIZE_MAX ? "" : s->files[o->file].path;
	const char *slash = strrchr(path, '/');

	if (o->file != SIZE_MAX && s->files[o->file].role == STORY_DIRECTORY)
		return path;
	return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

static void operation(struct teller *t, const struct story_op *o)
{
	const char *fate = o->fate == STORY_NO_CHANGE ? "" : story_fate_text(o->fate);
	struct buf b;

	char lead[64];

	color(t, color_of_fate(o->fate));
	(void)snprintf(lead, sizeof lead, "  %6" PRIu64 "  %-8s", o->position, fate);
	put(t, lead);
	if (color_of_fate(o->fate) != DIM)
		color(t, PLAIN);
	buf_init(&b);
	if (strcmp(o->kind, "write") == 0)
		buf_printf(&b, "%s: ", file_name(t->s, o));
	buf_printf(&b, "%s", o->words[0] == '\0' ? o->kind : o->words);
	if (o->failed)
		buf_printf(&b, " (failed)");
	if (o->fate == STORY_TORN)
		buf_printf(&b, " (%" PRIu32 " of %" PRIu32 " sectors)", o->parts_kept, o->parts);
	if (o->damaged_by != 0)
		buf_printf(&b, " (by operation %" PRIu64 ", which was torn in the same sector)",
			   o->damaged_by);
	if (o->transaction != 0)
		buf_printf(&b, " [%zu]", t->s->transactions[o->transaction - 1].number);
	wrapped(t, (int)strlen(lead), buf_str(&b));
	buf_release(&b);
	color(t, PLAIN);
}

static bool is_pending(const struct story_op *o)
{
	return o->fate == STORY_KEPT || o->fate == STORY_LOST || o->fate == STORY_TORN ||
	       o->fate == STORY_DAMAGED || o->fate == STORY_UNASKED;
}

/* The last operations by the crash, as many as are shown; of what is further away, what was lost.
 */
static void operations(struct teller *t)
{
	const struct story *s = t->s;
	size_t crash = 0, first, earlier = 0, after = 0;

	while (crash < s->op_count && s->ops[crash].position <= s->crash)
		crash++;
	first = t->style->verbose || crash < STORY_TEXT_OPS_MAX ? 0 : crash - STORY_TEXT_OPS_MAX;
	heading(t, "Operations around the crash, what became of each, and [transaction]");
	for (size_t i = 0; i < first; i++) {
		if (!is_pending(&s->ops[i]) || s->ops[i].fate == STORY_UNASKED)
			continue;
		if (++earlier <= STORY_TEXT_LIST_MAX)
			operation(t, &s->ops[i]);
	}
	if (first > 0)
		buf_printf(t->out, "     ...\n");
	for (size_t i = first; i < crash; i++)
		operation(t, &s->ops[i]);
	color(t, RED);
	paragraph(t, "  ~~~~~~  ", s->crash_words);
	color(t, PLAIN);
	for (size_t i = crash; i < s->op_count && (t->style->verbose || after < 3); i++, after++)
		operation(t, &s->ops[i]);
	left_out(t, s->op_count - crash - after + s->ops_left_out, "operation");
}

/* ---- the rest ------------------------------------------------------------------------------ */

static void decisions(struct teller *t)
{
	const struct story *s = t->s;
	const char *last = "";
	size_t told = 0;

	if (s->decision_count == 0)
		return;
	heading(t, "What the disk held, as recovery asked for it");
	for (size_t i = 0; i < s->decision_count; i++) {
		const struct story_decision *d = &s->decisions[i];
		/* What is as the program left it is no news. */
		if (!t->style->verbose && (d->answer == 0 || told >= STORY_TEXT_LIST_MAX))
			continue;
		const char *words = d->words == NULL ? d->question : d->words;
		/* Whether a file is there, and which, are two questions. */
		if (strcmp(words, last) != 0)
			paragraph(t, "  - ", words);
		last = words;
		told++;
	}
	if (told < s->decision_count)
		buf_printf(t->out, "  %s%zu as the program left it, or not shown (-v shows all)\n",
			   told > 0 ? "and " : "", s->decision_count - told);
}

static void recovery(struct teller *t)
{
	const struct story *s = t->s;

	if (s->recovery_count == 0)
		return;
	heading(t, "What SQLite found and did when it came back");
	for (size_t i = 0; i < s->recovery_count; i++)
		paragraph(t, "  - ", s->recovery[i]);
}

static void rows(struct teller *t)
{
	const struct story *s = t->s;
	size_t n = shown(t, s->row_count);

	if (s->row_count == 0)
		return;
	heading(t, "What is wrong with the content");
	if (s->rows_against != NULL) {
		char *text = xasprintf("held against %s", s->rows_against);
		paragraph(t, "  ", text);
		free(text);
	}
	if (!s->show_data)
		paragraph(t, "  ",
			  "values are shown as type, size and hash; --show-data shows them");
	for (size_t i = 0; i < n; i++) {
		const struct story_row *r = &s->rows[i];
		paragraph(t, "  - ", r->where);
		paragraph(t, "      expected  ", r->expected == NULL ? "no such row" : r->expected);
		paragraph(t, "      found     ", r->found == NULL ? "nothing" : r->found);
	}
	left_out(t, s->row_count - n + s->rows_left_out, "difference");
}

/* The main database: it stands first. */
static const char *database_name(const struct story *s)
{
	for (size_t i = 0; i < s->file_count; i++)
		if (s->files[i].role == STORY_DATABASE) {
			const char *slash = strrchr(s->files[i].path, '/');
			return slash == NULL ? s->files[i].path : slash + 1;
		}
	return "the database";
}

/* A place that needs a sync; behind the last one of a rule, what it came to with all of them. */
static void missing(struct teller *t, size_t i)
{
	const struct story *s = t->s;
	const struct story_missing *m = &s->missing[i];
	bool here = strcmp(m->target, ".") == 0;
	bool first = i == 0 || m->rule == NULL || s->missing[i - 1].rule == NULL ||
		     strcmp(m->rule, s->missing[i - 1].rule) != 0;
	bool last = i + 1 == s->missing_count || m->rule == NULL ||
		    s->missing[i + 1].rule == NULL || strcmp(m->rule, s->missing[i + 1].rule) != 0;
	char *text =
	    xasprintf("a sync of %s%s, between operations %" PRIu64 " and %" PRIu64 ": %s",
		      here	     ? "the directory of "
		      : m->directory ? "the directory "
				     : "",
		      here ? database_name(s) : m->target, m->after, m->before, m->message);

	paragraph(t, "  - ", text);
	free(text);
	if (!last)
		return;
	if (m->together)
		paragraph(t, "    ",
			  m->matters == STORY_MATTERS_NOT
			      ? "only together: run again with the missing syncs of all rules, "
				"this finding is gone, and with this rule's alone it is not"
			      : "run again with the missing syncs of all rules, this finding is "
				"gone; with this rule's alone that is not known");
	else if (m->matters == STORY_MATTERS_UNKNOWN)
		paragraph(t, "    ", "not known whether it matters here: no re-run shows it");
	else if (m->matters == STORY_MATTERS_NOT)
		paragraph(t, "    ",
			  first ? "run again with it, this finding is there all the same"
				: "run again with all of them, this finding is there all "
				  "the same");
	else if (first)
		paragraph(t, "    ", "run again with it, this finding is gone");
	else
		paragraph(t, "    ", "run again with all of them, this finding is gone");
}

static void why(struct teller *t)
{
	const struct story *s = t->s;

	if (s->allowed != NULL) {
		heading(t, "What allows it");
		paragraph(t, "  ", s->allowed);
	}
	if (s->missing_count == 0)
		return;
	heading(t, "Which sync is missing");
	for (size_t i = 0; i < s->missing_count; i++)
		missing(t, i);
	left_out(t, s->missing_left_out, "such place");
}

static void fixes(struct teller *t)
{
	const struct story *s = t->s;

	if (s->fix_count == 0 && s->fixes_words == NULL)
		return;
	heading(t, "What would fix it");
	for (size_t i = 0; i < s->fix_count; i++) {
		const struct story_fix *f = &s->fixes[i];
		char *text =
		    f->where == NULL ? xstrdup(f->what) : xasprintf("%s (%s)", f->what, f->where);
		color(t, GREEN);
		paragraph(t, "  - ", text);
		color(t, PLAIN);
		paragraph(t, "    ", f->proof);
		if (f->command != NULL) { /* in one piece, to be copied */
			put(t, "    $ ");
			words_clean(t->out, f->command);
			put(t, "\n");
		}
		free(text);
	}
	if (s->fixes_words != NULL)
		paragraph(t, "  ", s->fixes_words);
}

/* What is told, what is not, and all of it, so that it adds up. */
static void put_covered(const struct story *s, struct buf *b)
{
	bool all = strcmp(s->states_total, s->states_shown) == 0;

	buf_printf(b, "This crash point has ");
	words_states(b, s->states_total);
	buf_printf(b, strcmp(s->states_total, "1") == 0 ? " state" : " states");
	buf_printf(b, ", and %" PRIu64 " %s run", s->states_recoveries,
		   s->states_recoveries == 1 ? "recovery was" : "recoveries were");
	if (s->states_left_out == 0)
		buf_printf(b, ", which stand%s for ", s->states_recoveries == 1 ? "s" : "");
	else
		buf_printf(b, ". %" PRIu64 " of them, told here, stand for ",
			   s->states_recoveries - s->states_left_out);
	if (all)
		buf_printf(b, "all of the states");
	else
		words_states(b, s->states_shown);
	if (s->states_left_out > 0)
		buf_printf(b, " states; %" PRIu64 " are left out", s->states_left_out);
	else if (!all)
		buf_printf(b, " of the states; the others were not run");
	buf_printf(b, ". ");
}

/* How many states of the crash point came to what, as far as they are told. */
static void states(struct teller *t)
{
	const struct story *s = t->s;
	size_t counts[GRADE_NONE + 1] = {0}, bad = 0;
	const char *before = ": ";
	struct buf b;

	if (s->state_count == 0)
		return;
	heading(t, "What else this crash could have left");
	buf_init(&b);
	for (size_t i = 0; i < s->state_count; i++) {
		counts[s->states[i].grade]++;
		bad += s->states[i].oracle != NULL;
	}
	if (s->states_total != NULL && s->states_shown != NULL)
		put_covered(s, &b);
	buf_printf(&b,
		   "By what was found and what was lost they are %zu group%s, of which %zu %s "
		   "objected to",
		   s->state_count, s->state_count == 1 ? "" : "s", bad, bad == 1 ? "is" : "are");
	for (int g = GRADE_CORRUPT; g <= GRADE_DURABLE; g++) {
		if (counts[g] == 0)
			continue;
		buf_printf(&b, "%s%zu %s", before, counts[g], grade_text((enum grade)g));
		before = ", ";
	}
	paragraph(t, "  ", buf_str(&b));
	buf_release(&b);
}

void story_text_render(struct buf *out, const struct story *s, const struct story_style *style)
{
	struct teller t = {out, s, style};

	head(&t);
	transactions(&t);
	operations(&t);
	decisions(&t);
	recovery(&t);
	rows(&t);
	why(&t);
	fixes(&t);
	states(&t);
	heading(&t, "See it again");
	put(&t, "  ");
	words_clean(out, s->replay);
	put(&t, "\n");
}
