/*
 * The recording log: what is written is read, in one order, whoever is killed meanwhile, and
 * however the file is damaged.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/prng.h"
#include "faultinject/record/log.h"
#include "faultinject/record/log_read.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { WRITERS = 4, THREADS = 2, CALLS = 400, DATA_MAX = 3000 };

static char folder[64], log_path[128];
static struct reclog the_log;

static int setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof folder, "/tmp/test-log-XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(log_path, sizeof log_path, "%s/log", folder);
	assert_int_equal(reclog_create(&the_log, log_path, 0), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	reclog_detach(&the_log);
	(void)unlink(log_path);
	(void)rmdir(folder);
	return 0;
}

static void read_log(struct call_list *ret)
{
	struct err err = ERR_INIT;

	memset(ret, 0, sizeof *ret);
	if (log_read(log_path, ret, &err) != 0)
		fail_msg("%s", err.message);
}

/* The data of call n of a writer can be told from its first number and its size. */
static size_t make_data(uint8_t *data, uint32_t writer, uint32_t n)
{
	size_t size = 8 + (n * 2654435761u + writer) % (DATA_MAX - 8);

	memcpy(data, &writer, 4);
	memcpy(data + 4, &n, 4);
	for (size_t i = 8; i < size; i++)
		data[i] = (uint8_t)(writer * 31 + n * 7 + i);
	return size;
}

static bool is_data(const struct call *c, uint32_t *ret_writer, uint32_t *ret_n)
{
	uint8_t want[DATA_MAX];

	if (c->data_size < 8)
		return false;
	memcpy(ret_writer, c->data, 4);
	memcpy(ret_n, c->data + 4, 4);
	return make_data(want, *ret_writer, *ret_n) == c->data_size &&
	       memcmp(want, c->data, c->data_size) == 0;
}

/* One write, as the recorder logs it. */
static bool write_one(uint32_t writer, uint32_t n)
{
	uint8_t data[DATA_MAX];
	size_t size = make_data(data, writer, n), cut = size / 3;
	const struct iovec pieces[2] = {{data, cut}, {data + cut, size - cut}};
	struct reclog_entry e = {.head = {.type = RECLOG_WRITE,
					  .moment = RECLOG_BEGIN,
					  .dev = 1,
					  .ino = 1 + writer,
					  .offset = n}};
	uint64_t begin = reclog_append_pieces(&the_log, &e, pieces, 2);

	if (begin == 0)
		return false;
	e.head.moment = RECLOG_END;
	e.head.begin = begin;
	e.head.result = (int64_t)size;
	return reclog_append(&the_log, &e) != 0;
}

static void *write_many(void *arg)
{
	for (uint32_t n = 0; n < CALLS; n++)
		ASSERT(write_one((uint32_t)(uintptr_t)arg, n));
	return NULL;
}

/* Everything that several threads of several processes append is read, whole, and what one thread
 * appended is in its order. */
static void test_many_writers(void **state)
{
	uint32_t next[WRITERS * THREADS] = {0}, writer, n;
	struct call_list calls;
	pid_t pids[WRITERS];

	(void)state;
	for (uint32_t p = 0; p < WRITERS; p++) {
		pids[p] = fork();
		if (pids[p] == 0) {
			struct reclog inherited = the_log;
			pthread_t other;

			memset(&the_log, 0, sizeof the_log);
			if (reclog_attach(&the_log, inherited.path) != 0)
				_exit(1);
			(void)pthread_create(&other, NULL, write_many,
					     (void *)(uintptr_t)(p * THREADS + 1));
			(void)write_many((void *)(uintptr_t)(p * THREADS));
			(void)pthread_join(other, NULL);
			_exit(0);
		}
	}
	for (uint32_t p = 0; p < WRITERS; p++) {
		int status;

		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
		assert_int_equal(status, 0);
	}
	read_log(&calls);
	assert_int_equal(calls.count, WRITERS * THREADS * CALLS);
	for (size_t i = 0; i < calls.count; i++) {
		assert_int_equal(calls.items[i].kind, CALL_WRITE);
		assert_true(is_data(&calls.items[i], &writer, &n));
		assert_int_equal(calls.items[i].pid, pids[writer / THREADS]);
		assert_int_equal(next[writer]++, n);
	}
	call_list_release(&calls);
}

/* A process that is killed at any moment loses at most its last call, and nobody else's. */
static void test_killed_writers(void **state)
{
	struct prng prng;

	(void)state;
	prng_init(&prng, 5, "kill");
	for (uint32_t round = 0; round < 40; round++) {
		struct timespec pause = {0, (long)prng_below(&prng, 1500000)};
		pid_t pid = fork();

		if (pid == 0) {
			for (uint32_t n = 0;; n++)
				(void)write_one(round, n);
		}
		(void)nanosleep(&pause, NULL);
		ASSERT(write_one(1000, round));
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}

	uint32_t writer, n, survivors = 0, expected[40] = {0};
	struct call_list calls;

	read_log(&calls);
	for (size_t i = 0; i < calls.count; i++) {
		const struct call *c = &calls.items[i];

		assert_int_equal(c->kind, CALL_WRITE);
		assert_true(is_data(c, &writer, &n));
		if (writer == 1000) {
			assert_int_equal(n, survivors++);
			continue;
		}
		assert_true(writer < 40);
		assert_int_equal(n, expected[writer]);
		expected[writer] = (c->flags & CALL_PERHAPS) != 0 ? UINT32_MAX : n + 1;
	}
	assert_int_equal(survivors, 40);
	assert_true(calls.count > 200);
	call_list_release(&calls);
}

/* A record that was begun and not finished is stepped over, at each stage of being written. */
static void test_unfinished_records(void **state)
{
	struct reclog_header *h = reclog_header(&the_log);
	struct call_list calls;
	uint32_t writer, n;

	(void)state;
	for (int stage = 0; stage < 3; stage++) {
		uint64_t at = h->tail;
		struct reclog_record *r;

		assert_true(write_one(1, (uint32_t)stage));
		r = (struct reclog_record *)(the_log.map + at);
		/* The END of the call stays; it leads nowhere. */
		if (stage == 0)
			memset(r, 0, r->size);
		else if (stage == 1)
			memset(&r->size, 0, r->size - sizeof r->tag);
		else
			r->state = 0;
		assert_true(write_one(2, (uint32_t)stage));
	}
	read_log(&calls);
	assert_int_equal(calls.count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(is_data(&calls.items[i], &writer, &n));
		assert_int_equal(writer, 2);
		assert_int_equal(n, i);
	}
	call_list_release(&calls);
}

/* Whatever is written over a log, reading it ends, and every write that is found is one that was
 * made; what is said to be missing is what is. */
static void test_damage(void **state)
{
	struct reclog_header *h = reclog_header(&the_log);
	uint64_t size;
	uint8_t *sound;
	struct prng prng;

	(void)state;
	prng_init(&prng, 6, "damage");
	for (uint32_t i = 0; i < 30; i++)
		assert_true(write_one(3, i));
	size = h->tail - RECLOG_START;
	sound = malloc(size);
	assert_non_null(sound);
	memcpy(sound, the_log.map + RECLOG_START, size);
	for (int round = 0; round < 300; round++) {
		uint64_t at = prng_below(&prng, size - 16);
		struct call_list calls;
		size_t writes = 0, troubles = 0;

		/* The middle of the data is not protected; a record's head and ends are. */
		for (unsigned i = 0; i < 16; i++)
			the_log.map[RECLOG_START + at + i] = (uint8_t)prng_below(&prng, 256);
		read_log(&calls);
		for (size_t i = 0; i < calls.count; i++) {
			writes += calls.items[i].kind == CALL_WRITE;
			troubles += calls.items[i].kind == CALL_TROUBLE;
		}
		assert_true(writes == 30 || troubles > 0 || writes == 29);
		assert_true(writes >= 27);
		call_list_release(&calls);
		memcpy(the_log.map + RECLOG_START, sound, size);
	}
	free(sound);
}

/* A write that says only what is new has all of its data when it is read. */
static void test_delta(void **state)
{
	uint8_t page[512], delta[1 + 128];
	struct reclog_entry e = {.head = {.type = RECLOG_WRITE, .moment = RECLOG_BEGIN, .ino = 1},
				 .data = page,
				 .data_size = sizeof page};
	struct call_list calls;
	uint64_t first, last;

	(void)state;
	memset(page, 'a', sizeof page);
	first = reclog_append(&the_log, &e);
	for (int round = 0; round < 3; round++) {
		delta[0] = (uint8_t)(1u << round | 0x80);
		memset(delta + 1, 'b' + round, 128);
		e.head.flags = RECLOG_DELTA;
		e.head.begin = first;
		e.head.length = sizeof page;
		e.data = delta;
		e.data_size = round == 2 ? 65 : sizeof delta; /* the last one is too short */
		last = reclog_append(&the_log, &e);
		if (round < 2)
			first = last;
	}
	read_log(&calls);
	assert_int_equal(calls.count, 5);
	memset(page, 'b', 64);
	memset(page + 64, 'c', 64);
	memset(page + 448, 'c', 64);
	assert_int_equal(calls.items[2].data_size, sizeof page);
	assert_memory_equal(calls.items[2].data, page, sizeof page);
	assert_int_equal(calls.items[3].kind, CALL_TROUBLE);
	call_list_release(&calls);
}

/* When the disk is full that is said, nothing is recorded from then on, and nobody gets a signal.
 */
static void test_full(void **state)
{
	struct call_list calls;
	pid_t pid;
	int status;

	(void)state;
	/* Where the address space ends there is no room either; a disk of that size is at hand. */
	reclog_header(&the_log)->tail = RECLOG_SIZE_MAX - 4096;
	pid = fork();
	if (pid == 0) {
		uint32_t n = 0;

		while (write_one(4, n))
			n++;
		_exit(write_one(4, n)					? 2
		      : reclog_header(&the_log)->trouble == RECLOG_FULL ? 0
									: 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	reclog_header(&the_log)->tail = RECLOG_START;
	read_log(&calls);
	assert_int_equal(calls.count, 1);
	assert_int_equal(calls.items[0].kind, CALL_TROUBLE);
	call_list_release(&calls);
}

/* A tmpfs of 4 MiB, for this process only. */
static bool enter_small_disk(const char *path)
{
	char map[64];
	int fd, uid = (int)getuid();

	if (unshare(CLONE_NEWNS) != 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
			return false;
		(void)snprintf(map, sizeof map, "%d %d 1", uid, uid);
		fd = open("/proc/self/uid_map", O_WRONLY);
		if (fd < 0 || write(fd, map, strlen(map)) < 0)
			return false;
		(void)close(fd);
	}
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", path, "tmpfs", 0, "size=4m") == 0;
}

/* The same on a real full disk, where a process may make one (in a name space of its own). */
static void test_disk_full(void **state)
{
	char small[160], path[200];
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		(void)snprintf(small, sizeof small, "%s/small", folder);
		(void)snprintf(path, sizeof path, "%s/log", small);
		if (mkdir(small, 0700) != 0 || !enter_small_disk(small))
			_exit(77);
		reclog_detach(&the_log);
		if (reclog_create(&the_log, path, 0) != 0)
			_exit(1);
		for (uint32_t n = 0; n < 100000; n++) {
			if (!write_one(5, n))
				_exit(n > 100 && reclog_header(&the_log)->trouble == RECLOG_FULL
					  ? 0
					  : 2);
		}
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)snprintf(small, sizeof small, "%s/small", folder);
	(void)rmdir(small);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* A database's files are recorded by their names, others are not. */
static void test_names(void **state)
{
	static const struct {
		const char *path;
		bool is, is_shm;
	} table[] = {{"/a/x.db", true, false},	       {"/a/x.db-wal", true, false},
		     {"/a/x.db-journal", true, false}, {"/a/x.db-shm", true, true},
		     {"/a/x.db-mj12", true, false},    {"/a/x.dbs", false, false},
		     {"/a/x.d", false, false},	       {"/a/x.db-folder/file", false, false},
		     {"/a/y", false, false},	       {"/b/x.db", false, false}};
	bool shm;

	(void)state;
	assert_true(reclog_add_database(&the_log, "/a/x.db"));
	assert_true(reclog_add_database(&the_log, "/a/x.db"));
	assert_int_equal(reclog_header(&the_log)->database_count, 1);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		assert_int_equal(reclog_is_recorded(&the_log, table[i].path, &shm), table[i].is);
		if (table[i].is)
			assert_int_equal(shm, table[i].is_shm);
	}
	assert_true(reclog_has_folder(&the_log, "/a"));
	assert_false(reclog_has_folder(&the_log, "/"));
	assert_false(reclog_has_folder(&the_log, "/a/x.db"));
	assert_false(reclog_has_folder(&the_log, "/a/sub"));
	reclog_header(&the_log)->flags = RECLOG_ALL_FILES;
	assert_true(reclog_is_recorded(&the_log, "/a/sub/y", &shm));
	assert_true(reclog_has_folder(&the_log, "/a/sub"));
	assert_true(reclog_has_folder(&the_log, "/a/sub/y"));
	assert_true(reclog_has_folder(&the_log, "/a"));
	assert_false(reclog_has_folder(&the_log, "/"));
	assert_false(reclog_has_folder(&the_log, "/b"));
	assert_false(reclog_is_recorded(&the_log, "/b/x.db", &shm));
	for (int i = 1; i < RECLOG_DATABASES_MAX; i++) {
		char path[32];

		(void)snprintf(path, sizeof path, "/c/%d", i);
		assert_true(reclog_add_database(&the_log, path));
	}
	assert_false(reclog_add_database(&the_log, "/one/too/many"));
	assert_int_equal(reclog_header(&the_log)->trouble, RECLOG_TOO_MANY_DATABASES);
}

/* Of many who come to a file at once, one reads its content, and the others wait until it has; when
 * it is killed while it reads, another one does. */
static void test_claims(void **state)
{
	enum { ROUNDS = 60 };
	uint32_t *readers =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(readers, MAP_FAILED);
	for (int p = 0; p < WRITERS; p++) {
		if (fork() != 0)
			continue;
		for (uint32_t i = 0; i < ROUNDS; i++) {
			enum reclog_claim claim = reclog_claim_inode(&the_log, 9, i + 1);

			if (claim == RECLOG_CLAIMED) {
				uint32_t count =
				    __atomic_add_fetch(&readers[i], 1, __ATOMIC_SEQ_CST);

				if (i % 30 == 3 && count == 1)
					_exit(0); /* it never says that it is done */
				reclog_inode_done(&the_log, 9, i + 1);
			} else if (readers[i] == 0) {
				_exit(1);
			}
		}
		_exit(0);
	}
	for (int p = 0; p < WRITERS; p++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	for (uint32_t i = 0; i < ROUNDS; i++)
		assert_in_range(readers[i], 1, i % 30 == 3 ? 2 : 1);
	reclog_forget_inode(&the_log, 9, 1);
	assert_int_equal(reclog_claim_inode(&the_log, 9, 1), RECLOG_CLAIMED);
	(void)munmap(readers, 4096);
}

static uint64_t write_now(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fstat(fd, &st), 0);
	(void)close(fd);
	return (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
}

/* A file that was written just before the log was made is older than it, and one that was written
 * just after is not, though the times of files come from a slow clock. */
static void test_start(void **state)
{
	enum { ROUNDS = 8 };
	char file[160];

	assert_int_equal(setup(state), 0);
	(void)snprintf(file, sizeof file, "%s/file", folder);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t before, after;

		reclog_detach(&the_log);
		(void)unlink(log_path);
		before = write_now(file);
		assert_int_equal(reclog_create(&the_log, log_path, 0), 0);
		after = write_now(file);
		assert_true(before < reclog_header(&the_log)->started_ns);
		assert_true(after >= reclog_header(&the_log)->started_ns);
	}
	(void)unlink(file);
	assert_int_equal(teardown(state), 0);
}

/* What is no log is not taken for one. */
static void test_no_log(void **state)
{
	struct reclog other = {0};
	struct call_list calls = {0};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(reclog_create(&other, log_path, 0), -EEXIST);
	assert_int_equal(reclog_attach(&other, "/dev/null"), -EINVAL);
	assert_null(other.map);
	reclog_header(&the_log)->format++;
	assert_int_equal(reclog_attach(&other, log_path), -EINVAL);
	assert_null(other.map);
	assert_int_equal(log_read(log_path, &calls, &err), ERR_INPUT);
	assert_int_equal(log_read("/dev/null", &calls, &err), ERR_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_many_writers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_killed_writers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unfinished_records, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_delta, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_names, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_claims, setup, teardown),
	    cmocka_unit_test(test_start),
	    cmocka_unit_test_setup_teardown(test_no_log, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
