/* See examine.h. */
#include "harness/drive/examine.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/trace_edit.h"
#include "faultinject/vfs.h"
#include "harness/drive/image.h"
#include "harness/drive/judged.h"
#include "harness/drive/known.h"
#include "harness/drive/memo.h"
#include "harness/drive/own_check.h"
#include "harness/drive/plant.h"
#include "harness/drive/second_boot.h"
#include "harness/drive/watch.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

struct examiner {
	const struct subject *subject;
	const struct trace_index *ix;
	struct observer observer;
	struct judge *judge;
	struct history *history;
	struct memo *memo;
	struct known *known; /* owned; memo values index it */
	size_t known_bytes_max;
	struct digest_leaves *leaves;
	struct scratch *scratch; /* owned; what an aftermath writes to */
	struct judged_table judged;
	uint32_t point; /* a number of the present one, from 1 */
	struct isolate *isolate;
	struct verdict verdicts[JUDGE_VERDICTS_MAX]; /* of the last judgement */
	struct finding findings[EXAMINE_FINDINGS_MAX];
	size_t finding_count;
	enum grade grade;
	uint64_t lost_max;
	struct examined last;
	struct crashdisk *observed_disk; /* borrowed; where looks are being logged, or NULL */
	bool was_logging;
	const char *passed[JUDGE_VERDICTS_MAX]; /* see examiner_pass() */
	size_t passed_count;
	uint64_t passed_since; /* the recovery of this point that was the first to pass; 0: none */
	uint64_t point_recoveries, observed, hits, asked;
};

void examiner_isolate(struct examiner *e, struct isolate *isolate)
{
	e->isolate = isolate;
}

void examiner_bound(struct examiner *e, size_t known_bytes_max, size_t judged_max)
{
	e->known_bytes_max = known_bytes_max;
	e->judged.count_max = judged_max;
}

void examiner_begin_point(struct examiner *e)
{
	for (size_t i = 0; i < e->finding_count; i++)
		free(e->findings[i].answers);
	e->finding_count = 0;
	e->grade = GRADE_DURABLE;
	e->lost_max = 0;
	e->point_recoveries = 0;
	e->passed_since = 0;
	e->point++;
}

static void enter(const struct examiner *e)
{
	if (e->isolate != NULL)
		isolate_enter(e->isolate);
}

static void leave(const struct examiner *e)
{
	if (e->isolate != NULL)
		isolate_leave(e->isolate);
}

static void forget(struct examiner *e)
{
	known_forget(e->known);
	judged_forget(&e->judged);
	memo_free(e->memo);
	e->memo = memo_create();
}

static uint32_t keep_observation(struct examiner *e, struct observation *o)
{
	if (known_bytes(e->known) > e->known_bytes_max)
		forget(e);
	return known_keep(e->known, o);
}

/* ---- examining ----------------------------------------------------------------------------- */

/* Every boot gets another seed, a function of the case and the crash point alone. */
static uint64_t boot_seed(const struct examiner *e, uint64_t position)
{
	return prng_mix(prng_mix(e->subject->seed ^ 0x706c7567u) + position);
}

/* The same for the boot after a second crash. */
static uint64_t boot_seed_again(const struct examiner *e, uint64_t position,
				const struct explore_again *again)
{
	uint64_t seed = boot_seed(e, position);

	return again->happened ? prng_mix(seed + again->position) : seed;
}

/* Boots the machine that recovers, with the defect that the subject plants there, if any. */
static void boot(const struct examiner *e, struct storage *storage, uint64_t seed)
{
	fi_vfs_boot(storage, seed, e->ix->trace->device);
	fi_vfs_plant(plant_in_recovery(e->subject->defect));
}

void examiner_interrupt_recovery(struct examiner *e)
{
	observer_pragmas_first(&e->observer);
}

void examiner_pass(struct examiner *e, const char *const *oracles, size_t count)
{
	ASSERT_OP(count, <=, JUDGE_VERDICTS_MAX);
	for (size_t i = 0; i < count; i++)
		e->passed[i] = oracles[i];
	e->passed_count = count;
}

void examiner_recover_storage(struct examiner *e, struct storage *storage, uint64_t position,
			      void (*died)(void *ctx), void *ctx)
{
	struct observation o = {0};

	if (e->isolate != NULL)
		e->isolate->again = (struct isolate_again){0};
	enter(e);
	boot(e, storage, boot_seed(e, position));
	if (e->subject->unsynced_recovery)
		fi_vfs_ignore_syncs();
	sqlite3 *db = observer_recover(&e->observer, &o);
	died(ctx);
	observer_close(db);
	leave(e);
	ASSERT_OP(fi_vfs_open_count(), ==, 0);
	observation_release(&o);
}

static void die(void *disk)
{
	crashdisk_end_recovery(disk);
}

int examiner_recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		     enum explore_next *ret_next, struct err *err)
{
	(void)err;
	examiner_recover_storage(ctx, crashdisk_storage(disk), point->position, die, disk);
	*ret_next = watch_stopped() ? EXPLORE_STOP_ALL : EXPLORE_GO;
	return 0;
}

/* Looks at files outside the databases belong to the log wherever they are made: no image has them.
 */
static void log_outside(void *ctx, bool begins)
{
	struct examiner *e = ctx;

	if (e->observed_disk == NULL)
		return;
	if (begins)
		e->was_logging = crashdisk_log_more(e->observed_disk, true);
	else
		(void)crashdisk_log_more(e->observed_disk, e->was_logging);
}

static bool asks_outside(const struct observation *o)
{
	bool asks = false;

	for (size_t i = 0; i < o->probe_count; i++)
		asks = asks || o->probes[i].outside;
	return asks;
}

/* Of an observation that lacks the answers of the probes that look outside: what image `image` is
 * known by, whatever the other files are. Its id is no whole observation's. */
static void keep_half(struct examiner *e, const struct observation *o, uint64_t image)
{
	struct observation half = observation_copy(o);

	observer_settle(&half);
	if (half.hung || watch_stopped()) {
		observation_release(&half);
		return;
	}
	half.id = hash_mix(half.id, image);
	known_add_image(e->known, image, keep_observation(e, &half));
}

/* Reads what an image does not tell, through a connection that reads: all, where the image is
 * unknown (KNOWN_NONE), otherwise what probes ask of other files. True: *o is to be kept; false: it
 * is what is known. */
static bool read_rest(struct examiner *e, sqlite3 *reader, struct crashdisk *disk,
		      const struct image *image, uint32_t known, struct observation *o)
{
	struct digest_reuse reuse = {image, e->leaves};

	if (known != KNOWN_NONE) {
		if (!asks_outside(known_at(e->known, known)))
			return false;
		*o = observation_copy(known_at(e->known, known));
	} else {
		observer_read(&e->observer, reader, image == NULL ? NULL : &reuse, o);
		if (!asks_outside(o))
			return true;
		if (image != NULL && o->rc == 0 && crashdisk_log_pure(disk))
			keep_half(e, o, image->hash);
	}
	observer_read_outside(&e->observer, reader, o);
	return true;
}

/* Observes what `db` recovered. On an undecided disk (`disk`, not NULL) an image that was observed
 * before is not observed again, and what is seen may be remembered. Returns the number of the
 * observation. */
static uint32_t observe(struct examiner *e, sqlite3 *db, struct crashdisk *disk,
			struct observation *o, bool *ret_pure)
{
	uint32_t index = KNOWN_NONE;
	struct image image = {0};
	bool has_image = false, is_new = true;

	*ret_pure = false;
	e->observed_disk = disk;
	if (disk != NULL)
		crashdisk_log(disk, true);
	enter(e);
	(void)outside_take_called(e->observer.outside);
	sqlite3 *reader = observer_connect(&e->observer, db, o);
	/* What @open took from other files is in no image. */
	bool opened_outside = outside_take_called(e->observer.outside);
	if (disk != NULL && reader != NULL && !opened_outside)
		has_image = image_look(e->subject, reader, disk, &image);
	if (disk != NULL)
		crashdisk_log(disk, false);
	if (has_image)
		index = known_by_image(e->known, image.hash);
	if (reader != NULL)
		is_new = read_rest(e, reader, disk, has_image ? &image : NULL, index, o);
	observer_disconnect(db, reader, o);
	leave(e);
	e->observed_disk = NULL;
	uint64_t hash = image.hash;
	image_release(&image);
	if (disk != NULL)
		*ret_pure = has_image && o->rc == 0 && crashdisk_log_pure(disk);
	if (!is_new) {
		observation_release(o);
		return index;
	}
	e->observed++;
	if (watch_stopped()) {
		observation_release(o);
		return KNOWN_NONE;
	}
	index = keep_observation(e, o);
	if (*ret_pure)
		known_add_image(e->known, hash, index);
	return index;
}

/* ---- the aftermath ------------------------------------------------------------------------- */

/*
 * What follows observation `index`, on the same disk and with every connection closed. Returns the
 * number of the observation with its aftermath, which is `index` itself when there is nothing to
 * object to (*ret_clean), or KNOWN_NONE when it was stopped.
 */
static uint32_t examine_aftermath(struct examiner *e, uint32_t index,
				  const struct second_boot *second, bool *ret_clean)
{
	enter(e);
	struct aftermath a =
	    second_boot_run(&e->observer, known_at(e->known, index), second, e->scratch);
	leave(e);
	*ret_clean = aftermath_is_clean(&a) && !watch_stopped();
	if (watch_stopped())
		return KNOWN_NONE;
	if (*ret_clean)
		return index;
	struct observation o = observation_copy(known_at(e->known, index));
	o.aftermath = a;
	o.id = hash_mix(o.id, aftermath_hash(&a));
	return keep_observation(e, &o);
}

/* There is something that can have an aftermath. */
static bool has_aftermath(const struct examiner *e, uint32_t index)
{
	return index != KNOWN_NONE && known_at(e->known, index)->rc == 0 &&
	       !known_at(e->known, index)->hung;
}

static void close_recovered(const struct examiner *e, sqlite3 *db)
{
	enter(e);
	observer_close(db);
	leave(e);
	ASSERT_OP(fi_vfs_open_count(), ==, 0);
}

/* Recovers and observes on `storage`; `disk` is the same storage when it is undecided and what was
 * seen there may be remembered, and `choice` answers it. `thorough`: nothing is taken for seen.
 * Returns the number of the observation, or KNOWN_NONE when it was stopped. */
static uint32_t observe_state(struct examiner *e, struct storage *storage, struct crashdisk *disk,
			      const struct choice *choice, uint64_t seed, bool thorough)
{
	struct observation o = {0};
	uint32_t index = KNOWN_NONE;
	uint64_t root = 0;

	enter(e);
	boot(e, storage, seed);
	sqlite3 *db = observer_recover(&e->observer, &o);
	leave(e);
	/* A failure may come from what the recovering connection had cached, which no look shows.
	 */
	if (db == NULL || e->observer.one_connection)
		disk = NULL;
	if (disk != NULL && !own_check_forgets()) {
		root = fi_vfs_shm_hash();
		index = memo_find(e->memo, disk, root);
	}
	if (index != KNOWN_NONE) {
		e->hits++;
		close_recovered(e, db);
		return index;
	}
	bool pure;
	index = observe(e, db, disk, &o, &pure);
	struct second_boot second = {
	    .storage = storage,
	    .seed = prng_mix(seed),
	    .device = e->ix->trace->device,
	    .defect = plant_in_recovery(e->subject->defect),
	    /* Connections that have the log to themselves keep its index where no hash sees it. */
	    .may_skip = !thorough && !e->observer.one_connection,
	    .indexes = fi_vfs_shm_hash(),
	};
	close_recovered(e, db);
	if (!has_aftermath(e, index))
		return index;
	size_t asked = choice == NULL ? 0 : choice->count;
	bool clean;
	uint32_t after = examine_aftermath(e, index, &second, &clean);
	/* Only what asked nothing and came to nothing is sure to be a function of the looks. */
	bool asked_more = choice != NULL && choice->count != asked;
	if (pure && clean && !asked_more && !own_check_forgets())
		memo_add(e->memo, disk, root, index);
	if (pure && asked_more) {
		e->asked += clean;
		own_check_strays();
	}
	return after;
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
	struct observation o = {0};
	sqlite3 *db = observer_recover(&e->observer, &o);
	bool pure;
	uint32_t index =
	    observe(e, db, db == NULL || e->observer.one_connection ? NULL : disk, &o, &pure);
	/* As it should be: without the defect that the subject plants in recovery. */
	struct second_boot second = {.storage = crashdisk_storage(disk),
				     .seed = prng_mix(boot_seed(e, position)),
				     .device = e->ix->trace->device,
				     .may_skip = !e->observer.one_connection,
				     .indexes = fi_vfs_shm_hash()};
	observer_close(db);
	bool clean;
	if (has_aftermath(e, index))
		index = examine_aftermath(e, index, &second, &clean);
	choice_release(&choice);
	crashdisk_free(disk);
	if (index == KNOWN_NONE)
		return err_set(err, ERR_INTERRUPTED, "stopped while the history was read");
	const struct observation *seen = known_at(e->known, index);
	/* In between it is something that a crash shows: between two commits, for instance. */
	if (seen->aftermath.objection[0] != '\0' &&
	    (position == 0 || position == e->ix->trace->op_count))
		return err_set(err, ERR_INPUT,
			       "check objects to the databases as they were at the %s, without any "
			       "crash: %s",
			       position == 0 ? "beginning" : "end", seen->aftermath.objection);
	judge_learn(e->judge, seen);
	*ret = *seen;
	ret->probes = NULL; /* these stay with the examiner */
	ret->probe_count = 0;
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
	for (size_t i = 0; i < 1 + s->attached_count; i++)
		schemas[i] = subject_schema(s, i);
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

/* trace_drop_fn, for a planted defect. */
static bool is_second_half(void *ctx, const struct trace *t, uint64_t position)
{
	(void)ctx;
	return position > t->op_count / 2;
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
	e->known = known_create();
	e->leaves = digest_leaves_create();
	e->scratch = scratch_create();
	judged_init(&e->judged, EXAMINE_JUDGED_MAX);
	e->point = 1;
	examiner_bound(e, EXAMINE_KNOWN_BYTES_MAX, EXAMINE_JUDGED_MAX);
	e->judge = create_judge(subject, show_data);
	observer_init(&e->observer, subject, judge_probes(e->judge));
	outside_watch(e->observer.outside, log_outside, e);
	paths[0] = subject->database;
	for (size_t i = 1; i < path_count; i++)
		paths[i] = subject->attached[i - 1].file;
	struct trace *other = NULL;
	if (subject->defect != NULL && strcmp(subject->defect, PLANT_OTHER_HISTORY) == 0)
		other = trace_without(ix->trace, is_second_half, NULL, NULL);
	int rc = history_build(other != NULL ? other : ix->trace, paths, path_count, subject->ack,
			       observe_position, e, &e->history, err);
	trace_free(other);
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
	known_free(e->known);
	digest_leaves_free(e->leaves);
	scratch_free(e->scratch);
	judged_release(&e->judged);
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

/* Judges an observation at a promise. *ret_verdicts is 0 when that was done before and nothing in
 * it is news for the present crash point: it found nothing, or the point has its verdicts. */
static const struct judged *judge_state(struct examiner *e, uint32_t index, uint64_t promise,
					size_t *ret_verdicts)
{
	struct judged *slot = judged_find(&e->judged, index, promise);

	*ret_verdicts = 0;
	if (slot != NULL && (!slot->has_verdicts || slot->point == e->point))
		return slot;
	if (slot == NULL)
		slot = judged_add(&e->judged, index, promise);
	slot->point = e->point;
	*ret_verdicts =
	    judge_observation(e->judge, e->history, promise, known_at(e->known, index), e->verdicts,
			      JUDGE_VERDICTS_MAX, &slot->grade, &slot->lost);
	slot->has_verdicts = *ret_verdicts > 0;
	return slot;
}

static void keep_finding(struct examiner *e, const struct verdict *v, uint64_t lost,
			 const struct explore_point *point, uint64_t promise,
			 const struct choice *choice)
{
	uint32_t *answers = xmalloc(choice->count * sizeof *answers);
	struct finding f = {.verdict = *v,
			    .lost = lost,
			    .position = point->position,
			    .cut_bytes = point->cut_bytes,
			    .promise = promise,
			    .again = point->again,
			    .answers = answers,
			    .answer_count = choice->count,
			    .recovery = e->point_recoveries};

	for (size_t i = 0; i < choice->count; i++)
		answers[i] = choice->steps[i].answer;
	findings_keep(e->findings, &e->finding_count, &f);
	free(answers);
}

static bool is_passed(const struct examiner *e, const char *oracle)
{
	for (size_t i = 0; i < e->passed_count; i++)
		if (strcmp(e->passed[i], oracle) == 0)
			return true;
	return false;
}

/* Of a state that was judged at this point before (no verdicts) it is known that it does not. */
static bool ends_point(const struct examiner *e, const struct judged *j, size_t verdicts)
{
	if (j->grade != GRADE_CORRUPT)
		return false;
	if (e->passed_count == 0)
		return true;
	for (size_t i = 0; i < verdicts; i++)
		if (e->verdicts[i].grade == GRADE_CORRUPT && !is_passed(e, e->verdicts[i].oracle))
			return true;
	return false;
}

int examiner_examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		     const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct examiner *e = ctx;

	(void)err;
	e->point_recoveries++;
	if (e->isolate != NULL)
		e->isolate->again = (struct isolate_again){
		    point->again.happened, point->again.position, point->again.cut_bytes};
	uint32_t index =
	    observe_state(e, crashdisk_storage(disk), point->again.happened ? NULL : disk, choice,
			  boot_seed_again(e, point->position, &point->again), false);
	if (choice->diverged)
		return 0; /* the explorer reports it */
	if (watch_stopped()) {
		*ret_next = EXPLORE_STOP_ALL; /* half an observation says nothing */
		return 0;
	}
	e->last =
	    (struct examined){.outcome = known_at(e->known, index)->id, .grade = GRADE_DURABLE};
	bool ends = false;

	for (size_t i = 0; i < point->promise_count; i++) {
		size_t verdicts;
		const struct judged *j = judge_state(e, index, point->promises[i], &verdicts);
		ends = ends || ends_point(e, j, verdicts);
		for (size_t k = 0; k < verdicts; k++)
			keep_finding(e, &e->verdicts[k], j->lost, point, point->promises[i],
				     choice);
		if (j->grade < e->last.grade)
			e->last.grade = j->grade;
		if (j->lost > e->last.lost)
			e->last.lost = j->lost;
		e->last.verdicts = e->verdicts;
		e->last.verdict_count = verdicts;
	}
	if (e->last.grade < e->grade)
		e->grade = e->last.grade;
	if (e->last.lost > e->lost_max)
		e->lost_max = e->last.lost;
	if (e->last.grade == GRADE_CORRUPT && e->passed_since == 0)
		e->passed_since = e->point_recoveries;
	ends = ends || (e->passed_since != 0 &&
			e->point_recoveries - e->passed_since >= EXAMINE_PASSED_MAX);
	*ret_next = ends ? EXPLORE_STOP_POINT : EXPLORE_GO;
	return 0;
}

int examiner_examine_storage(struct examiner *e, struct storage *storage, uint64_t position,
			     uint64_t promise, uint64_t *ret_outcome, enum grade *ret_grade,
			     uint64_t *ret_lost, struct err *err)
{
	size_t verdicts;
	uint32_t index = observe_state(e, storage, NULL, NULL, boot_seed(e, position), true);

	if (index == KNOWN_NONE)
		return err_set(err, ERR_INTERRUPTED, "stopped");
	const struct judged *j = judge_state(e, index, promise, &verdicts);
	*ret_outcome = known_at(e->known, index)->id;
	*ret_grade = j->grade;
	*ret_lost = j->lost;
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

uint64_t examiner_asked(const struct examiner *e)
{
	return e->asked;
}

void examiner_counts(const struct examiner *e, uint64_t *ret_observed, uint64_t *ret_known)
{
	*ret_observed = e->observed;
	*ret_known = e->hits;
}
