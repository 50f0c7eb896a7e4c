/* The shared vocabulary of the reports; see words.h. */
#include "reports/words.h"

#include "harness/case/result_json.h"

#include <inttypes.h>
#include <string.h>

static void put(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text));
}

static bool is_direction_control(uint32_t cp)
{
	/* Unicode TR 9: these make a line read differently from what it says. */
	return cp == 0x200E || cp == 0x200F || cp == 0x061C || (cp >= 0x202A && cp <= 0x202E) ||
	       (cp >= 0x2066 && cp <= 0x2069);
}

void words_clean(struct buf *out, const char *text)
{
	if (text == NULL)
		return;
	while (*text != '\0') {
		uint32_t cp;
		size_t size = result_utf8_next(text, &cp);

		if (cp == '\n' || cp == '\r' || cp == '\t' || cp == 0x2028 || cp == 0x2029)
			put(out, " ");
		else if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || is_direction_control(cp) ||
			 cp == RESULT_UTF8_REPLACEMENT)
			put(out, "\xEF\xBF\xBD");
		else
			buf_append(out, text, size);
		text += size;
	}
}

void words_states(struct buf *out, const char *states)
{
	const char *digits = states + strspn(states, "0");
	size_t n = strspn(digits, "0123456789");

	if (states[0] == '\0' || digits[n] != '\0' || n <= 6) {
		words_clean(out, states);
		return;
	}
	unsigned mantissa = (unsigned)(digits[0] - '0') * 10 + (unsigned)(digits[1] - '0');
	size_t exponent = n - 1;

	if (digits[2] >= '5')
		mantissa++;
	if (mantissa == 100) {
		mantissa = 10;
		exponent++;
	}
	buf_printf(out, "%u.%ue%zu", mantissa / 10, mantissa % 10, exponent);
}

void words_number(struct buf *out, uint64_t n, const char *one)
{
	buf_printf(out, "%" PRIu64 " %s%s", n, one, n == 1 ? "" : "s");
}

const char *words_extent(const struct case_result *c)
{
	if (c->exhaustive)
		return "exhaustive";
	if (c->represented)
		return "representative";
	return c->has_rounds || c->has_sampled ? "sampled" : "partial";
}

void words_coverage(struct buf *out, const struct case_result *c)
{
	if (c->has_rounds) {
		words_number(out, c->rounds, "round");
	} else {
		words_number(out, c->crash_points, "crash point");
		if (c->states != NULL) {
			put(out, ", ");
			words_states(out, c->states);
			put(out, strcmp(c->states, "1") == 0 ? " state" : " states");
		}
	}
	buf_printf(out, ", %" PRIu64 " %s", c->recoveries,
		   c->recoveries == 1 ? "recovery" : "recoveries");
}

static const char *grade_or_none(enum grade grade)
{
	const char *text = grade_text(grade);

	return text == NULL ? "no grade" : text;
}

/* What was not looked at can only be worse. */
static const char *at_best(const struct case_result *c)
{
	return c->exhaustive || c->grade == GRADE_NONE || c->grade == GRADE_CORRUPT ? ""
										    : " at best";
}

static void held(struct buf *out, const struct case_result *c)
{
	buf_printf(out, "%s%s", grade_or_none(c->grade), at_best(c));
	if (c->has_expected)
		put(out, ", exactly as expected");
	else if (c->has_required)
		buf_printf(out, ", and %s is required", grade_or_none(c->required));
	if (case_result_waived(c) > 0) {
		put(out, "; ");
		words_number(out, case_result_waived(c), "finding");
		put(out, " waived");
	}
}

/* Does a finding that is not waived break what is required? */
static bool breaks_floor(const struct case_result *c)
{
	for (size_t i = 0; i < c->violation_count; i++) {
		const struct result_violation *v = &c->violations[i];

		if (v->waived == NULL && (v->grade == GRADE_NONE || v->grade < c->required))
			return true;
	}
	return false;
}

static void violated(struct buf *out, const struct case_result *c)
{
	const char *best = at_best(c);
	size_t counting = c->violation_count - case_result_waived(c);

	/* What was found is not what is wrong: the mutants are, or the waivers. */
	if (c->reason != NULL && (c->mutated || (c->has_required && !breaks_floor(c)))) {
		words_clean(out, c->reason);
		return;
	}
	if (c->has_expected && c->grade != c->expected)
		buf_printf(out, "exactly %s is expected, found %s%s", grade_or_none(c->expected),
			   grade_or_none(c->grade), best);
	else if (c->has_required && c->grade < c->required)
		buf_printf(out, "%s is required, found %s%s", grade_or_none(c->required),
			   grade_or_none(c->grade), best);
	else if (counting > 0 && c->grade == GRADE_DURABLE) {
		words_number(out, counting, "finding");
		put(out, " outside the grades");
	} else if (counting > 0) {
		words_number(out, counting, "finding");
		buf_printf(out, ", the worst %s%s", grade_or_none(c->grade), best);
	} else
		put(out, "violated");
	if (c->lost_acked_max > 0) {
		put(out, c->exhaustive ? "; a crash can lose up to " : "; a crash can lose ");
		words_number(out, c->lost_acked_max, "acknowledged commit");
		put(out, c->exhaustive ? "" : " or more");
	}
	if (c->reason != NULL) {
		put(out, "; ");
		words_clean(out, c->reason);
	}
}

void words_sentence(struct buf *out, const struct case_result *c)
{
	switch (c->verdict) {
	case CASE_HELD:
		held(out, c);
		return;
	case CASE_VIOLATED:
		violated(out, c);
		return;
	case CASE_INCONCLUSIVE:
		words_clean(out, c->reason == NULL ? "not every state was covered" : c->reason);
		if (c->grade != GRADE_NONE)
			buf_printf(out, "; %s%s %s", grade_text(c->grade), at_best(c),
				   c->exhaustive ? "otherwise" : "so far");
		return;
	case CASE_ERROR:
		words_clean(out, c->reason == NULL ? "the case was not finished" : c->reason);
		return;
	case CASE_SKIPPED:
		words_clean(out, c->reason == NULL ? "this combination cannot run" : c->reason);
		return;
	}
}

void words_counts(struct buf *out, const struct result *r)
{
	size_t count[CASE_SKIPPED + 1] = {0}, representative = 0;
	const char *separator = ": ";

	if (r->case_count == 0) {
		put(out, "no case ran");
		return;
	}
	for (size_t i = 0; i < r->case_count; i++) {
		count[r->cases[i].verdict]++;
		representative += r->cases[i].representative;
	}
	words_number(out, r->case_count, "case");
	for (size_t v = 0; v <= CASE_SKIPPED; v++) {
		if (count[v] == 0)
			continue;
		buf_printf(out, "%s%zu %s", separator, count[v],
			   case_verdict_text((enum case_verdict)v));
		separator = ", ";
	}
	if (representative > 0)
		put(out, " (representative: no proof)");
}

void words_lint(struct buf *out, const struct result_lint *l)
{
	words_clean(out, l->message);
	if (l->count > 1)
		buf_printf(out, " (%" PRIu64 " times)", l->count);
	buf_printf(out, " [%s]", l->rule);
}

void words_score(struct buf *out, struct result_score s)
{
	buf_printf(out, "%" PRIu64 " caught, %" PRIu64 " redundant, %" PRIu64 " missed", s.caught,
		   s.redundant, s.missed);
}

void words_replay(struct buf *out, const char *report, const char *token)
{
	if (report != NULL) {
		words_clean(out, report);
		buf_printf(out, "%scases/", report[0] == '\0' ? "" : "/");
	}
	words_clean(out, token);
	if (report != NULL)
		buf_printf(out, ".ppcase");
}
