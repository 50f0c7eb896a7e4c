#include "harness/lint/test/lint_rig.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 1 };

static void run(sqlite3 *db, struct disk *disk, const char *sql)
{
	while (*sql != 0) {
		sqlite3_stmt *stmt;
		int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, &sql);

		if (rc == SQLITE_OK && stmt != NULL) {
			while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
				;
			rc = sqlite3_finalize(stmt);
			if (rc == SQLITE_OK && sqlite3_get_autocommit(db))
				disk_note(disk, OP_ACK, "");
		}
		if (rc != SQLITE_OK) {
			fprintf(stderr, "%s before: %s\n", sqlite3_errmsg(db), sql);
			abort();
		}
	}
}

static sqlite3 *connect(struct disk *disk, const char *pragmas)
{
	sqlite3 *db;
	int rc = sqlite3_open_v2(RIG_DATABASE, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
				 FI_VFS_NAME);

	ASSERT_OP(rc, ==, SQLITE_OK);
	run(db, disk, "ATTACH '" RIG_ATTACHED "' AS side");
	run(db, disk, pragmas);
	return db;
}

/* `t` gets what happens on the disk. */
static void record(struct disk *disk, struct trace *t, const char *pragmas, const char *sql)
{
	disk_record(disk, t);
	sqlite3 *db = connect(disk, pragmas);
	run(db, disk, sql);
	ASSERT_OP(sqlite3_close(db), ==, SQLITE_OK);
	disk_record(disk, NULL);
}

static struct disk *boot(struct trace_device device)
{
	struct disk *disk = disk_create();
	struct err err = ERR_INIT;

	ASSERT_OP(fi_vfs_register(&err), ==, 0);
	fi_vfs_boot(disk_storage(disk), SEED, device);
	disk_storage(disk)->actor = (struct storage_actor){1, 1, 1};
	return disk;
}

struct trace *rig_record(struct trace_device device, const char *pragmas, const char *setup,
			 const char *sql)
{
	struct disk *disk = boot(device);
	struct trace *t = trace_create(device, "test");
	sqlite3 *db = connect(disk, pragmas);

	run(db, disk, setup);
	ASSERT_OP(sqlite3_close(db), ==, SQLITE_OK);
	record(disk, t, pragmas, sql);
	disk_free(disk);
	return t;
}

/* ---- recovery ---- */

struct image {
	struct buf *inodes; /* [inode_count + 1] */
	uint32_t *inode_of; /* [name_count + 1] */
};

static void put(struct buf *b, uint64_t offset, const uint8_t *data, uint64_t size)
{
	size_t end = (size_t)(offset + size);

	if (end > b->size) {
		buf_reserve(b, end - b->size);
		memset(b->data + b->size, 0, end - b->size);
		b->size = end;
	}
	if (size > 0)
		memcpy(b->data + offset, data, size);
}

static void apply(struct image *m, const struct op *op)
{
	struct buf *b = &m->inodes[op->inode];

	switch ((enum op_kind)op->kind) {
	case OP_CREATE:
		m->inode_of[op->name] = op->inode;
		break;
	case OP_WRITE:
		put(b, op->offset, op->data, op->size);
		break;
	case OP_TRUNCATE:
		put(b, op->size, NULL, 0);
		b->size = op->size;
		break;
	case OP_UNLINK:
		m->inode_of[op->name] = 0;
		break;
	case OP_RENAME:
	case OP_LINK:
		/* SQLite does neither. */
		abort();
	default:
		break;
	}
}

struct trace *rig_recover(const struct trace *t, uint64_t position, const char *pragmas,
			  const char *sql)
{
	struct image m = {
	    .inodes = xcalloc((size_t)t->inode_count + 1, sizeof *m.inodes),
	    .inode_of = xcalloc((size_t)t->name_count + 1, sizeof *m.inode_of),
	};
	struct disk *disk = boot(t->device);
	struct trace *recovery = trace_create(t->device, "test");

	for (size_t i = 0; i < t->base_count; i++) {
		put(&m.inodes[t->base[i].inode], 0, t->base[i].data, t->base[i].size);
		m.inode_of[t->base[i].name] = t->base[i].inode;
	}
	for (uint64_t p = 1; p <= position; p++)
		apply(&m, trace_at(t, p));
	for (uint32_t n = 1; n <= t->name_count; n++)
		if (m.inode_of[n] != 0)
			disk_put(disk, t->names[n], m.inodes[m.inode_of[n]].data,
				 m.inodes[m.inode_of[n]].size);
	record(disk, recovery, pragmas, sql);
	disk_free(disk);
	for (uint32_t i = 0; i <= t->inode_count; i++)
		buf_release(&m.inodes[i]);
	free(m.inodes);
	free(m.inode_of);
	return recovery;
}

/* ---- changed traces ---- */

struct copy {
	struct trace *t;
	uint64_t *moved; /* [op_count + 1]: new positions */
};

static void append(struct copy *c, const struct trace *t, uint64_t p, uint8_t flags)
{
	struct op op = *trace_at(t, p);

	op.flags |= flags;
	if (op.kind == OP_SYNC_END || op.kind == OP_DIRSYNC_END)
		op.offset = c->moved[op.offset];
	c->moved[p] = trace_append(c->t, &op);
}

struct trace *rig_change(const struct trace *t, uint64_t end, enum rig_change change, uint64_t at)
{
	uint64_t begin = trace_at(t, end)->offset;
	struct copy c = {
	    .t = trace_create(t->device, t->producer),
	    .moved = xcalloc(t->op_count + 1, sizeof *c.moved),
	};

	/* All names and inodes first, in order: their numbers stay the same. */
	for (uint32_t n = 1; n <= t->name_count; n++)
		(void)trace_name(c.t, t->names[n]);
	for (uint32_t i = 1; i <= t->inode_count; i++)
		(void)trace_new_inode(c.t);
	for (size_t i = 0; i < t->base_count; i++)
		trace_add_base(c.t, t->base[i].inode, t->base[i].name, t->base[i].data,
			       t->base[i].size);
	for (uint64_t p = 1; p <= t->op_count; p++) {
		if (change == RIG_BEGIN_AT && p == at)
			append(&c, t, begin, 0);
		if (!(change == RIG_DROP && (p == begin || p == end)) &&
		    !(change == RIG_BEGIN_AT && p == begin) &&
		    !(change == RIG_END_AFTER && p == end))
			append(&c, t, p, change == RIG_FAIL && p == end ? OP_SYNC_FAILED : 0);
		if (change == RIG_END_AFTER && p == at)
			append(&c, t, end, 0);
	}
	free(c.moved);
	return c.t;
}

const struct lint_finding *rig_find(const struct lint *l, enum lint_rule rule)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->findings[i].rule == rule)
			return &l->findings[i];
	return NULL;
}
