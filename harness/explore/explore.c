/*
 * The search; see explore.h.
 *
 * The tree is never stored. A run with a prefix of answers continues with answer 0 (newest)
 * everywhere; the questions it met after its prefix are the places where it can be left. Each
 * (run, question) waits in a first-in-first-out queue for its other answers. A run's children have
 * one deviation from "newest" more than it has itself, so the queue is ordered by their number.
 * The all-oldest run is made second, as a probe: its state comes up again in its place in the
 * tree, and only there it is counted.
 */
#include "harness/explore/explore.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* The answers and questions of a finished run; kept while children wait. */
struct run_record {
	size_t waiting;
	uint32_t count;
	uint64_t *hashes;
	struct choice_step *steps;
};

/* Question `step` of `record` has answers next..n-1 still to come. */
struct pending {
	struct run_record *record;
	uint32_t step, next;
};

struct queue {
	struct pending *items;
	size_t head, count, cap; /* ring */
};

struct search {
	const struct explore_callbacks *callbacks;
	const struct explore_point *point;
	struct crashdisk *disk;
	struct choice choice;
	struct queue queue;
	uint32_t *prefix;
	size_t prefix_cap;
	struct explore_stats *stats;
	mpz_t covered, weight;
};

void explore_stats_init(struct explore_stats *s)
{
	memset(s, 0, sizeof *s);
	mpz_init(s->states);
	mpz_init(s->covered);
}

void explore_stats_release(struct explore_stats *s)
{
	mpz_clear(s->states);
	mpz_clear(s->covered);
}

/* ---- queue --------------------------------------------------------------------------------- */

static int queue_push(struct queue *q, struct pending item, struct err *err)
{
	if (q->count == EXPLORE_PENDING_MAX)
		return err_set(err, ERR_LIMIT, "more than %d states wait at one crash point",
			       EXPLORE_PENDING_MAX);
	if (q->count == q->cap) {
		size_t cap = q->cap == 0 ? 256 : q->cap * 2;
		struct pending *items = xmalloc(cap * sizeof *items);
		for (size_t i = 0; i < q->count; i++)
			items[i] = q->items[(q->head + i) % q->cap];
		free(q->items);
		q->items = items;
		q->head = 0;
		q->cap = cap;
	}
	q->items[(q->head + q->count++) % q->cap] = item;
	return 0;
}

static void record_release(struct run_record *r)
{
	if (--r->waiting > 0)
		return;
	free(r->hashes);
	free(r->steps);
	free(r);
}

static void queue_pop(struct queue *q)
{
	record_release(q->items[q->head].record);
	q->head = (q->head + 1) % q->cap;
	q->count--;
}

/* ---- runs ---------------------------------------------------------------------------------- */

/* Recovers once with the prepared prefix. */
static int run(struct search *s, size_t prefix_count, uint64_t prefix_hash, enum choice_tail tail,
	       enum explore_next *ret_next, struct err *err)
{
	choice_begin(&s->choice, s->prefix, prefix_count, prefix_hash, tail);
	crashdisk_begin(s->disk, &s->choice);
	s->stats->recoveries++;
	int rc =
	    s->callbacks->examine(s->callbacks->ctx, s->point, s->disk, &s->choice, ret_next, err);
	if (rc != 0)
		return rc;
	if (s->choice.diverged || s->choice.count < prefix_count) {
		const char *question = crashdisk_last_question(s->disk);
		return err_set(
		    err, ERR_HARNESS,
		    "a run diverged from its prefix at position %llu: answer %zu of %zu, "
		    "question: %s",
		    (unsigned long long)s->point->position, s->choice.count, prefix_count,
		    question == NULL ? "none" : question);
	}
	return 0;
}

/* Queues the places where the finished run can be left. */
static int queue_children(struct search *s, size_t prefix_count, struct err *err)
{
	const struct choice *c = &s->choice;

	if (c->count == prefix_count)
		return 0;
	struct run_record *r = xmalloc(sizeof *r);
	r->waiting = 1;
	r->count = (uint32_t)c->count;
	r->hashes = xmalloc(c->count * sizeof *r->hashes);
	r->steps = xmalloc(c->count * sizeof *r->steps);
	memcpy(r->hashes, c->hashes, c->count * sizeof *r->hashes);
	memcpy(r->steps, c->steps, c->count * sizeof *r->steps);
	int rc = 0;
	for (uint32_t i = (uint32_t)prefix_count; i < c->count && rc == 0; i++) {
		ASSERT_OP(c->steps[i].answer, ==, 0);
		rc = queue_push(&s->queue, (struct pending){r, i, 1}, err);
		if (rc == 0)
			r->waiting++;
	}
	record_release(r);
	return rc;
}

/* Runs the next waiting answer. */
static int run_pending(struct search *s, enum explore_next *ret_next, struct err *err)
{
	struct pending *p = &s->queue.items[s->queue.head];
	struct run_record *r = p->record;
	size_t count = (size_t)p->step + 1;
	uint64_t hash = r->hashes[p->step];

	while (s->prefix_cap < count) {
		s->prefix_cap = s->prefix_cap * 2 + 64;
		s->prefix = xrealloc(s->prefix, s->prefix_cap * sizeof *s->prefix);
	}
	for (size_t i = 0; i + 1 < count; i++)
		s->prefix[i] = r->steps[i].answer;
	s->prefix[count - 1] = p->next++;
	if (p->next == r->steps[p->step].n)
		queue_pop(&s->queue);
	int rc = run(s, count, hash, CHOICE_FIRST, ret_next, err);
	if (rc == 0 && *ret_next == EXPLORE_GO)
		rc = queue_children(s, count, err);
	return rc;
}

static int count_run(struct search *s)
{
	crashdisk_weight(s->disk, s->weight);
	mpz_mul_ui(s->weight, s->weight, s->point->promise_count);
	mpz_add(s->covered, s->covered, s->weight);
	return 0;
}

/* Explores one crash point; *ret_whole when every state was covered. */
static int explore_one(struct search *s, bool *ret_whole, enum explore_next *ret_next,
		       struct err *err)
{
	const struct explore_callbacks *cb = s->callbacks;
	struct explore_stats *stats = s->stats;
	mpz_t total;
	int rc;

	mpz_init(total);
	mpz_set_ui(s->covered, 0);
	*ret_whole = false;
	crashdisk_open(s->disk, s->point->position, s->point->cut_bytes);
	crashdisk_total(s->disk, total);
	mpz_mul_ui(total, total, s->point->promise_count);
	mpz_add(stats->states, stats->states, total);
	if (crashdisk_limited(s->disk)) {
		rc = err_set(
		    err, ERR_LIMIT,
		    "too many states of files that were renamed or linked, at position %llu",
		    (unsigned long long)s->point->position);
		goto out;
	}

	*ret_next = EXPLORE_GO;
	if (cb->spent != NULL && cb->spent(cb->ctx, stats->recoveries)) {
		stats->spent = true;
		rc = 0;
		goto out;
	}
	rc = run(s, 0, 0, CHOICE_FIRST, ret_next, err);
	if (rc != 0)
		goto out;
	count_run(s);
	if (*ret_next == EXPLORE_GO)
		rc = queue_children(s, 0, err);
	if (rc == 0 && *ret_next == EXPLORE_GO && s->queue.count > 0 &&
	    (cb->spent == NULL || !cb->spent(cb->ctx, stats->recoveries)))
		rc = run(s, 0, 0, CHOICE_LAST, ret_next, err);
	while (rc == 0 && *ret_next == EXPLORE_GO && s->queue.count > 0) {
		if (cb->spent != NULL && cb->spent(cb->ctx, stats->recoveries)) {
			stats->spent = true;
			break;
		}
		if (cb->progress != NULL && stats->recoveries % 256 == 0)
			cb->progress(cb->ctx, stats->points_whole, stats->points,
				     stats->recoveries);
		rc = run_pending(s, ret_next, err);
		if (rc == 0)
			count_run(s);
	}
	if (rc != 0)
		goto out;
	*ret_whole = *ret_next == EXPLORE_GO && !stats->spent;
	if (*ret_whole && mpz_cmp(s->covered, total) != 0) {
		gmp_snprintf(err->message, sizeof err->message,
			     "the accounting does not add up at position %llu: the runs cover %Zd "
			     "of %Zd states",
			     (unsigned long long)s->point->position, s->covered, total);
		err->code = ERR_HARNESS;
		rc = ERR_HARNESS;
	}
	mpz_add(stats->covered, stats->covered, s->covered);
out:
	while (s->queue.count > 0)
		queue_pop(&s->queue);
	mpz_clear(total);
	return rc;
}

static void search_init(struct search *s, const struct trace_index *ix, const struct model *model,
			const struct explore_callbacks *callbacks, struct explore_stats *stats)
{
	memset(s, 0, sizeof *s);
	s->callbacks = callbacks;
	s->stats = stats;
	s->disk = crashdisk_create(ix, model);
	choice_init(&s->choice);
	mpz_init(s->covered);
	mpz_init(s->weight);
}

static void search_release(struct search *s)
{
	mpz_clear(s->covered);
	mpz_clear(s->weight);
	choice_release(&s->choice);
	free(s->queue.items);
	free(s->prefix);
	crashdisk_free(s->disk);
}

int explore(const struct trace_index *ix, const struct model *model,
	    const struct explore_point *points, size_t count,
	    const struct explore_callbacks *callbacks, struct explore_stats *stats, struct err *err)
{
	struct search s;
	int rc = 0;

	search_init(&s, ix, model, callbacks, stats);
	stats->points = count;
	for (size_t i = 0; i < count && rc == 0 && !stats->spent; i++) {
		bool whole;
		enum explore_next next;
		s.point = &points[i];
		rc = explore_one(&s, &whole, &next, err);
		if (rc == 0 && whole)
			stats->points_whole++;
		if (rc == 0 && next == EXPLORE_STOP_ALL)
			break;
	}
	stats->exhaustive = rc == 0 && stats->points_whole == stats->points;
	search_release(&s);
	return rc;
}

int explore_replay(const struct trace_index *ix, const struct model *model,
		   const struct explore_point *point, const uint32_t *answers, size_t count,
		   const struct explore_callbacks *callbacks, struct err *err)
{
	struct explore_stats stats;
	struct search s;
	enum explore_next next;

	explore_stats_init(&stats);
	search_init(&s, ix, model, callbacks, &stats);
	s.point = point;
	crashdisk_narrate(s.disk, callbacks->tell, callbacks->ctx);
	s.prefix = xmalloc((count + 1) * sizeof *s.prefix);
	if (count > 0)
		memcpy(s.prefix, answers, count * sizeof *answers);
	crashdisk_open(s.disk, point->position, point->cut_bytes);
	int rc = run(&s, count, 0, CHOICE_FIRST, &next, err);
	search_release(&s);
	explore_stats_release(&stats);
	return rc;
}
