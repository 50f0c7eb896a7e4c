/*
 * test_store_sequence.c: seqs without a gap and positions that rise, also where the store remembers
 * what it would otherwise have to ask the database for.
 */
#include "store/internal.h"
#include "store/test/store_test.h"

/* The seqs, in their order, of everything that is in the store. */
static void assert_no_gap(struct store *store, int64_t count)
{
	assert_int_equal(event_count(store), count);
	assert_int_equal(query_int(store_handle(store), "SELECT max(seq) FROM events"), count);
	assert_int_equal(query_int(store_handle(store),
				   "SELECT count(*) FROM events AS first"
				   " WHERE first.seq = first.batch_id"
				   " AND batch_count != (SELECT count(*) FROM events"
				   " WHERE batch_id = first.batch_id)"),
			 0);
}

struct plan {
	int64_t position;
	enum store_code result;
};

/* A batch of two, and then the result of the plan. */
static enum store_code append_then(struct store *store, void *context, struct store_error *err)
{
	const struct plan *plan = context;
	enum store_code code = append_range(store, "a", plan->position, 2, err);

	return code == STORE_OK ? plan->result : code;
}

/* A part that is undone, between two that stand. */
static enum store_code append_around(struct store *store, void *context, struct store_error *err)
{
	struct plan undone = {.position = 30, .result = STORE_ERR_CANCELLED};
	enum store_code code;

	(void)context;
	code = append_range(store, "a", 20, 2, err);
	if (code != STORE_OK)
		return code;
	assert_int_equal(store_transaction(store, append_then, &undone, err), STORE_ERR_CANCELLED);
	return append_range(store, "a", 30, 2, err);
}

/* [A4] What was rolled back, a transaction or a part of one, leaves no gap in the seqs. */
static void test_no_gap_after_a_rollback(void **state)
{
	const struct folder *folder = folder_of(state);
	struct plan undone = {.position = 10, .result = STORE_ERR_CANCELLED};
	struct store *store = open_with(folder->store, NULL);
	struct store_error err = {0};

	append_ok(store, "a", 0, 3);
	assert_int_equal(store_transaction(store, append_then, &undone, &err), STORE_ERR_CANCELLED);
	append_ok(store, "a", 10, 2);
	assert_no_gap(store, 5);
	assert_int_equal(store_transaction(store, append_around, NULL, &err), STORE_OK);
	append_ok(store, "a", 40, 1);
	assert_no_gap(store, 10);
	store_close(store);
}

/* [A4] Two handles that take turns, and one that is opened again, go on where the other ended. */
static void test_handles_take_turns(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *one = open_with(folder->store, NULL);
	struct store *two = open_with(folder->store, NULL);
	struct store_error err = {0};

	for (int64_t i = 0; i < 3; i++) {
		append_ok(one, "a", 100 * i, 3);
		append_ok(one, "a", 100 * i + 10, 1);
		append_ok(two, "a", 100 * i + 20, 2);
		append_ok(two, "b", 100 * i, 1);
	}
	assert_no_gap(one, 21);
	assert_int_equal(append_range(one, "a", 219, 1, &err), STORE_ERR_ORDER);
	assert_int_equal(store_reopen(one, &err), STORE_OK);
	append_ok(one, "a", 300, 2);
	assert_no_gap(two, 23);
	store_close(one);
	store_close(two);
}

#define SERVERS 40

/* An event of a server whose positions are far from those of the others. */
static struct store_event event_of(struct sample *sample, size_t server, int64_t position)
{
	char name[16];

	snprintf(name, sizeof(name), "server %zu", server);
	return *sample_fill(sample, name, 1000 * (int64_t)server + position);
}

/* [A4] In a batch of many servers, each server's positions rise from what the store has, and from
 * what the batch has. */
static void test_many_servers_in_a_batch(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = open_with(folder->store, NULL);
	struct sample samples[2 * SERVERS + 1];
	struct store_event events[2 * SERVERS + 1];

	for (size_t i = 0; i < 2 * SERVERS; i++)
		events[i] = event_of(&samples[i], i % SERVERS, 2 * (int64_t)i);
	assert_int_equal(store_events(store, events, 2 * SERVERS, NULL), STORE_OK);
	assert_no_gap(store, 2 * SERVERS);
	for (size_t i = 0; i < 2 * SERVERS; i++) {
		const int64_t too_late[] = {51, 251}; /* for the store, for the batch */

		events[i] = event_of(&samples[i], i % SERVERS, (int64_t)(300 + i));
		for (size_t k = 0; k < 2; k++) {
			struct store_error err = {0};

			events[i + 1] =
			    event_of(&samples[i + 1], i * 7 % (i + 1) % SERVERS, too_late[k]);
			assert_int_equal(store_events(store, events, i + 2, &err), STORE_ERR_ORDER);
			assert_int_equal(err.index, i + 1);
		}
	}
	assert_no_gap(store, 2 * SERVERS);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_no_gap_after_a_rollback),
	    TEST(test_handles_take_turns),
	    TEST(test_many_servers_in_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
