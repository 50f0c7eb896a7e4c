/*
 * Readers and checkpointers of the real kills: processes beside the writers that write nothing of
 * their own, are killed like the others, and end when the writers have ended.
 *
 * A reader opens, reads everything inside one transaction, and looks again after a moment: what it
 * sees must not have changed, whatever was committed or checkpointed meanwhile. What it sees is
 * held against
 *
 *   - the oracles of the scenario: every state that a reader can see is a committed one
 *   - what it saw before: promises of a workload do not go back; where one client alone writes, its
 *     states follow each other
 *
 * and what it saw is reported, because what one reader has seen a kill must not take away again.
 *
 * A checkpointer runs wal_checkpoint in every mode, in an order drawn from the seed. To be refused
 * (SQLITE_BUSY) is an answer; any other error is not.
 *
 * Of several attached files, which SQLite lets go one after another, no two are seen at one moment:
 * there only what is asked of each file by itself is judged.
 *
 * Neither makes the database, nor changes its journal mode. Invariants that look at files which are
 * no databases are not asked: such a file may change between two reads of one transaction.
 */
#include "harness/drive/kill_internal.h"

#include "faultinject/base/prng.h"
#include "harness/drive/gate.h"
#include "harness/drive/observe.h"
#include "harness/drive/outside.h"
#include "harness/judge/oracle.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PAUSE_US = 100,	      /* between two looks of one transaction */
	ABSENT_PAUSE_US = 50, /* until there is a database */
	CHECKPOINT_BUSY_MS = 5,
	CHECKPOINT_PAUSE_US_MAX = 400,
	CONNECTION_READS = 4, /* then the reader opens again */
	SEEN_MAX = 256,	      /* keys of promises that a reader remembers */
};

struct reader {
	struct kill_process *p;
	struct prng random;
	struct kill_promise seen[SEEN_MAX];
	size_t seen_count;
	uint64_t turn;
	bool has_turn;
};

static bool is_over(const struct kill_process *p)
{
	return p->over != NULL && atomic_load(p->over) != 0;
}

static void found(struct kill_process *p, const char *oracle, enum grade grade, const char *message)
{
	struct kill_record r = {.type = KILL_RECORD_FOUND, .code = (int32_t)grade};

	(void)snprintf(r.text, sizeof r.text, "%s %.*s", oracle, VERDICT_MESSAGE_SIZE - 1, message);
	kill_report(p, &r);
}

/* ---- reading ---- */

/* Somebody else is in the way, or there is no database yet. */
static bool is_no_answer(int rc)
{
	int primary = rc & 0xff;

	return observed_locked_out(rc) || primary == SQLITE_CANTOPEN;
}

/* Everything that the transaction sees. False: nothing was seen. */
static bool look(const struct reader *r, sqlite3 *db, struct observation *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->file_count = 1 + r->p->job->subject->attached_count;
	observer_read(r->p->observer, db, NULL, ret);
	bool blocked = is_no_answer(ret->rc);

	for (size_t i = 0; i < ret->probe_count; i++)
		blocked = blocked || is_no_answer(ret->probes[i].rc);
	if (blocked)
		observation_release(ret);
	return !blocked;
}

static void judge_oracles(const struct reader *r, const struct observation *o)
{
	struct verdict verdicts[JUDGE_VERDICTS_MAX];
	enum grade grade;
	uint64_t lost;
	size_t n = judge_observation(r->p->job->reading->judge, NULL, 0, o, verdicts,
				     JUDGE_VERDICTS_MAX, &grade, &lost);

	for (size_t i = 0; i < n; i++)
		if (!r->p->job->reading->several_files || judge_always_on(verdicts[i].oracle))
			found(r->p, verdicts[i].oracle, verdicts[i].grade, verdicts[i].message);
}

/* What is there now will have to be there later. */
static void remember(struct reader *r, const struct probe_result *answer)
{
	for (size_t row = 0; row < answer->row_count; row++) {
		struct kill_record record = {.type = KILL_RECORD_SEEN};
		const char *key = probe_cell(answer, row, 0), *last = probe_cell(answer, row, 3);
		size_t i = 0;

		if (key == NULL || last == NULL || strlen(key) >= KILL_TEXT_SIZE - 24)
			continue;
		while (i < r->seen_count && strcmp(r->seen[i].key, key) != 0)
			i++;
		if (i == SEEN_MAX)
			return;
		int64_t position = strtoll(last, NULL, 10);

		if (i < r->seen_count && r->seen[i].position == position)
			continue;
		if (i == r->seen_count)
			r->seen_count++;
		(void)snprintf(r->seen[i].key, sizeof r->seen[i].key, "%s", key);
		r->seen[i].position = position;
		(void)snprintf(record.text, sizeof record.text, "%s %lld", key,
			       (long long)position);
		kill_report(r->p, &record);
	}
}

static void judge_promises(struct reader *r, const struct probe_result *answer)
{
	struct kill_durability d;

	if (answer->rc != 0 || answer->outside)
		return;
	kill_judge_promises(answer, r->seen, r->seen_count, &d);
	if (d.grade != GRADE_DURABLE)
		found(r->p, "history", GRADE_TORN, d.message);
	else
		remember(r, answer);
}

static void judge_state(struct reader *r, const struct observation *o)
{
	const struct kill_reading *reading = r->p->job->reading;
	struct kill_record record = {.type = KILL_RECORD_SEEN_STATE};
	uint64_t turn;
	char message[VERDICT_MESSAGE_SIZE];

	if (!kill_find_state(o, reading->states, reading->state_count, r->turn, &turn)) {
		bool earlier = kill_find_state(o, reading->states, reading->state_count, 0, &turn);

		(void)snprintf(message, sizeof message,
			       earlier ? "a reader saw the state after %llu transactions, and "
					 "then an earlier one"
				       : "a reader that had seen %llu transactions then saw a "
					 "state that the run without kills never had",
			       (unsigned long long)r->turn);
		found(r->p, "history", GRADE_TORN, message);
		return;
	}
	if (r->has_turn && turn == r->turn)
		return;
	r->has_turn = true;
	r->turn = record.position.turn = turn;
	kill_report(r->p, &record);
}

static bool is_same(const struct observation *a, const struct observation *b)
{
	if (a->rc != b->rc)
		return false;
	for (size_t f = 0; f < a->file_count; f++)
		if (digest_equal(a->files[f].state, b->files[f].state) == 0)
			return false;
	return true;
}

static void judge(struct reader *r, struct observation *o)
{
	const struct kill_reading *reading = r->p->job->reading;
	const struct probe_result *answer = NULL;

	if (o->rc == 0 && reading->has_promise_sql)
		answer = &o->probes[--o->probe_count];
	judge_oracles(r, o);
	if (answer != NULL) {
		judge_promises(r, answer);
		o->probe_count++;
	}
	if (o->rc == 0 && reading->states != NULL)
		judge_state(r, o);
}

/* One transaction, looked at twice. */
static void read_once(struct reader *r, sqlite3 *db)
{
	struct observation first, second;
	const char *plant = r->p->job->plant;
	bool loose = plant != NULL && strcmp(plant, KILL_PLANT_READERS) == 0;

	if (!loose && sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		return;
	if (look(r, db, &first)) {
		(void)usleep((useconds_t)prng_below(&r->random, PAUSE_US + 1));
		if (look(r, db, &second)) {
			if (!is_same(&first, &second))
				found(r->p, "history", GRADE_TORN,
				      "what a reader sees changed inside its transaction");
			observation_release(&second);
		}
		judge(r, &first);
		observation_release(&first);
	}
	if (!loose)
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

int kill_reader_work(struct kill_process *p, struct err *err)
{
	struct reader *r = xcalloc(1, sizeof *r);
	int rc = 0;

	r->p = p;
	prng_init(&r->random, prng_mix(p->job->seed) + p->job->worker, "reader");
	while (rc == 0 && !is_over(p)) {
		struct err why = ERR_INIT;
		sqlite3 *db = NULL;

		/* Nobody has made it, or everybody is in each other's way. */
		if (kill_connect(p, false, &db, &why) != 0) {
			(void)usleep(ABSENT_PAUSE_US);
			continue;
		}
		/* Probes that look at other files are known by what they call. */
		(void)outside_register(p->observer->outside, db);
		for (int i = 0; i < CONNECTION_READS && !is_over(p); i++) {
			uint64_t begin_ns = gate_now_ns();

			read_once(r, db);
			/* Twice as long as it read: a reader that comes back at once keeps its slot
			 * of the WAL index for itself, and a FULL checkpoint waits for that slot,
			 * whoever has it. */
			if (!is_over(p))
				(void)usleep((useconds_t)(2 * (gate_now_ns() - begin_ns) / 1000));
		}
		if (sqlite3_close(db) != SQLITE_OK)
			rc = err_set(err, ERR_INPUT, "%s: a reader cannot close its connection: %s",
				     p->job->path, sqlite3_errmsg(db));
	}
	free(r);
	return rc;
}

/* ---- checkpoints ---- */

static int checkpoint(struct kill_process *p, sqlite3 *db, struct prng *random, struct err *err)
{
	static const int modes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL,
				    SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE};
	static const char *const names[] = {"PASSIVE", "FULL", "RESTART", "TRUNCATE"};
	size_t which = (size_t)prng_below(random, sizeof modes / sizeof modes[0]);
	int rc = sqlite3_wal_checkpoint_v2(db, NULL, modes[which], NULL, NULL);

	if (rc == SQLITE_OK || is_no_answer(rc))
		return 0;
	return err_set(err, ERR_INPUT, "%s: wal_checkpoint(%s): %s (code %d, errno %d)",
		       p->job->path, names[which], sqlite3_errmsg(db), sqlite3_extended_errcode(db),
		       sqlite3_system_errno(db));
}

int kill_checkpointer_work(struct kill_process *p, struct err *err)
{
	struct prng random;
	int rc = 0;

	prng_init(&random, prng_mix(p->job->seed) + p->job->worker, "checkpointer");
	while (rc == 0 && !is_over(p)) {
		struct err why = ERR_INIT;
		sqlite3 *db = NULL;

		if (kill_connect(p, false, &db, &why) != 0) {
			(void)usleep(ABSENT_PAUSE_US);
			continue;
		}
		(void)sqlite3_busy_timeout(db, CHECKPOINT_BUSY_MS);
		for (int i = 0; i < CONNECTION_READS && rc == 0 && !is_over(p); i++) {
			rc = checkpoint(p, db, &random, err);
			(void)usleep((useconds_t)prng_below(&random, CHECKPOINT_PAUSE_US_MAX));
		}
		(void)sqlite3_close(db);
	}
	return rc;
}
