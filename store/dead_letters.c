/*
 * dead_letters.c: the table of events that could not be read.
 *
 * A letter is the event's seq and a reason; the row stays where it is. Letters that are in the
 * table already are sorted out before the write lock is asked for: readers meet the same rows again
 * and again, and only the first of them has something to write.
 */
#include <inttypes.h>
#include <string.h>

#include "store/internal.h"

static enum store_code dead_letters_check(const struct store *store, struct store_error *err)
{
	enum store_code code;

	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	code = store_check_running(store, err);
	if (code == STORE_OK)
		code = store_need_schema(store, STORE_SCHEMA_EVENTS, 4, err);
	return code;
}

static enum store_code letter_check(const struct store *store,
				    const struct store_dead_letter *letter, size_t index,
				    struct store_error *err)
{
	const char *complaint =
	    store_text_complaint(letter->reason, STORE_REASON_BYTES_MAX, false, NULL);

	if (!complaint)
		return STORE_OK;
	store_error_at(err, store, STORE_ERR_INVALID, 0, "dead letter %zu: reason %s", index,
		       complaint);
	if (err)
		err->index = index;
	return STORE_ERR_INVALID;
}

/* Whether the letter is in the table. */
static enum store_code letter_find(struct store *store, int64_t seq, bool *ret_found,
				   struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_statement(store, "SELECT 1 FROM dead_letters WHERE seq = ?1", &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, seq);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	sqlite3_reset(stmt);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_error_set_sqlite(err, store->db, rc, "cannot read the dead letters");
	*ret_found = rc == SQLITE_ROW;
	return STORE_OK;
}

static enum store_code letter_insert(struct store *store, const struct store_dead_letter *letter,
				     int64_t noted_us, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	int rc;

	code = store_statement(store,
			       "INSERT OR IGNORE INTO dead_letters (seq, reason, noted_us)"
			       " VALUES (?1, ?2, ?3)",
			       &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, letter->seq);
	if (rc == SQLITE_OK)
		rc = store_bind_text(stmt, 2, letter->reason);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 3, noted_us);
	if (rc == SQLITE_OK)
		rc = store_run(stmt);
	sqlite3_clear_bindings(stmt);
	if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
		return store_error_at(err, store, STORE_ERR_NOT_FOUND, rc,
				      "there is no event at seq %" PRId64, letter->seq);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot note a dead letter");
	return STORE_OK;
}

static enum store_code letters_insert(struct store *store, const struct store_dead_letter *letters,
				      size_t letter_count, struct store_error *err)
{
	int64_t noted_us = store_now_us(&store->options);
	enum store_code code = STORE_OK;

	for (size_t i = 0; i < letter_count && code == STORE_OK; i++) {
		code = letter_insert(store, &letters[i], noted_us, err);
		if (code != STORE_OK && err)
			err->index = i;
	}
	return code;
}

enum store_code store_dead_letters(struct store *store, const struct store_dead_letter *letters,
				   size_t letter_count, struct store_error *err)
{
	enum store_code code = dead_letters_check(store, err);
	bool all_noted = true;

	if (code == STORE_OK && !letters && letter_count > 0)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "a batch of %zu is NULL",
				      letter_count);
	if (code == STORE_OK && letter_count > STORE_BATCH_COUNT_MAX)
		code = store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "a batch of %zu; the most is %d", letter_count,
				      STORE_BATCH_COUNT_MAX);
	for (size_t i = 0; i < letter_count && code == STORE_OK; i++)
		code = letter_check(store, &letters[i], i, err);
	for (size_t i = 0; i < letter_count && code == STORE_OK && all_noted; i++)
		code = letter_find(store, letters[i].seq, &all_noted, err);
	if (code != STORE_OK || all_noted)
		return code;
	code = store_begin(store, err);
	if (code != STORE_OK)
		return code;
	code = letters_insert(store, letters, letter_count, err);
	return store_finish(store, code, err);
}

/* The letter of the row that the statement stands on; a reason that is none is left out. */
static void letter_read(sqlite3_stmt *stmt, struct store_dead_letter *ret_letter)
{
	const char *reason = (const char *)sqlite3_column_text(stmt, 1);

	*ret_letter = (struct store_dead_letter){
	    .seq = sqlite3_column_int64(stmt, 0),
	    .noted_us = sqlite3_column_int64(stmt, 2),
	};
	if (reason && !store_text_complaint(reason, STORE_REASON_BYTES_MAX, false, NULL))
		memcpy(ret_letter->reason, reason, strlen(reason) + 1);
}

enum store_code store_dead_letters_list(struct store *store, int64_t seq_after,
					struct store_dead_letter *ret_letters,
					size_t letter_count_max, size_t *ret_count,
					struct store_error *err)
{
	enum store_code code = dead_letters_check(store, err);
	sqlite3_stmt *stmt;
	size_t count = 0;
	int rc;

	if (code == STORE_OK && (!ret_count || (!ret_letters && letter_count_max > 0)))
		code = store_error_at(err, store, STORE_ERR_INVALID, 0, "an output is NULL");
	if (code == STORE_OK)
		code = store_statement(store,
				       "SELECT seq, reason, noted_us FROM dead_letters"
				       " WHERE seq > ?1 ORDER BY seq",
				       &stmt, err);
	if (code != STORE_OK)
		return code;
	rc = sqlite3_bind_int64(stmt, 1, seq_after);
	while (rc == SQLITE_OK && count < letter_count_max) {
		rc = sqlite3_step(stmt);
		if (rc != SQLITE_ROW)
			break;
		letter_read(stmt, &ret_letters[count++]);
		rc = SQLITE_OK;
	}
	if (rc != SQLITE_OK && rc != SQLITE_DONE)
		code = store_error_set_sqlite(err, store->db, rc, "cannot read the dead letters");
	sqlite3_reset(stmt);
	if (code == STORE_OK)
		*ret_count = count;
	return code;
}
