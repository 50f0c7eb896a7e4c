/*
 * The history of what SQLite really does: workloads recorded over the simulated disk in every
 * journal mode, with rollbacks, transactions larger than the cache, and checkpoints in between.
 * Every commit must be found, once, with its own ACK; nothing else may be.
 *
 * Left out, as history_spans.c says: without ACKs, exclusive locking mode with MEMORY or OFF, and
 * with two WAL files.
 */
#include "faultinject/base/buf.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"
#include "harness/judge/history.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	FILES_MAX = 2,
	ROUNDS = 3,
	COMMITS_MAX = 4 * ROUNDS,
};

static const char *const paths[FILES_MAX] = {"/db/a", "/db/b"};
static const char *const names[FILES_MAX] = {"main", "b"};

struct recording {
	const char *journal_mode;
	bool exclusive, psow;
	int files;
	struct disk *disk;
	struct trace *trace;
	sqlite3 *db;
	uint64_t acks[COMMITS_MAX]; /* positions */
	size_t commits, over_both;
};

static void run(sqlite3 *db, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void run(sqlite3 *db, const char *format, ...)
{
	char *message = NULL, *sql;
	va_list ap;

	va_start(ap, format);
	sql = sqlite3_vmprintf(format, ap);
	va_end(ap);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	sqlite3_free(sql);
}

static void open_all(struct recording *r)
{
	assert_int_equal(sqlite3_open(paths[0], &r->db), SQLITE_OK);
	if (r->files == 2)
		run(r->db, "ATTACH '/db/b' AS b");
	for (int f = 0; f < r->files; f++)
		run(r->db, "PRAGMA %s.journal_mode = %s; PRAGMA %s.synchronous = FULL", names[f],
		    r->journal_mode, names[f]);
	run(r->db, "PRAGMA wal_autocheckpoint = 4; PRAGMA cache_size = 3");
}

static void acknowledge(struct recording *r)
{
	disk_note(r->disk, OP_ACK, "");
	assert_true(r->commits < COMMITS_MAX);
	r->acks[r->commits++] = r->trace->op_count;
}

/* One round of everything. */
static void work(struct recording *r, int i)
{
	static const char many[] =
	    "WITH RECURSIVE c(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM c "
	    "WHERE i < %d) INSERT INTO main.t SELECT i, randomblob(900) "
	    "FROM c";
	char *sql;

	run(r->db, "BEGIN; INSERT INTO main.t VALUES (%d, 'x'); COMMIT", i);
	acknowledge(r);
	if (r->files == 2) {
		run(r->db, "INSERT INTO b.t VALUES (%d, 'x')", i);
		acknowledge(r);
		run(r->db,
		    "BEGIN; INSERT INTO main.t VALUES (%d, 'x'); INSERT INTO b.t VALUES (%d, 'x'); "
		    "COMMIT",
		    10 + i, 10 + i);
		acknowledge(r);
		r->over_both++;
	}
	if (strcmp(r->journal_mode, "off") != 0) {
		run(r->db, "BEGIN; INSERT INTO main.t VALUES (20, 'x'); ROLLBACK");
		sql = sqlite3_mprintf(many, 1000, 1040);
		run(r->db, "BEGIN; %s; ROLLBACK", sql);
		sqlite3_free(sql);
	}
	sql = sqlite3_mprintf(many, 100 * (i + 1), 100 * (i + 1) + 20);
	run(r->db, "BEGIN; %s; UPDATE main.t SET v = v || 'y'; COMMIT", sql);
	sqlite3_free(sql);
	acknowledge(r);
	if (strcmp(r->journal_mode, "wal") == 0 && !r->exclusive)
		run(r->db, "PRAGMA wal_checkpoint(%s)", i % 2 == 0 ? "TRUNCATE" : "FULL");
}

static void record(struct recording *r)
{
	struct trace_device device = fi_vfs_default_device();

	if (!r->psow)
		device.characteristics = 0;
	r->disk = disk_create();
	disk_storage(r->disk)->actor = (struct storage_actor){1, 1, 1};
	fi_vfs_boot(disk_storage(r->disk), 1, device);
	open_all(r);
	for (int f = 0; f < r->files; f++)
		run(r->db, "CREATE TABLE %s.t (k INTEGER PRIMARY KEY, v)", names[f]);
	assert_int_equal(sqlite3_close(r->db), SQLITE_OK);

	open_all(r);
	for (int f = 0; r->exclusive && f < r->files; f++)
		run(r->db, "PRAGMA %s.locking_mode = EXCLUSIVE", names[f]);
	r->trace = trace_create(device, "test");
	disk_record(r->disk, r->trace);
	for (int i = 0; i < ROUNDS; i++)
		work(r, i);
	assert_int_equal(sqlite3_close(r->db), SQLITE_OK);
	disk_record(r->disk, NULL);
}

/* The disk after `position`, in full. SQLite's names never move. */
static struct disk *disk_after(const struct trace *t, uint64_t position)
{
	struct buf *content = xcalloc((size_t)t->inode_count + 1, sizeof *content);
	uint32_t *inodes = xcalloc((size_t)t->name_count + 1, sizeof *inodes);
	struct disk *d = disk_create();

	for (size_t i = 0; i < t->base_count; i++) {
		inodes[t->base[i].name] = t->base[i].inode;
		buf_append(&content[t->base[i].inode], t->base[i].data, t->base[i].size);
	}
	for (uint64_t p = 1; p <= position; p++) {
		const struct op *op = trace_at(t, p);
		struct buf *b = &content[op->inode];

		if (op->kind == OP_CREATE)
			inodes[op->name] = op->inode;
		else if (op->kind == OP_UNLINK)
			inodes[op->name] = 0;
		if (op->kind == OP_WRITE || op->kind == OP_TRUNCATE)
			while (b->size < op->offset + op->size)
				buf_put_u8(b, 0);
		if (op->kind == OP_WRITE)
			memcpy(b->data + op->offset, op->data, op->size);
		else if (op->kind == OP_TRUNCATE)
			b->size = op->size;
	}
	for (uint32_t n = 1; n <= t->name_count; n++)
		if (inodes[n] != 0)
			disk_put(d, t->names[n], buf_str(&content[inodes[n]]),
				 content[inodes[n]].size);
	for (uint32_t i = 0; i <= t->inode_count; i++)
		buf_release(&content[i]);
	free(content);
	free(inodes);
	return d;
}

static int observe(void *ctx, uint64_t position, struct observation *ret, struct err *err)
{
	struct recording *r = ctx;
	struct disk *d = disk_after(r->trace, position);

	(void)err;
	fi_vfs_boot(disk_storage(d), 1, r->trace->device);
	ret->file_count = (size_t)r->files;
	for (int f = 0; f < r->files; f++) {
		struct buf rows = {0};
		sqlite3_stmt *stmt;
		sqlite3 *db;

		assert_int_equal(sqlite3_open(paths[f], &db), SQLITE_OK);
		assert_int_equal(
		    sqlite3_prepare_v2(db, "SELECT k, hex(v) FROM t ORDER BY k", -1, &stmt, NULL),
		    SQLITE_OK);
		while (sqlite3_step(stmt) == SQLITE_ROW)
			buf_printf(&rows, "%d %s\n", sqlite3_column_int(stmt, 0),
				   (const char *)sqlite3_column_text(stmt, 1));
		assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		ret->files[f].state = hash128(buf_str(&rows), rows.size);
		buf_release(&rows);
	}
	disk_free(d);
	return 0;
}

static void check(struct recording *r, enum history_ack ack)
{
	struct err err = ERR_INIT;
	struct history *h;
	size_t over_both = 0;

	if (history_build(r->trace, paths, (size_t)r->files, ack, observe, r, &h, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(h->transaction_count, r->commits);
	assert_int_equal(history_commits(h), r->commits);
	assert_int_equal(history_acked(h, r->trace->op_count), r->commits);
	for (size_t i = 0; i < r->commits; i++) {
		const struct transaction *t = &h->transactions[i];

		over_both += t->file_mask == 3;
		if (ack == HISTORY_ACK_EXACT)
			assert_int_equal(t->ack, r->acks[i]);
		/* A promise from locks lies between the transaction and the next one's. */
		assert_true(t->ack >= t->end || r->exclusive);
		assert_true(i + 1 == r->commits || t->ack <= h->transactions[i + 1].first_write);
	}
	assert_int_equal(over_both, r->over_both);
	assert_int_equal(h->lines[0].count, 1 + (size_t)(r->files == 2 ? 3 : 2) * ROUNDS);
	history_free(h);
}

/* Only ACKs show the transactions. */
static bool needs_acks(const struct recording *r)
{
	bool unlogged =
	    strcmp(r->journal_mode, "memory") == 0 || strcmp(r->journal_mode, "off") == 0;

	return r->exclusive && (unlogged || (r->files == 2 && strcmp(r->journal_mode, "wal") == 0));
}

/* Every commit is found with its ACK, whatever the journal mode, the locking mode, the number of
 * files, and whether SQLite pads its log. */
static void test_every_commit_is_found(void **state)
{
	static const char *const modes[] = {"wal",     "delete", "truncate",
					    "persist", "memory", "off"};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fi_vfs_register(&err), 0);
	for (unsigned k = 0; k < 8 * sizeof modes / sizeof modes[0]; k++) {
		struct recording r = {.journal_mode = modes[k / 8],
				      .exclusive = (k & 1) != 0,
				      .psow = (k & 2) != 0,
				      .files = (k & 4) != 0 ? 2 : 1};

		record(&r);
		check(&r, HISTORY_ACK_EXACT);
		if (!needs_acks(&r))
			check(&r, HISTORY_ACK_LOCK);
		trace_free(r.trace);
		disk_free(r.disk);
	}
	fi_vfs_unregister();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_commit_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
