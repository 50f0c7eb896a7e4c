/*
 * The trace as bytes and as a file: what is damaged is refused, what is torn is cut and says so,
 * and nothing that differs passes for whole. Rules T1 to T4 are those of trace_bytes.c.
 *
 * trace_golden.txt holds, in hexadecimal, the bytes of the trace below as a script of its own
 * computed them from the tables in docs/trace.md: reader and writer cannot change together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faultinject/base/hash.h"
#include "faultinject/trace.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifndef HAS_ASAN
#define HAS_ASAN 0
#endif

static const char golden_text[] =
    "trace 1 sector=4096 characteristics=0x1000 producer=\"gold\"\n"
    "base inode=1 name=\"/d/a\" size=3 data=616263\n"
    "1 write process=1 thread=2 connection=3 inode=1 offset=4096 size=2 data=aabb\n"
    "2 sync-begin process=1 thread=2 connection=3 inode=1 data-only\n"
    "3 sync-end process=1 thread=2 connection=3 inode=1 begin=2\n"
    "4 dirsync-begin name=\"/d\"\n"
    "end operations=4\n";

enum { HEADER_SIZE = 28, PRODUCER_AT = 28, RECORD_HEADER_SIZE = 8 };

static char folder[64];
static struct buf golden; /* the bytes of golden_text */

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void set_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static char *text_of(const struct trace *t)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	trace_print(t, true, out);
	fclose(out);
	return text;
}

/* Where the records start; the last entry is the size of the file. */
static size_t boundaries(const struct buf *b, size_t *ret, size_t max)
{
	size_t count = 0;
	size_t at = HEADER_SIZE + get_u32(b->data + 24);

	while (at < b->size) {
		assert_true(count + 1 < max);
		ret[count++] = at;
		at += RECORD_HEADER_SIZE + get_u32(b->data + at);
	}
	ret[count++] = at;
	return count;
}

static void copy_of(const struct buf *b, struct buf *ret)
{
	buf_clear(ret);
	buf_append(ret, b->data, b->size);
}

/* Puts the checksum of the record at `at` right after its payload was changed. */
static void repair(struct buf *b, size_t at)
{
	set_u32(b->data + at + 4,
		(uint32_t)hash64(b->data + at + RECORD_HEADER_SIZE, get_u32(b->data + at), 0));
}

static void expect_refused(const struct buf *b, const char *part)
{
	struct err err = ERR_INIT;
	struct trace *t = NULL;

	if (trace_decode(b->data, b->size, &t, &err) == 0)
		fail_msg("accepted, where '%s' was expected", part);
	assert_int_equal(err.code, ERR_INPUT);
	assert_null(t);
	if (strncmp(err.message, "byte ", 5) != 0 || strstr(err.message, part) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, part);
}

/* `t` is torn, and is otherwise the start of the golden trace. */
static void assert_torn_prefix(const struct trace *t)
{
	struct trace *whole = NULL;

	assert_true(t->torn);
	assert_int_equal(trace_decode(golden.data, golden.size, &whole, NULL), 0);
	assert_string_equal(t->producer, whole->producer);
	assert_int_equal(t->base_count, whole->base_count);
	assert_memory_equal(t->base[0].data, whole->base[0].data, 3);
	assert_true(t->op_count <= whole->op_count);
	for (uint64_t p = 1; p <= t->op_count; p++) {
		struct op a = *trace_at(t, p), b = *trace_at(whole, p);

		if (b.data != NULL)
			assert_memory_equal(a.data, b.data, b.size);
		a.data = b.data = NULL;
		assert_memory_equal(&a, &b, sizeof a);
	}
	trace_free(whole);
}

/* A hole is kind 16 with its reason as data, and the inode, when it has one, where others have it.
 * A program of before it refuses the kind, as this one refuses 17. */
static void test_hole_bytes(void **state)
{
	static const uint8_t payload[] = {5, 16, 0, 0, 2, 0, 0, 0, 0, 0, 0,   0,   1,  0, 0,
					  0, 0,	 0, 0, 0, 0, 0, 0, 0, 0, 0,   0,   0,  0, 0,
					  0, 0,	 3, 0, 0, 0, 0, 0, 0, 0, 'w', 'h', 'y'};
	struct trace *t = NULL;
	struct buf bytes = {0};

	(void)state;
	assert_int_equal(trace_decode(golden.data, golden.size, &t, NULL), 0);
	trace_append_hole(t, 2, 1, "why");
	trace_encode(t, &bytes);
	size_t end_size = RECORD_HEADER_SIZE + 20;
	size_t at = bytes.size - end_size - sizeof payload - RECORD_HEADER_SIZE;

	assert_int_equal(get_u32(bytes.data + at), sizeof payload);
	assert_memory_equal(bytes.data + at + RECORD_HEADER_SIZE, payload, sizeof payload);
	bytes.data[at + RECORD_HEADER_SIZE + 1] = OP_KIND_MAX + 1;
	repair(&bytes, at);
	expect_refused(&bytes, "unknown operation 17");
	buf_release(&bytes);
	trace_free(t);
}

/* The format is the documented one, in both directions. */
static void test_golden(void **state)
{
	struct trace *from_text = NULL, *from_bytes = NULL;
	struct buf bytes = {0};
	struct err err = ERR_INIT;
	char *text;

	(void)state;
	assert_int_equal(trace_decode(golden.data, golden.size, &from_bytes, &err), 0);
	text = text_of(from_bytes);
	assert_string_equal(text, golden_text);
	assert_false(from_bytes->torn);
	assert_int_equal(trace_parse_text(golden_text, strlen(golden_text), &from_text, &err), 0);
	trace_encode(from_text, &bytes);
	assert_int_equal(bytes.size, golden.size);
	assert_memory_equal(bytes.data, golden.data, golden.size);
	free(text);
	buf_release(&bytes);
	trace_free(from_text);
	trace_free(from_bytes);
}

/* Any single flipped bit is refused, or, in the length of a record, may look like a torn tail;
 * then the rest is cut and the trace says so. No flip is accepted as a whole trace. */
static void test_every_bit_flip(void **state)
{
	size_t starts[32];
	size_t count = boundaries(&golden, starts, 32);
	size_t cut_count = 0, refused_count = 0;
	struct buf b = {0};

	(void)state;
	for (size_t bit = 0; bit < golden.size * 8; bit++) {
		struct trace *t = NULL;
		struct err err = ERR_INIT;
		bool in_length = false;

		copy_of(&golden, &b);
		b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		for (size_t i = 0; i + 1 < count; i++)
			in_length |= bit / 8 >= starts[i] && bit / 8 < starts[i] + 4;
		if (trace_decode(b.data, b.size, &t, &err) != 0) {
			assert_int_equal(err.code, ERR_INPUT);
			assert_non_null(strstr(err.message, "byte "));
			refused_count++;
			continue;
		}
		if (!in_length)
			fail_msg("bit %zu: accepted outside a length", bit);
		assert_torn_prefix(t);
		trace_free(t);
		cut_count++;
	}
	assert_true(cut_count > 0);
	assert_true(refused_count > 4 * cut_count);
	buf_release(&b);
}

/* T1, T3: cut off anywhere, a file is refused up to the end of its base and torn after it, by just
 * the bytes behind the last whole record; also when the rest is preallocated zeros. */
static void test_every_truncation(void **state)
{
	size_t starts[32];
	size_t count = boundaries(&golden, starts, 32);
	size_t base_end = starts[5]; /* two names, base, its data, end of base */
	struct buf b = {0};

	(void)state;
	for (size_t size = 0; size < golden.size; size++) {
		struct err err = ERR_INIT;
		size_t last = 0, ops = 0;

		for (size_t i = 0; i + 1 < count; i++)
			if (starts[i] <= size) {
				last = starts[i];
				ops = i < 5 ? 0 : i - 5;
			}
		for (int zeros = 0; zeros < 2; zeros++) {
			struct trace *t = NULL;

			buf_clear(&b);
			/* A recorder writes the length last, so its preallocated tail is zero from
			 * a record's start. */
			buf_append(&b, golden.data, zeros && last > 0 ? last : size);
			for (int i = 0; zeros && i < 100; i++)
				buf_put_u8(&b, 0);
			if (size < base_end) {
				if (size == 0)
					expect_refused(&b, "not a plugpull trace");
				else if (!zeros || last > 0)
					expect_refused(&b, "ends inside its");
				continue;
			}
			assert_int_equal(trace_decode(b.data, b.size, &t, &err), 0);
			assert_torn_prefix(t);
			assert_int_equal(t->op_count, ops);
			assert_int_equal(t->torn_size_bytes, b.size - last);
			trace_free(t);
		}
	}
	buf_release(&b);
}

/* What was cut is remembered when the trace is saved again. */
static void test_torn_survives(void **state)
{
	struct trace *t = NULL, *again = NULL;
	struct buf b = {0};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(trace_decode(golden.data, golden.size - 5, &t, &err), 0);
	trace_encode(t, &b);
	assert_int_equal(trace_decode(b.data, b.size, &again, &err), 0);
	assert_true(again->torn);
	assert_int_equal(again->torn_size_bytes, RECORD_HEADER_SIZE + 20 - 5);
	assert_int_equal(again->op_count, 4);
	buf_release(&b);
	trace_free(t);
	trace_free(again);
}

static void test_version(void **state)
{
	struct buf b = {0};

	(void)state;
	copy_of(&golden, &b);
	set_u32(b.data + 8, 7);
	expect_refused(&b, "format 7 is newer than this program reads (1)");
	set_u32(b.data + 8, 0);
	expect_refused(&b, "there is no format 0");
	copy_of(&golden, &b);
	b.data[0] = 'P';
	expect_refused(&b, "not a plugpull trace");
	copy_of(&golden, &b);
	b.data[PRODUCER_AT] = '\n';
	set_u32(b.data + 12, (uint32_t)hash64(b.data + 16, 12 + 4, 0));
	expect_refused(&b, "producer");
	buf_release(&b);
}

/* T2: damage that a checksum does not show, each with the byte of its record. */
static void test_malformed_records(void **state)
{
	static const struct {
		size_t record, byte; /* byte of the payload */
		uint8_t value;
		const char *says;
	} cases[] = {
	    {0, 0, 9, "unknown type"},
	    {0, 0, 0, "unknown type"},
	    {0, 0, 5, "wrong part of the file"},
	    {0, 1, 'x', "absolute path"},
	    {0, 2, 0, "zero byte"},
	    {1, 0, 2, "malformed base"},
	    {2, 1, 1, "malformed base"},
	    {2, 4, 0, "inode out of order"},
	    {2, 4, 2, "inode out of order"},
	    {2, 8, 0, "without a name"},
	    {2, 8, 3, "without a name"},
	    {2, 12, 2, "belongs to no base file"},
	    {2, 12, 4, "without all of its content"},
	    {2, 12, 0, "belongs to no base file"},
	    {2, 16, 1, "ends inside its base"},
	    {2, 17, 1, "too large"},
	    {3, 0, 1, "without all of its content"},
	    {4, 0, 6, "wrong part of the file"},
	    {5, 0, 2, "wrong part of the file"},
	    {5, 0, 3, "wrong part of the file"},
	    {5, 1, 0, "another size than it says"},
	    {5, 1, 99, "unknown operation 99"},
	    {5, 2, 8, "flags"},
	    {5, 3, 1, "malformed operation"},
	    {5, 10, 1, "malformed operation"},
	    {5, 12, 9, "there are 1 so far"},
	    {5, 32, 3, "another size than it says"},
	    {5, 39, 255, "another size than it says"},
	    {5, 31, 1, "larger than"},
	    {6, 1, 99, "unknown operation 99"},
	    {7, 24, 1, "same target"},
	    {7, 24, 3, "not earlier"},
	    {8, 16, 3, "there are 2 so far"},
	    {9, 1, 2, "malformed end"},
	    {9, 2, 1, "malformed end"},
	    {9, 4, 5, "counts other operations"},
	    {9, 12, 1, "malformed end"},
	};
	size_t starts[32];
	struct buf b = {0};

	(void)state;
	boundaries(&golden, starts, 32);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		copy_of(&golden, &b);
		b.data[starts[cases[i].record] + RECORD_HEADER_SIZE + cases[i].byte] =
		    cases[i].value;
		repair(&b, starts[cases[i].record]);
		expect_refused(&b, cases[i].says);
	}

	copy_of(&golden, &b);
	b.data[starts[6] + RECORD_HEADER_SIZE + 4] ^= 1;
	char at[32];
	snprintf(at, sizeof at, "byte %zu: ", starts[6]);
	expect_refused(&b, at);
	expect_refused(&b, "checksum of the record");

	/* A record twice: names, hard links with content and end records show it. */
	for (size_t i = 0; i < 10; i++) {
		if (i >= 5 && i <= 8)
			continue; /* an operation may well happen twice */
		buf_clear(&b);
		buf_append(&b, golden.data, starts[i + 1]);
		buf_append(&b, golden.data + starts[i], golden.size - starts[i]);
		expect_refused(&b, "byte ");
	}
	copy_of(&golden, &b);
	buf_put_u8(&b, 0);
	expect_refused(&b, "data after the end record");
	buf_append(&b, golden.data, golden.size);
	expect_refused(&b, "data after the end record");
	buf_release(&b);
}

/* The base has no name twice, and a hard link of it has no content of its own. */
static void test_malformed_base(void **state)
{
	static const char text[] = "trace 1\nbase inode=1 name=\"/a\" size=1 data=00\n"
				   "base inode=1 name=\"/b\" link\nend operations=0\n";
	struct trace *t = NULL;
	struct buf bytes = {0}, b = {0};
	size_t starts[32];

	(void)state;
	assert_int_equal(trace_parse_text(text, strlen(text), &t, NULL), 0);
	trace_encode(t, &bytes);
	boundaries(&bytes, starts, 32);
	copy_of(&bytes, &b);
	b.data[starts[4] + RECORD_HEADER_SIZE + 8] = 1;
	repair(&b, starts[4]);
	expect_refused(&b, "without a name of its own");
	copy_of(&bytes, &b);
	b.data[starts[4] + RECORD_HEADER_SIZE + 12] = 1;
	repair(&b, starts[4]);
	expect_refused(&b, "hard link of the base with content");
	buf_release(&bytes);
	buf_release(&b);
	trace_free(t);
}

/* T4: lengths in a small hostile file cost no memory. Run in a child whose address space is too
 * small for what they claim; a sanitizer's shadow memory does not fit into such a limit. */
static void test_hostile_lengths(void **state)
{
	static const uint32_t lengths[] = {0x7fffffff, 0xffffffff, 0x40000000, 0x10000000};
	size_t starts[32];
	size_t count = boundaries(&golden, starts, 32);
	int status;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit limit = {64 << 20, 64 << 20};
		struct buf b = {0};

		if (!HAS_ASAN)
			setrlimit(RLIMIT_AS, &limit);
		for (size_t i = 0; i < 4; i++)
			for (size_t at = 24; at + 4 <= golden.size; at++) {
				struct trace *t = NULL;
				copy_of(&golden, &b);
				set_u32(b.data + at, lengths[i]);
				if (at == 24)
					set_u32(b.data + 12, (uint32_t)hash64(b.data + 16, 16, 0));
				for (size_t r = 0; r + 1 < count; r++)
					if (at >= starts[r] + RECORD_HEADER_SIZE &&
					    at < starts[r + 1])
						repair(&b, starts[r]);
				if (trace_decode(b.data, b.size, &t, NULL) == 0)
					trace_free(t);
			}
		buf_release(&b);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- files */

static char *path_of(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static size_t count_entries(void)
{
	DIR *d = opendir(folder);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

static struct trace *golden_trace(void)
{
	struct trace *t = NULL;

	assert_int_equal(trace_decode(golden.data, golden.size, &t, NULL), 0);
	return t;
}

/* A saved trace loads again, is readable by its owner only, and replaces an older one. */
static void test_save_load(void **state)
{
	struct trace *t = golden_trace(), *again = NULL;
	struct trace *empty = trace_create((struct trace_device){512, 0}, "empty");
	struct err err = ERR_INIT;
	char *path = path_of("a.trace");
	struct stat st;
	char *text;

	(void)state;
	assert_int_equal(trace_save(empty, path, &err), 0);
	assert_int_equal(trace_save(t, path, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal((size_t)st.st_size, golden.size);
	assert_int_equal(trace_load(path, &again, &err), 0);
	text = text_of(again);
	assert_string_equal(text, golden_text);
	assert_int_equal(count_entries(), 1);
	unlink(path);
	free(text);
	free(path);
	trace_free(t);
	trace_free(again);
	trace_free(empty);
}

static void expect_save_fails(const char *path, const char *part)
{
	struct trace *t = golden_trace();
	struct err err = ERR_INIT;

	assert_int_equal(trace_save(t, path, &err), ERR_IO);
	assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
	if (strstr(err.message, part) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, part);
	trace_free(t);
}

/* A path that cannot be written is said, and nothing is left behind. */
static void test_save_unwritable(void **state)
{
	char *missing = path_of("missing/a.trace");
	char *file = path_of("file");
	char *below = path_of("file/a.trace");
	char *link_path = path_of("link");
	char *pipe_path = path_of("pipe");
	struct stat st;

	(void)state;
	expect_save_fails(missing, "No such file or directory");
	close(open(file, O_CREAT | O_WRONLY, 0600));
	expect_save_fails(below, "Not a directory");
	expect_save_fails(folder, "not a regular file");
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	expect_save_fails(pipe_path, "not a regular file");
	assert_int_equal(stat(pipe_path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	unlink(pipe_path);
	assert_int_equal(symlink(file, link_path), 0);
	expect_save_fails(link_path, "not a regular file");
	unlink(link_path);
	assert_int_equal(count_entries(), 1);
	unlink(file);
	free(missing);
	free(file);
	free(below);
	free(link_path);
	free(pipe_path);
}

/* When the disk is full the older trace stays, and no temporary file does. */
static void test_save_disk_full(void **state)
{
	struct trace *old = trace_create((struct trace_device){512, 0}, "old"), *again = NULL;
	struct rlimit before, small;
	struct err err = ERR_INIT;
	char *path = path_of("a.trace");

	(void)state;
	assert_int_equal(trace_save(old, path, &err), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (size_t limit = 0; limit < golden.size; limit += 50) {
		small = before;
		small.rlim_cur = limit;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		expect_save_fails(path, "File too large");
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(count_entries(), 1);
	}
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(trace_load(path, &again, &err), 0);
	assert_string_equal(again->producer, "old");
	unlink(path);
	free(path);
	trace_free(old);
	trace_free(again);
}

static void expect_load_fails(const char *path, int code, const char *part)
{
	struct err err = ERR_INIT;
	struct trace *t = NULL;

	assert_int_equal(trace_load(path, &t, &err), code);
	assert_null(t);
	assert_int_equal(err.code, code);
	assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
	if (strstr(err.message, part) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, part);
}

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* What cannot be loaded is said, path first; a file that is no trace is not read in full. */
static void test_load_failures(void **state)
{
	char *path = path_of("a.trace");
	struct err err = ERR_INIT;
	struct trace *t = NULL;

	(void)state;
	expect_load_fails(path, ERR_IO, "No such file or directory");
	expect_load_fails(folder, ERR_IO, "Is a directory");
	expect_load_fails("/dev/zero", ERR_INPUT, "byte 0: not a plugpull trace");
	write_file(path, "", 0);
	expect_load_fails(path, ERR_INPUT, "byte 0: not a plugpull trace");
	write_file(path, "SQLite format 3", 16);
	expect_load_fails(path, ERR_INPUT, "byte 0: not a plugpull trace");
	write_file(path, golden.data, 20);
	expect_load_fails(path, ERR_INPUT, "byte 20: the file ends inside its header");

	/* The recorder's file: preallocated, and its writer was killed. */
	write_file(path, golden.data, golden.size - 28);
	assert_int_equal(truncate(path, 300000), 0);
	assert_int_equal(trace_load(path, &t, &err), 0);
	assert_torn_prefix(t);
	assert_int_equal(t->op_count, 4);
	assert_int_equal(t->torn_size_bytes, 300000 - (golden.size - 28));
	trace_free(t);
	unlink(path);
	free(path);
}

static int setup(void **state)
{
	FILE *f = fopen("faultinject/test/trace_golden.txt", "r");
	unsigned byte;

	(void)state;
	if (f == NULL)
		return -1;
	while (fscanf(f, "%2x", &byte) == 1)
		buf_put_u8(&golden, (uint8_t)byte);
	fclose(f);
	snprintf(folder, sizeof folder, "/tmp/test_trace_file.XXXXXX");
	return mkdtemp(folder) == NULL ? -1 : 0;
}

/* Also removes what a failed test left. */
static int teardown(void **state)
{
	DIR *d = opendir(folder);
	struct dirent *entry;

	(void)state;
	while (d != NULL && (entry = readdir(d)) != NULL)
		unlinkat(dirfd(d), entry->d_name, 0);
	if (d != NULL)
		closedir(d);
	buf_release(&golden);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_hole_bytes),
	    cmocka_unit_test(test_every_bit_flip),
	    cmocka_unit_test(test_every_truncation),
	    cmocka_unit_test(test_torn_survives),
	    cmocka_unit_test(test_version),
	    cmocka_unit_test(test_malformed_records),
	    cmocka_unit_test(test_malformed_base),
	    cmocka_unit_test(test_hostile_lengths),
	    cmocka_unit_test(test_save_load),
	    cmocka_unit_test(test_save_unwritable),
	    cmocka_unit_test(test_save_disk_full),
	    cmocka_unit_test(test_load_failures),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
