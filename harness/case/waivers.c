/*
 * See waivers.h.
 *
 * A violation counts when it is below the floor or outside the grades, as for gate_verdict() in
 * harness/drive/gate.c. Only one that counts can be waived: a waiver of anything else was not
 * needed, and says so.
 *
 * Of a case with @expect nothing is waived: such a case says itself which loss is right.
 */
#include "harness/case/waivers.h"

#include "faultinject/base/buf.h"
#include "harness/judge/oracle.h"
#include "harness/scenario/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

enum { FIELD_ID, FIELD_ORACLE, FIELD_LOSS, FIELD_UNTIL, FIELD_REASON, FIELD_COUNT };

static const char *const field_names[] = {"the case id", "the oracle", "the loss", "the last day",
					  "the reason"};

struct reader {
	const char *path;
	uint64_t line;
	struct err *err;
};

static int fail(const struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(const struct reader *r, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	int rc = err_set(r->err, ERR_INPUT, "%s:%" PRIu64 ": %s", r->path, r->line,
			 n < 0 ? "out of memory" : text);
	free(text);
	if (r->err != NULL)
		text_repair(r->err->message);
	return rc;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t day_of(int64_t year, int64_t month, int64_t day)
{
	/* March is the first month, so that the leap day is the last of its year. */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = month <= 2 ? month + 9 : month - 3;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* `size` digits at `text`; -1 when they are none. */
static int64_t digits(const char *text, size_t size)
{
	int64_t n = 0;

	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		n = n * 10 + (text[i] - '0');
	}
	return n;
}

static int read_day(const struct reader *r, const char *text, int64_t *ret_day)
{
	static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool shaped = strlen(text) == 10 && text[4] == '-' && text[7] == '-';
	int64_t year = shaped ? digits(text, 4) : -1;
	int64_t month = shaped ? digits(text + 5, 2) : -1;
	int64_t day = shaped ? digits(text + 8, 2) : -1;

	if (year < 1 || month < 1 || day < 1)
		return fail(r, "the last day is written YYYY-MM-DD, not '%s'", text);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (month > 12 || day > lengths[month - 1] || (month == 2 && day == 29 && !leap))
		return fail(r, "there is no day %s", text);
	*ret_day = day_of(year, month, day);
	return 0;
}

static int read_loss(const struct reader *r, const char *text, struct waiver *w)
{
	w->has_commits = text_number(text, 0, WAIVERS_COMMITS_MAX, &w->commits) == 0;
	if (w->has_commits)
		return 0;
	if (grade_parse(text, &w->grade) != 0)
		return fail(r,
			    "the loss is a number of acknowledged commits, or consistent, torn or "
			    "corrupt, not '%s'",
			    text);
	if (w->grade == GRADE_DURABLE)
		return fail(r, "a case that is durable loses nothing, so nothing can be waived");
	return 0;
}

static void waiver_release(struct waiver *w)
{
	free(w->id);
	free(w->oracle);
	free(w->reason);
	free(w->allowed);
	free(w->until);
}

void waivers_release(struct waiver_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		waiver_release(&list->items[i]);
	free(list->items);
	memset(list, 0, sizeof *list);
}

static int add(const struct reader *r, struct waiver_list *list, struct text_word *words)
{
	struct waiver w = {.line = r->line};

	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].id, words[FIELD_ID].text) == 0 &&
		    strcmp(list->items[i].oracle, words[FIELD_ORACLE].text) == 0)
			return fail(r, "the same case and oracle as in line %" PRIu64,
				    list->items[i].line);
	const char *names;

	if (!judge_knows(words[FIELD_ORACLE].text, &names))
		return fail(r, "no oracle '%s' (there are %s)", words[FIELD_ORACLE].text, names);
	if (list->count == WAIVERS_COUNT_MAX)
		return fail(r, "more than %d waivers", WAIVERS_COUNT_MAX);
	int rc = read_loss(r, words[FIELD_LOSS].text, &w);

	if (rc == 0)
		rc = read_day(r, words[FIELD_UNTIL].text, &w.until_day);
	if (rc != 0)
		return rc;
	w.id = xstrdup(words[FIELD_ID].text);
	w.oracle = xstrdup(words[FIELD_ORACLE].text);
	w.allowed = xstrdup(words[FIELD_LOSS].text);
	w.until = xstrdup(words[FIELD_UNTIL].text);
	w.reason = xstrdup(words[FIELD_REASON].text);
	list->items = xgrow(list->items, list->count, &list->cap, sizeof *list->items);
	list->items[list->count++] = w;
	return 0;
}

static int read_line(const struct reader *r, const char *line, struct waiver_list *list)
{
	struct text_word *words = NULL;
	size_t count = 0;
	int rc = 0;

	if (line[strspn(line, " \t")] == '\0' || line[strspn(line, " \t")] == '#')
		return 0;
	for (const char *p = line; *p != '\0'; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return fail(r, "a control character");
	if (text_words(line, &words, &count) != 0)
		return fail(r, "a double quote that is never closed");
	for (size_t i = 0; i < count && i < FIELD_COUNT && rc == 0; i++)
		if (words[i].text[strspn(words[i].text, " \t")] == '\0')
			rc = fail(r, "%s is empty", field_names[i]);
	if (rc == 0 && count < FIELD_COUNT)
		rc = fail(r,
			  "%s is missing; a waiver is written CASE ORACLE LOSS YYYY-MM-DD "
			  "\"REASON\"",
			  field_names[count]);
	if (rc == 0 && count > FIELD_COUNT)
		rc = fail(r, "'%s' behind the reason; what has blanks is double-quoted",
			  words[FIELD_COUNT].text);
	if (rc == 0)
		rc = add(r, list, words);
	text_words_free(words, count);
	return rc;
}

int waivers_parse(const char *path, const char *text, size_t size, struct waiver_list *ret_list,
		  struct err *err)
{
	struct reader r = {.path = path, .err = err};
	struct waiver_list list = {0};
	const char *at = text, *end = size == 0 ? text : text + size;
	int rc = 0;

	if (size > WAIVERS_SIZE_MAX)
		return err_set(err, ERR_INPUT, "%s: larger than %d bytes", path, WAIVERS_SIZE_MAX);
	while (at < end && rc == 0) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((stop == NULL ? end : stop) - at);

		r.line++;
		if (memchr(at, 0, n) != NULL || text_utf8_valid(at, n) != n) {
			rc = fail(&r, "not UTF-8 text");
			break;
		}
		bool cr = n > 0 && at[n - 1] == '\r';
		char *line = xasprintf("%.*s", (int)(cr ? n - 1 : n), at);

		rc = read_line(&r, line, &list);
		free(line);
		at += n + 1;
	}
	if (rc != 0) {
		waivers_release(&list);
		return rc;
	}
	*ret_list = list;
	return 0;
}

/* ---- applying ---- */

int64_t waivers_day(int64_t seconds)
{
	int64_t day = seconds / 86400;

	return seconds % 86400 < 0 ? day - 1 : day;
}

static bool counts(const struct case_result *c, const struct result_violation *v)
{
	return c->has_required && (v->grade == GRADE_NONE || v->grade < c->required);
}

static bool covers(const struct waiver *w, const struct case_result *c,
		   const struct result_violation *v)
{
	if (v->grade == GRADE_NONE) /* outside the grades nothing is lost */
		return true;
	if (w->has_commits)
		return v->grade == GRADE_CONSISTENT && c->lost_acked_max <= w->commits;
	return v->grade >= w->grade;
}

/* Was every state covered? Otherwise there may be findings that nobody saw. */
static bool is_whole(const struct case_result *c)
{
	return c->exhaustive || c->represented;
}

/* The verdict without the violations that are waived. Why nothing was proved is for the caller to
 * say. */
static void judge_again(struct case_result *c)
{
	for (size_t i = 0; i < c->violation_count; i++)
		if (counts(c, &c->violations[i]) && c->violations[i].waived == NULL)
			return;
	c->verdict = is_whole(c) ? CASE_HELD : CASE_INCONCLUSIVE;
}

static void complain(struct buf *complaints, const struct waiver *w, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct buf *complaints, const struct waiver *w, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	buf_printf(complaints, "%s" WAIVERS_FILE ":%" PRIu64 ": %s",
		   complaints->size > 0 ? "; " : "", w->line, n < 0 ? "out of memory" : text);
	free(text);
}

/* Nothing needed the waiver. Of a case that is partial nobody knows that. */
static void not_needed(const struct waiver *w, struct case_result *c, struct buf *complaints)
{
	bool found = false;

	for (size_t i = 0; i < c->violation_count; i++)
		found = found || (c->violations[i].oracle != NULL &&
				  strcmp(c->violations[i].oracle, w->oracle) == 0);
	if (c->has_expected)
		complain(complaints, w, "a case with @expect has nothing to waive");
	else if (!is_whole(c))
		case_result_note(c,
				 WAIVERS_FILE ":%" PRIu64 ": it is not known whether the waiver of "
					      "%s is needed: not every state was covered",
				 w->line, w->oracle);
	else if (found && c->has_required)
		complain(complaints, w,
			 "the waiver of %s is not needed, because only %s is required here: take "
			 "it out",
			 w->oracle, grade_text(c->required));
	else
		complain(complaints, w, "the waiver of %s is not needed: take it out", w->oracle);
}

/* Marks what `w` covers. */
static void apply_one(const struct waiver *w, struct case_result *c, struct buf *complaints)
{
	bool needed = false;

	for (size_t i = 0; i < c->violation_count && c->verdict == CASE_VIOLATED; i++) {
		struct result_violation *v = &c->violations[i];

		if (v->oracle == NULL || strcmp(v->oracle, w->oracle) != 0 || !counts(c, v))
			continue;
		needed = true;
		if (!covers(w, c, v)) {
			case_result_note(
			    c,
			    WAIVERS_FILE ":%" PRIu64 ": the waiver of %s allows %s%s, which this "
					 "is beyond",
			    w->line, w->oracle, w->has_commits ? "the loss of " : "", w->allowed);
			continue;
		}
		result_violation_waive(v, w->allowed, w->until, w->reason, w->line);
		case_result_note(c, "waived until %s: %s%s%s: %s (" WAIVERS_FILE ":%" PRIu64 ")",
				 w->until, v->oracle, v->grade == GRADE_NONE ? "" : ", ",
				 v->grade == GRADE_NONE ? "" : grade_text(v->grade), w->reason,
				 w->line);
	}
	if (!needed)
		not_needed(w, c, complaints);
}

size_t waivers_of_corrupt(const struct waiver_list *list, int64_t today, const char *id,
			  const char **ret_oracles, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count && count < max; i++) {
		const struct waiver *w = &list->items[i];

		if (strcmp(w->id, id) == 0 && today <= w->until_day && !w->has_commits &&
		    w->grade == GRADE_CORRUPT)
			ret_oracles[count++] = w->oracle;
	}
	return count;
}

void waivers_apply(const struct waiver_list *list, int64_t today, struct case_result *c)
{
	struct buf complaints;
	bool judged = c->verdict == CASE_HELD || c->verdict == CASE_VIOLATED;

	buf_init(&complaints);
	for (size_t i = 0; i < list->count; i++) {
		const struct waiver *w = &list->items[i];

		if (c->id == NULL || strcmp(w->id, c->id) != 0)
			continue;
		if (today > w->until_day)
			complain(&complaints, w, "the waiver of %s expired on %s", w->oracle,
				 w->until);
		else if (judged)
			apply_one(w, c, &complaints);
	}
	/* With a reason it was violated for something else than what was found. */
	if (c->verdict == CASE_VIOLATED && c->reason == NULL && case_result_waived(c) > 0)
		judge_again(c);
	if (complaints.size > 0 && (c->verdict == CASE_HELD || c->verdict == CASE_VIOLATED)) {
		char *reason = c->reason;

		c->verdict = CASE_VIOLATED;
		c->reason = xasprintf("%s%s%s", reason == NULL ? "" : reason,
				      reason == NULL ? "" : "; ", buf_str(&complaints));
		free(reason);
	} else if (complaints.size > 0) {
		case_result_note(c, "%s", buf_str(&complaints));
	}
	buf_release(&complaints);
}
