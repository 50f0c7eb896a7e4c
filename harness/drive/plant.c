/* See plant.h. Workload defects live beside the code that they make wrong (workload_*.c). */
#include "harness/drive/plant.h"

#include "faultinject/base/buf.h"
#include "faultinject/trace_edit.h"

#include <stdlib.h>
#include <string.h>

static const struct defect defects[] = {
    {"ack-before-commit", "store", "the caller is told before the commit is durable", "history",
     true},
    {"batch-in-two-transactions", "store", "one batch is written by two transactions", "batch",
     true},
    {"batch-backwards", "store", "the second half of a batch is written before the first", "order",
     true},
    {"size-later", "store", "the sizes of a batch are written by a second transaction", "invariant",
     true},
    {"count-later", "store", "a message is counted by a transaction of its own", "invariant", true},
    {"blob-count-later", "store", "a reference to a blob is counted before it is made", "invariant",
     true},
    {"order-by-time", "store", "what came before is asked of the times, not of the positions",
     "invariant", true},
    {"waits-by-wall-clock", "store", "what waits looks at the time of day", "invariant", true},
    {"never-checkpoints", "store", "nobody checkpoints the log", "invariant", true},
    {"file-never-synced", "store", "log files and backups are renamed without having been synced",
     "invariant", true},
    {"folder-never-synced", "store", "the folder of log files and backups is never synced",
     "invariant", true},
    {"migration-outside-transaction", "store",
     "the statements of a migration and its version row commit one by one", "schema", true},
    {"version-row-before-ddl", "store", "the version row commits before what it stands for",
     "schema", true},
    {PLANT_LOG_UNSYNCED, "shim", "the log or journal is never synced", "recovery", false},
    {"checkpoint-without-log-sync", "shim",
     "a checkpoint writes the database before the log is synced", "integrity", false},
    {PLANT_FOLDER_UNSYNCED, "shim", "no directory is ever synced", "history", false},
    {"failed-fsync-ignored", "shim", "the sync of a commit fails, and nobody looks at the answer",
     "history", false},
    {PLANT_LOG_HOLES, "recorder", "a write is not recorded", "recording", false},
    {PLANT_DISK_FORGETS, "disk model", "the oldest content of a sector is never shown",
     "accounting", false},
    {PLANT_SEARCH_SKIPS, "explorer", "one in five branches of the search is dropped", "accounting",
     false},
    {PLANT_OTHER_HISTORY, "history", "the oracle is fed the history of half the run", "history",
     false},
    {PLANT_NEVER_KILLS, "runner", "`plugpull kill` kills nobody", "runner", false},
    {PLANT_REPORT_HIDES, "report", "a violation is left out of JUnit", "report", false},
    {PLANT_UNSYNCED_RECOVERY, "recovery",
     "recovery syncs nothing, which only a second crash shows (--depth 2)", "history", false},
    {"journal-stays", "recovery", "a journal that was rolled back is not deleted", "leftovers",
     false},
    {"log-vanishes", "recovery", "the log is cut to nothing when it is closed", "second-open",
     false},
    {"read-only-after-recovery", "recovery", "the database and its log refuse every write",
     "writable", false},
    {"lock-stays", "recovery", "the locks that recovery took are not released", "liveness", false},
};

const struct defect *plant_defects(size_t *ret_count)
{
	*ret_count = sizeof defects / sizeof defects[0];
	return defects;
}

const struct defect *plant_find(const char *name)
{
	for (size_t i = 0; i < sizeof defects / sizeof defects[0]; i++)
		if (strcmp(defects[i].name, name) == 0)
			return &defects[i];
	return NULL;
}

bool plant_in_run(const char *name)
{
	static const char *const harness[] = {PLANT_DISK_FORGETS, PLANT_SEARCH_SKIPS,
					      PLANT_OTHER_HISTORY};

	for (size_t i = 0; name != NULL && i < sizeof harness / sizeof harness[0]; i++)
		if (strcmp(harness[i], name) == 0)
			return true;
	return plant_in_recovery(name) != FI_VFS_SOUND;
}

enum fi_vfs_defect plant_in_recovery(const char *name)
{
	static const struct {
		const char *name;
		enum fi_vfs_defect defect;
	} played[] = {
	    {"journal-stays", FI_VFS_JOURNAL_STAYS},
	    {"log-vanishes", FI_VFS_LOG_VANISHES},
	    {"read-only-after-recovery", FI_VFS_READ_ONLY},
	    {"lock-stays", FI_VFS_LOCK_STAYS},
	};

	for (size_t i = 0; name != NULL && i < sizeof played / sizeof played[0]; i++)
		if (strcmp(played[i].name, name) == 0)
			return played[i].defect;
	return FI_VFS_SOUND;
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

enum { IS_WAL = 1, IS_JOURNAL = 2 };

static uint8_t log_kind(const char *path)
{
	return ends_with(path, "-wal") ? IS_WAL : ends_with(path, "-journal") ? IS_JOURNAL : 0;
}

/* [inode]: what it was made as. Owned by the caller. */
static uint8_t *find_logs(const struct trace *t)
{
	uint8_t *is_log = xcalloc((size_t)t->inode_count + 1, 1);

	for (size_t i = 0; i < t->base_count; i++)
		is_log[t->base[i].inode] = log_kind(t->names[t->base[i].name]);
	for (size_t i = 0; i < t->op_count; i++)
		if (t->ops[i].kind == OP_CREATE)
			is_log[t->ops[i].inode] = log_kind(t->names[t->ops[i].name]);
	return is_log;
}

bool plant_fits(const char *name, const struct trace *t)
{
	uint8_t wanted = 0, there = 0;

	if (plant_in_recovery(name) == FI_VFS_JOURNAL_STAYS)
		wanted = IS_JOURNAL;
	if (plant_in_recovery(name) == FI_VFS_LOG_VANISHES)
		wanted = IS_WAL;
	uint8_t *is_log = find_logs(t);
	for (uint32_t inode = 1; inode <= t->inode_count; inode++)
		there |= is_log[inode];
	free(is_log);
	return wanted == 0 || (there & wanted) != 0;
}

static bool is_sync(const struct op *op)
{
	return op->kind == OP_SYNC_BEGIN || op->kind == OP_SYNC_END;
}

struct choice_of_ops {
	const uint8_t *is_log;
	uint64_t begin, end; /* of one sync */
};

static bool is_log_sync(void *ctx, const struct trace *t, uint64_t position)
{
	const struct choice_of_ops *c = ctx;
	const struct op *op = trace_at(t, position);

	return is_sync(op) && c->is_log[op->inode];
}

static bool is_directory_sync(void *ctx, const struct trace *t, uint64_t position)
{
	uint8_t kind = trace_at(t, position)->kind;

	(void)ctx;
	return kind == OP_DIRSYNC_BEGIN || kind == OP_DIRSYNC_END;
}

/* A sync of a log behind which the next write is to another file: a checkpoint begins. */
static bool is_checkpoint_sync(void *ctx, const struct trace *t, uint64_t position)
{
	const struct choice_of_ops *c = ctx;
	const struct op *op = trace_at(t, position);

	if (!is_sync(op) || c->is_log[op->inode] != IS_WAL)
		return false;
	while (position <= t->op_count && trace_at(t, position)->kind != OP_WRITE)
		position++;
	return position <= t->op_count && !c->is_log[trace_at(t, position)->inode] &&
	       op->inode != trace_at(t, position)->inode;
}

static bool is_chosen_sync(void *ctx, const struct trace *t, uint64_t position)
{
	const struct choice_of_ops *c = ctx;

	(void)t;
	return position == c->begin || position == c->end;
}

/* The last sync of a log or journal that is also the last sync before an acknowledgement. */
static bool choose_commit_sync(const struct trace *t, struct choice_of_ops *c)
{
	uint64_t sync = 0;
	bool found = false;

	for (uint64_t p = 1; p <= t->op_count; p++) {
		const struct op *op = trace_at(t, p);
		if (op_is_sync(op))
			sync = op->kind == OP_SYNC_END && c->is_log[op->inode] ? p : 0;
		if (op->kind != OP_ACK || sync == 0)
			continue;
		c->begin = trace_at(t, sync)->offset;
		c->end = sync;
		found = true;
	}
	return found;
}

static bool is_last_write(void *ctx, const struct trace *t, uint64_t position)
{
	(void)ctx;
	if (trace_at(t, position)->kind != OP_WRITE)
		return false;
	while (++position <= t->op_count)
		if (trace_at(t, position)->kind == OP_WRITE)
			return false;
	return true;
}

struct trace *plant_in_trace(const char *name, const struct trace *t, uint64_t **ret_positions)
{
	static const struct {
		const char *name;
		trace_drop_fn *drop;
	} drops[] = {
	    {PLANT_LOG_UNSYNCED, is_log_sync},
	    {"checkpoint-without-log-sync", is_checkpoint_sync},
	    {PLANT_FOLDER_UNSYNCED, is_directory_sync},
	    {"failed-fsync-ignored", is_chosen_sync},
	    {PLANT_LOG_HOLES, is_last_write},
	};
	struct choice_of_ops c = {.is_log = find_logs(t)};
	struct trace *planted = NULL;

	for (size_t i = 0; i < sizeof drops / sizeof drops[0]; i++)
		if (strcmp(name, drops[i].name) == 0 &&
		    (drops[i].drop != is_chosen_sync || choose_commit_sync(t, &c)))
			planted = trace_without(t, drops[i].drop, &c, ret_positions);
	free((void *)c.is_log);
	return planted;
}
