/*
 * JUnit XML by hand; see junit.h. libxml2's writer is not used because it passes control bytes
 * through, which then no reader accepts.
 */
#include "reports/junit.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/hash.h"
#include "harness/case/result_json.h"
#include "harness/case/version.h"
#include "reports/words.h"

#include <inttypes.h>
#include <string.h>

static void put(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

/* Characters as XML 1.0 section 2.2 allows them, markup escaped. Blanks other than a space are
 * character references, because attribute values are normalised (section 3.3.3) and so are line
 * ends (2.11); line feeds in a body stay readable. Whether nothing had to be replaced. */
static bool escaped(struct buf *out, const char *text, bool attribute)
{
	bool exact = true;

	if (text == NULL)
		return true;
	while (*text != '\0') {
		uint32_t cp;
		size_t size = result_utf8_next(text, &cp);

		if (cp == '&')
			put(out, "&amp;");
		else if (cp == '<')
			put(out, "&lt;");
		else if (cp == '>')
			put(out, "&gt;");
		else if (cp == '"')
			put(out, "&quot;");
		else if (cp == '\t' || cp == '\r' || (cp == '\n' && attribute))
			buf_printf(out, "&#%" PRIu32 ";", cp);
		else if ((cp < 0x20 && cp != '\n') || cp == 0xFFFE || cp == 0xFFFF ||
			 cp == RESULT_UTF8_REPLACEMENT) {
			put(out, "\xEF\xBF\xBD");
			exact = false;
		} else
			buf_append(out, text, size);
		text += size;
	}
	return exact;
}

static void attribute(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, " %s=\"", name);
	(void)escaped(out, value, true);
	put(out, "\"");
}

static void property(struct buf *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	put(out, "      <property");
	attribute(out, "name", name);
	attribute(out, "value", value);
	put(out, "/>\n");
}

static void names(struct buf *out, const struct case_result *c)
{
	const char *scenario = c->scenario == NULL ? "" : c->scenario;
	const char *id = c->id == NULL ? "" : c->id;
	size_t n = strlen(scenario);
	struct buf class, name;
	const char *rest = id;

	if (n > 4 && strcmp(scenario + n - 4, ".sql") == 0)
		n -= 4;
	buf_init(&class);
	buf_init(&name);
	buf_append(&class, scenario, n);
	if (n > 0 && strncmp(id, scenario, n) == 0 && id[n] == '@')
		rest += n + 1;
	put(&name, rest);
	put(out, " classname=\"");
	bool exact = escaped(out, buf_str(&class), true);

	put(out, "\" name=\"");
	exact = escaped(out, buf_str(&name), true) && exact;
	/* Two ids that differ only in what cannot be written are still two tests. */
	if (!exact)
		buf_printf(out, " %016" PRIx64, hash64(id, strlen(id), 0));
	put(out, "\"");
	if (c->file != NULL)
		attribute(out, "file", c->file);
	buf_release(&class);
	buf_release(&name);
}

static void details(struct buf *out, const struct case_result *c)
{
	bool commands = false;

	for (size_t i = 0; i < c->violation_count; i++)
		commands = commands || c->violations[i].token != NULL;
	if (commands)
		put(out, "Commands are for the folder of the report.\n");
	for (size_t i = 0; i < c->violation_count; i++) {
		const struct result_violation *v = &c->violations[i];
		const char *grade = grade_text(v->grade);

		if (i == JUNIT_VIOLATIONS_MAX || out->size > JUNIT_DETAILS_SIZE_MAX) {
			put(out, "and ");
			words_number(out, c->violation_count - i, "violation");
			put(out, " more in result.json\n");
			return;
		}
		(void)escaped(out, v->oracle, false);
		buf_printf(out, "%s%s: ", grade == NULL ? "" : ", ", grade == NULL ? "" : grade);
		(void)escaped(out, v->message, false);
		if (v->waived != NULL) {
			put(out, "\n  waived  until ");
			(void)escaped(out, v->waived->until, false);
			put(out, ": ");
			(void)escaped(out, v->waived->reason, false);
		}
		if (v->token != NULL) {
			put(out, "\n  token   ");
			(void)escaped(out, v->token, false);
			put(out, "\n  replay  plugpull replay cases/");
			(void)escaped(out, v->token, false);
			put(out, ".ppcase");
		}
		put(out, "\n");
	}
}

/* <failure>, <error> or <skipped> with the verdict's sentence. */
static void outcome(struct buf *out, const struct case_result *c, const char *element)
{
	struct buf sentence;

	buf_init(&sentence);
	words_sentence(&sentence, c);
	buf_printf(out, "      <%s", element);
	if (c->verdict != CASE_SKIPPED)
		attribute(out, "type", case_verdict_text(c->verdict));
	attribute(out, "message", buf_str(&sentence));
	if (c->violation_count > 0) {
		put(out, ">");
		(void)escaped(out, buf_str(&sentence), false);
		put(out, "\n");
		details(out, c);
		buf_printf(out, "</%s>\n", element);
	} else {
		put(out, "/>\n");
	}
	buf_release(&sentence);
}

static void line(struct buf *out, const char *what, const char *text)
{
	put(out, what);
	(void)escaped(out, text, false);
	put(out, "\n");
}

static void output(struct buf *out, const struct case_result *c)
{
	struct buf text;

	buf_init(&text);
	buf_printf(&text, "%s: ", words_extent(c));
	words_coverage(&text, c);
	line(out, "      <system-out>", buf_str(&text));
	for (size_t i = 0; i < c->lint_count; i++) {
		buf_clear(&text);
		words_lint(&text, &c->lint[i]);
		line(out, "missing sync: ", buf_str(&text));
	}
	if (c->mutated) {
		buf_clear(&text);
		words_score(&text, case_result_score(c));
		line(out, "mutants: ", buf_str(&text));
	}
	for (size_t i = 0; i < c->note_count; i++)
		line(out, "note: ", c->notes[i]);
	put(out, "</system-out>\n");
	buf_release(&text);
}

static void testcase(struct buf *out, const struct case_result *c, bool timing)
{
	put(out, "    <testcase");
	names(out, c);
	if (timing)
		buf_printf(out, " time=\"%.3f\"", c->seconds);
	put(out, ">\n");
	switch (c->verdict) {
	case CASE_HELD:
		break;
	case CASE_VIOLATED:
	case CASE_INCONCLUSIVE:
		outcome(out, c, "failure");
		break;
	case CASE_ERROR:
		outcome(out, c, "error");
		break;
	case CASE_SKIPPED:
		outcome(out, c, "skipped");
		break;
	}
	if (c->verdict != CASE_SKIPPED && c->verdict != CASE_ERROR &&
	    out->size <= JUNIT_DETAILS_SIZE_MAX)
		output(out, c);
	put(out, "    </testcase>\n");
}

void junit_render(struct buf *out, const struct result *r)
{
	size_t count[CASE_SKIPPED + 1] = {0};
	double seconds = 0;
	struct buf totals;

	for (size_t i = 0; i < r->case_count; i++) {
		ASSERT_OP(r->cases[i].verdict, <=, CASE_SKIPPED);
		count[r->cases[i].verdict]++;
		seconds += r->cases[i].seconds;
	}
	buf_init(&totals);
	buf_printf(&totals, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\"",
		   r->case_count, count[CASE_VIOLATED] + count[CASE_INCONCLUSIVE],
		   count[CASE_ERROR], count[CASE_SKIPPED]);
	if (r->timing)
		buf_printf(&totals, " time=\"%.3f\"", seconds);
	buf_printf(out,
		   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<testsuites name=\"plugpull\"%s>\n"
		   "  <testsuite name=\"plugpull %s\"%s>\n"
		   "    <properties>\n",
		   buf_str(&totals), r->command, buf_str(&totals));
	buf_clear(&totals);
	buf_printf(&totals, "%" PRIu64, r->seed);
	property(out, "plugpull", PLUGPULL_VERSION);
	property(out, "sqlite", r->sqlite_version);
	property(out, "sqlite_source_id", r->sqlite_source_id);
	property(out, "seed", buf_str(&totals));
	property(out, "verdict", case_verdict_text(result_verdict(r)));
	property(out, "interrupted", r->interrupted ? "true" : NULL);
	put(out, "    </properties>\n");
	for (size_t i = 0; i < r->case_count; i++) {
		struct case_result c = r->cases[i]; /* borrows */

		if (r->hides && c.verdict == CASE_VIOLATED)
			c.verdict = CASE_HELD;
		testcase(out, &c, r->timing);
	}
	put(out, "  </testsuite>\n</testsuites>\n");
	buf_release(&totals);
}
