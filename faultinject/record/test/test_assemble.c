/*
 * From calls to a trace (assemble.h): what becomes of each call, what belongs to the base, when
 * bytes that differ are a hole and when they prove nothing. And connections.h: which write periods
 * are one transaction.
 */
#include "faultinject/record/assemble.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/trace_image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- calls in words ---- */

static struct call *call(struct call_list *l, enum call_kind kind, uint64_t ino, const char *path)
{
	struct call *c = call_list_add(l);

	c->kind = kind;
	c->pid = c->tid = 100;
	c->dev = 1;
	c->ino = ino;
	c->path = path;
	c->begin = l->count - 1;
	return c;
}

static struct call *open_new(struct call_list *l, uint64_t ino, const char *path)
{
	return call(l, CALL_OPEN, ino, path);
}

static void file_with(struct call_list *l, uint64_t ino, const char *path, const char *text)
{
	struct call *c = call(l, CALL_FILE, ino, path);

	c->flags = CALL_EXISTED;
	c->length = strlen(text);
	c = call(l, CALL_CONTENT, ino, NULL);
	c->data = (const uint8_t *)text;
	c->data_size = strlen(text);
}

static struct call *write_text(struct call_list *l, uint64_t ino, uint64_t offset, const char *text)
{
	struct call *c = call(l, CALL_WRITE, ino, NULL);

	c->offset = offset;
	c->data = (const uint8_t *)text;
	c->data_size = strlen(text);
	return c;
}

static size_t digest_begin(struct call_list *l, uint64_t ino)
{
	(void)call(l, CALL_DIGEST_BEGIN, ino, "/d/a");
	return l->count - 1;
}

static void digest_end(struct call_list *l, uint64_t ino, size_t begin, const char *text)
{
	struct call *c = call(l, CALL_DIGEST_END, ino, "/d/a");

	c->begin = begin;
	c->length = strlen(text);
	c->hash = hash64(text, strlen(text), 0);
}

static void lock(struct call_list *l, uint64_t ino, uint64_t offset, uint64_t size, bool unlock)
{
	struct call *c = call(l, unlock ? CALL_UNLOCK : CALL_LOCK, ino, NULL);

	c->offset = offset;
	c->length = size;
}

/* ---- traces in words ---- */

struct made {
	struct trace *t;
	struct assemble_report report;
	char *text; /* the operations, a line each */
};

static void print_ops(struct made *m)
{
	size_t size = 0;
	FILE *f = open_memstream(&m->text, &size);

	assert_non_null(f);
	for (size_t i = 0; i < m->t->op_count; i++)
		trace_print_op(m->t, i + 1, true, f);
	assert_int_equal(fclose(f), 0);
}

static struct made make(struct call_list *l, bool live)
{
	struct assemble_options o = {.producer = "test", .live = live};
	struct err err = ERR_INIT;
	struct made m = {0};

	if (assemble(l, &o, &m.t, &m.report, &err) != 0)
		fail_msg("%s", err.message);
	print_ops(&m);
	call_list_release(l);
	return m;
}

static void drop(struct made *m)
{
	trace_free(m->t);
	free(m->text);
}

static void has(const struct made *m, const char *part)
{
	if (strstr(m->text, part) == NULL)
		fail_msg("no '%s' in\n%s", part, m->text);
}

static void has_not(const struct made *m, const char *part)
{
	if (strstr(m->text, part) != NULL)
		fail_msg("'%s' in\n%s", part, m->text);
}

static void content_is(const struct made *m, const char *path, const char *text)
{
	struct trace_image *i = trace_image_create(m->t);
	uint64_t size = 0;
	const uint8_t *data = trace_image_file(i, path, &size);

	assert_non_null(data);
	assert_int_equal(size, strlen(text));
	assert_memory_equal(data, text, size);
	trace_image_free(i);
}

static size_t count(const struct made *m, uint8_t kind)
{
	size_t n = 0;

	for (size_t i = 0; i < m->t->op_count; i++)
		n += m->t->ops[i].kind == kind;
	return n;
}

/* ---- tests ---- */

/* A file that existed is the durable base, one that did not is created; what a second process took
 * of a file that it met later is not. */
static void test_base(void **state)
{
	struct call_list l = {0};

	(void)state;
	(void)open_new(&l, 2, "/d/new");
	file_with(&l, 1, "/d/a", "old");
	(void)write_text(&l, 1, 0, "n");
	file_with(&l, 1, "/d/a", "nld");
	l.items[l.count - 1].pid = l.items[l.count - 2].pid = 200;
	struct made m = make(&l, false);

	assert_int_equal(m.t->base_count, 1);
	assert_string_equal(m.t->names[m.t->base[0].name], "/d/a");
	assert_int_equal(m.t->base[0].size, 3);
	assert_memory_equal(m.t->base[0].data, "old", 3);
	assert_int_equal(count(&m, OP_CREATE), 1);
	content_is(&m, "/d/a", "nld");
	assert_int_equal(m.report.hole_count, 0);
	drop(&m);
}

/* Of a base whose content was not copied to the end nothing can be said. */
static void test_torn_base(void **state)
{
	struct assemble_options o = {.producer = "test"};
	struct assemble_report report;
	struct call_list l = {0};
	struct err err = ERR_INIT;
	struct trace *t = NULL;

	(void)state;
	file_with(&l, 1, "/d/a", "old");
	l.items[0].length = 4;
	assert_int_equal(assemble(&l, &o, &t, &report, &err), ERR_INPUT);
	assert_non_null(strstr(err.message, "/d/a"));
	assert_null(t);
	call_list_release(&l);
}

/* A file that is larger than can be held is refused before it is. */
static void test_too_large(void **state)
{
	struct assemble_options o = {.producer = "test"};
	struct assemble_report report;
	struct call_list l = {0};
	struct err err = ERR_INIT;
	struct trace *t = NULL;

	(void)state;
	(void)open_new(&l, 1, "/d/a");
	call(&l, CALL_TRUNCATE, 1, NULL)->length = ASSEMBLE_FILE_SIZE_MAX + 1;
	assert_int_equal(assemble(&l, &o, &t, &report, &err), ERR_LIMIT);
	l.items[1].kind = CALL_WRITE;
	l.items[1].offset = ASSEMBLE_FILE_SIZE_MAX;
	l.items[1].data = (const uint8_t *)"x";
	l.items[1].data_size = 1;
	assert_int_equal(assemble(&l, &o, &t, &report, &err), ERR_LIMIT);
	assert_null(t);
	call_list_release(&l);
}

/* An inode number is used again: the new journal is another file than the old one. */
static void test_inode_again(void **state)
{
	struct call_list l = {0};

	(void)state;
	(void)open_new(&l, 7, "/d/a-journal");
	(void)write_text(&l, 7, 0, "one");
	(void)call(&l, CALL_UNLINK, 0, "/d/a-journal");
	(void)open_new(&l, 7, "/d/a-journal");
	(void)write_text(&l, 7, 0, "x");
	struct made m = make(&l, false);

	assert_int_equal(m.t->inode_count, 2);
	content_is(&m, "/d/a-journal", "x");
	drop(&m);
}

/* A name that is another file now, which nobody was seen to make: a hole. One that was just created
 * is none: somebody's unlink is a moment late. */
static void test_replaced(void **state)
{
	struct call_list l = {0};

	(void)state;
	file_with(&l, 1, "/d/a", "old");
	open_new(&l, 9, "/d/a")->flags = CALL_EXISTED;
	struct made m = make(&l, false);

	assert_int_equal(m.report.hole_count, 1);
	has(&m, "hole");
	drop(&m);

	struct call_list k = {0};

	file_with(&k, 1, "/d/a", "old");
	(void)open_new(&k, 9, "/d/a");
	m = make(&k, false);
	assert_int_equal(m.report.hole_count, 0);
	assert_int_equal(count(&m, OP_UNLINK), 1);
	drop(&m);
}

/* A reader opened the journal, and says so after another process removed it: no file comes back. */
static void test_late_open(void **state)
{
	struct call_list l = {0};

	(void)state;
	(void)open_new(&l, 7, "/d/a-journal");
	(void)call(&l, CALL_UNLINK, 0, "/d/a-journal");
	open_new(&l, 7, "/d/a-journal")->flags = CALL_EXISTED;
	struct made m = make(&l, false);

	assert_int_equal(m.t->inode_count, 1);
	assert_int_equal(count(&m, OP_CREATE), 1);
	drop(&m);
}

/* A file that existed is met only after another one that had its number is gone: no hole, and what
 * is written then is written to it. */
static void test_number_of_another(void **state)
{
	struct call_list l = {0};

	(void)state;
	(void)open_new(&l, 7, "/d/a-journal");
	(void)call(&l, CALL_UNLINK, 0, "/d/a-journal");
	file_with(&l, 7, "/d/copy", "abc");
	(void)write_text(&l, 7, 1, "X");
	struct made m = make(&l, false);

	assert_int_equal(m.report.hole_count, 0);
	content_is(&m, "/d/copy", "aXc");
	drop(&m);
}

/* A process was killed while it made a file; the next one finds it there. */
static void test_killed_in_create(void **state)
{
	struct call_list l = {0};

	(void)state;
	open_new(&l, 0, "/d/a")->flags = CALL_PERHAPS;
	open_new(&l, 9, "/d/a")->flags = CALL_EXISTED;
	(void)write_text(&l, 9, 0, "x");
	struct made m = make(&l, false);

	assert_int_equal(m.report.hole_count, 0);
	assert_int_equal(m.t->inode_count, 1);
	content_is(&m, "/d/a", "x");
	drop(&m);
}

/* syncfs(2) of another device makes nothing durable here. */
static void test_sync_of_device(void **state)
{
	(void)state;
	for (uint64_t dev = 0; dev < 3; dev++) {
		struct call_list l = {0};

		(void)open_new(&l, 1, "/d/a");
		(void)write_text(&l, 1, 0, "x");
		call(&l, CALL_SYNC_ALL_BEGIN, 0, NULL)->dev = dev;
		size_t begin = l.count - 1;
		struct call *c = call(&l, CALL_SYNC_ALL_END, 0, NULL);

		c->begin = begin;
		c->dev = dev;
		struct made m = make(&l, false);

		assert_int_equal(count(&m, OP_SYNC_END), dev == 2 ? 0 : 1);
		assert_int_equal(count(&m, OP_DIRSYNC_END), dev == 2 ? 0 : 1);
		drop(&m);
	}
}

/* Bytes that differ when somebody looked are a hole, unless a write was under way then. */
static void test_digest(void **state)
{
	struct call_list l = {0};
	size_t begin;

	(void)state;
	file_with(&l, 1, "/d/a", "abc");
	begin = digest_begin(&l, 1);
	digest_end(&l, 1, begin, "abc");
	begin = digest_begin(&l, 1);
	digest_end(&l, 1, begin, "abX");
	struct made m = make(&l, false);

	assert_int_equal(m.report.hole_count, 1);
	has(&m, "hole");
	drop(&m);

	struct call_list k = {0};
	size_t during = 3;

	file_with(&k, 1, "/d/a", "abc");
	begin = digest_begin(&k, 1);
	digest_end(&k, 1, begin, "abX");
	write_text(&k, 1, 2, "X")->begin = during; /* it had begun before the look's end */
	m = make(&k, false);
	assert_int_equal(m.report.hole_count, 0);
	drop(&m);
}

/* A failed sync is in the trace as failed; a sync whose process died in it has no end. */
static void test_syncs(void **state)
{
	struct call_list l = {0};
	struct call *c;

	(void)state;
	(void)open_new(&l, 1, "/d/a");
	c = call(&l, CALL_SYNC_BEGIN, 1, NULL);
	c->flags = CALL_DATA_ONLY;
	c = call(&l, CALL_SYNC_END, 1, NULL);
	c->begin = 1;
	c->result = -EIO;
	(void)call(&l, CALL_DIRSYNC_BEGIN, 0, "/d");
	(void)call(&l, CALL_SYNC_BEGIN, 1, NULL);
	struct made m = make(&l, false);

	has(&m, "data-only");
	has(&m, "failed");
	assert_int_equal(count(&m, OP_SYNC_BEGIN), 2);
	assert_int_equal(count(&m, OP_SYNC_END), 1);
	assert_int_equal(count(&m, OP_DIRSYNC_BEGIN), 1);
	assert_int_equal(count(&m, OP_DIRSYNC_END), 0);
	drop(&m);
}

/* sync(2) makes durable what was there when it began: everything, or, when something changed
 * meanwhile, nothing that we claim. */
static void test_sync_all(void **state)
{
	(void)state;
	for (int changed = 0; changed < 2; changed++) {
		struct call_list l = {0};

		(void)open_new(&l, 1, "/d/a");
		(void)write_text(&l, 1, 0, "x");
		call(&l, CALL_SYNC_ALL_BEGIN, 0, NULL)->dev = 0;
		size_t begin = l.count - 1;

		if (changed)
			(void)write_text(&l, 1, 1, "y");
		struct call *c = call(&l, CALL_SYNC_ALL_END, 0, NULL);

		c->begin = begin;
		c->dev = 0;
		struct made m = make(&l, false);

		assert_int_equal(count(&m, OP_SYNC_END), changed ? 0 : 1);
		assert_int_equal(count(&m, OP_DIRSYNC_END), changed ? 0 : 1);
		drop(&m);
	}
}

/* A write with O_DSYNC is synced, unless other writes of the file are pending: those it does not
 * sync, and a trace has no sync of a part. */
static void test_dsync(void **state)
{
	(void)state;
	for (int pending = 0; pending < 2; pending++) {
		struct call_list l = {0};

		(void)open_new(&l, 1, "/d/a");
		if (pending)
			(void)write_text(&l, 1, 0, "x");
		write_text(&l, 1, 1, "y")->flags = CALL_DSYNC;
		struct made m = make(&l, false);

		assert_int_equal(count(&m, OP_SYNC_END), pending ? 0 : 1);
		assert_int_equal(count(&m, OP_MARK), pending ? 1 : 0);
		drop(&m);
	}
}

/* Every mode of fallocate(2) that a trace can say; the others are a hole. */
static void test_allocate(void **state)
{
	static const struct {
		uint32_t mode;
		uint64_t offset, length;
		const char *bytes; /* "." is 0 */
		bool is_hole;
	} rows[] = {
	    {0, 2, 3, "abc..", false},
	    {0, 0, 2, "abc", false},
	    {FALLOC_FL_KEEP_SIZE, 2, 3, "abc", false},
	    {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 5, "a..", false},
	    {FALLOC_FL_ZERO_RANGE, 1, 1, "a.c", false},
	    {FALLOC_FL_ZERO_RANGE, 2, 2, "ab..", false},
	    {FALLOC_FL_COLLAPSE_RANGE, 0, 1, "abc", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct call_list l = {0};
		struct call *c;

		file_with(&l, 1, "/d/a", "abc");
		c = call(&l, CALL_ALLOCATE, 1, NULL);
		c->mode = rows[i].mode;
		c->offset = rows[i].offset;
		c->length = rows[i].length;
		struct made m = make(&l, false);
		struct trace_image *image = trace_image_create(m.t);
		uint64_t size = 0;
		const uint8_t *data = trace_image_file(image, "/d/a", &size);

		assert_int_equal(size, strlen(rows[i].bytes));
		for (size_t k = 0; k < size; k++)
			assert_int_equal(data[k], rows[i].bytes[k] == '.' ? 0 : rows[i].bytes[k]);
		assert_int_equal(m.report.hole_count, rows[i].is_hole);
		trace_image_free(image);
		drop(&m);
	}
}

/* Names: rename over another, link, truncation by open. */
static void test_names(void **state)
{
	struct call_list l = {0};

	(void)state;
	file_with(&l, 1, "/d/a", "abc");
	(void)open_new(&l, 2, "/d/b");
	(void)write_text(&l, 2, 0, "new");
	call(&l, CALL_RENAME, 0, "/d/b")->path2 = "/d/a";
	call(&l, CALL_LINK, 0, "/d/a")->path2 = "/d/c";
	open_new(&l, 2, "/d/a")->flags = CALL_EXISTED;
	struct made m = make(&l, false);

	content_is(&m, "/d/a", "new");
	content_is(&m, "/d/c", "new");
	assert_int_equal(count(&m, OP_TRUNCATE), 0);
	assert_int_equal(m.report.hole_count, 0);
	drop(&m);
}

/* A call that its process died in is taken or left so that the files come out as they are. */
static void test_perhaps(void **state)
{
	(void)state;
	for (int happened = 0; happened < 2; happened++) {
		char folder[] = "/tmp/test_assemble_XXXXXX";
		struct call_list l = {0};
		char *path;
		int fd;

		assert_non_null(mkdtemp(folder));
		path = xasprintf("%s/a", folder);
		fd = open(path, O_CREAT | O_RDWR, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, happened ? "aXc" : "abc", 3), 3);
		(void)close(fd);
		file_with(&l, 1, path, "abc");
		write_text(&l, 1, 1, "X")->flags = CALL_PERHAPS;
		struct made m = make(&l, true);

		assert_int_equal(m.report.hole_count, 0);
		assert_int_equal(count(&m, OP_WRITE), happened);
		drop(&m);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(rmdir(folder), 0);
		free(path);
	}
}

/* What the files hold now is compared with what was recorded: other bytes, another size, a file
 * that is gone, and one that nobody was seen to make. */
static void test_live(void **state)
{
	static const char *const now[] = {"abc", "abX", "abcd", "ab", NULL};
	char folder[] = "/tmp/test_assemble_XXXXXX";
	char *path;

	(void)state;
	assert_non_null(mkdtemp(folder));
	path = xasprintf("%s/a", folder);
	for (size_t i = 0; i < sizeof now / sizeof now[0]; i++) {
		struct call_list l = {0};

		if (now[i] != NULL) {
			int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);

			assert_true(fd >= 0);
			assert_int_equal(write(fd, now[i], strlen(now[i])), strlen(now[i]));
			(void)close(fd);
		} else {
			assert_int_equal(unlink(path), 0);
		}
		file_with(&l, 1, path, "abc");
		struct made m = make(&l, true);

		assert_int_equal(m.report.hole_count, i == 0 ? 0 : 1);
		drop(&m);
	}
	struct call_list l = {0};
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
	(void)open_new(&l, 1, path);
	(void)call(&l, CALL_UNLINK, 0, path);
	struct made m = make(&l, true);

	assert_int_equal(m.report.hole_count, 1);
	drop(&m);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	free(path);
}

/* What a recorder missed is a hole; what a program said is an ack of everybody's. */
static void test_notes(void **state)
{
	struct call_list l = {0};
	struct call *c;

	(void)state;
	(void)open_new(&l, 1, "/d/a");
	c = call(&l, CALL_ACK, 0, NULL);
	c->data = (const uint8_t *)"ack 1";
	c->data_size = 5;
	c = call(&l, CALL_TROUBLE, 0, NULL);
	c->data = (const uint8_t *)"the disk is full";
	c->data_size = 16;
	c = call(&l, CALL_BLIND, 0, "/bin/static");
	c->data = (const uint8_t *)"it is statically linked";
	c->data_size = 23;
	struct made m = make(&l, false);

	assert_int_equal(count(&m, OP_ACK), 1);
	assert_int_equal(m.report.hole_count, 2);
	has(&m, "nobody could watch /bin/static, which was run: it is statically linked");
	for (size_t i = 0; i < m.t->op_count; i++)
		if (m.t->ops[i].kind == OP_ACK)
			assert_int_equal(m.t->ops[i].connection, 0);
	drop(&m);
}

/* ---- connections ---- */

enum { RESERVED_LENGTH = 2 };

/* Two databases written under RESERVED: first both written, then both released; or one after the
 * other. `threads`: the second is released by another thread. */
static struct made two_files(bool together, bool threads)
{
	struct call_list l = {0};

	file_with(&l, 1, "/d/a", "aaaa");
	file_with(&l, 2, "/d/b", "bbbb");
	lock(&l, 1, OP_RESERVED_BYTE, 1, false);
	lock(&l, 2, OP_RESERVED_BYTE, 1, false);
	(void)write_text(&l, 1, 0, "A");
	if (together)
		(void)write_text(&l, 2, 0, "B");
	lock(&l, 1, OP_PENDING_BYTE, RESERVED_LENGTH, true);
	if (!together)
		(void)write_text(&l, 2, 0, "B");
	lock(&l, 2, OP_PENDING_BYTE, RESERVED_LENGTH, true);
	if (threads)
		l.items[l.count - 1].tid = 101;
	return make(&l, false);
}

static uint16_t connection_of_lock(const struct made *m, uint32_t inode)
{
	for (size_t i = 0; i < m->t->op_count; i++)
		if (m->t->ops[i].kind == OP_LOCK && m->t->ops[i].inode == inode)
			return m->t->ops[i].connection;
	return 0;
}

/* Files that were committed together belong to one connection; those that only overlap do not, nor
 * those that different threads committed. */
static void test_connections(void **state)
{
	static const struct {
		bool together, threads, one;
	} rows[] = {{true, false, true}, {false, false, false}, {true, true, false}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct made m = two_files(rows[i].together, rows[i].threads);
		uint16_t a = connection_of_lock(&m, 1), b = connection_of_lock(&m, 2);

		assert_int_not_equal(a, 0);
		assert_int_not_equal(b, 0);
		assert_int_equal(a == b, rows[i].one);
		/* The release belongs to who holds the lock. */
		assert_int_equal(m.t->ops[m.t->op_count - 1].connection, b);
		drop(&m);
	}
}

/* In exclusive locking mode, where the lock is kept to the end, files are one connection's when a
 * super-journal was made while both were held, and not otherwise; whether the process ends by
 * itself or not. */
static void test_connections_kept(void **state)
{
	static const char *const made_name[] = {NULL,
						"/d/a-mj0123456789",
						"/d/b-mj0123456789",
						"/d/c-mj01234567A",
						"/d/a-mj01234567A",
						"/d/b-mj01234567B"};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof made_name / sizeof made_name[0]; i++) {
		const char *name = made_name[i / 2];
		struct call_list l = {0};

		file_with(&l, 1, "/d/a", "aaaa");
		file_with(&l, 2, "/d/b", "bbbb");
		lock(&l, 1, OP_RESERVED_BYTE, 1, false);
		lock(&l, 2, OP_RESERVED_BYTE, 1, false);
		(void)write_text(&l, 1, 0, "A");
		(void)write_text(&l, 2, 0, "B");
		if (name != NULL)
			(void)open_new(&l, 3, name);
		if (i % 2 != 0)
			(void)call(&l, CALL_EXIT, 0, NULL);
		struct made m = make(&l, false);

		assert_int_equal(connection_of_lock(&m, 1) == connection_of_lock(&m, 2),
				 i / 2 >= 4);
		drop(&m);
	}
}

/* What a process still held is unlocked where it closed the file, or ended; not what it had given
 * back, nor a read lock, nor what was another process's, nor where it was killed. */
static void test_gone(void **state)
{
	(void)state;
	for (int i = 0; i < 7; i++) {
		struct call_list l = {0};
		struct call *c;

		file_with(&l, 1, "/d/a", "aaaa");
		file_with(&l, 2, "/d/b", "bbbb");
		lock(&l, 1, OP_RESERVED_BYTE, 1, false);
		if (i == 2) {
			lock(&l, 1, OP_PENDING_BYTE, RESERVED_LENGTH, true);
			lock(&l, 1, OP_SHARED_FIRST, OP_SHARED_SIZE, false);
			l.items[l.count - 1].flags = CALL_SHARED;
		}
		c = call(&l, i == 1 || i == 5 ? CALL_CLOSE : CALL_EXIT, i == 5 ? 2 : 1, NULL);
		if (i == 3)
			c->pid = c->tid = 200;
		if (i == 4)
			c->tid = 0;
		if (i == 6)
			(void)call(&l, CALL_CLOSE, 1, NULL);
		struct made m = make(&l, false);

		assert_int_equal(count(&m, OP_UNLOCK), i == 0 || i == 1 || i == 2 || i == 6);
		if (i == 2)
			has_not(&m, "gone");
		else if (count(&m, OP_UNLOCK) > 0)
			has(&m, "gone");
		drop(&m);
	}
}

/* ... and the same of the WAL index. */
static void test_gone_shm(void **state)
{
	(void)state;
	for (int closes = 0; closes < 2; closes++) {
		struct call_list l = {0};
		struct call *c;

		file_with(&l, 1, "/d/a", "aaaa");
		c = call(&l, CALL_LOCK, 50, "/d/a-shm");
		c->flags = CALL_SHM;
		c->offset = OP_WAL_WRITE_BYTE;
		c->length = 1;
		c = call(&l, closes ? CALL_CLOSE : CALL_EXIT, closes ? 50 : 0, NULL);
		struct made m = make(&l, false);

		assert_int_equal(count(&m, OP_UNLOCK), 1);
		assert_int_equal(m.t->ops[m.t->op_count - 1].flags, OP_LOCK_SHM | OP_LOCK_GONE);
		assert_int_equal(m.t->ops[m.t->op_count - 1].inode, 1);
		drop(&m);
	}
}

/* Zeros over a journal's header end it and are no write of the transaction (PERSIST). */
static void test_connections_persist(void **state)
{
	static const char zeros[8];
	struct call_list l = {0};
	struct call *c;

	(void)state;
	file_with(&l, 1, "/d/a", "aaaa");
	file_with(&l, 2, "/d/b", "bbbb");
	file_with(&l, 3, "/d/b-journal", "journal");
	lock(&l, 1, OP_RESERVED_BYTE, 1, false);
	lock(&l, 2, OP_RESERVED_BYTE, 1, false);
	(void)write_text(&l, 1, 0, "A");
	(void)write_text(&l, 2, 0, "B");
	lock(&l, 1, OP_PENDING_BYTE, RESERVED_LENGTH, true);
	c = call(&l, CALL_WRITE, 3, NULL);
	c->data = (const uint8_t *)zeros;
	c->data_size = sizeof zeros;
	lock(&l, 2, OP_PENDING_BYTE, RESERVED_LENGTH, true);
	struct made m = make(&l, false);

	assert_int_equal(connection_of_lock(&m, 1), connection_of_lock(&m, 2));
	drop(&m);
}

/* WAL locks stand in the -shm file, and count for its database. */
static void test_shm_locks(void **state)
{
	struct call_list l = {0};
	struct call *c;

	(void)state;
	file_with(&l, 1, "/d/a", "aaaa");
	c = call(&l, CALL_LOCK, 50, "/d/a-shm");
	c->flags = CALL_SHM;
	c->offset = OP_WAL_WRITE_BYTE;
	c->length = 1;
	struct made m = make(&l, false);

	assert_int_equal(connection_of_lock(&m, 1), m.t->ops[0].connection);
	has(&m, "shm");
	has_not(&m, "inode=50");
	drop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_base),
	    cmocka_unit_test(test_torn_base),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_inode_again),
	    cmocka_unit_test(test_replaced),
	    cmocka_unit_test(test_late_open),
	    cmocka_unit_test(test_number_of_another),
	    cmocka_unit_test(test_killed_in_create),
	    cmocka_unit_test(test_sync_of_device),
	    cmocka_unit_test(test_digest),
	    cmocka_unit_test(test_syncs),
	    cmocka_unit_test(test_sync_all),
	    cmocka_unit_test(test_dsync),
	    cmocka_unit_test(test_allocate),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_perhaps),
	    cmocka_unit_test(test_live),
	    cmocka_unit_test(test_notes),
	    cmocka_unit_test(test_connections),
	    cmocka_unit_test(test_connections_kept),
	    cmocka_unit_test(test_gone),
	    cmocka_unit_test(test_gone_shm),
	    cmocka_unit_test(test_connections_persist),
	    cmocka_unit_test(test_shm_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
