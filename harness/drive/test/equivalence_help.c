/* See equivalence_help.h. */
#include "harness/drive/test/equivalence_help.h"

#include "faultinject/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

void outcome_add(struct outcome_set *set, uint64_t id, enum grade grade)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->items[i].id == id) {
			if (grade < set->items[i].worst)
				set->items[i].worst = grade;
			return;
		}
	}
	set->items = xgrow(set->items, set->count, &set->cap, sizeof *set->items);
	set->items[set->count++] = (struct outcome){id, grade};
}

/* Every outcome of `a` is in `b` with a grade at least as bad. */
static bool contains(const struct outcome_set *b, const struct outcome_set *a, bool same_grade)
{
	for (size_t i = 0; i < a->count; i++) {
		bool found = false;
		for (size_t k = 0; k < b->count && !found; k++)
			found = a->items[i].id == b->items[k].id &&
				(!same_grade || a->items[i].worst == b->items[k].worst);
		if (!found)
			return false;
	}
	return true;
}

void outcomes_assert_equal(const struct outcome_set *lazy, const struct outcome_set *brute,
			   const char *what, uint64_t position)
{
	if (contains(lazy, brute, true) && contains(brute, lazy, true))
		return;
	fail_msg("%s, position %llu: explorer found %zu outcomes, enumerator %zu, and they differ",
		 what, (unsigned long long)position, lazy->count, brute->count);
}

/* Goes on after a corrupt state: the enumerator does, too. */
static int examine_all(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		       const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct lazy_ctx *lazy = ctx;
	int rc = examiner_examine(lazy->examiner, point, disk, choice, ret_next, err);
	struct examined x = examiner_last(lazy->examiner);

	*ret_next = EXPLORE_GO;
	if (rc == 0)
		outcome_add(&lazy->set, x.outcome, x.grade);
	return rc;
}

int brute_visit(void *ctx, const struct enumerate_file *files, size_t count, struct err *err)
{
	struct brute_ctx *brute = ctx;
	uint64_t outcome, lost;
	enum grade grade;

	disk_clear(brute->disk);
	for (size_t i = 0; i < count; i++)
		disk_put(brute->disk, files[i].path, files[i].data, files[i].size);
	int rc =
	    examiner_examine_storage(brute->examiner, disk_storage(brute->disk), brute->position,
				     brute->position, &outcome, &grade, &lost, err);
	if (rc == 0)
		outcome_add(&brute->set, outcome, grade);
	return rc;
}

static bool is_sync_end(const struct trace *t, uint64_t position)
{
	return position > 0 && op_is_sync(trace_at(t, position));
}

/* Explores all that a crash at `p` can leave: the disk of `p`, and behind a barrier those right
 * before each sync that had ended by then. */
static void explore_position(const struct trace *t, const struct trace_index *ix,
			     const struct model *model, uint64_t p, struct lazy_ctx *lazy,
			     uint64_t states, const char *what)
{
	struct explore_callbacks callbacks = {.examine = examine_all, .ctx = lazy};
	struct err err = ERR_INIT;
	mpz_t sum;

	mpz_init(sum);
	for (uint64_t disk = 0; disk <= p; disk++) {
		struct explore_point point = {
		    .position = disk, .cut_bytes = SIZE_MAX, .promises = &p, .promise_count = 1};
		struct explore_stats stats;
		if (disk != p && !(model->fsync == MODEL_FSYNC_BARRIER && is_sync_end(t, disk + 1)))
			continue;
		explore_stats_init(&stats);
		if (explore(ix, model, &point, 1, &callbacks, &stats, &err) != 0)
			fail_msg("%s: %s", what, err.message);
		assert_true(stats.exhaustive);
		mpz_add(sum, sum, stats.states);
		explore_stats_release(&stats);
	}
	assert_true(mpz_cmp_ui(sum, states) == 0);
	mpz_clear(sum);
}

/* The disk that the enumerator shows belongs to an earlier position behind a barrier, and the PRNG
 * of the boot is a function of that position; SQLite draws from it only for what no outcome shows.
 */
static int enumerate_at(const struct trace *t, const struct model *model, uint64_t p,
			struct brute_ctx *b, uint64_t *ret_count, struct err *err)
{
	b->position = b->promise = p;
	return enumerate_states(t, model, p, EQUIVALENCE_STATES_MAX, brute_visit, b, ret_count,
				err);
}

static void add_all(struct outcome_set *to, const struct outcome_set *from)
{
	for (size_t k = 0; k < from->count; k++)
		outcome_add(to, from->items[k].id, from->items[k].worst);
}

uint64_t equivalence_compare(const struct subject *subject, const struct trace *t,
			     const struct model *model, bool every_position)
{
	struct err err = ERR_INIT;
	struct trace_index *ix;
	struct examiner *lazy, *brute;
	struct explore_points points;
	uint64_t *extra, states = 0;
	size_t extra_count, compared = 0;
	struct outcome_set all_lazy = {0}, all_brute = {0};

	assert_int_equal(trace_index_build(t, model, &ix, &err), 0);
	assert_int_equal(examiner_create(subject, ix, false, &lazy, &err), 0);
	assert_int_equal(examiner_create(subject, ix, false, &brute, &err), 0);
	history_points(examiner_history(lazy), &extra, &extra_count);
	explore_points(ix, model, extra, extra_count, &points);
	for (size_t i = 0; i < points.count; i++) {
		struct lazy_ctx l = {.examiner = lazy};
		struct brute_ctx b = {.examiner = brute, .disk = disk_create()};
		uint64_t n, p = points.items[i].position;
		int rc = enumerate_at(t, model, p, &b, &n, &err);
		if (rc == 0) {
			explore_position(t, ix, model, p, &l, n, subject->id);
			outcomes_assert_equal(&l.set, &b.set, subject->id, p);
			states += n;
			compared++;
		} else {
			assert_int_equal(rc, ERR_LIMIT);
		}
		add_all(&all_lazy, &l.set);
		add_all(&all_brute, &b.set);
		free(l.set.items);
		free(b.set.items);
		disk_free(b.disk);
	}
	/* Crash points cover what lies between them. Only meaningful when none was too large. */
	for (uint64_t p = 0; every_position && compared == points.count && p <= t->op_count; p++) {
		struct brute_ctx b = {.examiner = brute, .disk = disk_create()};
		uint64_t n;
		assert_int_equal(enumerate_at(t, model, p, &b, &n, &err), 0);
		add_all(&all_brute, &b.set);
		states += n;
		free(b.set.items);
		disk_free(b.disk);
	}
	if (every_position && compared == points.count)
		outcomes_assert_equal(&all_lazy, &all_brute, subject->id, UINT64_MAX);
	/* The crash points as they are, each with the promises that its states are held against. */
	if (compared == points.count) {
		struct lazy_ctx whole = {.examiner = lazy};
		struct explore_callbacks callbacks = {.examine = examine_all, .ctx = &whole};
		struct explore_stats stats;
		explore_stats_init(&stats);
		if (explore(ix, model, points.items, points.count, &callbacks, &stats, &err) != 0)
			fail_msg("%s: %s", subject->id, err.message);
		outcomes_assert_equal(&whole.set, &all_brute, subject->id, UINT64_MAX);
		explore_stats_release(&stats);
		free(whole.set.items);
	}
	assert_true(compared > 0);
	free(all_lazy.items);
	free(all_brute.items);
	free(extra);
	explore_points_release(&points);
	examiner_free(lazy);
	examiner_free(brute);
	trace_index_free(ix);
	return states;
}
