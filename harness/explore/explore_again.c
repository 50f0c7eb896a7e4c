/*
 * A second crash, during the recovery from the first (depth 2).
 *
 * First the tree of all recoveries from a crash point is searched, without looking at what they
 * come to: each leaf is a recovery that decided what it had to, and did something. What it did is a
 * trace of its own, with crash points of its own, on a disk that lies on the first one
 * (crashdisk_above()). At each of them a tree is searched whose runs make the same recovery again,
 * die there, and recover again; what the first recovery left open is asked on in the same run. The
 * assignments of such a tree are those of the upper disk times those that the recovery left open.
 */
#include "harness/explore/explore_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

static int recover(struct explore_search *s, enum explore_next *ret_next, struct err *err)
{
	crashdisk_begin(s->recovered, s->choice);
	return s->callbacks->recover(s->callbacks->ctx, s->point, s->recovered, ret_next, err);
}

static int run_recovery(struct explore_search *s, struct tree *t, enum explore_next *ret_next,
			struct err *err)
{
	(void)t;
	return recover(s, ret_next, err);
}

static void weigh_recovery(struct explore_search *s, struct tree *t, mpz_t ret)
{
	(void)t;
	crashdisk_weight(s->recovered, ret);
	mpz_mul_ui(ret, ret, s->point->promise_count);
}

static int run_again(struct explore_search *s, struct tree *t, enum explore_next *ret_next,
		     struct err *err)
{
	int rc = recover(s, ret_next, err);

	if (rc != 0 || *ret_next == EXPLORE_STOP_ALL)
		return rc;
	if (s->choice->diverged || s->choice->count != t->base_count)
		return err_set(err, ERR_HARNESS,
			       "a recovery was not the same again at position %llu: it asked %zu "
			       "questions, and %zu before",
			       (unsigned long long)s->point->position, s->choice->count,
			       t->base_count);
	crashdisk_begin(s->top, s->choice);
	return s->callbacks->examine(s->callbacks->ctx, &s->again_point, s->top, s->choice,
				     ret_next, err);
}

static void weigh_again(struct explore_search *s, struct tree *t, mpz_t ret)
{
	crashdisk_weight(s->recovered, ret);
	crashdisk_weight(s->top, s->top_weight);
	mpz_mul(ret, ret, s->top_weight);
	mpz_mul_ui(ret, ret, s->point->promise_count);
	(void)t;
}

/* Crashes at every moment of the recovery that was just made. */
static int crash_recovery(struct explore_search *s, struct tree *t, enum explore_next *ret_next,
			  struct err *err)
{
	struct tree *again = &s->again;
	struct explore_points points = {0};
	bool whole = true;
	int rc = crashdisk_above(s->recovered, &s->top, err);

	if (rc != 0 || s->top == NULL)
		return rc;
	again->base_count = s->choice->count;
	again->base_hash = again->base_count == 0 ? 0 : s->choice->hashes[again->base_count - 1];
	if (again->prefix_cap < again->base_count) {
		again->prefix_cap = again->base_count * 2;
		again->prefix = xrealloc(again->prefix, again->prefix_cap * sizeof *again->prefix);
	}
	for (size_t i = 0; i < again->base_count; i++)
		again->prefix[i] = s->choice->steps[i].answer;
	explore_points(crashdisk_index(s->top), &s->model, NULL, 0, &points);
	for (size_t i = 0; i < points.count && rc == 0 && whole; i++) {
		s->again_point = *s->point;
		s->again_point.again = (struct explore_again){true, points.items[i].position,
							      points.items[i].cut_bytes};
		crashdisk_open(s->top, points.items[i].position, points.items[i].cut_bytes);
		crashdisk_total(s->top, again->total);
		mpz_mul(again->total, again->total, t->weight);
		rc = tree_search(s, again, &whole, err);
	}
	/* The outcome says why it is not whole; the search above must end, too. */
	if (rc == 0 && !whole)
		*ret_next =
		    s->outcome->end == EXPLORE_CORRUPT ? EXPLORE_STOP_POINT : EXPLORE_STOP_ALL;
	explore_points_release(&points);
	crashdisk_free(s->top);
	s->top = NULL;
	return rc;
}

static void open_recovered(struct explore_search *s)
{
	if (s->recovered == NULL) {
		s->recovered = crashdisk_create(s->ix, &s->model);
		crashdisk_record(s->recovered);
		crashdisk_set_representative(s->recovered, s->callbacks->representative);
		crashdisk_narrate(s->recovered, s->callbacks->tell, s->callbacks->ctx);
	}
	crashdisk_open(s->recovered, s->point->position, s->point->cut_bytes);
}

int explore_again(struct explore_search *s, bool *ret_whole, struct err *err)
{
	struct tree *t = &s->recoveries;

	open_recovered(s);
	t->run = run_recovery;
	t->weigh = weigh_recovery;
	t->leaf = crash_recovery;
	t->disk = s->recovered;
	t->only_way = true;
	s->again.run = run_again;
	s->again.weigh = weigh_again;
	s->again.disk = s->recovered;
	crashdisk_total(s->recovered, t->total);
	mpz_mul_ui(t->total, t->total, s->point->promise_count);
	return tree_search(s, t, ret_whole, err);
}

/* A case from a stranger may name what the recovery does not have. */
static int check_again(const struct explore_search *s, struct err *err)
{
	const struct explore_point *p = s->point;
	const struct trace *t = s->top == NULL ? NULL : crashdisk_index(s->top)->trace;
	const struct op *op = t == NULL || p->again.position == 0 || p->again.position > t->op_count
				  ? NULL
				  : trace_at(t, p->again.position);

	if (t == NULL || p->again.position > t->op_count ||
	    (p->again.cut_bytes != SIZE_MAX &&
	     (op == NULL || op->kind != OP_WRITE || p->again.cut_bytes > op->size)))
		return err_set(err, ERR_HARNESS,
			       "the recovery did not do what the second crash interrupted");
	return 0;
}

int explore_again_replay(struct explore_search *s, const uint32_t *answers, size_t count,
			 struct err *err)
{
	enum explore_next next = EXPLORE_GO;

	open_recovered(s);
	choice_begin(s->choice, answers, count, 0, CHOICE_FIRST);
	int rc = recover(s, &next, err);
	if (rc == 0)
		rc = crashdisk_above(s->recovered, &s->top, err);
	if (rc == 0)
		rc = check_again(s, err);
	if (rc != 0)
		return rc;
	crashdisk_narrate(s->top, s->callbacks->tell, s->callbacks->ctx);
	crashdisk_open(s->top, s->point->again.position, s->point->again.cut_bytes);
	crashdisk_begin(s->top, s->choice);
	rc = s->callbacks->examine(s->callbacks->ctx, s->point, s->top, s->choice, &next, err);
	if (rc == 0 && (s->choice->diverged || s->choice->count < count)) {
		const char *question = crashdisk_last_question(s->top);
		if (question == NULL)
			question = crashdisk_last_question(s->recovered);
		rc =
		    err_set(err, ERR_HARNESS,
			    "a run diverged from its prefix at position %llu, with a second crash: "
			    "answer %zu of %zu, question: %s",
			    (unsigned long long)s->point->position, s->choice->count, count,
			    question == NULL ? "none" : question);
	}
	return rc;
}
