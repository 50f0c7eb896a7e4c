/* The page without scripts; see html_plain.h. */
#include "reports/html_plain.h"

#include "harness/case/result_json.h"
#include "reports/html.h"
#include "reports/words.h"

#include <inttypes.h>
#include <string.h>

static void put(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

void html_text(struct buf *out, const char *text)
{
	static const char special[] = "&<>\"'";
	static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
	struct buf clean;

	buf_init(&clean);
	words_clean(&clean, text);
	const char *at = buf_str(&clean), *begin = at;

	while (*at != '\0') {
		uint32_t cp;
		size_t size = result_utf8_next(at, &cp);
		const char *found = cp < 0x80 ? strchr(special, (int)cp) : NULL;

		if ((size_t)(at - begin) + size > HTML_TEXT_SIZE_MAX) {
			put(out, "\xE2\x80\xA6");
			break;
		}
		if (found != NULL)
			put(out, entities[found - special]);
		else
			buf_append(out, at, size);
		at += size;
	}
	buf_release(&clean);
}

void html_plain_title(struct buf *out, const struct result *r)
{
	put(out, "plugpull ");
	html_text(out, r->command);
	put(out, ": ");
	put(out, case_verdict_text(result_verdict(r)));
}

static void row(struct buf *out, const struct case_result *c)
{
	const char *grade = grade_text(c->grade);
	struct buf text;

	buf_init(&text);
	buf_printf(out, "<tr><td>%s</td><td>%s</td><td>", case_verdict_text(c->verdict),
		   grade == NULL ? "-" : grade);
	html_text(out, c->id);
	put(out, "</td><td>");
	words_sentence(&text, c);
	html_text(out, buf_str(&text));
	put(out, "</td><td>");
	buf_clear(&text);
	buf_printf(&text, "%s: ", words_extent(c));
	words_coverage(&text, c);
	for (size_t i = 0; i < c->note_count; i++)
		buf_printf(&text, "; %s", c->notes[i]);
	html_text(out, buf_str(&text));
	put(out, "</td></tr>\n");
	buf_release(&text);
}

static void table(struct buf *out, const struct result *r)
{
	size_t rows = 0;

	put(out, "<table>\n<thead><tr><th>verdict</th><th>grade</th><th>case</th>"
		 "<th>why</th><th>covered</th></tr></thead>\n<tbody>\n");
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < r->case_count; i++) {
			const struct case_result *c = &r->cases[i];
			bool good = c->verdict == CASE_HELD || c->verdict == CASE_SKIPPED;

			if (good == (pass == 1) && ++rows <= HTML_ROWS_MAX)
				row(out, c);
		}
	}
	put(out, "</tbody>\n</table>\n");
	if (rows > HTML_ROWS_MAX)
		buf_printf(out, "<p>%zu more in result.json.</p>\n", rows - HTML_ROWS_MAX);
}

static void violation(struct buf *out, const struct case_result *c,
		      const struct result_violation *v)
{
	const char *grade = grade_text(v->grade);
	struct buf command;

	put(out, "<li><b>");
	html_text(out, c->id);
	put(out, "</b><br>");
	html_text(out, v->oracle);
	if (grade != NULL)
		buf_printf(out, ", %s", grade);
	put(out, ": ");
	html_text(out, v->message);
	if (v->token != NULL) {
		buf_init(&command);
		put(&command, "plugpull replay ");
		words_replay(&command, "", v->token);
		put(out, "<br><code>");
		html_text(out, buf_str(&command));
		put(out, "</code>");
		buf_release(&command);
	}
	put(out, "</li>\n");
}

static void violations(struct buf *out, const struct result *r)
{
	size_t count = 0;

	for (size_t i = 0; i < r->case_count; i++) {
		const struct case_result *c = &r->cases[i];

		for (size_t v = 0; c->verdict == CASE_VIOLATED && v < c->violation_count; v++) {
			if (++count == 1)
				put(out, "<h2>Violations</h2>\n<ul>\n");
			if (count <= HTML_ROWS_MAX)
				violation(out, c, &c->violations[v]);
		}
	}
	if (count > 0)
		put(out, "</ul>\n");
	if (count > HTML_ROWS_MAX)
		buf_printf(out, "<p>%zu more in result.json.</p>\n", count - HTML_ROWS_MAX);
}

void html_plain_render(struct buf *out, const struct result *r)
{
	struct buf counts;

	buf_init(&counts);
	put(out, "<h1>");
	html_plain_title(out, r);
	put(out, "</h1>\n<p>");
	if (r->interrupted)
		put(out, "Interrupted; what is known so far: ");
	words_counts(&counts, r);
	html_text(out, buf_str(&counts));
	buf_printf(out, ". Seed %" PRIu64 ".</p>\n", r->seed);
	violations(out, r);
	if (r->case_count > 0)
		table(out, r);
	buf_release(&counts);
}
