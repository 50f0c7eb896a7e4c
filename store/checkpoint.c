/*
 * checkpoint.c: checkpoints by hand, and a look at what a checkpoint would find.
 *
 * SQLite answers a checkpoint that was kept from finishing in two ways: with SQLITE_BUSY where it
 * waited for somebody in vain, and, in PASSIVE mode, with success and fewer frames moved than there
 * are. Both are `busy` here, because both mean that the log goes on growing.
 */
#include <string.h>
#include <time.h>

#include "store/upkeep_internal.h"

enum {
	/* Of the index: the header twice, then what is moved, the read marks and the locks. */
	INDEX_REGION_BYTES = 32768,
	INDEX_HEADER_BYTES = 48,
	INDEX_WORD_FRAMES = 16 / 4,
	INDEX_WORD_MOVED = 96 / 4,
	INDEX_ATTEMPTS = 8,
};

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* SQLite's mode; false for a number that is none. */
static bool mode_find(enum store_checkpoint_mode mode, int *ret_mode)
{
	static const int modes[] = {
	    [STORE_CHECKPOINT_PASSIVE] = SQLITE_CHECKPOINT_PASSIVE,
	    [STORE_CHECKPOINT_FULL] = SQLITE_CHECKPOINT_FULL,
	    [STORE_CHECKPOINT_RESTART] = SQLITE_CHECKPOINT_RESTART,
	    [STORE_CHECKPOINT_TRUNCATE] = SQLITE_CHECKPOINT_TRUNCATE,
	};

	if ((size_t)mode >= sizeof(modes) / sizeof(modes[0]))
		return false;
	*ret_mode = modes[mode];
	return true;
}

enum store_code store_checkpoint_patiently(struct store *store, enum store_checkpoint_mode mode,
					   int patience_ms,
					   struct store_checkpoint_result *ret_result,
					   struct store_error *err)
{
	struct store_checkpoint_result result = {0};
	enum store_code code;
	int frames_in_log = -1;
	int frames_moved = -1;
	int sqlite_mode;
	uint64_t started_ns;
	uint64_t ended_ns;
	int rc;

	if (!mode_find(mode, &sqlite_mode))
		return store_error_at(err, store, STORE_ERR_INVALID, 0,
				      "%d is no mode of a checkpoint", (int)mode);
	code = store_upkeep_check(store, true, err);
	if (code != STORE_OK)
		return code;
	/* A cursor of this very connection would be the reader in the way. */
	store_cursors_park(store);
	store->patience.limit_ms = patience_ms;
	started_ns = monotonic_ns();
	rc = sqlite3_wal_checkpoint_v2(store->db, "main", sqlite_mode, &frames_in_log,
				       &frames_moved);
	ended_ns = monotonic_ns();
	/* A clock that went back meanwhile tells nothing. */
	result.duration_ns = ended_ns > started_ns ? ended_ns - started_ns : 0;
	store->patience.limit_ms = store->busy_timeout_ms;
	if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY) {
		code = store_error_set_sqlite(err, store->db, rc, "cannot checkpoint");
		/* What a failed sync leaves is unknown: P6. */
		if (code == STORE_ERR_IO)
			store->stopped_by = rc;
		return code;
	}
	/* -1 where there is no log, or where it could not be looked at. */
	if (frames_in_log > 0)
		result.frames_in_log = (uint32_t)frames_in_log;
	if (frames_moved > 0)
		result.frames_moved = (uint32_t)frames_moved;
	result.busy = rc != SQLITE_OK || result.frames_moved < result.frames_in_log;
	if (ret_result)
		*ret_result = result;
	return STORE_OK;
}

enum store_code store_checkpoint(struct store *store, enum store_checkpoint_mode mode,
				 struct store_checkpoint_result *ret_result,
				 struct store_error *err)
{
	if (!store)
		return store_error_set(err, STORE_ERR_INVALID, 0, "the store is NULL");
	return store_checkpoint_patiently(store, mode, store->busy_timeout_ms, ret_result, err);
}

int store_file_size(sqlite3 *db, int pointer, uint64_t *ret_bytes)
{
	sqlite3_file *file = NULL;
	sqlite3_int64 size_bytes = 0;
	int rc;

	rc = sqlite3_file_control(db, "main", pointer, &file);
	if (rc == SQLITE_OK && file && file->pMethods)
		rc = file->pMethods->xFileSize(file, &size_bytes);
	if (rc == SQLITE_OK)
		*ret_bytes = (uint64_t)size_bytes;
	return rc;
}

/*
 * Frames in the log, and of these those that were moved, from the index. A writer changes the two
 * copies of the header one after the other, so they are read until they agree.
 */
static int index_read(sqlite3 *db, uint32_t *ret_frames, uint32_t *ret_moved)
{
	volatile void *region = NULL;
	const volatile uint32_t *words;
	sqlite3_file *file = NULL;
	uint32_t frames = 0;
	uint32_t moved = 0;
	int rc;

	rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	if (rc != SQLITE_OK || !file || !file->pMethods || file->pMethods->iVersion < 2 ||
	    !file->pMethods->xShmMap)
		return rc;
	rc = file->pMethods->xShmMap(file, 0, INDEX_REGION_BYTES, 0, &region);
	if (rc != SQLITE_OK || !region)
		return rc;
	words = region;
	for (int attempt = 0; attempt < INDEX_ATTEMPTS; attempt++) {
		uint32_t again;

		frames = __atomic_load_n(&words[INDEX_WORD_FRAMES], __ATOMIC_ACQUIRE);
		moved = __atomic_load_n(&words[INDEX_WORD_MOVED], __ATOMIC_ACQUIRE);
		again = __atomic_load_n(&words[INDEX_HEADER_BYTES / 4 + INDEX_WORD_FRAMES],
					__ATOMIC_ACQUIRE);
		if (frames == again)
			break;
	}
	*ret_frames = frames;
	*ret_moved = moved < frames ? moved : frames;
	return SQLITE_OK;
}

/* Whether a pragma answers that word. */
static enum store_code pragma_is(struct store *store, const char *sql, const char *word,
				 bool *ret_is, struct store_error *err)
{
	sqlite3_stmt *stmt;
	enum store_code code;
	bool is = false;
	int rc;

	code = store_statement(store, sql, &stmt, err);
	if (code != STORE_OK)
		return code;
	if (sqlite3_step(stmt) == SQLITE_ROW)
		is = sqlite3_stricmp((const char *)sqlite3_column_text(stmt, 0), word) == 0;
	rc = sqlite3_reset(stmt);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "%s", sql);
	*ret_is = is;
	return STORE_OK;
}

enum store_code store_wal_look(struct store *store, struct store_wal_look *ret_look,
			       struct store_error *err)
{
	struct store_wal_look look = {0};
	int64_t page_size_bytes = 0;
	uint32_t frames = 0;
	uint32_t moved = 0;
	enum store_code code;
	uint64_t frame_bytes;
	bool wal = false;
	bool exclusive = false;
	int rc;

	code = pragma_is(store, "PRAGMA main.journal_mode", "wal", &wal, err);
	if (code == STORE_OK)
		code = pragma_is(store, "PRAGMA main.locking_mode", "exclusive", &exclusive, err);
	if (code != STORE_OK)
		return code;
	rc = store_query_number(store->db, "PRAGMA main.page_size", &page_size_bytes);
	if (rc == SQLITE_OK && wal)
		rc = store_file_size(store->db, SQLITE_FCNTL_JOURNAL_POINTER, &look.file_bytes);
	/* Such a connection has its index in its own memory: to map the shared one would create
	 * that, and SQLite, which knows nothing of it, would never let go of it again. */
	if (rc == SQLITE_OK && wal && !exclusive)
		rc = index_read(store->db, &frames, &moved);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, store->db, rc, "cannot look at the WAL");
	look.page_size_bytes = (uint64_t)page_size_bytes;
	frame_bytes = look.page_size_bytes + STORE_FRAME_HEADER_BYTES;
	look.used_bytes = frames > 0 ? STORE_WAL_HEADER_BYTES + frames * frame_bytes : 0;
	look.waiting_bytes = (frames - moved) * frame_bytes;
	*ret_look = look;
	return STORE_OK;
}
