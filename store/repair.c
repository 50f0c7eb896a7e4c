/*
 * repair.c: what a connection sees is made durable before anything is built on it (P10).
 *
 * Recovery reads the WAL from the kernel's cache, which holds more than the disk in two cases:
 *
 *  - A process was killed after it had written its frames and before its fsync returned. The frames
 *    are seen by whoever opens next, and a power cut takes them away again.
 *  - An fsync failed. The kernel has marked the pages clean; they are read as written, and no later
 *    fsync writes them (https://lwn.net/Articles/752063/; Rebello et al., "Can Applications Recover
 *    from fsync Failures?", USENIX ATC 2020). The next commit appends behind them and is synced,
 * and after a power cut its frames lie behind a hole in the checksum chain: acknowledged, and lost.
 *
 * Writing the same bytes again makes the pages dirty, so that a sync writes them. It is safe beside
 * readers and checkpointers, who read the same bytes before and after, and needs the write lock,
 * because a writer starts the WAL anew from its beginning.
 *
 * Where a connection of another process kept the index of the WAL, a failed commit is in the file
 * and not in the index: nobody sees it, and a recovery after a power cut would. Settling commits
 * once more, which overwrites its first frame and breaks its chain. PRAGMA user_version writes page
 * 1 also when the number stays what it was.
 *
 * It does not look at the database file: a failed sync of that leaves the checkpoint undone, and
 * SQLite copies all its pages again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/internal.h"

enum { CHUNK_BYTES = 64 * 1024 };

/* Writes every byte of the file again, and syncs it. */
static int rewrite(sqlite3_file *file, sqlite3_int64 size_bytes)
{
	unsigned char *chunk = malloc(CHUNK_BYTES);
	int rc = SQLITE_OK;

	if (!chunk)
		return SQLITE_NOMEM;
	for (sqlite3_int64 at = 0; at < size_bytes && rc == SQLITE_OK; at += CHUNK_BYTES) {
		sqlite3_int64 left = size_bytes - at;
		int size = left < CHUNK_BYTES ? (int)left : CHUNK_BYTES;

		rc = file->pMethods->xRead(file, chunk, size, at);
		if (rc == SQLITE_OK)
			rc = file->pMethods->xWrite(file, chunk, size, at);
	}
	free(chunk);
	return rc == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : rc;
}

static int settle_commit(sqlite3 *db)
{
	int64_t number = 0;
	char sql[64];
	int rc = store_query_number(db, "PRAGMA user_version", &number);

	if (rc != SQLITE_OK)
		return rc;
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", (int)number);
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* The WAL of a connection that has read, and its size; NULL where there is none. */
static int wal_find(sqlite3 *db, sqlite3_file **ret_wal, sqlite3_int64 *ret_size_bytes)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3_file *wal = NULL;
	bool is_wal = false;
	int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &stmt, NULL);

	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		is_wal = sqlite3_stricmp((const char *)sqlite3_column_text(stmt, 0), "wal") == 0;
	rc = sqlite3_finalize(stmt);
	*ret_wal = NULL;
	if (rc != SQLITE_OK || !is_wal)
		return rc;
	rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
	if (rc != SQLITE_OK || !wal || !wal->pMethods)
		return rc;
	*ret_wal = wal;
	return wal->pMethods->xFileSize(wal, ret_size_bytes);
}

enum store_code store_repair(sqlite3 *db, bool settle, struct store_error *err)
{
	enum store_code code = STORE_OK;
	sqlite3_file *wal = NULL;
	sqlite3_int64 size_bytes = 0;
	int64_t synchronous = 0;
	int rc;

	rc = store_query_number(db, "PRAGMA synchronous", &synchronous);
	if (rc == SQLITE_OK)
		rc = wal_find(db, &wal, &size_bytes);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc, "cannot look at the WAL");
	if (!wal || (!settle && (size_bytes <= STORE_WAL_HEADER_BYTES || synchronous == 0)))
		return STORE_OK;

	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return store_error_set_sqlite(err, db, rc,
					      "cannot take the write lock to make the WAL durable");
	/* It may have grown, or been cut, while the lock was somebody else's. */
	rc = wal->pMethods->xFileSize(wal, &size_bytes);
	if (rc == SQLITE_OK && size_bytes > STORE_WAL_HEADER_BYTES && synchronous > 0)
		rc = rewrite(wal, size_bytes);
	if (rc == SQLITE_OK && settle)
		rc = settle_commit(db);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	/* At NORMAL that was no sync, and what it overwrites has just been made durable. */
	if (rc == SQLITE_OK && settle && synchronous > 0)
		rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
	if (rc != SQLITE_OK)
		code = store_error_set_sqlite(err, db, rc, "cannot make the WAL durable");
	if (!sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return code;
}
