/*
 * busy.c: patience with locks, and who holds them.
 *
 * The unix VFS of SQLite locks bytes (https://www.sqlite.org/fileformat2.html#wal_locks,
 * https://www.sqlite.org/src/file/src/os.h):
 *
 *   file            byte                 held for writing it means
 *   database-shm    120                  WAL: a transaction that writes
 *   database-shm    121                  WAL: a checkpoint
 *   database-shm    122                  WAL: recovery of the log
 *   database        0x40000000           PENDING: somebody is about to get EXCLUSIVE
 *   database        0x40000001           RESERVED: a transaction that writes, without a WAL
 *   database        0x40000002 to +511   EXCLUSIVE
 *
 * Linux lists all locks in /proc/locks, each with the process and the file's device and inode. The
 * files themselves are only asked for by stat(): a process that opens a file and closes it again
 * drops every POSIX lock that it holds on that file
 * (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
 *
 * What it finds is a moment's view, for a message. It decides nothing.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/sysmacros.h>
#endif

#include "store/internal.h"

int store_busy_wait(void *patience, int round)
{
	static const int delays_ms[] = {1, 2, 5, 10, 20, 50, 100};
	const size_t last = sizeof(delays_ms) / sizeof(delays_ms[0]) - 1;
	struct store_patience *p = patience;
	int delay_ms;

	if (p->anew && round == 0) {
		p->left_ms = p->limit_ms;
		p->round = 0;
	}
	if (p->left_ms <= 0)
		return 0;
	delay_ms = delays_ms[p->round < last ? p->round : last];
	if (delay_ms > p->left_ms)
		delay_ms = p->left_ms;
	p->left_ms -= delay_ms;
	p->round++;
	sqlite3_sleep(delay_ms);
	return 1;
}

#ifdef __linux__

/* A machine with more locks than this gets no answer. */
#define LOCK_LINES_MAX 65536

enum {
	WAL_WRITE_BYTE = 120,
	WAL_CHECKPOINT_BYTE = 121,
	WAL_RECOVER_BYTE = 122,
	PENDING_BYTE_AT = 0x40000000,
	RESERVED_BYTE_AT = 0x40000001,
	SHARED_FIRST_AT = 0x40000002,
	SHARED_LAST_AT = 0x40000002 + 509,
};

/* A lock that keeps others from writing; the earlier in the table, the more it explains. */
struct lock_kind {
	bool of_shm;
	uint64_t first, last;
	const char *name;
};

static const struct lock_kind lock_kinds[] = {
    {true, WAL_WRITE_BYTE, WAL_WRITE_BYTE, "the write lock"},
    {false, SHARED_FIRST_AT, SHARED_LAST_AT, "the exclusive lock"},
    {false, RESERVED_BYTE_AT, RESERVED_BYTE_AT, "the write lock"},
    {false, PENDING_BYTE_AT, PENDING_BYTE_AT, "the pending lock"},
    {true, WAL_RECOVER_BYTE, WAL_RECOVER_BYTE, "the lock for recovery"},
    {true, WAL_CHECKPOINT_BYTE, WAL_CHECKPOINT_BYTE, "the lock for checkpoints"},
};
#define LOCK_KIND_COUNT (sizeof(lock_kinds) / sizeof(lock_kinds[0]))

struct lock_line {
	long pid;
	unsigned device_major, device_minor;
	uint64_t inode;
	uint64_t first, last;
};

/* A line such as "3: POSIX  ADVISORY  WRITE 714 08:01:1836 120 120"; false for one of another
 * sort: a reader's, or ("3: -> POSIX …") of somebody who waits. */
static bool lock_line_parse(const char *line, struct lock_line *ret_lock)
{
	char kind[16], access[16], end[24];

	if (sscanf(line, "%*u: %15s %*15s %15s %ld %x:%x:%" SCNu64 " %" SCNu64 " %23s", kind,
		   access, &ret_lock->pid, &ret_lock->device_major, &ret_lock->device_minor,
		   &ret_lock->inode, &ret_lock->first, end) != 8)
		return false;
	if (strcmp(access, "WRITE") != 0 ||
	    (strcmp(kind, "POSIX") != 0 && strcmp(kind, "OFDLCK") != 0))
		return false;
	ret_lock->last = strcmp(end, "EOF") == 0 ? UINT64_MAX : strtoull(end, NULL, 10);
	return true;
}

static bool lock_is_on(const struct lock_line *lock, const struct stat *file)
{
	return file->st_ino != 0 && lock->inode == file->st_ino &&
	       lock->device_major == major(file->st_dev) &&
	       lock->device_minor == minor(file->st_dev);
}

/* The name of a process, or "". */
static void process_name(long pid, char *ret_name, int size)
{
	char path[64];
	FILE *file;

	ret_name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(ret_name, size, file))
		ret_name[0] = '\0';
	ret_name[strcspn(ret_name, "\n")] = '\0';
	fclose(file);
}

static void holder_describe(const struct lock_line *lock, const char *what, char *ret_text,
			    size_t size)
{
	char name[32];

	if (lock->pid == (long)getpid()) {
		snprintf(ret_text, size, "another connection of this process holds %s", what);
		return;
	}
	/* A lock of an open file, or of a process that this container cannot see. */
	if (lock->pid <= 0) {
		snprintf(ret_text, size, "another process holds %s", what);
		return;
	}
	process_name(lock->pid, name, sizeof(name));
	if (name[0])
		snprintf(ret_text, size, "process %ld (%s) holds %s", lock->pid, name, what);
	else
		snprintf(ret_text, size, "process %ld holds %s", lock->pid, what);
}

void store_lock_holder(const char *path, char *ret_text, size_t size)
{
	struct stat database = {0}, shm = {0};
	struct lock_line lock, best = {0};
	size_t best_kind = LOCK_KIND_COUNT;
	char real[PATH_MAX];
	char line[256];
	FILE *locks;

	if (size == 0)
		return;
	ret_text[0] = '\0';
	/* SQLite follows links before it makes the names of the neighbours. */
	if (!realpath(path, real) || stat(real, &database) != 0)
		return;
	if (strlen(real) + strlen("-shm") < sizeof(real)) {
		strcat(real, "-shm");
		if (stat(real, &shm) != 0)
			shm = (struct stat){0};
	}
	locks = fopen("/proc/locks", "re");
	if (!locks)
		return;
	for (size_t n = 0; n < LOCK_LINES_MAX && fgets(line, sizeof(line), locks); n++) {
		if (!lock_line_parse(line, &lock))
			continue;
		for (size_t i = 0; i < best_kind; i++) {
			const struct lock_kind *kind = &lock_kinds[i];

			if (lock_is_on(&lock, kind->of_shm ? &shm : &database) &&
			    lock.first <= kind->last && lock.last >= kind->first) {
				best = lock;
				best_kind = i;
			}
		}
	}
	fclose(locks);
	if (best_kind < LOCK_KIND_COUNT)
		holder_describe(&best, lock_kinds[best_kind].name, ret_text, size);
}

#else

void store_lock_holder(const char *path, char *ret_text, size_t size)
{
	(void)path;
	if (size > 0)
		ret_text[0] = '\0';
}

#endif
