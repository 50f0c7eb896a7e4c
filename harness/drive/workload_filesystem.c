/*
 * store.filesystem: a file system in SQLite (store/filesystem.h), written through the queue:
 * writes, copies, renames and removals of files and folders, several in flight, with readers beside
 * them, backups on the way, and a migration half way.
 *
 * Each operation also writes its number into the file ".last" of the worker's folder, in the same
 * command, so that what is there says how far the worker came. Which operation comes next is drawn
 * from the seed; one that has nothing to work on does nothing but that.
 *
 * A backup, online or cold in turn, gets a row once it is finished: a file in the folder "backups"
 * whose name is the backup's and whose content is its size and hash, against which the scenario
 * holds the real file. The backup before it is then given up, its row first.
 */
#include "harness/drive/workload_service.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct workload_param params[] = {
    {"operations", 1, 1000000, 24, "operations on files and folders", 40},
    {"in_flight", 1, WORKLOAD_IN_FLIGHT_MAX, 3, "of these, how many wait for a result at once", 8},
    {"payload", 1, 65536, 200, "bytes of a file", 0},
    {"backup", 0, 1000000, 12, "a backup after so many operations; 0: none", 0},
    {"migrate", 0, 1, 1, "1: the newer program takes over half way; 0: it runs from the start", 0},
    WORKLOAD_WAL_BYTES,
    WORKLOAD_FAIL_SYNC,
};

static const char *const defects[] = {"blob-count-later", "file-never-synced",
				      "folder-never-synced"};

enum { FOLDERS = 2, FILES = 4, NAME_SIZE = 48, CONTENTS = 3, COPY_CHUNK = 65536 };

struct tree {
	struct workload_service w;
	char key[24]; /* and name of the worker's folder */
	size_t payload_bytes, in_flight;
	int64_t done; /* operations before this one, of this worker, ever */
	struct operation *operations;
	char backup[NAME_SIZE]; /* name of the last one that is finished, or "" */
	int64_t backups;
};

struct operation {
	struct workload_operation base;
	struct tree *tree;
	int64_t number;
};

/* ---- an operation -------------------------------------------------------------------------- */

/* What an operation draws: the n-th number of its own stream. */
struct dice {
	struct prng random;
};

static unsigned draw(struct dice *d, unsigned sides)
{
	return (unsigned)(prng_next(&d->random) % sides);
}

static void file_name(struct dice *d, char ret[NAME_SIZE])
{
	(void)snprintf(ret, NAME_SIZE, "file-%u", draw(d, FILES));
}

/* A folder of the worker's, made when it is not there. */
static enum store_code some_folder(struct store *store, int64_t root, struct dice *d,
				   int64_t time_us, int64_t *ret_inode, struct store_error *e)
{
	struct store_node node;
	char name[NAME_SIZE];
	enum store_code code;

	(void)snprintf(name, sizeof name, "folder-%u", draw(d, FOLDERS));
	code = store_node_find(store, root, name, &node, e);
	if (code == STORE_ERR_NOT_FOUND)
		return store_folder_make(store, root, name, time_us, ret_inode, e);
	if (code == STORE_OK)
		*ret_inode = node.inode;
	return code;
}

static enum store_code write_some(struct operation *o, struct store *store, int64_t folder,
				  struct dice *d, struct store_error *e)
{
	struct tree *t = o->tree;
	uint8_t *content = xcalloc(t->payload_bytes, 1);
	char name[NAME_SIZE];
	enum store_code code;

	file_name(d, name);
	/* Few contents, so that some files share one. */
	memset(content, (int)draw(d, CONTENTS), t->payload_bytes);
	code = store_file_write(store, folder, name, content, t->payload_bytes, o->number, NULL, e);
	free(content);
	return code;
}

static enum store_code copy_some(struct operation *o, struct store *store, int64_t folder,
				 int64_t other, struct dice *d, struct store_error *e)
{
	struct store_node node;
	char name[NAME_SIZE];
	enum store_code code;

	file_name(d, name);
	code = store_node_find(store, folder, name, &node, e);
	if (code != STORE_OK || node.type != STORE_NODE_FILE)
		return code;
	file_name(d, name);
	return store_file_copy(store, node.inode, other, name, o->number, NULL, e);
}

static enum store_code rename_some(struct operation *o, struct store *store, int64_t folder,
				   int64_t other, struct dice *d, struct store_error *e)
{
	char from[NAME_SIZE], to[NAME_SIZE];

	file_name(d, from);
	file_name(d, to);
	return store_node_rename(store, folder, from, other, to, o->number, e);
}

/* One of the kinds; what it finds nothing for, or something in the way of, is no failure. */
static enum store_code act(struct operation *o, struct store *store, int64_t root,
			   struct store_error *e)
{
	struct dice d;
	int64_t folder, other;
	char name[NAME_SIZE];
	enum store_code code;

	prng_init(&d.random, o->tree->w.env->seed ^ (uint64_t)o->number, "workload");
	code = some_folder(store, root, &d, o->number, &folder, e);
	if (code == STORE_OK)
		code = some_folder(store, root, &d, o->number, &other, e);
	if (code != STORE_OK)
		return code;
	switch (draw(&d, 8)) {
	case 0:
	case 1:
	case 2:
		return write_some(o, store, folder, &d, e);
	case 3:
		return copy_some(o, store, folder, other, &d, e);
	case 4:
	case 5:
		return rename_some(o, store, folder, other, &d, e);
	case 6:
		(void)snprintf(name, sizeof name, "sub-%u", draw(&d, FOLDERS));
		code = store_folder_make(store, folder, name, o->number, NULL, e);
		return code == STORE_ERR_EXISTS
			   ? store_node_rename(store, folder, name, other, name, o->number, e)
			   : code;
	default:
		file_name(&d, name);
		return store_node_remove(store, folder, name, o->number, e);
	}
}

static bool is_harmless(enum store_code code)
{
	return code == STORE_OK || code == STORE_ERR_NOT_FOUND || code == STORE_ERR_EXISTS ||
	       code == STORE_ERR_NOT_EMPTY || code == STORE_ERR_NOT_A_FOLDER ||
	       code == STORE_ERR_CYCLE;
}

static enum store_code operate(struct store *store, void *ctx, struct store_error *e)
{
	struct operation *o = ctx;
	struct store_node node;
	char last[24];
	int n;
	enum store_code code = store_node_find(store, STORE_NODE_ROOT, o->tree->key, &node, e);

	if (code == STORE_ERR_NOT_FOUND)
		code = store_folder_make(store, STORE_NODE_ROOT, o->tree->key, o->number,
					 &node.inode, e);
	if (code != STORE_OK)
		return code;
	code = act(o, store, node.inode, e);
	if (!is_harmless(code))
		return code;
	n = snprintf(last, sizeof last, "%lld", (long long)o->number);
	return store_file_write(store, node.inode, ".last", last, (size_t)n, o->number, NULL, e);
}

/* The defect "blob-count-later": a reference is counted by a transaction of its own, and made by
 * the next. */
static int count_later(struct tree *t, struct err *err)
{
	static const char sql[] =
	    "UPDATE blobs SET refcount = refcount + 1 WHERE blob = (SELECT min(blob) FROM blobs);"
	    "BEGIN; INSERT INTO nodes (parent, name, type, size_bytes, created_us, modified_us, "
	    "blob) "
	    "SELECT 1, 'linked', 'file', size_bytes, 0, 0, blob FROM blobs "
	    "ORDER BY blob LIMIT 1;"
	    "UPDATE nodes SET child_count = child_count + 1 WHERE inode = 1; COMMIT";
	return workload_run_sql(t->w.env, sql, err);
}

/* ---- backups ------------------------------------------------------------------------------- */

/* What stands in the row of a backup. */
struct manifest {
	char name[NAME_SIZE];
	char old[NAME_SIZE]; /* the row that goes, or "" */
	char content[64];
	int64_t time_us;
};

static enum store_code write_manifest(struct store *store, void *ctx, struct store_error *e)
{
	struct manifest *m = ctx;
	struct store_node folder;
	enum store_code code = store_node_find(store, STORE_NODE_ROOT, "backups", &folder, e);

	if (code == STORE_ERR_NOT_FOUND)
		code = store_folder_make(store, STORE_NODE_ROOT, "backups", m->time_us,
					 &folder.inode, e);
	if (code == STORE_OK)
		code = store_file_write(store, folder.inode, m->name, m->content,
					strlen(m->content), m->time_us, NULL, e);
	if (code == STORE_OK && m->old[0] != '\0')
		code = store_node_remove(store, folder.inode, m->old, m->time_us, e);
	return code == STORE_ERR_NOT_FOUND ? STORE_OK : code;
}

static void path_of(const struct tree *t, const char *name, struct buf *ret)
{
	const char *database = t->w.env->database, *slash = strrchr(database, '/');

	buf_append(ret, database, slash == NULL ? 0 : (size_t)(slash - database) + 1);
	buf_append(ret, name, strlen(name) + 1);
}

/* Size and FNV-1a, 64 bits, of a file. */
static int hash_file(const struct store_files *files, const char *path, char *ret, size_t size,
		     struct err *err)
{
	uint8_t *chunk = xcalloc(COPY_CHUNK, 1);
	uint64_t hash = UINT64_C(0xcbf29ce484222325), at = 0;
	size_t got = 0;
	int rc;

	do {
		rc = files->read(files->context, path, at, chunk, COPY_CHUNK, &got);
		for (size_t i = 0; rc == 0 && i < got; i++)
			hash = (hash ^ chunk[i]) * UINT64_C(0x100000001b3);
		at += rc == 0 ? got : 0;
	} while (rc == 0 && got > 0);
	free(chunk);
	if (rc != 0)
		return err_set(err, ERR_IO, "%s: %s", path, strerror(rc));
	(void)snprintf(ret, size, "%llu %lld", (unsigned long long)at, (long long)(int64_t)hash);
	return 0;
}

static void prepare(struct tree *t, struct operation *o)
{
	*o = (struct operation){
	    .base = {.work = operate, .context = o},
	    .tree = t,
	    .number = ++t->done,
	};
	(void)snprintf(o->base.ack, sizeof o->base.ack, "%s %lld", t->key, (long long)o->number);
}

/* An operation is submitted when the copy has begun, and written before it is done. */
static int copy_online(struct tree *t, struct store *store, const char *path,
		       const struct store_backup_options *options, enum store_code *ret_code,
		       struct store_error *e, struct err *err)
{
	struct store_backup_progress progress = {0};
	struct store_backup *backup = NULL;
	enum store_code code = store_backup_begin(store, path, options, &backup, e);
	int rc = 0;

	if (code == STORE_OK)
		code = store_backup_step(backup, &progress, e);
	if (code == STORE_OK) {
		prepare(t, &t->operations[0]);
		rc = workload_service_submit(&t->w, &t->operations[0].base, err);
		if (rc == 0)
			rc = workload_service_settle(&t->w, err);
		workload_connection(t->w.env, WORKLOAD_BACKUP);
	}
	while (rc == 0 && code == STORE_OK && !progress.done)
		code = store_backup_step(backup, &progress, e);
	store_backup_close(backup);
	*ret_code = code;
	return rc;
}

/* Online and cold in turn. */
static int copy(struct tree *t, struct store *store, const char *path, enum store_code *ret_code,
		struct store_error *e, struct err *err)
{
	struct store_backup_options options = {.pages_per_step = 4, .files = t->w.files};

	if (t->backups++ % 2 == 0)
		return copy_online(t, store, path, &options, ret_code, e, err);
	*ret_code = store_backup_cold(store, path, &options, e);
	return 0;
}

/* The file of the backup before, once it is durable that no row names it: a commit may be taken
 * back by power loss where synchronous is NORMAL, until it has been checkpointed. */
static void remove_old(struct tree *t, struct store *store)
{
	const struct store_files *files = t->w.env->files;
	struct store_checkpoint_result result;
	struct buf path;

	if (t->backup[0] == '\0' ||
	    store_checkpoint(store, STORE_CHECKPOINT_FULL, &result, NULL) != STORE_OK ||
	    result.busy)
		return;
	buf_init(&path);
	path_of(t, t->backup, &path);
	(void)files->remove(files->context, (char *)path.data);
	buf_release(&path);
}

/* The row of a backup that is there, in the place of the row of the one before. */
static int write_row(struct tree *t, struct store *store, const char *name, const char *path,
		     struct err *err)
{
	struct manifest m = {.time_us = t->done};
	struct workload_operation row = {.work = write_manifest, .context = &m};
	int rc;

	(void)snprintf(m.name, sizeof m.name, "%s", name);
	(void)snprintf(m.old, sizeof m.old, "%s", t->backup);
	rc = hash_file(t->w.env->files, path, m.content, sizeof m.content, err);
	if (rc == 0)
		rc = workload_service_submit(&t->w, &row, err);
	if (rc == 0)
		rc = workload_service_settle(&t->w, err);
	if (rc != 0 || row.code != STORE_OK)
		return rc;
	workload_connection(t->w.env, WORKLOAD_BACKUP);
	remove_old(t, store);
	(void)snprintf(t->backup, sizeof t->backup, "%s", name);
	return 0;
}

static int make_backup(struct tree *t, size_t migration_count, struct err *err)
{
	struct store_pragma *pragmas;
	struct store_options how =
	    workload_store_options(t->w.env, t->w.schema, migration_count, &pragmas);
	struct store *store = NULL;
	struct store_error e;
	struct buf path;
	char name[NAME_SIZE];
	enum store_code code;
	int rc = 0;

	buf_init(&path);
	(void)snprintf(name, sizeof name, "backup-%.20s-%lld.db", t->key, (long long)t->done);
	path_of(t, name, &path);
	workload_connection(t->w.env, WORKLOAD_BACKUP);
	code = store_open(t->w.env->database, &how, &store, &e);
	free(pragmas);
	if (code == STORE_OK)
		rc = copy(t, store, (char *)path.data, &code, &e, err);
	if (rc == 0 && code == STORE_OK)
		rc = write_row(t, store, name, (char *)path.data, err);
	/* Somebody reads, or the disk has failed: no backup this time. */
	else if (rc == 0 && code != STORE_ERR_BUSY && !(t->w.may_fail && code == STORE_ERR_IO))
		rc = workload_store_failed(code, &e, err);
	workload_connection(t->w.env, WORKLOAD_BACKUP);
	store_close(store);
	workload_connection(t->w.env, WORKLOAD_WRITER);
	buf_release(&path);
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Reads every file of a folder; the store compares each with its checksum. */
static enum store_code read_folder(struct store *reader, int64_t inode, struct store_error *e)
{
	enum { NODES = 16 };
	struct store_node nodes[NODES];
	size_t count = 0;
	enum store_code code = store_folder_list(reader, inode, NULL, nodes, NODES, &count, e);

	for (size_t i = 0; i < count && code == STORE_OK; i++) {
		size_t got;
		uint8_t *content = xcalloc(nodes[i].size_bytes + 1, 1);
		if (nodes[i].type == STORE_NODE_FILE)
			code = store_file_read(reader, nodes[i].inode, content, nodes[i].size_bytes,
					       &got, e);
		free(content);
		/* Gone, or grown, since it was listed. */
		if (code == STORE_ERR_NOT_FOUND || code == STORE_ERR_INVALID)
			code = STORE_OK;
	}
	return code;
}

static int read_some(struct tree *t, struct err *err)
{
	struct store *reader = NULL;
	struct store_node node;
	struct store_error e;
	enum store_code code;
	int rc = workload_service_reader(&t->w, &reader, err);

	if (rc != 0)
		return rc;
	code = store_node_find(reader, STORE_NODE_ROOT, t->key, &node, &e);
	if (code == STORE_OK)
		code = read_folder(reader, node.inode, &e);
	if (code != STORE_OK && code != STORE_ERR_NOT_FOUND)
		rc = workload_store_failed(code, &e, err);
	workload_service_give(&t->w, reader);
	return rc;
}

/* A worker that was killed goes on after its last operation and backup that are there. */
static int find_place(struct tree *t, struct err *err)
{
	struct store *reader = NULL;
	struct store_node nodes[64];
	struct store_node folder;
	struct store_error e;
	size_t count = 0;
	int rc = workload_service_reader(&t->w, &reader, err);

	if (rc != 0)
		return rc;
	rc = workload_query_number(
	    store_handle(reader),
	    "SELECT CAST(CAST(content AS TEXT) AS INTEGER) FROM nodes "
	    "JOIN nodes AS folder ON nodes.parent = folder.inode "
	    "JOIN contents ON contents.blob = nodes.blob "
	    "WHERE nodes.name = '.last' AND folder.parent = 1 AND folder.name = ?1",
	    t->key, &t->done, err);
	if (rc == 0 && store_node_find(reader, STORE_NODE_ROOT, "backups", &folder, &e) == STORE_OK)
		(void)store_folder_list(reader, folder.inode, NULL, nodes, 64, &count, &e);
	for (size_t i = 0; i < count; i++) {
		char prefix[NAME_SIZE];
		int n = snprintf(prefix, sizeof prefix, "backup-%.20s-", t->key);
		if (strncmp(nodes[i].name, prefix, (size_t)n) == 0)
			(void)snprintf(t->backup, sizeof t->backup, "%.47s", nodes[i].name);
	}
	workload_service_give(&t->w, reader);
	return rc;
}

/* ---- the run ------------------------------------------------------------------------------- */

static int operate_many(struct tree *t, int64_t count, size_t migration_count, struct err *err)
{
	const struct workload_env *env = t->w.env;
	int64_t every = workload_param(&workload_filesystem, env->params, "backup");
	int rc = 0;

	while (count > 0 && rc == 0) {
		size_t n = 0;
		if (env->stop != NULL && env->stop(env->ctx))
			return 0;
		for (; n < t->in_flight && count > 0 && rc == 0; n++, count--) {
			prepare(t, &t->operations[n]);
			rc = workload_service_submit(&t->w, &t->operations[n].base, err);
			if (every > 0 && t->done % every == 0)
				break;
		}
		if (rc == 0)
			rc = workload_service_settle(&t->w, err);
		if (rc == 0)
			rc = read_some(t, err);
		if (rc == 0 && every > 0 && t->done % every == 0)
			rc = make_backup(t, migration_count, err);
	}
	return rc;
}

static int filesystem_run(const struct workload_env *env, struct err *err)
{
	const struct workload *w = &workload_filesystem;
	int64_t count = workload_param(w, env->params, "operations");
	bool migrates = workload_param(w, env->params, "migrate") == 1;
	struct tree t = {
	    .payload_bytes = (size_t)workload_param(w, env->params, "payload"),
	    .in_flight = (size_t)workload_param(w, env->params, "in_flight"),
	};
	struct store_service_options base = {
	    .wal_bytes_max = (uint64_t)workload_param(w, env->params, "wal_bytes"),
	};
	int rc = workload_store_usable(err);

	if (rc != 0)
		return rc;
	(void)snprintf(t.key, sizeof t.key, "worker-%u", env->worker);
	workload_service_init(&t.w, env, STORE_SCHEMA_FILESYSTEM,
			      workload_param(w, env->params, "fail_sync"));
	t.operations = xcalloc(t.in_flight, sizeof *t.operations);
	if (migrates) {
		rc = workload_service_open(&t.w, t.w.migration_count - 1, &base, err);
		if (rc == 0)
			rc = operate_many(&t, count / 2, t.w.migration_count - 1, err);
		if (rc == 0)
			rc = workload_service_close(&t.w, err);
		count -= count / 2;
	}
	if (rc == 0)
		rc = workload_service_open(&t.w, t.w.migration_count, &base, err);
	if (rc == 0 && !migrates)
		rc = find_place(&t, err);
	if (rc == 0)
		rc = operate_many(&t, count, t.w.migration_count, err);
	if (rc == 0 && workload_planted(env, "blob-count-later"))
		rc = count_later(&t, err);
	if (rc == 0)
		rc = workload_service_close(&t.w, err);
	workload_service_release(&t.w);
	free(t.operations);
	return rc;
}

const struct workload workload_filesystem = {
    .name = "store.filesystem",
    .summary = "files and folders through the queue, with readers, backups and a migration",
    .params = params,
    .param_count = sizeof params / sizeof params[0],
    .defects = defects,
    .defect_count = sizeof defects / sizeof defects[0],
    .promise_sql = "SELECT folder.name, NULL, 1, CAST(CAST(content AS TEXT) AS INTEGER) "
		   "FROM nodes JOIN nodes AS folder ON nodes.parent = folder.inode "
		   "JOIN contents ON contents.blob = nodes.blob "
		   "WHERE nodes.name = '.last' ORDER BY folder.name",
    .run = filesystem_run,
};
