/*
 * The comparison; see compare.h for the rules, which the functions cite. How it is shown is
 * compare_render.c.
 */
#include "reports/compare.h"

#include "faultinject/base/assert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *compare_kind_text(enum compare_kind kind)
{
	static const char *const texts[] = {
#define X(name, text) [name] = (text),
	    COMPARE_KINDS(X)
#undef X
	};

	ASSERT_OP(kind, <=, COMPARE_SAME);
	return texts[kind];
}

/* ---- changes ---- */

/* Takes `base` and `now`. */
static void add(struct compare_change **changes, size_t *count, size_t *cap, enum compare_kind kind,
		const char *what, char *base, char *now)
{
	*changes = xgrow(*changes, *count, cap, sizeof **changes);
	(*changes)[(*count)++] = (struct compare_change){kind, xstrdup(what), base, now};
}

static void change(struct compare_case *c, enum compare_kind kind, const char *what, char *base,
		   char *now)
{
	add(&c->changes, &c->change_count, &c->change_cap, kind, what, base, now);
}

static char *text_of(const char *text, const char *otherwise)
{
	return xstrdup(text == NULL ? otherwise : text);
}

static char *number(uint64_t n)
{
	return xasprintf("%" PRIu64, n);
}

/* More is worse. */
static enum compare_kind more_is_worse(uint64_t base, uint64_t now)
{
	return now > base ? COMPARE_WORSE : COMPARE_BETTER;
}

/* ---- one case ---- */

static unsigned rank(enum case_verdict verdict)
{
	static const unsigned ranks[] = {[CASE_HELD] = 0,
					 [CASE_SKIPPED] = 1,
					 [CASE_INCONCLUSIVE] = 2,
					 [CASE_VIOLATED] = 3,
					 [CASE_ERROR] = 4};

	ASSERT_OP(verdict, <=, CASE_SKIPPED);
	return ranks[verdict];
}

/* The case was not judged, or part of it was not looked at: either may hide what is not there. The
 * command of --check and kill sample, so that theirs is another question. */
static bool is_partial(const struct case_result *c)
{
	if (c->verdict == CASE_VIOLATED)
		return !c->exhaustive && !c->represented && !c->has_rounds && !c->has_sampled;
	return c->verdict != CASE_HELD;
}

/* C10: `kind`, unless that is better and nobody knows. */
static enum compare_kind if_known(const struct compare_case *c, enum compare_kind kind)
{
	return kind == COMPARE_BETTER && is_partial(c->now) ? COMPARE_CHANGED : kind;
}

/* Of the waivers by which a case holds the first day that ends one; NULL: it holds by itself. */
static const char *held_until(const struct case_result *c)
{
	const char *first = NULL;

	for (size_t i = 0; c->verdict == CASE_HELD && i < c->violation_count; i++) {
		const struct result_waiver *w = c->violations[i].waived;

		if (w != NULL && (first == NULL || strcmp(w->until, first) < 0))
			first = w->until;
	}
	return first;
}

static char *verdict_words(const struct case_result *c)
{
	const char *until = held_until(c);

	return until == NULL ? xstrdup(case_verdict_text(c->verdict))
			     : xasprintf("held by a waiver until %s", until);
}

/* C1 */
static void compare_verdict(struct compare_case *c)
{
	enum case_verdict b = c->base->verdict, n = c->now->verdict;
	enum compare_kind kind = more_is_worse(rank(b), rank(n));

	if (b == n)
		return;
	bool judged = n == CASE_HELD || n == CASE_VIOLATED;

	if (kind == COMPARE_BETTER && (!judged || held_until(c->now) != NULL))
		kind = COMPARE_CHANGED;
	change(c, kind, "verdict", verdict_words(c->base), verdict_words(c->now));
}

static char *grade_words(const struct case_result *c)
{
	const char *text = grade_text(c->grade);

	if (text == NULL)
		return xstrdup("none");
	return xasprintf("%s%s", text,
			 is_partial(c) && c->grade != GRADE_CORRUPT ? " at best" : "");
}

/* C2 */
static void compare_grade(struct compare_case *c)
{
	enum grade b = c->base->grade, n = c->now->grade;
	enum compare_kind kind = n < b ? COMPARE_WORSE : COMPARE_BETTER;

	if (b == n)
		return;
	if (b == GRADE_NONE)
		kind = COMPARE_CHANGED;
	else if (n == GRADE_NONE)
		kind = c->now->verdict == CASE_HELD ? COMPARE_WORSE : COMPARE_CHANGED;
	change(c, if_known(c, kind), "grade", grade_words(c->base), grade_words(c->now));
}

/* C3, C5 */
static void compare_outcome(struct compare_case *c, const struct case_result *b,
			    const struct case_result *n)
{
	if (b->lost_acked_max != n->lost_acked_max)
		change(
		    c, if_known(c, more_is_worse(b->lost_acked_max, n->lost_acked_max)),
		    "acknowledged commits that one crash loses", number(b->lost_acked_max),
		    xasprintf("%" PRIu64 "%s", n->lost_acked_max, is_partial(n) ? " or more" : ""));
	if (b->exhaustive != n->exhaustive)
		change(c, b->exhaustive ? COMPARE_WORSE : COMPARE_BETTER, "exhaustive",
		       xstrdup(b->exhaustive ? "yes" : "no"),
		       xstrdup(n->exhaustive ? "yes" : "no"));
}

/* How bad what an oracle found is: 0 is nothing, a finding outside the grades is least. */
static unsigned objection(const struct case_result *c, const char *oracle)
{
	unsigned worst = 0;

	for (size_t i = 0; i < c->violation_count; i++) {
		unsigned bad = 1 + (unsigned)GRADE_NONE - (unsigned)c->violations[i].grade;

		if (strcmp(c->violations[i].oracle, oracle) == 0 && bad > worst)
			worst = bad;
	}
	return worst;
}

static char *objection_text(unsigned bad)
{
	if (bad == 0)
		return xstrdup("no objection");
	return text_of(grade_text((enum grade)(1 + (unsigned)GRADE_NONE - bad)), "objects");
}

/* What is not found is not gone as long as not everything was looked at. */
static char *objection_now(const struct case_result *c, unsigned bad)
{
	return bad == 0 && is_partial(c) ? xstrdup("not known") : objection_text(bad);
}

/* Is this violation the first of its oracle? */
static bool is_first(const struct case_result *c, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(c->violations[k].oracle, c->violations[i].oracle) == 0)
			return false;
	return true;
}

static void compare_oracle(struct compare_case *c, const char *oracle)
{
	unsigned before = objection(c->base, oracle), now = objection(c->now, oracle);

	if (before == now)
		return;
	char *what = xasprintf("oracle %s", oracle);

	change(c, if_known(c, more_is_worse(before, now)), what, objection_text(before),
	       objection_now(c->now, now));
	free(what);
}

/* C4 */
static void compare_oracles(struct compare_case *c)
{
	for (size_t i = 0; i < c->now->violation_count; i++)
		if (is_first(c->now, i))
			compare_oracle(c, c->now->violations[i].oracle);
	for (size_t i = 0; i < c->base->violation_count; i++)
		if (is_first(c->base, i) && objection(c->now, c->base->violations[i].oracle) == 0)
			compare_oracle(c, c->base->violations[i].oracle);
}

static bool is_not_applicable(const struct case_result *c, const char *oracle)
{
	for (size_t i = 0; i < c->not_applicable_count; i++)
		if (strcmp(c->not_applicable[i].oracle, oracle) == 0)
			return true;
	return false;
}

/* C6: those of `a` that are none of `b`. */
static void compare_applicable(struct compare_case *c, const struct case_result *a,
			       const struct case_result *b, enum compare_kind kind)
{
	for (size_t i = 0; i < a->not_applicable_count; i++) {
		const char *oracle = a->not_applicable[i].oracle;

		if (is_not_applicable(b, oracle))
			continue;
		char *what = xasprintf("oracle %s", oracle);
		const char *none = "not applicable", *some = "judges";

		change(c, kind, what, xstrdup(a == c->base ? none : some),
		       xstrdup(a == c->base ? some : none));
		free(what);
	}
}

/* C7 */
static void compare_mutants(struct compare_case *c)
{
	struct result_score b = case_result_score(c->base), n = case_result_score(c->now);
	enum compare_kind kind = COMPARE_CHANGED;

	if (c->base->mutated != c->now->mutated) {
		change(c, c->base->mutated ? COMPARE_WORSE : COMPARE_BETTER, "mutants",
		       xstrdup(c->base->mutated ? "tried" : "not tried"),
		       xstrdup(c->now->mutated ? "tried" : "not tried"));
		return;
	}
	if (b.caught == n.caught && b.missed == n.missed && b.redundant == n.redundant)
		return;
	if (n.caught < b.caught || n.missed > b.missed)
		kind = COMPARE_WORSE;
	else if (n.caught > b.caught || n.missed < b.missed)
		kind = COMPARE_BETTER;
	change(c, kind, "mutants",
	       xasprintf("%" PRIu64 " caught, %" PRIu64 " redundant, %" PRIu64 " missed", b.caught,
			 b.redundant, b.missed),
	       xasprintf("%" PRIu64 " caught, %" PRIu64 " redundant, %" PRIu64 " missed", n.caught,
			 n.redundant, n.missed));
}

static char *asked(const struct case_result *c)
{
	if (c->has_expected)
		return xasprintf("exactly %s", grade_text(c->expected));
	return text_of(c->has_required ? grade_text(c->required) : NULL, "nothing");
}

static void compare_settings(struct compare_case *c)
{
	const struct kv_list *b = &c->base->config, *n = &c->now->config;

	for (size_t i = 0; i < n->count; i++) {
		const char *before = kv_find(b, n->items[i].key);

		if (before == NULL || strcmp(before, n->items[i].value) != 0)
			change(c, COMPARE_CHANGED, n->items[i].key, text_of(before, "not set"),
			       xstrdup(n->items[i].value));
	}
	for (size_t i = 0; i < b->count; i++)
		if (kv_find(n, b->items[i].key) == NULL)
			change(c, COMPARE_CHANGED, b->items[i].key, xstrdup(b->items[i].value),
			       xstrdup("not set"));
}

static uint64_t lint_count(const struct case_result *c)
{
	uint64_t count = 0;

	for (size_t i = 0; i < c->lint_count; i++)
		count += c->lint[i].count;
	return count;
}

static void compare_number(struct compare_case *c, const char *what, uint64_t base, uint64_t now)
{
	if (base != now)
		change(c, COMPARE_CHANGED, what, number(base), number(now));
}

/* A run that commits nothing has nothing to lose, and its green says nothing. */
static void compare_commits(struct compare_case *c, uint64_t base, uint64_t now)
{
	bool ran = c->now->verdict != CASE_ERROR && c->now->verdict != CASE_SKIPPED;

	if (base != now)
		change(c, now == 0 && ran ? COMPARE_WORSE : COMPARE_CHANGED, "commits",
		       number(base), number(now));
}

/* C9 */
static void compare_rest(struct compare_case *c)
{
	const struct case_result *b = c->base, *n = c->now;
	char *before = asked(b), *now = asked(n);

	if (strcmp(before, now) != 0)
		change(c, COMPARE_CHANGED, "required", xstrdup(before), xstrdup(now));
	free(before);
	free(now);
	compare_settings(c);
	compare_commits(c, b->commits, n->commits);
	compare_number(c, "crash points", b->crash_points, n->crash_points);
	compare_number(c, "rounds", b->has_rounds ? b->rounds : 0, n->has_rounds ? n->rounds : 0);
	compare_number(c, "states shown to the check", b->sampled, n->sampled);
	compare_number(c, "missing syncs", lint_count(b), lint_count(n));
}

static void compare_both(struct compare_case *c)
{
	compare_verdict(c);
	compare_grade(c);
	compare_outcome(c, c->base, c->now);
	compare_oracles(c);
	compare_applicable(c, c->now, c->base, COMPARE_WORSE);
	compare_applicable(c, c->base, c->now, COMPARE_BETTER);
	compare_mutants(c);
	compare_rest(c);
	c->kind = COMPARE_SAME;
	for (size_t i = 0; i < c->change_count; i++)
		if (c->changes[i].kind < c->kind)
			c->kind = c->changes[i].kind;
	c->worse = c->kind == COMPARE_WORSE;
}

/* C8 */
static void compare_one(struct compare_case *c)
{
	if (c->base != NULL && c->now != NULL) {
		compare_both(c);
	} else if (c->now != NULL) {
		c->kind = COMPARE_APPEARED;
		c->worse = c->now->verdict != CASE_HELD && c->now->verdict != CASE_SKIPPED;
	} else {
		ASSERT(c->base != NULL);
		c->kind = COMPARE_DISAPPEARED;
		c->worse = c->base->verdict != CASE_SKIPPED;
	}
}

/* ---- all of it ---- */

static int compare_ids(const void *a, const void *b)
{
	const struct case_result *const *left = a, *const *right = b;

	return strcmp((*left)->id, (*right)->id);
}

/* The cases of a result by their ids; the caller's. */
static const struct case_result **sorted(const struct result *r)
{
	const struct case_result **list = xcalloc(r->case_count + 1, sizeof *list);

	for (size_t i = 0; i < r->case_count; i++)
		list[i] = &r->cases[i];
	qsort(list, r->case_count, sizeof *list, compare_ids);
	return list;
}

static const struct case_result *find(const struct case_result **list, size_t count,
				      const struct case_result *c)
{
	const struct case_result **found = bsearch(&c, list, count, sizeof *list, compare_ids);

	return found == NULL ? NULL : *found;
}

static int compare_kinds(const void *a, const void *b)
{
	const struct compare_case *left = a, *right = b;

	if (left->kind != right->kind)
		return left->kind < right->kind ? -1 : 1;
	/* Within one of the two results their order is that of the results. */
	const struct case_result *l = left->now != NULL ? left->now : left->base;
	const struct case_result *r = right->now != NULL ? right->now : right->base;

	return (l > r) - (l < r);
}

static void difference(struct compare *c, const char *what, const char *base, const char *now)
{
	const char *b = base == NULL || base[0] == '\0' ? "none" : base;
	const char *n = now == NULL || now[0] == '\0' ? "none" : now;

	if (strcmp(b, n) != 0)
		add(&c->differences, &c->difference_count, &c->difference_cap, COMPARE_CHANGED,
		    what, xstrdup(b), xstrdup(n));
}

/* The models of a result, each once, in the order in which they come; the caller's. */
static char *models_of(const struct result *r)
{
	struct buf models;
	const char *last = NULL;

	buf_init(&models);
	buf_printf(&models, ",");
	for (size_t i = 0; i < r->case_count; i++) {
		const char *model = r->cases[i].model;

		if (model == NULL || (last != NULL && strcmp(last, model) == 0))
			continue;
		char *word = xasprintf(",%s,", model);

		last = model;
		if (strstr(buf_str(&models), word) == NULL)
			buf_printf(&models, "%s,", model);
		free(word);
	}
	char *list =
	    xasprintf("%.*s", models.size > 2 ? (int)models.size - 2 : 0, buf_str(&models) + 1);

	buf_release(&models);
	return list;
}

static void compare_runs(struct compare *c)
{
	char *base = number(c->base.result->seed), *now = number(c->now.result->seed);

	difference(c, "command", c->base.command, c->now.command);
	difference(c, "plugpull", c->base.plugpull, c->now.plugpull);
	difference(c, "SQLite", c->base.result->sqlite_version, c->now.result->sqlite_version);
	difference(c, "SQLite's source", c->base.result->sqlite_source_id,
		   c->now.result->sqlite_source_id);
	difference(c, "seed", base, now);
	free(base);
	free(now);
	base = models_of(c->base.result);
	now = models_of(c->now.result);
	difference(c, "models", base, now);
	free(base);
	free(now);
	difference(c, "interrupted", c->base.result->interrupted ? "yes" : "no",
		   c->now.result->interrupted ? "yes" : "no");
}

void compare_results(struct compare_side base, struct compare_side now, struct compare *ret)
{
	size_t base_count = base.result->case_count, now_count = now.result->case_count;
	const struct case_result **by_base = sorted(base.result), **by_now = sorted(now.result);

	*ret = (struct compare){.base = base, .now = now};
	ret->cases = xcalloc(base_count + now_count + 1, sizeof *ret->cases);
	for (size_t i = 0; i < now_count; i++) {
		const struct case_result *c = &now.result->cases[i];

		ret->cases[ret->count++] =
		    (struct compare_case){.base = find(by_base, base_count, c), .now = c};
	}
	for (size_t i = 0; i < base_count; i++) {
		const struct case_result *c = &base.result->cases[i];

		if (find(by_now, now_count, c) == NULL)
			ret->cases[ret->count++] = (struct compare_case){.base = c};
	}
	for (size_t i = 0; i < ret->count; i++) {
		compare_one(&ret->cases[i]);
		ret->kinds[ret->cases[i].kind]++;
		ret->worse += ret->cases[i].worse;
	}
	qsort(ret->cases, ret->count, sizeof *ret->cases, compare_kinds);
	compare_runs(ret);
	free(by_base);
	free(by_now);
}

static void changes_free(struct compare_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(changes[i].what);
		free(changes[i].base);
		free(changes[i].now);
	}
	free(changes);
}

void compare_release(struct compare *c)
{
	for (size_t i = 0; i < c->count; i++)
		changes_free(c->cases[i].changes, c->cases[i].change_count);
	changes_free(c->differences, c->difference_count);
	free(c->cases);
	memset(c, 0, sizeof *c);
}
