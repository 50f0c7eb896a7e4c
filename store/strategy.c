/*
 * strategy.c: when to checkpoint, and how. Pure functions of what the checkpointer saw.
 *
 * Three sizes of the log matter, and mixing them up makes a checkpointer that spins: after a
 * checkpoint that moved everything the file is as large as before, and stays so when the next
 * commit starts at its beginning again. What a checkpoint can still move is wal_bytes_waiting. What
 * grows when readers keep a checkpoint from finishing, or the writer from starting anew, is
 * wal_bytes_used. The file itself becomes smaller by TRUNCATE only.
 *
 * The built-in strategies answer only when they want a checkpoint, so that one with a lower
 * priority is heard.
 */
#include "store/upkeep_internal.h"

/* The log is this many times the threshold: somebody has to wait now. */
#define OVERFULL_TIMES 4

/* The threshold of the size in which low_latency checkpoints. */
#define SMALL_PART 4

/* Quiet is no commit for this part of the interval, and nobody there. */
#define QUIET_PART 4

/* Without the overflow of a threshold that means "never". */
static bool is_overfull(const struct store_wal_state *state)
{
	return state->wal_bytes_used / OVERFULL_TIMES >= state->wal_bytes_max &&
	       state->wal_bytes_used > 0;
}

static bool is_quiet(const struct store_wal_state *state)
{
	return state->queue_count == 0 && state->readers_taken == 0 &&
	       state->since_commit_ms >= state->interval_ms / QUIET_PART;
}

/* There is something to move, and it is much or old. */
static bool is_due(const struct store_wal_state *state, uint64_t bytes)
{
	return state->wal_bytes_waiting > 0 && (state->wal_bytes_waiting >= bytes ||
						state->since_checkpoint_ms >= state->interval_ms);
}

static bool answer(bool *ret_checkpoint, enum store_checkpoint_mode *ret_mode,
		   enum store_checkpoint_mode mode)
{
	*ret_checkpoint = true;
	*ret_mode = mode;
	return true;
}

static bool decide_append_log(void *context, const struct store_wal_state *state,
			      bool *ret_checkpoint, enum store_checkpoint_mode *ret_mode)
{
	(void)context;
	if (state->wal_bytes > 0 && (is_quiet(state) || is_overfull(state)))
		return answer(ret_checkpoint, ret_mode, STORE_CHECKPOINT_TRUNCATE);
	if (is_due(state, state->wal_bytes_max))
		return answer(ret_checkpoint, ret_mode, STORE_CHECKPOINT_PASSIVE);
	return false;
}

static bool decide_high_concurrency(void *context, const struct store_wal_state *state,
				    bool *ret_checkpoint, enum store_checkpoint_mode *ret_mode)
{
	(void)context;
	/* After a RESTART the log is as full as before until the next commit begins it anew. */
	if (is_overfull(state) &&
	    (state->commits_since_checkpoint > 0 || state->wal_bytes_waiting > 0))
		return answer(ret_checkpoint, ret_mode, STORE_CHECKPOINT_RESTART);
	if (is_due(state, state->wal_bytes_max))
		return answer(ret_checkpoint, ret_mode, STORE_CHECKPOINT_PASSIVE);
	return false;
}

static bool decide_low_latency(void *context, const struct store_wal_state *state,
			       bool *ret_checkpoint, enum store_checkpoint_mode *ret_mode)
{
	(void)context;
	if (state->wal_bytes > 0 && is_quiet(state))
		return answer(ret_checkpoint, ret_mode, STORE_CHECKPOINT_TRUNCATE);
	/* A queue that is never empty must not fill the disk; and it has to have something to do,
	 * which a log that readers hold has not. */
	if (state->queue_count > 0 && !(is_overfull(state) && state->wal_bytes_waiting > 0))
		return false;
	if (is_due(state, state->wal_bytes_max / SMALL_PART))
		return answer(ret_checkpoint, ret_mode, STORE_CHECKPOINT_PASSIVE);
	return false;
}

static const struct store_strategy append_log = {
    .name = "append_log",
    .decide = decide_append_log,
};
static const struct store_strategy high_concurrency = {
    .name = "high_concurrency",
    .decide = decide_high_concurrency,
};
static const struct store_strategy low_latency = {
    .name = "low_latency",
    .decide = decide_low_latency,
};

const struct store_strategy *store_strategy_append_log(void)
{
	return &append_log;
}

const struct store_strategy *store_strategy_high_concurrency(void)
{
	return &high_concurrency;
}

const struct store_strategy *store_strategy_low_latency(void)
{
	return &low_latency;
}

const struct store_strategy *store_strategy_choose(const struct store_strategy *strategies,
						   size_t count,
						   const struct store_wal_state *state,
						   bool *ret_checkpoint,
						   enum store_checkpoint_mode *ret_mode)
{
	const struct store_strategy *winner = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct store_strategy *strategy = &strategies[i];
		enum store_checkpoint_mode mode = STORE_CHECKPOINT_PASSIVE;
		bool checkpoint = false;

		if (!strategy->decide(strategy->context, state, &checkpoint, &mode))
			continue;
		if (winner && strategy->priority <= winner->priority)
			continue;
		winner = strategy;
		*ret_checkpoint = checkpoint;
		*ret_mode = mode;
	}
	return winner;
}
