/*
 * Locks of the shim against those of the real unix VFS: both get the same random calls, and every
 * answer, every lock state and every byte range that fcntl was asked for must be the same.
 *
 * The real handles live in forked servers, one per process of the simulated machine, so that
 * counting within a process and byte ranges between processes are both compared. A server reports
 * the fcntl calls of its VFS through xSetSystemCall("fcntl").
 */
#include "faultinject/base/prng.h"
#include "faultinject/disk.h"
#include "faultinject/vfs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	HANDLES_MAX = 6,
	RANGES_MAX = 8,
	STEPS = 4000,
	REGION_SIZE = 32768,
};

enum verb { LOCK, UNLOCK, CHECK_RESERVED, SHM_LOCK, EXTERNAL_READER, QUIT };

struct request {
	int verb, handle;
	int level;		  /* of LOCK and UNLOCK */
	int offset, count, flags; /* of SHM_LOCK */
};

/* One byte range that was locked or unlocked; `kind` is 'r', 'w' or 'u'. */
struct range {
	long long start, size;
	int kind;
	int is_shm;
};

struct reply {
	int rc;
	int answer; /* of CHECK_RESERVED and EXTERNAL_READER */
	int state;
	int range_count;
	struct range ranges[RANGES_MAX];
};

static struct reply *recording; /* by the fcntl of a server */

static void add_range(struct reply *r, int kind, int is_shm, long long start, long long size)
{
	assert_in_range(r->range_count, 0, RANGES_MAX - 1);
	r->ranges[r->range_count++] = (struct range){start, size, kind, is_shm};
}

/* Leaves out what the shim leaves out: the dead-man switch of the WAL index (byte 128), and the
 * PENDING byte that is read-locked only while SHARED is being taken. */
static int recording_fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;
	int rc;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	rc = fcntl(fd, cmd, arg);
	if (cmd == F_SETLK && rc == 0 && recording != NULL) {
		const struct flock *l = arg;
		int is_shm = l->l_start >= 120 && l->l_start < 128;
		int is_transient =
		    l->l_start == (long)OP_PENDING_BYTE && l->l_len == 1 && l->l_type != F_WRLCK;

		if (l->l_start != 128 && !is_transient)
			add_range(recording,
				  l->l_type == F_RDLCK	 ? 'r'
				  : l->l_type == F_WRLCK ? 'w'
							 : 'u',
				  is_shm, l->l_start, l->l_len);
	}
	return rc;
}

/* `name` comes from sqlite3_create_filename(): os_unix looks for parameters behind it. */
static sqlite3_file *open_handle(sqlite3_vfs *vfs, const char *name)
{
	sqlite3_file *f = calloc(1, (size_t)vfs->szOsFile);
	void volatile *region;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB;

	if (vfs->xOpen(vfs, name, f, flags, &flags) != SQLITE_OK ||
	    f->pMethods->xShmMap(f, 0, REGION_SIZE, 1, &region) != SQLITE_OK)
		abort();
	return f;
}

static void close_handle(sqlite3_file *f)
{
	f->pMethods->xShmUnmap(f, 0);
	f->pMethods->xClose(f);
	free(f);
}

static void perform(sqlite3_file *f, const struct request *q, struct reply *r)
{
	const sqlite3_io_methods *m = f->pMethods;

	if (q->verb == LOCK)
		r->rc = m->xLock(f, q->level);
	else if (q->verb == UNLOCK)
		r->rc = m->xUnlock(f, q->level);
	else if (q->verb == CHECK_RESERVED)
		r->rc = m->xCheckReservedLock(f, &r->answer);
	else if (q->verb == SHM_LOCK)
		r->rc = m->xShmLock(f, q->offset, q->count, q->flags);
	else
		r->rc = m->xFileControl(f, SQLITE_FCNTL_EXTERNAL_READER, &r->answer);
	m->xFileControl(f, SQLITE_FCNTL_LOCKSTATE, &r->state);
}

struct server {
	int to, from;
	pid_t pid;
};

static _Noreturn void serve(const char *name, unsigned handle_count, int in, int out)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
	sqlite3_file *files[HANDLES_MAX];
	struct request q;

	if (vfs->xSetSystemCall(vfs, "fcntl", (sqlite3_syscall_ptr)recording_fcntl) != SQLITE_OK)
		abort();
	for (unsigned i = 0; i < handle_count; i++)
		files[i] = open_handle(vfs, name);
	/* Ready: two processes that open at once may meet in the dead-man switch of shared memory,
	 * where os_unix answers SQLITE_BUSY. */
	if (write(out, "", 1) != 1)
		abort();
	while (read(in, &q, sizeof q) == (ssize_t)sizeof q && q.verb != QUIT) {
		struct reply r;

		memset(&r, 0, sizeof r);
		recording = &r;
		perform(files[q.handle], &q, &r);
		recording = NULL;
		if (write(out, &r, sizeof r) != (ssize_t)sizeof r)
			break;
	}
	_exit(0); /* the kernel drops the locks */
}

static struct server start_server(const char *name, unsigned handle_count)
{
	struct server s;
	int request[2], reply[2];

	assert_int_equal(pipe(request), 0);
	assert_int_equal(pipe(reply), 0);
	s.pid = fork();
	assert_true(s.pid >= 0);
	if (s.pid == 0) {
		close(request[1]);
		close(reply[0]);
		serve(name, handle_count, request[0], reply[1]);
	}
	close(request[0]);
	close(reply[1]);
	s.to = request[1];
	s.from = reply[0];
	char ready;
	assert_int_equal(read(s.from, &ready, 1), 1);
	return s;
}

static void ask(const struct server *s, const struct request *q, struct reply *ret_r)
{
	assert_int_equal(write(s->to, q, sizeof *q), sizeof *q);
	if (q->verb != QUIT)
		assert_int_equal(read(s->from, ret_r, sizeof *ret_r), sizeof *ret_r);
}

/* What a handle holds, to make only calls that SQLite may make. */
struct model {
	int level;
	int shared;		    /* slots held shared, as bits */
	int exclusive, range, size; /* one exclusive range at a time */
};

static struct request random_request(struct prng *r, const struct model *m, int handle)
{
	struct request q = {.handle = handle};

	switch (prng_below(r, 10)) {
	case 0:
		q.verb = CHECK_RESERVED;
		break;
	case 1:
		q.verb = EXTERNAL_READER;
		break;
	case 2:
	case 3:
		q.verb = UNLOCK;
		q.level = (int)prng_below(r, 2);
		break;
	case 4:
	case 5:
	case 6:
		q.verb = LOCK;
		/* From SHARED to EXCLUSIVE, later versions of os_unix do not take PENDING. */
		if (m->level == SQLITE_LOCK_NONE)
			q.level = SQLITE_LOCK_SHARED;
		else if (m->level == SQLITE_LOCK_SHARED && sqlite3_libversion_number() > 3040001)
			q.level = SQLITE_LOCK_RESERVED;
		else
			q.level = prng_below(r, 2) ? SQLITE_LOCK_RESERVED : SQLITE_LOCK_EXCLUSIVE;
		break;
	default:
		q.verb = SHM_LOCK;
		q.offset = (int)prng_below(r, SQLITE_SHM_NLOCK);
		q.count = 1;
		if (m->exclusive && prng_below(r, 2)) {
			q.offset = m->range;
			q.count = m->size;
			q.flags = SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE;
		} else if ((m->shared >> q.offset & 1) != 0) {
			q.flags = SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED;
		} else if (!m->exclusive && prng_below(r, 2)) {
			q.count = 1 + (int)prng_below(r, (uint64_t)(SQLITE_SHM_NLOCK - q.offset));
			q.flags = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE;
		} else {
			q.flags = SQLITE_SHM_LOCK | SQLITE_SHM_SHARED;
		}
	}
	return q;
}

static void model_apply(struct model *m, const struct request *q, const struct reply *r)
{
	m->level = r->state;
	if (q->verb != SHM_LOCK || r->rc != SQLITE_OK)
		return;
	if ((q->flags & SQLITE_SHM_SHARED) != 0) {
		m->shared ^= 1 << q->offset;
	} else {
		m->exclusive = (q->flags & SQLITE_SHM_LOCK) != 0;
		m->range = q->offset;
		m->size = q->count;
	}
}

/* What the shim recorded since `*position`, in the words of the servers. */
static void recorded_ranges(const struct trace *t, size_t *position, struct reply *r)
{
	while (*position < t->op_count) {
		const struct op *op = trace_at(t, ++*position);
		int kind = 'w';

		assert_true(op->kind == OP_LOCK || op->kind == OP_UNLOCK);
		if (op->kind == OP_UNLOCK)
			kind = 'u';
		else if ((op->flags & OP_LOCK_SHARED) != 0)
			kind = 'r';
		add_range(r, kind, (op->flags & OP_LOCK_SHM) != 0, (long long)op->offset,
			  (long long)op->size);
	}
}

static void assert_same(const struct reply *real, const struct reply *shim, int step,
			const struct request *q)
{
	if (memcmp(real, shim, sizeof *real) == 0)
		return;
	print_error("step %d: handle %d verb %d level %d slots %d+%d flags %d\n", step, q->handle,
		    q->verb, q->level, q->offset, q->count, q->flags);
	for (int who = 0; who < 2; who++) {
		const struct reply *r = who == 0 ? real : shim;

		print_error("%s: rc %d answer %d state %d:", who == 0 ? "unix" : "shim", r->rc,
			    r->answer, r->state);
		for (int i = 0; i < r->range_count; i++)
			print_error(" %c%s %lld+%lld", r->ranges[i].kind,
				    r->ranges[i].is_shm ? "(shm)" : "", r->ranges[i].start,
				    r->ranges[i].size);
		print_error("\n");
	}
	fail();
}

/* busy[]: how often each verb was refused, so that a test which compares only successes fails. */
static void compare(unsigned process_count, unsigned handle_count, uint64_t seed, int *busy)
{
	char dir[] = "/tmp/plugpull-lock-XXXXXX";
	char path[sizeof dir + 16], shm[sizeof dir + 16];
	struct server servers[HANDLES_MAX];
	sqlite3_file *files[HANDLES_MAX];
	struct model models[HANDLES_MAX];
	struct disk *d = disk_create();
	struct trace *t = trace_create(fi_vfs_default_device(), "test");
	struct err err = ERR_INIT;
	struct prng random;
	const char *name;
	size_t position;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/a.db", dir);
	snprintf(shm, sizeof shm, "%s/a.db-shm", dir);
	name = sqlite3_create_filename(path, "", "", 0, NULL);
	prng_init(&random, seed, "test");
	memset(models, 0, sizeof models);
	for (unsigned p = 0; p < process_count; p++)
		servers[p] = start_server(name, handle_count);
	assert_int_equal(fi_vfs_register(&err), 0);
	fi_vfs_boot(disk_storage(d), 1, fi_vfs_default_device());
	disk_record(d, t);
	for (unsigned i = 0; i < process_count * handle_count; i++) {
		disk_storage(d)->actor.process = (uint16_t)(1 + i / handle_count);
		files[i] = open_handle(sqlite3_vfs_find(FI_VFS_NAME), name);
	}
	position = t->op_count;

	for (int step = 0; step < STEPS; step++) {
		unsigned i = (unsigned)prng_below(&random, process_count * handle_count);
		struct request q = random_request(&random, &models[i], (int)(i % handle_count));
		struct reply real, shim;

		memset(&shim, 0, sizeof shim);
		ask(&servers[i / handle_count], &q, &real);
		perform(files[i], &q, &shim);
		recorded_ranges(t, &position, &shim);
		assert_same(&real, &shim, step, &q);
		model_apply(&models[i], &q, &shim);
		busy[q.verb] += shim.rc == SQLITE_BUSY;
	}

	for (unsigned p = 0; p < process_count; p++) {
		struct request q = {.verb = QUIT};

		ask(&servers[p], &q, NULL);
		close(servers[p].to);
		close(servers[p].from);
		assert_int_equal(waitpid(servers[p].pid, NULL, 0), servers[p].pid);
	}
	for (unsigned i = 0; i < process_count * handle_count; i++)
		close_handle(files[i]);
	assert_int_equal(fi_vfs_open_count(), 0);
	fi_vfs_unregister();
	sqlite3_free_filename((char *)name);
	trace_free(t);
	disk_free(d);
	unlink(path);
	unlink(shm);
	rmdir(dir);
}

static void compare_many(unsigned process_count, unsigned handle_count)
{
	int busy[QUIT] = {0};

	for (uint64_t seed = 1; seed <= 3; seed++)
		compare(process_count, handle_count, seed, busy);
	assert_true(busy[LOCK] > 100);
	assert_true(busy[SHM_LOCK] > 100);
}

/* Three handles of one process answer as os_unix does. */
static void test_one_process(void **state)
{
	(void)state;
	compare_many(1, 3);
}

/* Three processes with a handle each answer as os_unix does. */
static void test_three_processes(void **state)
{
	(void)state;
	compare_many(3, 1);
}

/* Two processes with two handles each answer as os_unix does. */
static void test_two_processes_two_handles(void **state)
{
	(void)state;
	compare_many(2, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_process),
	    cmocka_unit_test(test_three_processes),
	    cmocka_unit_test(test_two_processes_two_handles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
