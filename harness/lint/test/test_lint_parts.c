/*
 * What SQLite seldom or never does, in traces made by hand: pages and frames of 512 bytes, filled
 * with one byte each.
 */
#include "faultinject/base/buf.h"
#include "faultinject/format/journal.h"
#include "faultinject/format/wal.h"
#include "harness/lint/lint.h"
#include "harness/lint/test/lint_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	PAGE_SIZE = 512,
	FRAME_SIZE = WAL_FRAME_HEADER_SIZE + PAGE_SIZE,
	RECORD_SIZE = PAGE_SIZE + 8
};

static const uint8_t journal_magic[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};

/* A database of four pages and its log. */
struct hand {
	struct trace *t;
	uint32_t database, log, log_name, folder, database_name;
	struct wal_checksum sum; /* of the frames so far */
};

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void do_op(struct hand *h, struct op op)
{
	op.process = op.thread = op.connection = 1;
	(void)trace_append(h->t, &op);
}

static void sync_inode(struct hand *h, uint32_t inode)
{
	do_op(h, (struct op){.kind = OP_SYNC_BEGIN, .inode = inode});
	do_op(h, (struct op){.kind = OP_SYNC_END, .inode = inode, .offset = h->t->op_count});
}

static void sync_folder(struct hand *h)
{
	do_op(h, (struct op){.kind = OP_DIRSYNC_BEGIN, .name = h->folder});
	do_op(h, (struct op){.kind = OP_DIRSYNC_END, .name = h->folder, .offset = h->t->op_count});
}

static void write_bytes(struct hand *h, uint32_t inode, uint64_t offset, const void *data,
			uint64_t size)
{
	do_op(h,
	      (struct op){
		  .kind = OP_WRITE, .inode = inode, .offset = offset, .size = size, .data = data});
}

static void write_page(struct hand *h, uint32_t page, uint8_t fill, uint32_t count)
{
	uint8_t bytes[8 * PAGE_SIZE];

	memset(bytes, fill, sizeof bytes);
	write_bytes(h, h->database, (page - 1) * (uint64_t)PAGE_SIZE, bytes,
		    (uint64_t)count * PAGE_SIZE);
}

/* A log (suffix) is created and synced, unless it is in the base with `size` bytes. */
static void begin(struct hand *h, const char *suffix, const uint8_t *base, size_t size)
{
	struct trace_device device = {512, 0x1000};
	uint8_t database[4 * PAGE_SIZE] = "SQLite format 3";
	char *log = xasprintf("/d/a%s", suffix);

	*h = (struct hand){.t = trace_create(device, "test")};
	h->database = trace_new_inode(h->t);
	h->database_name = trace_name(h->t, "/d/a");
	h->folder = trace_name(h->t, "/d");
	h->log_name = trace_name(h->t, log);
	trace_add_base(h->t, h->database, h->database_name, database, sizeof database);
	h->log = trace_new_inode(h->t);
	if (base != NULL) {
		trace_add_base(h->t, h->log, h->log_name, base, size);
	} else {
		do_op(h, (struct op){.kind = OP_CREATE, .inode = h->log, .name = h->log_name});
		sync_folder(h);
	}
	free(log);
}

static void end(struct hand *h)
{
	trace_free(h->t);
}

/* How often a rule fired. */
static uint64_t count_of(const struct hand *h, enum lint_rule rule)
{
	struct lint l;

	lint_trace(h->t, NULL, 0, &l);
	const struct lint_finding *f = rig_find(&l, rule);
	uint64_t count = f == NULL ? 0 : f->count;
	lint_release(&l);
	return count;
}

static size_t findings(const struct hand *h)
{
	struct lint l;

	lint_trace(h->t, NULL, 0, &l);
	size_t count = l.count;
	lint_release(&l);
	return count;
}

/* ---- journals ---- */

static void write_header(struct hand *h, uint32_t count, uint64_t size)
{
	uint8_t bytes[JOURNAL_HEADER_SIZE] = {0};

	memcpy(bytes, journal_magic, sizeof journal_magic);
	put_be32(bytes + 8, count);
	put_be32(bytes + 16, 4);
	put_be32(bytes + 20, 512);
	put_be32(bytes + 24, PAGE_SIZE);
	write_bytes(h, h->log, 0, bytes, size);
}

static void write_record(struct hand *h, uint32_t index, uint32_t page)
{
	uint8_t bytes[RECORD_SIZE] = {0};

	put_be32(bytes, page);
	write_bytes(h, h->log, 512 + index * (uint64_t)RECORD_SIZE, bytes, sizeof bytes);
}

/* A record that is not durable restores nothing, also where a durable count would include it. */
static void test_record_behind_count(void **state)
{
	struct hand h;

	(void)state;
	for (int synced = 0; synced < 2; synced++) {
		begin(&h, "-journal", NULL, 0);
		write_header(&h, 1, JOURNAL_HEADER_SIZE);
		sync_inode(&h, h.log);
		write_record(&h, 0, 2);
		if (synced)
			sync_inode(&h, h.log);
		write_page(&h, 2, 7, 1);
		assert_int_equal(count_of(&h, LINT_JOURNAL_BEFORE_PAGE), !synced);
		end(&h);
	}
}

/* While a larger count is pending, the one before it is what is durable: it covers the records that
 * it counted, and no others. And one write that comes too soon for several pages is one. */
static void test_count_before(void **state)
{
	struct hand h;

	(void)state;
	for (uint32_t pages = 1; pages <= 3; pages++) {
		begin(&h, "-journal", NULL, 0);
		write_header(&h, 0, JOURNAL_HEADER_SIZE);
		write_record(&h, 0, 2);
		sync_inode(&h, h.log);
		write_header(&h, 1, 12);
		sync_inode(&h, h.log);
		write_record(&h, 1, 3);
		write_record(&h, 2, 4);
		sync_inode(&h, h.log);
		write_header(&h, 3, 12);
		write_page(&h, 2, 7, pages);
		assert_int_equal(count_of(&h, LINT_JOURNAL_BEFORE_PAGE), pages > 1);
		end(&h);
	}
}

/* Of two records of a page the first counts: it holds the page as it was. */
static void test_first_record(void **state)
{
	struct hand h;

	(void)state;
	begin(&h, "-journal", NULL, 0);
	write_header(&h, 0, JOURNAL_HEADER_SIZE);
	write_record(&h, 0, 2);
	sync_inode(&h, h.log);
	write_header(&h, 1, 12);
	sync_inode(&h, h.log);
	write_record(&h, 1, 2);
	write_page(&h, 2, 7, 1);
	assert_int_equal(findings(&h), 0);
	end(&h);
}

/* Pages behind the old end need no journal: rollback cuts them off. */
static void test_growth(void **state)
{
	struct hand h;

	(void)state;
	for (uint32_t page = 4; page <= 5; page++) {
		begin(&h, "-journal", NULL, 0);
		do_op(&h, (struct op){.kind = OP_UNLINK, .name = h.log_name});
		h.log = trace_new_inode(h.t);
		do_op(&h, (struct op){.kind = OP_CREATE, .inode = h.log, .name = h.log_name});
		write_header(&h, 0, JOURNAL_HEADER_SIZE);
		write_page(&h, page, 7, 1);
		assert_int_equal(count_of(&h, LINT_JOURNAL_NAME_BEFORE_PAGE), page == 4);
		end(&h);
		/* Nor do they need one where there is none. */
		begin(&h, "-journal", NULL, 0);
		write_page(&h, page, 7, 1);
		assert_int_equal(count_of(&h, LINT_PAGE_WITHOUT_LOG), page == 4);
		end(&h);
	}
}

/* The end of a journal is excused by its super-journal only if that is gone. */
static void test_super_still_there(void **state)
{
	static const char super[] = "/d/a-mj1";
	uint8_t tail[4 + sizeof super - 1 + JOURNAL_SUPER_TAIL];
	size_t n = sizeof super - 1;
	uint32_t sum = 0;
	struct hand h;

	(void)state;
	for (size_t i = 0; i < n; i++)
		sum += (uint8_t)super[i];
	put_be32(tail, 0x40000000 / PAGE_SIZE + 1);
	memcpy(tail + 4, super, n);
	put_be32(tail + 4 + n, (uint32_t)n);
	put_be32(tail + 8 + n, sum);
	memcpy(tail + 12 + n, journal_magic, sizeof journal_magic);
	for (int gone = 0; gone < 2; gone++) {
		begin(&h, "-journal", NULL, 0);
		uint32_t inode = trace_new_inode(h.t), name = trace_name(h.t, super);
		do_op(&h, (struct op){.kind = OP_CREATE, .inode = inode, .name = name});
		write_bytes(&h, inode, 0, "/d/a-journal", 13);
		sync_inode(&h, inode);
		sync_folder(&h);
		write_header(&h, 0, JOURNAL_HEADER_SIZE);
		write_record(&h, 0, 2);
		write_bytes(&h, h.log, 512 + RECORD_SIZE, tail, sizeof tail);
		sync_inode(&h, h.log);
		write_header(&h, 1, 12);
		sync_inode(&h, h.log);
		write_page(&h, 2, 7, 1);
		sync_inode(&h, h.database);
		if (gone) {
			do_op(&h, (struct op){.kind = OP_UNLINK, .name = name});
			sync_folder(&h);
		}
		do_op(&h, (struct op){.kind = OP_UNLINK, .name = h.log_name});
		do_op(&h, (struct op){.kind = OP_ACK});
		assert_int_equal(count_of(&h, LINT_JOURNAL_END_BEFORE_ACK), !gone);
		assert_int_equal(count_of(&h, LINT_SUPER_END_BEFORE_CHILDREN), !gone);
		assert_int_equal(findings(&h), gone ? 0 : 2);
		end(&h);
	}
}

/* ---- logs ---- */

static void make_header(struct hand *h, uint8_t salt, uint8_t *bytes)
{
	memset(bytes, 0, WAL_HEADER_SIZE);
	put_be32(bytes, 0x377f0682);
	put_be32(bytes + 4, 3007000);
	put_be32(bytes + 8, PAGE_SIZE);
	put_be32(bytes + 16, salt);
	h->sum = wal_checksum_add((struct wal_checksum){0, 0}, false, bytes, 24);
	put_be32(bytes + 24, h->sum.s0);
	put_be32(bytes + 28, h->sum.s1);
}

static void make_frame(struct hand *h, uint32_t page, uint32_t commit, uint8_t fill, uint8_t *bytes)
{
	memset(bytes, 0, WAL_FRAME_HEADER_SIZE);
	memset(bytes + WAL_FRAME_HEADER_SIZE, fill, PAGE_SIZE);
	put_be32(bytes, page);
	put_be32(bytes + 4, commit);
	put_be32(bytes + 8, 1);
	h->sum = wal_checksum_add(h->sum, false, bytes, 8);
	h->sum = wal_checksum_add(h->sum, false, bytes + WAL_FRAME_HEADER_SIZE, PAGE_SIZE);
	put_be32(bytes + 16, h->sum.s0);
	put_be32(bytes + 20, h->sum.s1);
}

static void write_log_header(struct hand *h, uint8_t salt)
{
	uint8_t bytes[WAL_HEADER_SIZE];

	make_header(h, salt, bytes);
	write_bytes(h, h->log, 0, bytes, sizeof bytes);
}

static void write_frame(struct hand *h, uint32_t index, uint32_t page, uint32_t commit,
			uint8_t fill)
{
	uint8_t bytes[FRAME_SIZE];

	make_frame(h, page, commit, fill, bytes);
	write_bytes(h, h->log, WAL_HEADER_SIZE + index * (uint64_t)FRAME_SIZE, bytes, sizeof bytes);
}

static void begin_log(struct hand *h)
{
	begin(h, "-wal", NULL, 0);
	write_log_header(h, 1);
	sync_inode(h, h->log);
}

/* A page needs the whole transaction in the log, not only its own frame; all of its frame's bytes;
 * and nothing of what was appended since. */
static void test_checkpoint(void **state)
{
	struct hand h;

	(void)state;
	/* The commit is behind the sync. */
	begin_log(&h);
	write_frame(&h, 0, 2, 0, 7);
	sync_inode(&h, h.log);
	write_frame(&h, 1, 3, 4, 8);
	write_page(&h, 2, 7, 1);
	assert_int_equal(count_of(&h, LINT_LOG_BEFORE_CHECKPOINT), 1);
	end(&h);
	/* The page of the commit is. */
	begin_log(&h);
	uint8_t bytes[FRAME_SIZE];
	make_frame(&h, 2, 4, 7, bytes);
	write_bytes(&h, h.log, WAL_HEADER_SIZE, bytes, WAL_FRAME_HEADER_SIZE);
	sync_inode(&h, h.log);
	write_bytes(&h, h.log, WAL_HEADER_SIZE + WAL_FRAME_HEADER_SIZE,
		    bytes + WAL_FRAME_HEADER_SIZE, PAGE_SIZE);
	write_page(&h, 2, 7, 1);
	assert_int_equal(count_of(&h, LINT_LOG_BEFORE_CHECKPOINT), 1);
	end(&h);
	/* A later transaction is. */
	begin_log(&h);
	write_frame(&h, 0, 2, 4, 7);
	sync_inode(&h, h.log);
	write_frame(&h, 1, 2, 4, 8);
	write_page(&h, 2, 7, 1);
	assert_int_equal(findings(&h), 0);
	write_page(&h, 2, 8, 1);
	assert_int_equal(count_of(&h, LINT_LOG_BEFORE_CHECKPOINT), 1);
	end(&h);
}

/* A log that is cut, deleted or started again loses what a checkpoint has not made durable; one
 * that is cut behind its last frame, or whose header is written as it was, does not. */
static void test_reset(void **state)
{
	enum { CUT, CUT_INSIDE, CUT_BEHIND, DELETED, RESTARTED, SAME, WAYS };
	static const uint64_t sizes[] = {0, WAL_HEADER_SIZE + 9, WAL_HEADER_SIZE + FRAME_SIZE};
	struct hand h;

	(void)state;
	for (int synced = 0; synced < 2; synced++)
		for (int way = 0; way < WAYS; way++) {
			begin_log(&h);
			write_frame(&h, 0, 2, 4, 7);
			sync_inode(&h, h.log);
			write_page(&h, 2, 7, 1);
			if (synced)
				sync_inode(&h, h.database);
			if (way <= CUT_BEHIND)
				do_op(&h, (struct op){.kind = OP_TRUNCATE,
						      .inode = h.log,
						      .size = sizes[way]});
			else if (way == DELETED)
				do_op(&h, (struct op){.kind = OP_UNLINK, .name = h.log_name});
			else
				write_log_header(&h, way == SAME ? 1 : 2);
			bool harm = !synced && way != CUT_BEHIND && way != SAME;
			assert_int_equal(findings(&h), harm);
			assert_int_equal(count_of(&h, LINT_DATABASE_BEFORE_LOG_RESET), harm);
			end(&h);
		}
}

/* Of a log that was there before, what is committed counts as durable, and what is behind that is
 * overwritten without further ado. */
static void test_base_log(void **state)
{
	uint8_t base[WAL_HEADER_SIZE + 3 * FRAME_SIZE];
	struct hand h = {0};

	(void)state;
	make_header(&h, 1, base);
	make_frame(&h, 2, 4, 7, base + WAL_HEADER_SIZE);
	make_frame(&h, 3, 0, 8, base + WAL_HEADER_SIZE + FRAME_SIZE);
	make_frame(&h, 4, 0, 9, base + WAL_HEADER_SIZE + 2 * FRAME_SIZE);
	begin(&h, "-wal", base, sizeof base);
	write_page(&h, 2, 7, 1);
	assert_int_equal(findings(&h), 0);
	/* Not committed, so not in the log. */
	write_page(&h, 3, 8, 1);
	assert_int_equal(count_of(&h, LINT_PAGE_WITHOUT_LOG), 1);
	write_frame(&h, 1, 3, 4, 8);
	write_page(&h, 3, 8, 1);
	assert_int_equal(count_of(&h, LINT_LOG_BEFORE_CHECKPOINT), 1);
	end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_record_behind_count),
	    cmocka_unit_test(test_count_before),
	    cmocka_unit_test(test_first_record),
	    cmocka_unit_test(test_growth),
	    cmocka_unit_test(test_super_still_there),
	    cmocka_unit_test(test_checkpoint),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_base_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
