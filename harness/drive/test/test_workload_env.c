/*
 * What a workload stands on in a recording: its files on the simulated disk, and what its
 * acknowledgements mean to the history (workload.h).
 */
#include "faultinject/base/buf.h"
#include "faultinject/trace_image.h"
#include "faultinject/vfs.h"
#include "harness/drive/examine.h"
#include "harness/drive/workload_files.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- files ---- */

struct rig {
	struct disk *disk;
	struct trace *t;
	struct workload_files files;
	const struct store_files *f;
};

static void rig_open(struct rig *r)
{
	struct err err = ERR_INIT;

	assert_int_equal(fi_vfs_register(&err), 0);
	r->disk = disk_create();
	r->t = trace_create(fi_vfs_default_device(), "workload");
	fi_vfs_boot(disk_storage(r->disk), 1, fi_vfs_default_device());
	fi_vfs_call_limit(0);
	workload_files_init(&r->files, r->disk);
	r->f = &r->files.table;
}

static void rig_close(struct rig *r)
{
	assert_int_equal(r->files.open_count, 0);
	trace_free(r->t);
	disk_free(r->disk);
}

/* Creates the file with that content and leaves it open. */
static void *make(struct rig *r, const char *path, const char *content)
{
	void *file;

	assert_int_equal(r->f->create(r->f->context, path, &file), 0);
	assert_int_equal(r->f->write(r->f->context, file, content, strlen(content)), 0);
	return file;
}

static const char *content_of(struct rig *r, const char *path)
{
	static char buffer[64];
	size_t got;
	int rc = r->f->read(r->f->context, path, 0, buffer, sizeof buffer - 1, &got);

	if (rc != 0)
		return rc == ENOENT ? "none" : "error";
	buffer[got] = '\0';
	return buffer;
}

/* Everything that is done to a file is in the trace, in order, and the trace makes the same files
 * of it. */
static void test_files_recorded(void **state)
{
	static const uint8_t kinds[] = {OP_CREATE,   OP_WRITE,	OP_WRITE,	  OP_SYNC_BEGIN,
					OP_SYNC_END, OP_RENAME, OP_DIRSYNC_BEGIN, OP_DIRSYNC_END,
					OP_CREATE,   OP_WRITE,	OP_RENAME,	  OP_TRUNCATE,
					OP_WRITE,    OP_CREATE, OP_UNLINK};
	struct rig r;
	uint64_t size = 0;

	(void)state;
	rig_open(&r);
	disk_record(r.disk, r.t);
	disk_storage(r.disk)->actor = (struct storage_actor){1, 1, 7};
	const struct store_files *f = r.f;
	void *c = f->context, *file = make(&r, "/db/a.part", "one ");
	assert_int_equal(f->write(c, file, "two", 3), 0);
	assert_int_equal(f->sync(c, file), 0);
	assert_int_equal(f->close(c, file), 0);
	assert_int_equal(f->rename(c, "/db//./a.part", "/db/x/../a"), 0);
	assert_int_equal(f->sync_folder(c, "/db/"), 0);
	assert_string_equal(content_of(&r, "/db/a"), "one two");
	assert_string_equal(content_of(&r, "/db/a.part"), "none");
	assert_int_equal(f->close(c, make(&r, "/db/b", "three")), 0);
	assert_int_equal(f->rename(c, "/db/b", "/db/a"), 0);
	assert_string_equal(content_of(&r, "/db/a"), "three");
	assert_int_equal(f->close(c, make(&r, "/db/a", "4")), 0);
	assert_string_equal(content_of(&r, "/db/a"), "4");
	assert_int_equal(f->create(c, "/db/c", &file), 0);
	assert_int_equal(f->close(c, file), 0);
	assert_string_equal(content_of(&r, "/db/c"), "");
	assert_int_equal(f->remove(c, "/db/c"), 0);
	disk_record(r.disk, NULL);
	assert_int_equal(r.t->op_count, sizeof kinds);
	for (size_t i = 0; i < sizeof kinds; i++) {
		assert_int_equal(r.t->ops[i].kind, kinds[i]);
		assert_int_equal(r.t->ops[i].connection, 7);
	}
	struct trace_image *image = trace_image_create(r.t);
	const uint8_t *bytes = trace_image_file(image, "/db/a", &size);
	assert_int_equal(size, 1);
	assert_int_equal(bytes[0], '4');
	assert_null(trace_image_file(image, "/db/b", &size));
	assert_null(trace_image_file(image, "/db/c", &size));
	trace_image_free(image);
	rig_close(&r);
}

/* Errors are positive errnos: what is not there is ENOENT, a sync that is made to fail EIO, once.
 * Reading goes up to the end. */
static void test_files_errors(void **state)
{
	struct rig r;
	char *name = xcalloc(1, 2000), buffer[8];
	size_t got = 99;
	void *file;

	(void)state;
	rig_open(&r);
	const struct store_files *f = r.f;
	void *c = f->context;
	assert_int_equal(f->read(c, "/db/a", 0, buffer, 1, &got), ENOENT);
	assert_int_equal(got, 99);
	assert_int_equal(f->rename(c, "/db/a", "/db/b"), ENOENT);
	assert_int_equal(f->remove(c, "/db/a"), ENOENT);
	memset(name, 'x', 1999);
	assert_int_equal(f->create(c, name, &file), ENAMETOOLONG);
	file = make(&r, "/db/a.log", "seven b");
	disk_fail_sync(r.disk, 1, ".log");
	assert_int_equal(f->sync(c, file), EIO);
	assert_int_equal(f->sync(c, file), 0);
	disk_fail_sync(r.disk, 1, "/db");
	assert_int_equal(f->sync_folder(c, "/db"), EIO);
	assert_int_equal(f->sync_folder(c, "/db"), 0);
	assert_int_equal(f->read(c, "/db/a.log", 5, buffer, sizeof buffer, &got), 0);
	assert_int_equal(got, 2);
	assert_int_equal(f->read(c, "/db/a.log", 70, buffer, sizeof buffer, &got), 0);
	assert_int_equal(got, 0);
	assert_int_equal(r.files.open_count, 1);
	assert_int_equal(f->close(c, file), 0);
	free(name);
	rig_close(&r);
}

/* ---- acknowledgements ---- */

enum { WRITER = 2, CHECKPOINTER = 3 };

/* How a program acknowledges its commits. */
struct manner {
	int times;	     /* after each commit */
	uint16_t connection; /* that acts when it does */
	bool late;	     /* after the first write of the next transaction */
};

static void run_sql(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void act_as(struct rig *r, uint16_t connection)
{
	disk_storage(r->disk)->actor = (struct storage_actor){1, 1, connection};
}

static void acknowledge(struct rig *r, const struct manner *m)
{
	act_as(r, m->connection);
	for (int i = 0; i < m->times; i++)
		disk_note(r->disk, OP_ACK, "");
	act_as(r, WRITER);
}

static sqlite3 *open_database(const char *path, const char *pragmas)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	run_sql(db, pragmas);
	return db;
}

/* A program as a service is one: a writer that commits, a commit that changes nothing, a rollback,
 * and a checkpoint by another connection, where that can be. */
static void run_program(struct rig *r, const char *path, const char *pragmas, bool exclusive,
			const struct manner *m)
{
	act_as(r, WRITER);
	sqlite3 *db = open_database(path, pragmas), *other = NULL;
	for (int i = 0; i < 3; i++) {
		run_sql(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)");
		if (m->late && i > 0)
			acknowledge(r, m);
		run_sql(db, "COMMIT");
		if (!m->late)
			acknowledge(r, m);
		if (i == 0)
			run_sql(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (3); ROLLBACK");
		if (i == 1 && !exclusive) {
			act_as(r, CHECKPOINTER);
			other = open_database(path, pragmas);
			run_sql(other, "PRAGMA wal_checkpoint(TRUNCATE)");
			act_as(r, WRITER);
		}
		if (!m->late && i < 2)
			acknowledge(r, &(struct manner){.times = m->times - 1,
							.connection = m->connection});
	}
	act_as(r, CHECKPOINTER);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	act_as(r, WRITER);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

struct promises {
	size_t count, states;
	struct promise {
		uint16_t connection;
		bool committed, promised, early, at_once;
		uint32_t file_mask;
	} items[16];
};

static bool same_promises(const struct promises *a, const struct promises *b)
{
	bool same = a->count == b->count && a->states == b->states;

	for (size_t i = 0; same && i < a->count; i++) {
		const struct promise *x = &a->items[i], *y = &b->items[i];
		same = x->connection == y->connection && x->committed == y->committed &&
		       x->promised == y->promised && x->early == y->early &&
		       x->at_once == y->at_once && x->file_mask == y->file_mask;
	}
	return same;
}

static struct promises promises_of(const char *mode, bool exclusive, struct manner m)
{
	struct case_options options = {.default_require = GRADE_CORRUPT};
	struct case_list cases = {0};
	struct scenario *scenario;
	struct promises ret = {0};
	struct model model;
	struct trace_index *ix;
	struct examiner *e;
	struct err err = ERR_INIT;
	struct rig r;
	char *text = xasprintf("-- @scenario acks\n-- @pragma journal_mode=%s synchronous=full "
			       "locking_mode=%s\n-- @client a\nSELECT 1;\n",
			       mode, exclusive ? "exclusive" : "normal");
	char *pragmas = xasprintf("PRAGMA locking_mode=%s; PRAGMA journal_mode=%s; "
				  "PRAGMA synchronous=full",
				  exclusive ? "exclusive" : "normal", mode);

	assert_int_equal(scenario_parse("acks.sql", text, strlen(text), NULL, &scenario, &err), 0);
	assert_int_equal(scenario_cases(scenario, "acks.sql", NULL, &options, &cases, &err), 0);
	struct subject *subject = subject_from_scenario(scenario, &cases.items[0], 1);
	rig_open(&r);
	sqlite3 *db = open_database(subject->database, pragmas);
	run_sql(db, "CREATE TABLE t(v)");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	disk_record(r.disk, r.t);
	run_program(&r, subject->database, pragmas, exclusive, &m);
	disk_record(r.disk, NULL);
	assert_int_equal(model_find("strict-posix", &model, &err), 0);
	assert_int_equal(trace_index_build(r.t, &model, &ix, &err), 0);
	assert_int_equal(examiner_create(subject, ix, false, &e, &err), 0);
	const struct history *h = examiner_history(e);
	assert_true(h->transaction_count <= 16);
	ret.count = h->transaction_count;
	ret.states = h->lines[0].count;
	for (size_t i = 0; i < ret.count; i++) {
		const struct transaction *t = &h->transactions[i];
		ret.items[i] = (struct promise){.connection = t->connection,
						.committed = t->committed,
						.promised = t->ack != 0,
						.early = t->ack != 0 && t->ack < t->end,
						.at_once = t->ack != 0,
						.file_mask = t->file_mask};
		for (uint64_t p = t->end + 1; p < t->ack; p++)
			if (trace_at(r.t, p)->kind == OP_ACK)
				ret.items[i].at_once = false;
	}
	examiner_free(e);
	trace_index_free(ix);
	subject_free(subject);
	case_list_release(&cases);
	scenario_free(scenario);
	free(text);
	free(pragmas);
	rig_close(&r);
	return ret;
}

/* Three acknowledgements after a commit, and more after a rollback or a checkpoint, promise what
 * one does: three transactions, each committed and promised by the first. In every journal mode,
 * with locks that are kept, too, where only acknowledgements part what was written. */
static void test_extra_acks(void **state)
{
	static const char *const modes[] = {"delete", "truncate", "persist",
					    "wal",    "memory",	  "off"};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof modes / sizeof modes[0]; i++) {
		const char *mode = modes[i / 2];
		bool exclusive = i % 2 == 1;
		/* A rollback without a journal leaves what it wrote. */
		if (strcmp(mode, "off") == 0)
			continue;
		struct promises one =
		    promises_of(mode, exclusive, (struct manner){1, WRITER, false});
		struct promises three =
		    promises_of(mode, exclusive, (struct manner){3, WRITER, false});
		if (one.count != 3 || !same_promises(&one, &three))
			fail_msg("%s, %s: %zu and %zu transactions, %zu and %zu states", mode,
				 exclusive ? "exclusive" : "normal", one.count, three.count,
				 one.states, three.states);
		for (size_t k = 0; k < three.count; k++) {
			assert_int_equal(three.items[k].connection, WRITER);
			assert_true(three.items[k].committed);
			assert_true(three.items[k].promised);
			assert_true(three.items[k].at_once);
		}
	}
}

/* Acknowledged as another connection, nothing is promised; acknowledged after the next transaction
 * has begun, that one is, before it is committed. */
static void test_wrong_acks(void **state)
{
	struct promises other = promises_of("wal", false, (struct manner){1, CHECKPOINTER, false});
	struct promises late = promises_of("wal", false, (struct manner){1, WRITER, true});

	(void)state;
	assert_int_equal(other.count, 3);
	assert_int_equal(late.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_false(other.items[i].promised);
	assert_false(late.items[0].promised);
	assert_true(late.items[1].promised && late.items[1].early);
	assert_true(late.items[2].promised && late.items[2].early);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files_recorded),
	    cmocka_unit_test(test_files_errors),
	    cmocka_unit_test(test_extra_acks),
	    cmocka_unit_test(test_wrong_acks),
	};

	observer_configure();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
