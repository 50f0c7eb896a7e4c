/*
 * Digests that reuse what is known of unchanged leaves are those that read everything: on every
 * recorded state, for tables of all kinds, and on files with damaged bytes. And that reuse happens.
 */
#include "harness/drive/digest.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/prng.h"
#include "faultinject/format/btree.h"
#include "faultinject/trace_index.h"
#include "faultinject/vfs.h"
#include "harness/drive/examine.h"
#include "harness/drive/observe.h"
#include "harness/drive/test/record_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Pages of 512 bytes make trees of several levels out of few rows. */
#define SETUP(journal_mode)                                                                        \
	"-- @scenario tables of all kinds\n"                                                       \
	"-- @pragma page_size=512 synchronous=full wal_autocheckpoint=8 "                          \
	"journal_mode=" journal_mode "\n"                                                          \
	"-- @setup\n"                                                                              \
	"CREATE TABLE plain(a, b);\n"                                                              \
	"CREATE TABLE keyed(id INTEGER PRIMARY KEY, v TEXT);\n"                                    \
	"CREATE TABLE hidden(rowid TEXT, v);\n"                                                    \
	"CREATE TABLE all_hidden(rowid TEXT, _rowid_ TEXT, oid TEXT);\n"                           \
	"CREATE TABLE without(k TEXT PRIMARY KEY, v) WITHOUT ROWID;\n"                             \
	"CREATE TABLE computed(x REAL, y AS (x * 2), z AS (x + 1) STORED);\n"                      \
	"CREATE TABLE big(id INTEGER PRIMARY KEY, blob_ BLOB);\n"                                  \
	"CREATE TABLE empty(x);\n"                                                                 \
	"CREATE TABLE \"odd \"\"name\"(x);\n"                                                      \
	"CREATE INDEX plain_a ON plain(a);\n"                                                      \
	"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)\n"         \
	" INSERT INTO plain SELECT i, printf('%030d', i) FROM n;\n"                                \
	"INSERT INTO keyed SELECT a * 1000 - 100000, b FROM plain;\n"                              \
	"INSERT INTO hidden SELECT b, a FROM plain;\n"                                             \
	"INSERT INTO all_hidden SELECT b, b, a FROM plain;\n"                                      \
	"INSERT INTO without SELECT b, a FROM plain;\n"                                            \
	"INSERT INTO computed SELECT a FROM plain;\n"                                              \
	"INSERT INTO big SELECT a, zeroblob(a * 40) FROM plain WHERE a % 10 = 0;\n"                \
	"INSERT INTO \"odd \"\"name\" SELECT a FROM plain;\n"                                      \
	"-- @client c\n"                                                                           \
	"UPDATE plain SET b = 'x' WHERE a = 150;\n"                                                \
	"INSERT INTO plain SELECT a + 1000, b FROM plain LIMIT 20;\n"                              \
	"DELETE FROM keyed WHERE id % 3 = 0;\n"                                                    \
	"UPDATE hidden SET v = -v WHERE v % 100 = 7;\n"                                            \
	"UPDATE all_hidden SET oid = '' WHERE oid = 9;\n"                                          \
	"UPDATE without SET v = 0 WHERE v = 77;\n"                                                 \
	"UPDATE computed SET x = 0.5 WHERE x = 33;\n"                                              \
	"UPDATE big SET blob_ = randomblob(3000) WHERE id = 50;\n"                                 \
	"ALTER TABLE keyed ADD COLUMN more DEFAULT 'm';\n"                                         \
	"INSERT INTO empty VALUES (1);\n"                                                          \
	"UPDATE big SET blob_ = substr(blob_, 1, 3000) || x'01' || substr(blob_, 3002)"            \
	" WHERE id = 100;\n"                                                                       \
	"DELETE FROM big WHERE id > 100;\n"                                                        \
	"DROP TABLE \"odd \"\"name\";\n"                                                           \
	"VACUUM;\n"

struct looked {
	struct observation o;
	bool has_image;
};

/* Observes the state at a position, without any crash; `leaves` may be NULL. */
static void look(const struct recorded *r, const struct trace_index *ix, uint64_t position,
		 struct digest_leaves *leaves, struct looked *ret)
{
	struct model whole = {.name = "process-crash", .process_crash = true};
	struct crashdisk *disk = crashdisk_create(ix, &whole);
	struct observer observer;
	struct choice choice;
	struct image image = {0};
	struct digest_reuse reuse = {&image, leaves};

	memset(ret, 0, sizeof *ret);
	observer_init(&observer, r->subject, NULL);
	choice_init(&choice);
	choice_begin(&choice, NULL, 0, 0, CHOICE_FIRST);
	crashdisk_open(disk, position, SIZE_MAX);
	crashdisk_begin(disk, &choice);
	fi_vfs_boot(crashdisk_storage(disk), position, ix->trace->device);
	struct sqlite3 *db = observer_recover(&observer, &ret->o);
	struct sqlite3 *reader = observer_connect(&observer, db, &ret->o);
	if (reader != NULL) {
		ret->has_image = image_look(r->subject, reader, disk, &image);
		observer_read(&observer, reader, leaves != NULL && ret->has_image ? &reuse : NULL,
			      &ret->o);
	}
	observer_disconnect(db, reader, &ret->o);
	observer_close(db);
	image_release(&image);
	choice_release(&choice);
	crashdisk_free(disk);
	observer_release(&observer);
}

static void assert_same(const struct recorded *r, const struct trace_index *ix, uint64_t position,
			struct digest_leaves *leaves, bool *ret_readable)
{
	struct looked whole, parts;

	look(r, ix, position, NULL, &whole);
	look(r, ix, position, leaves, &parts);
	assert_int_equal(whole.o.rc, parts.o.rc);
	assert_string_equal(whole.o.failed, parts.o.failed);
	if (whole.o.rc == 0)
		assert_memory_equal(&whole.o.files[0], &parts.o.files[0], sizeof whole.o.files[0]);
	assert_int_equal(whole.o.id, parts.o.id);
	*ret_readable = whole.o.rc == 0 && whole.has_image;
	observation_release(&whole.o);
	observation_release(&parts.o);
}

static struct trace_index *index_of(const struct trace *t)
{
	struct model model;
	struct trace_index *ix = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(model_find("strict-posix", &model, &err), 0);
	if (trace_index_build(t, &model, &ix, &err) != 0)
		fail_msg("%s", err.message);
	return ix;
}

/* In every journal mode and at every position, though most leaves are not read again. */
static void test_every_position(void **state)
{
	static const char *const texts[] = {SETUP("wal"), SETUP("delete")};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct recorded r;
		struct digest_leaves *leaves = digest_leaves_create();
		uint64_t asked, read, readable = 0;
		bool good;
		record_text(texts[i], &r);
		struct trace_index *ix = index_of(r.trace);
		for (uint64_t p = 0; p <= r.trace->op_count; p += 3) {
			assert_same(&r, ix, p, leaves, &good);
			readable += good;
		}
		digest_leaves_counts(leaves, &asked, &read);
		print_message("%llu positions: %llu of %llu leaves were read\n",
			      (unsigned long long)readable, (unsigned long long)read,
			      (unsigned long long)asked);
		assert_true(3 * readable > r.trace->op_count - 3);
		assert_true(asked > readable * 100);
		assert_true(read * 20 < asked);
		digest_leaves_free(leaves);
		trace_index_free(ix);
		recorded_release(&r);
	}
}

/* SQLite takes a cell pointer modulo the page size. A cell that begins in the last bytes of a page
 * has its header behind it, where SQLite finds what its memory held: what it then says depends on
 * what it did before. */
static bool reads_behind_page(const uint8_t *page)
{
	enum { HEADERS_MAX = 4 + 9 + 9 };
	uint32_t at = page[0] == BTREE_INDEX_INTERIOR || page[0] == BTREE_TABLE_INTERIOR ? 12 : 8;
	uint32_t count = get_be16(page + 3);

	if (page[0] > BTREE_TABLE_LEAF)
		return false;
	for (uint32_t i = 0; i < count && at + 2 * i + 2 <= 512; i++)
		if (get_be16(page + at + 2 * i) % 512 > 512 - HEADERS_MAX)
			return true;
	return false;
}

/* Changes a few bytes. */
static void damage(uint8_t *bytes, uint64_t size, struct prng *random)
{
	for (uint64_t n = 1 + prng_below(random, 3); n > 0; n--) {
		uint8_t *page = bytes + 512 * prng_below(random, size / 512);
		/* Half of them where a page says what it is. */
		uint64_t at = prng_below(random, prng_below(random, 2) == 0 ? 512 : 24);
		uint8_t was = page[at];
		page[at] = prng_below(random, 4) == 0 ? 0 : (uint8_t)prng_below(random, 256);
		if (page != bytes && reads_behind_page(page))
			page[at] = was;
	}
}

/* A damaged file is read as SQLite reads it, whatever is known of its leaves. */
static void test_damage(void **state)
{
	struct recorded r;
	struct digest_leaves *leaves = digest_leaves_create();
	struct prng random;
	uint64_t readable = 0, asked, read;

	(void)state;
	record_text(SETUP("delete"), &r);
	prng_init(&random, 7, "damage");
	assert_int_equal(r.trace->base_count, 1);
	const struct trace_base *base = &r.trace->base[0];
	uint8_t *bytes = xmalloc(base->size);
	assert_true(base->size > 512 * 200);
	for (int i = 0; i < 400; i++) {
		struct trace *t = trace_create(r.trace->device, "test");
		bool good;
		memcpy(bytes, base->data, base->size);
		damage(bytes, base->size, &random);
		uint32_t name = trace_name(t, r.trace->names[base->name]);
		trace_add_base(t, trace_new_inode(t), name, bytes, base->size);
		struct trace_index *ix = index_of(t);
		assert_same(&r, ix, 0, leaves, &good);
		readable += good;
		trace_index_free(ix);
		trace_free(t);
	}
	digest_leaves_counts(leaves, &asked, &read);
	print_message("%llu of 400 damaged files can be read; %llu of %llu leaves were read\n",
		      (unsigned long long)readable, (unsigned long long)read,
		      (unsigned long long)asked);
	assert_true(readable > 100 && readable < 350);
	assert_true(asked > 10000 && read < asked / 2);
	free(bytes);
	digest_leaves_free(leaves);
	recorded_release(&r);
}

/* Each legal state is observed once, however many crash states come to it and wherever its pages
 * lie. */
static void observe_once(const char *text)
{
	struct recorded r;
	struct examiner *e = NULL;
	struct explore_points points;
	struct explore_stats stats;
	struct model model;
	struct err err = ERR_INIT;
	uint64_t *extra, observed, hits;
	size_t extra_count;

	record_text(text, &r);
	struct trace_index *ix = index_of(r.trace);
	assert_int_equal(model_find("strict-posix", &model, &err), 0);
	assert_int_equal(examiner_create(r.subject, ix, false, &e, &err), 0);
	history_points(examiner_history(e), &extra, &extra_count);
	explore_points(ix, &model, extra, extra_count, &points);
	explore_stats_init(&stats);
	struct explore_callbacks callbacks = {.examine = examiner_examine, .ctx = e};
	assert_int_equal(explore(ix, &model, points.items, points.count, &callbacks, &stats, &err),
			 0);
	examiner_counts(e, &observed, &hits);
	print_message("%llu recoveries, %llu observations\n", (unsigned long long)stats.recoveries,
		      (unsigned long long)observed);
	assert_true(stats.recoveries > 100);
	assert_true(observed <= 11 + 1); /* 10 commits, the start, and nothing else */
	assert_true(hits > stats.recoveries * 8 / 10);
	explore_stats_release(&stats);
	explore_points_release(&points);
	free(extra);
	examiner_free(e);
	trace_index_free(ix);
	recorded_release(&r);
}

#define COMMITS(pragmas)                                                                           \
	"-- @scenario a few commits and checkpoints\n"                                             \
	"-- @pragma journal_mode=wal wal_autocheckpoint=4" pragmas "\n"                            \
	"-- @setup\n"                                                                              \
	"CREATE TABLE t(x);\n"                                                                     \
	"-- @client c repeat=10\n"                                                                 \
	"INSERT INTO t VALUES (:i);\n"

/* Also where a pragma of the application would write to every database that it opens. */
static void test_states_are_observed_once(void **state)
{
	(void)state;
	observe_once(COMMITS(""));
	observe_once(COMMITS(" auto_vacuum=full"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_position),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_states_are_observed_once),
	};
	struct err err = ERR_INIT;

	observer_configure();
	if (fi_vfs_register(&err) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
