/*
 * See annotations.h.
 *
 * The line is that of the first statement or setting that the story of the worst finding involves,
 * or the one that an error names, or else the first.
 */
#include "reports/annotations.h"

#include "faultinject/base/assert.h"
#include "reports/words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void put(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

/* A value as the runner reads it back. Of a property, what ends one is escaped, too. */
static void escaped(struct buf *out, const char *text, bool property)
{
	for (const char *s = text; *s != '\0'; s++) {
		if (*s == '%' || *s == '\r' || *s == '\n' || (property && (*s == ':' || *s == ',')))
			buf_printf(out, "%%%02X", (unsigned char)*s);
		else
			buf_append(out, s, 1);
	}
}

/* Cuts at a character's boundary. */
static void cut(struct buf *text, size_t max)
{
	if (text->size <= max)
		return;
	size_t n = max;

	while (n > 0 && (text->data[n] & 0xC0) == 0x80)
		n--;
	text->size = n;
	put(text, "\xE2\x80\xA6");
}

/* The worst finding that counts; NULL: there is none. */
static const struct result_violation *worst_of(const struct case_result *c)
{
	for (size_t i = 0; i < c->violation_count; i++)
		if (c->violations[i].waived == NULL)
			return &c->violations[i];
	return NULL;
}

/* Of "bank.sql:7: no such table", which the error of a scenario begins with, 7. */
static uint64_t line_of_reason(const struct case_result *c)
{
	const char *at = c->file == NULL || c->reason == NULL ? NULL : strstr(c->reason, c->file);
	char *end;

	if (at == NULL || at[strlen(c->file)] != ':')
		return 0;
	uint64_t line = strtoull(at + strlen(c->file) + 1, &end, 10);

	return *end == ':' && line < INT32_MAX ? line : 0;
}

/* Of the first statement or setting that the story involves; 0: it involves none. */
static uint64_t line_of_story(const struct story *s)
{
	for (size_t i = 0; s != NULL && i < s->source_count; i++)
		if (s->source[i].involved)
			return i + 1;
	return 0;
}

static uint64_t line_of(const struct case_result *c, const struct result_violation *v)
{
	uint64_t line = c->verdict == CASE_ERROR ? line_of_reason(c) : 0;

	if (line == 0 && v != NULL)
		line = line_of_story(v->story);
	return line == 0 ? 1 : line;
}

static void annotation(struct buf *out, const struct case_result *c)
{
	const struct result_violation *v = worst_of(c);
	struct buf text;

	buf_init(&text);
	words_clean(&text, c->id);
	cut(&text, ANNOTATION_TITLE_SIZE_MAX);
	put(out, "::error");
	if (text.size > 0) {
		put(out, " title=");
		escaped(out, buf_str(&text), true);
	}
	if (c->file != NULL) {
		buf_clear(&text);
		words_clean(&text, c->file);
		put(out, text.size == 0 ? "" : ",file=");
		escaped(out, buf_str(&text), true);
		buf_printf(out, ",line=%" PRIu64, line_of(c, v));
	}
	put(out, "::");
	buf_clear(&text);
	words_sentence(&text, c);
	if (v != NULL) {
		put(&text, "\n");
		words_clean(&text, v->oracle);
		buf_printf(&text, "%s%s: ", v->grade == GRADE_NONE ? "" : ", ",
			   v->grade == GRADE_NONE ? "" : grade_text(v->grade));
		words_clean(&text, v->message);
	}
	cut(&text, ANNOTATION_TEXT_SIZE_MAX);
	if (v != NULL && v->token != NULL) {
		put(&text, "\nIn the folder of the report: plugpull replay ");
		words_replay(&text, "", v->token);
	}
	escaped(out, buf_str(&text), false);
	put(out, "\n");
	buf_release(&text);
}

static bool failed(const struct case_result *c)
{
	return c->verdict != CASE_HELD && c->verdict != CASE_SKIPPED;
}

/* Small is worse: a broken run, then what was found by its grade, then what was not proved. */
static unsigned rank(const struct case_result *c)
{
	if (c->verdict == CASE_ERROR)
		return 0;
	if (c->verdict == CASE_INCONCLUSIVE)
		return 2 + GRADE_NONE;
	return 1 + (unsigned)c->grade;
}

void annotations_render(struct buf *out, const struct result *r)
{
	size_t total = 0, written = 0;

	for (size_t i = 0; i < r->case_count; i++)
		total += failed(&r->cases[i]);
	size_t room = total > ANNOTATIONS_MAX ? ANNOTATIONS_MAX - 1 : total;

	for (unsigned at = 0; at <= 2 + GRADE_NONE; at++) {
		for (size_t i = 0; i < r->case_count && written < room; i++) {
			if (!failed(&r->cases[i]) || rank(&r->cases[i]) != at)
				continue;
			annotation(out, &r->cases[i]);
			written++;
		}
	}
	ASSERT_OP(written, ==, room);
	if (written < total)
		buf_printf(out,
			   "::error title=plugpull::%zu more cases failed; all are in the report\n",
			   total - written);
}
