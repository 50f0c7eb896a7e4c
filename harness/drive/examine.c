/* See examine.h. */
#include "harness/drive/examine.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/vfs.h"
#include "harness/drive/memo.h"
#include "harness/drive/watch.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* An observation made, and the last crash point at which it was judged. */
struct known_observation {
	struct observation observation;
	bool judged;
	struct explore_point point;
	struct examined result;
	struct verdict verdicts[JUDGE_VERDICTS_MAX];
};

struct examiner {
	const struct subject *subject;
	const struct trace_index *ix;
	struct observer observer;
	struct judge *judge;
	struct history *history;
	struct memo *memo;
	struct known_observation **known; /* owned; memo values index it */
	size_t known_count, known_cap;
	struct finding findings[EXAMINE_FINDINGS_MAX];
	size_t finding_count;
	enum grade grade;
	uint64_t lost_max;
	struct examined last;
	uint64_t recoveries, observed, hits;
};

/* Every boot gets another seed, a function of the case and the crash point alone. */
static uint64_t boot_seed(const struct examiner *e, uint64_t position)
{
	return prng_mix(prng_mix(e->subject->seed ^ 0x706c7567u) + position);
}

/* Recovers and observes on `storage`; `disk` is the same storage when it is undecided. Returns the
 * number of the observation, or
 * SIZE_MAX when it was stopped. */
static size_t observe_state(struct examiner *e, struct storage *storage, struct crashdisk *disk,
			    uint64_t position)
{
	struct observation o = {0};

	fi_vfs_boot(storage, boot_seed(e, position), e->ix->trace->device);
	sqlite3 *db = observer_recover(&e->observer, &o);
	bool memorable = disk != NULL && db != NULL && !e->observer.one_connection;
	uint64_t root = 0;
	if (memorable) {
		root = fi_vfs_shm_hash();
		uint32_t hit = memo_find(e->memo, disk, root);
		if (hit != UINT32_MAX) {
			observer_close(db);
			e->hits++;
			return hit;
		}
		crashdisk_log(disk, true);
	}
	observer_observe(&e->observer, db, &o);
	if (disk != NULL)
		crashdisk_log(disk, false);
	observer_close(db);
	ASSERT_OP(fi_vfs_open_count(), ==, 0);
	e->observed++;
	if (watch_stopped()) {
		observation_release(&o);
		return SIZE_MAX;
	}

	size_t index = 0;
	while (index < e->known_count && e->known[index]->observation.id != o.id)
		index++;
	if (index == e->known_count) {
		e->known = xgrow(e->known, e->known_count, &e->known_cap, sizeof *e->known);
		e->known[e->known_count] = xcalloc(1, sizeof **e->known);
		e->known[e->known_count++]->observation = o;
	} else {
		observation_release(&o);
	}
	/* A failure may come from what the recovering connection had cached, which no look shows.
	 */
	if (memorable && e->known[index]->observation.rc == 0)
		memo_add(e->memo, disk, root, (uint32_t)index);
	return index;
}

/* history_observe_fn: the files as the processes saw them. */
static int observe_position(void *ctx, uint64_t position, struct observation *ret, struct err *err)
{
	struct examiner *e = ctx;
	struct model whole = {.name = "process-crash", .process_crash = true};
	struct crashdisk *disk = crashdisk_create(e->ix, &whole);
	struct choice choice;

	choice_init(&choice);
	choice_begin(&choice, NULL, 0, 0, CHOICE_FIRST);
	crashdisk_open(disk, position, SIZE_MAX);
	crashdisk_begin(disk, &choice);
	fi_vfs_boot(crashdisk_storage(disk), boot_seed(e, position), e->ix->trace->device);
	memset(ret, 0, sizeof *ret);
	sqlite3 *db = observer_recover(&e->observer, ret);
	observer_observe(&e->observer, db, ret);
	observer_close(db);
	choice_release(&choice);
	crashdisk_free(disk);
	if (watch_stopped()) {
		observation_release(ret);
		return err_set(err, ERR_INTERRUPTED, "stopped while the history was read");
	}
	judge_learn(e->judge, ret);
	return 0;
}

static struct judge *create_judge(const struct subject *s, bool show_data)
{
	struct judge_invariant *invariants = xcalloc(s->invariant_count, sizeof *invariants);
	struct judge_batch *batches = xcalloc(s->batch_count, sizeof *batches);
	struct judge_order *orders = xcalloc(s->order_count, sizeof *orders);
	const char **schemas = xcalloc(1 + s->attached_count, sizeof *schemas);

	for (size_t i = 0; i < s->invariant_count; i++)
		invariants[i] =
		    (struct judge_invariant){s->invariants[i].text, s->invariants[i].sql};
	for (size_t i = 0; i < s->batch_count; i++)
		batches[i] = (struct judge_batch){s->batches[i].table, s->batches[i].id_column,
						  s->batches[i].count_column};
	for (size_t i = 0; i < s->order_count; i++)
		orders[i] = (struct judge_order){s->orders[i].table, s->orders[i].column};
	schemas[0] = "main";
	for (size_t i = 0; i < s->attached_count; i++)
		schemas[i + 1] = s->attached[i].name;
	struct judge_config config = {
	    .invariants = invariants,
	    .invariant_count = s->invariant_count,
	    .batches = batches,
	    .batch_count = s->batch_count,
	    .orders = orders,
	    .order_count = s->order_count,
	    .schema_versions = s->schema_versions,
	    .schema_version_count = s->schema_version_count,
	    .schemas = schemas,
	    .schema_count = 1 + s->attached_count,
	    .show_data = show_data,
	};
	struct judge *judge = judge_create(&config);
	free(invariants);
	free(batches);
	free(orders);
	free(schemas);
	return judge;
}

int examiner_create(const struct subject *subject, const struct trace_index *ix, bool show_data,
		    struct examiner **ret_examiner, struct err *err)
{
	const char *paths[OBSERVED_FILES_MAX];
	size_t path_count = 1 + subject->attached_count;
	struct examiner *e;

	if (path_count > OBSERVED_FILES_MAX)
		return err_set(err, ERR_LIMIT, "more than %d database files", OBSERVED_FILES_MAX);
	e = xcalloc(1, sizeof *e);
	e->subject = subject;
	e->ix = ix;
	e->grade = GRADE_DURABLE;
	e->memo = memo_create();
	e->judge = create_judge(subject, show_data);
	observer_init(&e->observer, subject, judge_probes(e->judge));
	paths[0] = subject->database;
	for (size_t i = 1; i < path_count; i++)
		paths[i] = subject->attached[i - 1].file;
	int rc = history_build(ix->trace, paths, path_count,
			       subject->ack_lock ? HISTORY_ACK_LOCK : HISTORY_ACK_EXACT,
			       observe_position, e, &e->history, err);
	if (rc != 0) {
		examiner_free(e);
		return rc;
	}
	*ret_examiner = e;
	return 0;
}

void examiner_free(struct examiner *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < e->known_count; i++) {
		observation_release(&e->known[i]->observation);
		free(e->known[i]);
	}
	free(e->known);
	for (size_t i = 0; i < e->finding_count; i++)
		free(e->findings[i].answers);
	history_free(e->history);
	judge_free(e->judge);
	observer_release(&e->observer);
	memo_free(e->memo);
	free(e);
}

const struct history *examiner_history(const struct examiner *e)
{
	return e->history;
}

const struct judge *examiner_judge(const struct examiner *e)
{
	return e->judge;
}

/* Judges an observation at a crash point, once for each. */
static const struct examined *judge_state(struct examiner *e, size_t index,
					  const struct explore_point *point)
{
	struct known_observation *k = e->known[index];

	if (k->judged && k->point.position == point->position &&
	    k->point.cut_bytes == point->cut_bytes)
		return &k->result;
	k->judged = true;
	k->point = *point;
	k->result.outcome = k->observation.id;
	k->result.verdicts = k->verdicts;
	k->result.verdict_count =
	    judge_observation(e->judge, e->history, point->position, &k->observation, k->verdicts,
			      JUDGE_VERDICTS_MAX, &k->result.grade, &k->result.lost);
	return &k->result;
}

/* Keeps the first finding of an oracle and grade, or a later one that lost more. */
static void keep_finding(struct examiner *e, const struct verdict *v, uint64_t lost,
			 const struct explore_point *point, const struct choice *choice)
{
	struct finding *f = NULL;

	for (size_t i = 0; i < e->finding_count && f == NULL; i++)
		if (strcmp(e->findings[i].verdict.oracle, v->oracle) == 0 &&
		    e->findings[i].verdict.grade == v->grade)
			f = &e->findings[i];
	if (f != NULL && lost <= f->lost)
		return;
	if (f == NULL) {
		if (e->finding_count == EXAMINE_FINDINGS_MAX)
			return;
		f = &e->findings[e->finding_count++];
	}
	free(f->answers);
	*f = (struct finding){.verdict = *v,
			      .lost = lost,
			      .point = *point,
			      .answer_count = choice->count,
			      .recovery = e->recoveries};
	f->answers = xmalloc(choice->count * sizeof *f->answers);
	for (size_t i = 0; i < choice->count; i++)
		f->answers[i] = choice->steps[i].answer;
}

int examiner_examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		     const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct examiner *e = ctx;

	(void)err;
	e->recoveries++;
	size_t index = observe_state(e, crashdisk_storage(disk), disk, point->position);
	if (choice->diverged)
		return 0; /* the explorer reports it */
	if (watch_stopped()) {
		*ret_next = EXPLORE_STOP_ALL; /* half an observation says nothing */
		return 0;
	}
	e->last = *judge_state(e, index, point);
	for (size_t i = 0; i < e->last.verdict_count; i++)
		keep_finding(e, &e->last.verdicts[i], e->last.lost, point, choice);
	if (e->last.grade < e->grade)
		e->grade = e->last.grade;
	if (e->last.lost > e->lost_max)
		e->lost_max = e->last.lost;
	*ret_next = e->last.grade == GRADE_CORRUPT ? EXPLORE_STOP_POINT : EXPLORE_GO;
	return 0;
}

int examiner_examine_storage(struct examiner *e, struct storage *storage, uint64_t position,
			     uint64_t *ret_outcome, enum grade *ret_grade, uint64_t *ret_lost,
			     struct err *err)
{
	struct explore_point point = {position, SIZE_MAX};

	size_t index = observe_state(e, storage, NULL, position);
	if (index == SIZE_MAX)
		return err_set(err, ERR_INTERRUPTED, "stopped");
	const struct examined *x = judge_state(e, index, &point);
	*ret_outcome = x->outcome;
	*ret_grade = x->grade;
	*ret_lost = x->lost;
	return 0;
}

enum grade examiner_grade(const struct examiner *e)
{
	return e->grade;
}

uint64_t examiner_lost_max(const struct examiner *e)
{
	return e->lost_max;
}

size_t examiner_findings(const struct examiner *e, const struct finding **ret_findings)
{
	*ret_findings = e->findings;
	return e->finding_count;
}

struct examined examiner_last(const struct examiner *e)
{
	return e->last;
}

void examiner_counts(const struct examiner *e, uint64_t *ret_observed, uint64_t *ret_known)
{
	*ret_observed = e->observed;
	*ret_known = e->hits;
}
