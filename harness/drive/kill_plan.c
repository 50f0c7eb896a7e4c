/*
 * What a round of the real kills does: a function of seed and number. Whom it kills, when or at
 * which operation, how long the others live on, what a power cut takes. What the processes had done
 * by then is not, so a finding names round and seed and cannot be replayed. See kill_case.h.
 */
#include "faultinject/base/prng.h"
#include "harness/drive/kill_case.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	CLOCK_ROUNDS = 32,	  /* every so manieth round has a stepping clock */
	KILL_NS_MIN = 200 * 1000, /* so that a kill can meet the opening of the database */
	SHARE_SCALE = 1000,
	LEFT_OVER_ENDS = 4, /* in every so manieth round those that are left over may end */
};

const struct kill_measure *kill_plan_measure(const struct kill_run *k, const struct kill_plan *p)
{
	return p->migrating ? &k->migration_measure : &k->measure;
}

/* In words; `state` of a power cut, from 1, or 0. */
void kill_plan_describe(const struct kill_run *k, const struct kill_plan *p,
			const struct kill_round *r, unsigned state, char ret[KILL_WHERE_SIZE])
{
	static const char *const moments[] = {
	    [FI_KILL_NEVER] = "",
	    [FI_KILL_BEFORE] = "before I/O operation",
	    [FI_KILL_AFTER] = "after I/O operation",
	    [FI_KILL_IN_SYNC] = "inside sync",
	};
	char victim[32];
	int n;

	if (p->number == 0) {
		(void)snprintf(ret, KILL_WHERE_SIZE, "in the warm-up, in which nobody is killed");
		return;
	}
	kill_writer_name(r, p->victim, victim, sizeof victim);
	n = snprintf(ret, KILL_WHERE_SIZE, "round %" PRIu64 " of seed %" PRIu64 ", %s of %zu ",
		     p->number, k->options->seed, victim,
		     p->migrating ? (size_t)1 : k->writer_count);
	if (p->by_operation)
		n += snprintf(ret + n, KILL_WHERE_SIZE - (size_t)n, "to be killed %s %" PRIu64,
			      moments[p->operation.moment], p->operation.number);
	else
		n += snprintf(ret + n, KILL_WHERE_SIZE - (size_t)n,
			      "to be killed after %" PRIu64 " us", p->kill_ns / 1000);
	if (state > 0)
		(void)snprintf(ret + n, KILL_WHERE_SIZE - (size_t)n,
			       ", then a power cut under %.60s, state %u of %d: %s", k->model.name,
			       state, KILL_POWER_STATES,
			       state == 1 ? "the oldest of everything" : "drawn");
}

/* The share of a measured amount that is still to be done: a client that goes on has less left. */
uint64_t kill_run_share_left(const struct kill_run *k, uint64_t amount)
{
	uint64_t done, all;

	if (k->state_count < 2)
		return amount;
	done = kill_run_writing_client(k)->from.turn;
	all = k->state_count - 1;
	return (uint64_t)((double)amount * (double)(all - done) / (double)all);
}

/* The processes of a round: who writes, then those of the others that take part. */
size_t kill_plan_jobs(const struct kill_run *k, const struct kill_plan *p,
		      size_t ret_jobs[KILL_PROCESSES_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < k->job_count; i++) {
		bool writes = i < k->writer_count;

		if (writes ? i == 0 || !p->migrating : p->others[i - k->writer_count])
			ret_jobs[count++] = i;
	}
	return count;
}

/* Who is to die inside a sync has to sync: the next one that does. False: nobody does. */
static bool find_syncing(const struct kill_measure *m, const size_t *jobs, size_t count,
			 size_t *victim)
{
	for (size_t i = 0; i < count; i++) {
		size_t at = (*victim + i) % count;

		if (m->counts[jobs[at]].syncs == 0)
			continue;
		*victim = at;
		return true;
	}
	return false;
}

/* From 1 to `range`, small numbers more often: half of them are in the first eighth. What begins
 * (opening, a new log) is met more often than what goes on, and a round is shorter. */
static uint64_t draw(struct prng *random, uint64_t range)
{
	double share = (double)prng_below(random, SHARE_SCALE * SHARE_SCALE) /
		       ((double)SHARE_SCALE * SHARE_SCALE);

	return 1 + (uint64_t)((double)range * share * share * share);
}

static void plan_operation(const struct kill_run *k, struct prng *random, const size_t *jobs,
			   size_t count, struct kill_plan *ret)
{
	static const enum fi_kill_moment moments[] = {FI_KILL_BEFORE, FI_KILL_AFTER,
						      FI_KILL_IN_SYNC};
	const struct kill_measure *m = kill_plan_measure(k, ret);
	size_t victim = ret->victim;
	enum fi_kill_moment moment = moments[prng_below(random, 3)];
	bool syncs = find_syncing(m, jobs, count, &victim);

	if (moment == FI_KILL_IN_SYNC && syncs)
		ret->victim = victim;
	else if (moment == FI_KILL_IN_SYNC)
		moment = FI_KILL_BEFORE;
	const struct fi_kill_counts *counts = &m->counts[jobs[ret->victim]];
	uint64_t range =
	    kill_run_share_left(k, moment == FI_KILL_IN_SYNC ? counts->syncs : counts->operations);

	ret->operation.moment = moment;
	ret->operation.number = draw(random, range);
	/* Where nothing is ever synced, every operation is as good as a sync. */
	ret->power = k->power_subject != NULL && !k->log_was_full && ret->by_operation &&
		     (moment == FI_KILL_IN_SYNC || !syncs);
	ret->operation.seals = ret->power;
}

void kill_plan_round(const struct kill_run *k, uint64_t number, bool migrating,
		     struct kill_plan *ret)
{
	struct prng random;

	memset(ret, 0, sizeof *ret);
	prng_init(&random, prng_mix(k->options->seed) + number, "kill");
	ret->number = number;
	ret->migrating = migrating;
	uint64_t duration = kill_run_share_left(k, kill_plan_measure(k, ret)->duration_ns);

	ret->clock = kill_clock_problem(k->options->faketime) == NULL &&
		     (k->scenario->clock != NULL || number % CLOCK_ROUNDS == 0);
	for (size_t i = k->writer_count; i < k->job_count; i++)
		ret->others[i - k->writer_count] = prng_below(&random, 2) == 0;
	size_t jobs[KILL_PROCESSES_MAX], count = kill_plan_jobs(k, ret, jobs);

	ret->victim = (size_t)prng_below(&random, count);
	ret->by_operation = prng_below(&random, 2) == 1;
	ret->kill_ns = draw(&random, duration < KILL_NS_MIN ? KILL_NS_MIN : duration);
	ret->delay_ns = prng_below(&random, 2) == 0 ? 0 : prng_below(&random, duration / 4 + 1);
	ret->kills_rest = prng_below(&random, LEFT_OVER_ENDS) != 0;
	plan_operation(k, &random, jobs, count, ret);
	/* What runs under libfaketime was executed, and shares no memory with us. */
	ret->power = ret->power && !ret->clock;
	ret->operation.seals = ret->power;
	if (ret->power)
		ret->delay_ns = 0; /* the power goes for all of them */
}
