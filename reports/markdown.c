/*
 * Markdown; see markdown.h.
 *
 * Two ways to quote a text. Where it is free of anything that Markdown, a table or HTML could read
 * as its own, a code span. Otherwise <code> with every such character as a reference: a backslash
 * before a pipe does not do, because a table splits its cells before code spans are seen and a
 * backslash of the text itself would then escape ours.
 */
#include "reports/markdown.h"

#include "harness/case/version.h"
#include "reports/matrix.h"
#include "reports/words.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static void put(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

/* `text` on one line, cut to MARKDOWN_TEXT_SIZE_MAX at a character's boundary. */
static const char *clean(struct buf *line, const char *text)
{
	buf_clear(line);
	words_clean(line, text);
	if (line->size > MARKDOWN_TEXT_SIZE_MAX) {
		size_t n = MARKDOWN_TEXT_SIZE_MAX;

		while (n > 0 && (line->data[n] & 0xC0) == 0x80)
			n--;
		line->size = n;
		put(line, "\xE2\x80\xA6");
	}
	return buf_str(line);
}

/* Every ASCII character that is neither a letter, a digit nor a blank as a reference, but for those
 * few that mean nothing anywhere: the list of what does mean something differs among renderers. */
static void escaped(struct buf *out, const char *text)
{
	for (const char *s = text; *s != '\0'; s++) {
		unsigned char ch = (unsigned char)*s;

		if (ch >= 0x80 || isalnum(ch) || strchr(" ,;/%='", ch) != NULL)
			buf_append(out, s, 1);
		else if (strchr(".:-()?", ch) != NULL && s != text)
			/* Harmless within a line; "1." or "-" would begin a list. */
			buf_append(out, s, 1);
		else
			buf_printf(out, "&#%u;", ch);
	}
}

static void plain(struct buf *out, const char *text)
{
	struct buf line;

	buf_init(&line);
	escaped(out, clean(&line, text));
	buf_release(&line);
}

static void code(struct buf *out, const char *text)
{
	struct buf line;

	buf_init(&line);
	(void)clean(&line, text);
	if (line.size > 0 && strpbrk(buf_str(&line), "`|<>&\\") == NULL && line.data[0] != ' ' &&
	    line.data[line.size - 1] != ' ') {
		buf_printf(out, "`%s`", buf_str(&line));
	} else {
		put(out, "<code>");
		escaped(out, buf_str(&line));
		put(out, "</code>");
	}
	buf_release(&line);
}

static void violation(struct buf *out, const struct result_violation *v)
{
	put(out, "  - ");
	plain(out, v->oracle);
	if (v->grade != GRADE_NONE)
		buf_printf(out, ", %s", grade_text(v->grade));
	put(out, ": ");
	plain(out, v->message);
	put(out, "\n");
	if (v->token != NULL) {
		struct buf command;

		buf_init(&command);
		put(&command, "plugpull replay ");
		words_replay(&command, "", v->token);
		put(out, "    token ");
		code(out, v->token);
		put(out, ", again with ");
		code(out, buf_str(&command));
		put(out, "\n");
		buf_release(&command);
	}
}

/* All of one item or nothing of it: half a row would break the table. */
static bool append_if_fits(struct buf *out, const struct buf *item, size_t start, size_t max)
{
	if (out->size - start + item->size > max)
		return false;
	buf_append(out, item->data, item->size);
	return true;
}

/* Once for all, before the first finding. */
static void heading(struct buf *out, const char *title, bool said)
{
	buf_printf(out, "## %s\n\n%s", title,
		   said ? "" : "Commands are for the folder of the report.\n\n");
}

/* Whether there is one. */
static bool violations(struct buf *out, const struct result *r, size_t start)
{
	size_t left_out = 0;
	bool any = false;
	struct buf item;

	buf_init(&item);
	for (size_t i = 0; i < r->case_count; i++) {
		const struct case_result *c = &r->cases[i];

		if (c->verdict != CASE_VIOLATED)
			continue;
		if (!any)
			heading(out, "Violations", false);
		any = true;
		buf_clear(&item);
		put(&item, "- ");
		code(&item, c->id);
		put(&item, ": ");
		struct buf sentence;

		buf_init(&sentence);
		words_sentence(&sentence, c);
		plain(&item, buf_str(&sentence));
		buf_release(&sentence);
		put(&item, "\n");
		/* Once something did not fit nothing follows, so that what stands is a beginning.
		 */
		if (left_out > 0 ||
		    !append_if_fits(out, &item, start, MARKDOWN_VIOLATIONS_SIZE_MAX)) {
			left_out += c->violation_count > 0 ? c->violation_count : 1;
			continue;
		}
		for (size_t v = 0; v < c->violation_count; v++) {
			if (c->violations[v].waived != NULL)
				continue; /* below, with the others */
			buf_clear(&item);
			violation(&item, &c->violations[v]);
			if (left_out > 0 ||
			    !append_if_fits(out, &item, start, MARKDOWN_VIOLATIONS_SIZE_MAX))
				left_out++;
		}
		for (size_t l = 0; l < c->lint_count; l++) {
			struct buf message;

			buf_init(&message);
			words_lint(&message, &c->lint[l]);
			buf_clear(&item);
			put(&item, "  - missing sync: ");
			plain(&item, buf_str(&message));
			put(&item, "\n");
			buf_release(&message);
			if (left_out > 0 ||
			    !append_if_fits(out, &item, start, MARKDOWN_VIOLATIONS_SIZE_MAX))
				left_out++;
		}
	}
	if (left_out > 0)
		buf_printf(out, "\n%zu more left out for size; all are in `result.json`.\n",
			   left_out);
	if (any)
		put(out, "\n");
	buf_release(&item);
	return any;
}

/* Known, and not counted: a reader is told all the same. */
static void waivers(struct buf *out, const struct result *r, size_t start, bool said)
{
	size_t left_out = 0;
	bool any = false;
	struct buf item;

	buf_init(&item);
	for (size_t i = 0; i < r->case_count; i++) {
		for (size_t k = 0; k < r->cases[i].violation_count; k++) {
			const struct result_violation *v = &r->cases[i].violations[k];

			if (v->waived == NULL)
				continue;
			if (!any)
				heading(out, "Waived", said);
			any = true;
			buf_clear(&item);
			put(&item, "- ");
			code(&item, r->cases[i].id);
			put(&item, ", until ");
			plain(&item, v->waived->until);
			put(&item, ": ");
			plain(&item, v->waived->reason);
			put(&item, "\n");
			violation(&item, v);
			if (left_out > 0 ||
			    !append_if_fits(out, &item, start, MARKDOWN_VIOLATIONS_SIZE_MAX))
				left_out++;
		}
	}
	if (left_out > 0)
		buf_printf(out, "\n%zu more left out for size; all are in `result.json`.\n",
			   left_out);
	if (any)
		put(out, "\n");
	buf_release(&item);
}

static void row(struct buf *out, const struct case_result *c)
{
	const char *grade = grade_text(c->grade);

	buf_printf(out, "| %s | %s | ", case_verdict_text(c->verdict), grade == NULL ? "" : grade);
	if (c->has_expected)
		buf_printf(out, "exactly %s", grade_text(c->expected));
	else if (c->has_required && grade_text(c->required) != NULL)
		put(out, grade_text(c->required));
	put(out, " | ");
	code(out, c->id);
	put(out, " | ");
	struct buf text;

	buf_init(&text);
	if (c->verdict == CASE_SKIPPED || c->verdict == CASE_ERROR) {
		words_sentence(&text, c);
	} else {
		buf_printf(&text, "%s: ", words_extent(c));
		words_coverage(&text, c);
		if (c->reason != NULL)
			buf_printf(&text, "; %s", c->reason);
	}
	if (c->mutated) {
		put(&text, "; mutants: ");
		words_score(&text, case_result_score(c));
	}
	for (size_t i = 0; i < c->note_count; i++)
		buf_printf(&text, "; %s", c->notes[i]);
	plain(out, buf_str(&text));
	buf_release(&text);
	put(out, " |\n");
}

static void table(struct buf *out, const struct result *r, size_t start)
{
	/* Room for the line that says what was left out. */
	const size_t max = MARKDOWN_SIZE_MAX - 200;
	size_t left_out = 0;
	struct buf item;

	put(out, "| verdict | grade | required | case | covered |\n|---|---|---|---|---|\n");
	buf_init(&item);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < r->case_count; i++) {
			const struct case_result *c = &r->cases[i];
			bool good = c->verdict == CASE_HELD || c->verdict == CASE_SKIPPED;

			if (good != (pass == 1))
				continue;
			buf_clear(&item);
			row(&item, c);
			if (left_out > 0 || !append_if_fits(out, &item, start, max))
				left_out++;
		}
	}
	if (left_out > 0)
		buf_printf(out, "\n%zu rows left out for size; all are in `result.json`.\n",
			   left_out);
	buf_release(&item);
}

/* The tables as the terminal shows them, as a block of code: indented, so that no text can end it.
 */
static void matrix(struct buf *out, const struct result *r)
{
	struct terminal_style style = {.report = ""};
	struct buf text;

	buf_init(&text);
	matrix_render(&text, r, &style, false);
	for (const char *at = buf_str(&text), *end; *at != '\0'; at = end) {
		end = strchr(at, '\n');
		end = end == NULL ? at + strlen(at) : end + 1;
		if (out->size + (size_t)(end - at) > MARKDOWN_VIOLATIONS_SIZE_MAX) {
			put(out, "    ... (cut; all is in result.json)\n");
			break;
		}
		put(out, "    ");
		buf_append(out, at, (size_t)(end - at));
	}
	put(out, "\n");
	buf_release(&text);
}

void markdown_render(struct buf *out, const struct result *r)
{
	size_t start = out->size;

	buf_printf(out, "# plugpull %s: %s\n\n", r->command, case_verdict_text(result_verdict(r)));
	if (r->interrupted)
		put(out, "Interrupted; what is known so far: ");
	words_counts(out, r);
	buf_printf(out, ". Seed %" PRIu64 ", plugpull " PLUGPULL_VERSION, r->seed);
	if (r->sqlite_version != NULL) {
		put(out, ", SQLite ");
		plain(out, r->sqlite_version);
	}
	put(out, ".\n\n");
	if (result_mutated(r)) {
		put(out, "Mutants: **");
		words_score(out, result_score(r));
		put(out, "**.\n\n");
	}
	if (strcmp(r->command, "matrix") == 0)
		matrix(out, r);
	waivers(out, r, start, violations(out, r, start));
	if (r->case_count > 0)
		table(out, r, start);
}
