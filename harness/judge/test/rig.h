/*
 * A hand-made trace of two database files, /db/a and /db/b, with the values that each file has at
 * each position, for the tests of the history. The operations are those that SQLite makes, in its
 * order; the "content" of a file is a number. Included by one test program at a time.
 */
#ifndef JUDGE_TEST_RIG_H
#define JUDGE_TEST_RIG_H

#include "faultinject/base/buf.h"
#include "faultinject/trace.h"
#include "harness/judge/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	RIG_FILES = 2,
	RIG_PAGE_SIZE = 512,
	RIG_FRAME_SIZE = RIG_PAGE_SIZE + 24,
	RIG_VALUES_MAX = 64,
	UNREADABLE = -1, /* a value: the file cannot be opened */
};

/* The file has `value` from position `from` on. */
struct rig_value {
	uint64_t from;
	int file, value;
};

struct rig {
	struct trace *t;
	int file_count;
	uint32_t db[RIG_FILES], wal[RIG_FILES], journal[RIG_FILES];
	int next_frame[RIG_FILES];
	struct rig_value values[RIG_VALUES_MAX];
	size_t value_count;
	uint16_t connection; /* who acts */
	unsigned observed;   /* calls of rig_observe() */
	struct history *h;
};

static const char *const rig_paths[RIG_FILES] = {"/db/a", "/db/b"};

static inline uint64_t rig_add(struct rig *r, struct op op)
{
	op.process = 1;
	op.thread = 1;
	op.connection = r->connection;
	return trace_append(r->t, &op);
}

static inline uint32_t rig_name(struct rig *r, const char *format, int file)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/db/%c%s", 'a' + file, format);
	return trace_name(r->t, path);
}

/* From the last operation on, the processes see `value` in the file. */
static inline void rig_set(struct rig *r, int file, int value)
{
	assert_true(r->value_count < RIG_VALUES_MAX);
	r->values[r->value_count++] = (struct rig_value){r->t->op_count, file, value};
}

/* Databases with a WAL each in the base; page size 512; the value of both is 0. */
static inline void rig_init(struct rig *r, int file_count)
{
	uint8_t header[100] = "SQLite format 3", wal_header[32] = {0x37, 0x7f, 0x06, 0x82};

	memset(r, 0, sizeof *r);
	header[16] = RIG_PAGE_SIZE >> 8;
	wal_header[10] = RIG_PAGE_SIZE >> 8;
	r->t = trace_create((struct trace_device){4096, 0}, "test");
	r->file_count = file_count;
	r->connection = 1;
	for (int f = 0; f < file_count; f++) {
		r->db[f] = trace_new_inode(r->t);
		trace_add_base(r->t, r->db[f], rig_name(r, "", f), header, sizeof header);
		r->wal[f] = trace_new_inode(r->t);
		trace_add_base(r->t, r->wal[f], rig_name(r, "-wal", f), wal_header,
			       sizeof wal_header);
	}
}

static inline void rig_release(struct rig *r)
{
	history_free(r->h);
	trace_free(r->t);
}

static inline struct digest rig_digest(int file, int value)
{
	return (struct digest){(uint64_t)value + 1, (uint64_t)file};
}

static inline int rig_observe(void *ctx, uint64_t position, struct observation *ret,
			      struct err *err)
{
	struct rig *r = ctx;

	(void)err;
	r->observed++;
	ret->file_count = (size_t)r->file_count;
	for (int f = 0; f < r->file_count; f++) {
		int value = 0;

		for (size_t i = 0; i < r->value_count; i++)
			if (r->values[i].file == f && r->values[i].from <= position)
				value = r->values[i].value;
		if (value == UNREADABLE) {
			ret->rc = 11;
			strcpy(ret->failed, "malformed");
		}
		ret->files[f].state = rig_digest(f, value);
	}
	return 0;
}

static inline void rig_build(struct rig *r, enum history_ack ack)
{
	struct err err = ERR_INIT;

	history_free(r->h);
	r->h = NULL;
	if (history_build(r->t, rig_paths, (size_t)r->file_count, ack, rig_observe, r, &r->h,
			  &err) != 0)
		fail_msg("%s", err.message);
}

/* Judges files with these values. */
static inline struct history_judgement rig_judge(struct rig *r, uint64_t position, int a, int b)
{
	struct observation o = {.file_count = (size_t)r->file_count};
	struct history_judgement ret;

	o.files[0].state = rig_digest(0, a);
	o.files[1].state = rig_digest(1, b);
	history_judge(r->h, position, &o, &ret);
	return ret;
}

/* ---- locks ---- */

static inline uint64_t rig_lock(struct rig *r, int file, uint8_t flags, uint64_t offset,
				uint64_t size)
{
	return rig_add(r, (struct op){.kind = OP_LOCK,
				      .flags = flags,
				      .inode = r->db[file],
				      .offset = offset,
				      .size = size});
}

static inline uint64_t rig_unlock(struct rig *r, int file, uint8_t flags, uint64_t offset,
				  uint64_t size)
{
	return rig_add(r, (struct op){.kind = OP_UNLOCK,
				      .flags = flags,
				      .inode = r->db[file],
				      .offset = offset,
				      .size = size});
}

static inline uint64_t wal_lock(struct rig *r, int file)
{
	return rig_lock(r, file, OP_LOCK_SHM, OP_WAL_WRITE_BYTE, 1);
}

static inline uint64_t wal_unlock(struct rig *r, int file)
{
	return rig_unlock(r, file, OP_LOCK_SHM, OP_WAL_WRITE_BYTE, 1);
}

static inline uint64_t reserve(struct rig *r, int file)
{
	(void)rig_lock(r, file, OP_LOCK_SHARED, OP_SHARED_FIRST, OP_SHARED_SIZE);
	return rig_lock(r, file, 0, OP_RESERVED_BYTE, 1);
}

/* EXCLUSIVE to SHARED, as unixUnlock() does it. */
static inline uint64_t unreserve(struct rig *r, int file)
{
	(void)rig_lock(r, file, OP_LOCK_SHARED, OP_SHARED_FIRST, OP_SHARED_SIZE);
	return rig_unlock(r, file, 0, OP_PENDING_BYTE, 2);
}

static inline uint64_t make_exclusive(struct rig *r, int file)
{
	(void)rig_lock(r, file, 0, OP_PENDING_BYTE, 1);
	return rig_lock(r, file, 0, OP_SHARED_FIRST, OP_SHARED_SIZE);
}

/* ---- writes ---- */

static inline uint64_t rig_write(struct rig *r, uint32_t inode, uint64_t offset, const void *data,
				 uint64_t size)
{
	return rig_add(
	    r, (struct op){
		   .kind = OP_WRITE, .inode = inode, .offset = offset, .size = size, .data = data});
}

static inline uint64_t wal_frame_at(int frame)
{
	return 32 + (uint64_t)frame * RIG_FRAME_SIZE;
}

static inline void frame_bytes(uint8_t *ret, uint8_t commit)
{
	memset(ret, 0, RIG_FRAME_SIZE);
	ret[3] = 2; /* page number */
	ret[7] = commit;
}

/* A frame as SQLite writes it: header, then page. Returns the position of the header's write. */
static inline uint64_t wal_frame(struct rig *r, int file, uint8_t commit)
{
	uint8_t frame[RIG_FRAME_SIZE];
	uint64_t at = wal_frame_at(r->next_frame[file]++), position;

	frame_bytes(frame, commit);
	position = rig_write(r, r->wal[file], at, frame, 24);
	(void)rig_write(r, r->wal[file], at + 24, frame + 24, RIG_PAGE_SIZE);
	return position;
}

static inline uint64_t db_write(struct rig *r, int file)
{
	static const uint8_t page[RIG_PAGE_SIZE];

	return rig_write(r, r->db[file], RIG_PAGE_SIZE, page, sizeof page);
}

/* A new journal with its first bytes; returns the position of the write. */
static inline uint64_t journal_open(struct rig *r, int file)
{
	static const uint8_t header[28] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};

	r->journal[file] = trace_new_inode(r->t);
	(void)rig_add(r, (struct op){.kind = OP_CREATE,
				     .inode = r->journal[file],
				     .name = rig_name(r, "-journal", file)});
	return rig_write(r, r->journal[file], 0, header, sizeof header);
}

/* A journal that is there already gets a new header. */
static inline uint64_t journal_reuse(struct rig *r, int file)
{
	static const uint8_t header[28] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};

	return rig_write(r, r->journal[file], 0, header, sizeof header);
}

static inline uint64_t journal_delete(struct rig *r, int file)
{
	return rig_add(r, (struct op){.kind = OP_UNLINK, .name = rig_name(r, "-journal", file)});
}

static inline uint64_t journal_truncate(struct rig *r, int file)
{
	return rig_add(r, (struct op){.kind = OP_TRUNCATE, .inode = r->journal[file]});
}

static inline uint64_t journal_zero(struct rig *r, int file)
{
	static const uint8_t zeros[28];

	return rig_write(r, r->journal[file], 0, zeros, sizeof zeros);
}

static inline uint64_t ack(struct rig *r)
{
	return rig_add(r, (struct op){.kind = OP_ACK});
}

/* ---- whole transactions of one file; each returns the position of the release ---- */

static inline uint64_t wal_commit(struct rig *r, int file, int value)
{
	(void)wal_lock(r, file);
	(void)wal_frame(r, file, 5);
	rig_set(r, file, value);
	return wal_unlock(r, file);
}

static inline uint64_t delete_commit(struct rig *r, int file, int value)
{
	(void)reserve(r, file);
	(void)journal_open(r, file);
	(void)make_exclusive(r, file);
	(void)db_write(r, file);
	(void)journal_delete(r, file);
	rig_set(r, file, value);
	return unreserve(r, file);
}

#endif
