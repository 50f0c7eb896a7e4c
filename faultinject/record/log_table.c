/*
 * The tables in a log's header (log.h): the databases, and the files whose content is known.
 *
 * Both are arrays that any process adds to without a lock, because a process may be killed at any
 * moment and would leave it locked.
 *
 * Who reads a file's content. A process puts its claim in a free entry, and then looks whether
 * another entry has the same file. All see all claims in one order, so of two that claim at once at
 * least one sees the other; the lower entry counts, and the owner of the higher one gives it back.
 *
 *     FREE ──> FILLING ──> READING ──> DONE
 *      ^          │           │          │
 *      └──────────┴───────────┴──────────┘   given back; forgotten, because the file was removed
 */
#include "faultinject/record/log.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MAX_MS = 10000 }; /* for a process that reads; it may be killed and not yet buried */

/* ---- databases ---- */

static uint32_t database_count(const struct reclog *l)
{
	return __atomic_load_n(&reclog_header(l)->database_count, __ATOMIC_ACQUIRE);
}

/* NULL while it is being written. */
static const char *database(const struct reclog *l, uint32_t i)
{
	const char *path = reclog_header(l)->databases[i];

	return __atomic_load_n(&path[0], __ATOMIC_ACQUIRE) == '\0' ? NULL : path;
}

bool reclog_add_database(struct reclog *l, const char *path)
{
	struct reclog_header *h = reclog_header(l);
	size_t size = strlen(path) + 1;
	uint32_t i, count;

	if (h == NULL) /* no log is mapped */
		return false;
	count = database_count(l);
	for (i = 0; i < count; i++) {
		const char *known = database(l, i);

		if (known != NULL && strcmp(known, path) == 0)
			return true;
	}
	if (path[0] == '\0' || size > RECLOG_PATH_MAX)
		return false;
	do {
		if (count >= RECLOG_DATABASES_MAX) {
			(void)__atomic_fetch_or(&h->trouble, (uint32_t)RECLOG_TOO_MANY_DATABASES,
						__ATOMIC_RELAXED);
			return false;
		}
	} while (!__atomic_compare_exchange_n(&h->database_count, &count, count + 1, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	memcpy(h->databases[count] + 1, path + 1, size - 1);
	__atomic_store_n(&h->databases[count][0], path[0], __ATOMIC_RELEASE);
	reclog_names_changed(l);
	return true;
}

/* Is `path` below the folder that `of` is in? */
static bool same_folder(const char *path, const char *of)
{
	const char *slash = strrchr(of, '/');

	return slash != NULL && strncmp(path, of, (size_t)(slash - of) + 1) == 0;
}

bool reclog_is_recorded(const struct reclog *l, const char *path, bool *ret_is_shm)
{
	const bool all =
	    (__atomic_load_n(&reclog_header(l)->flags, __ATOMIC_RELAXED) & RECLOG_ALL_FILES) != 0;
	bool found = false;

	for (uint32_t i = 0, count = database_count(l); i < count; i++) {
		const char *known = database(l, i);
		size_t length = known == NULL ? 0 : strlen(known);

		if (known == NULL)
			continue;
		if (strncmp(path, known, length) == 0 &&
		    (path[length] == '\0' ||
		     (path[length] == '-' && strchr(path + length, '/') == NULL))) {
			*ret_is_shm = strcmp(path + length, "-shm") == 0;
			return true;
		}
		found = found || (all && same_folder(path, known));
	}
	if (found)
		*ret_is_shm = false;
	return found;
}

bool reclog_has_folder(const struct reclog *l, const char *path)
{
	const bool all =
	    (__atomic_load_n(&reclog_header(l)->flags, __ATOMIC_RELAXED) & RECLOG_ALL_FILES) != 0;
	size_t length = strlen(path);

	for (uint32_t i = 0, count = database_count(l); i < count; i++) {
		const char *known = database(l, i);
		const char *slash = known == NULL ? NULL : strrchr(known, '/');

		if (slash != NULL && (size_t)(slash - known) == (length == 1 ? 0 : length) &&
		    strncmp(known, path, (size_t)(slash - known)) == 0)
			return true;
		if (all && known != NULL && same_folder(path, known))
			return true;
	}
	return false;
}

bool reclog_has_below(const struct reclog *l, const char *path)
{
	size_t length = strlen(path);

	for (uint32_t i = 0, count = database_count(l); i < count; i++) {
		const char *known = database(l, i);

		if (known != NULL && strncmp(known, path, length) == 0 && known[length] == '/')
			return true;
	}
	return false;
}

void reclog_names_changed(struct reclog *l)
{
	(void)__atomic_fetch_add(&reclog_header(l)->generation, 1, __ATOMIC_RELEASE);
}

/* ---- files whose content is known ---- */

static uint32_t state_of(struct reclog_inode *n)
{
	return __atomic_load_n(&n->state, __ATOMIC_SEQ_CST);
}

static void set_state(struct reclog_inode *n, uint32_t state)
{
	__atomic_store_n(&n->state, state, __ATOMIC_SEQ_CST);
}

/* The first entry of this file that is READING or DONE, below `limit`; or NULL. */
static struct reclog_inode *find(struct reclog_header *h, uint64_t dev, uint64_t ino,
				 uint32_t limit)
{
	for (uint32_t i = 0; i < limit; i++) {
		struct reclog_inode *n = &h->inodes[i];

		if (state_of(n) >= RECLOG_READING && n->ino == ino && n->dev == dev)
			return n;
	}
	return NULL;
}

static uint32_t inode_count(struct reclog_header *h)
{
	return __atomic_load_n(&h->inode_count, __ATOMIC_SEQ_CST);
}

/* Takes an entry and fills it; NULL when all are in use. */
static struct reclog_inode *take(struct reclog_header *h, uint64_t dev, uint64_t ino,
				 uint32_t state)
{
	for (uint32_t i = 0; i < RECLOG_INODES_MAX; i++) {
		struct reclog_inode *n = &h->inodes[i];
		uint32_t count = inode_count(h), expected = RECLOG_FREE;

		if (!__atomic_compare_exchange_n(&n->state, &expected, RECLOG_FILLING, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		while (count < i + 1 &&
		       !__atomic_compare_exchange_n(&h->inode_count, &count, i + 1, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		n->dev = dev;
		n->ino = ino;
		__atomic_store_n(&n->pid, (uint32_t)syscall(SYS_getpid), __ATOMIC_SEQ_CST);
		set_state(n, state);
		return n;
	}
	return NULL;
}

/* Waits until the entry is no longer READING. True: it is the caller's to read now, because its
 * owner is gone. */
static bool wait_or_inherit(struct reclog_inode *n)
{
	const struct timespec one_ms = {0, 1000000};
	uint32_t self = (uint32_t)syscall(SYS_getpid);

	for (int ms = 0; state_of(n) == RECLOG_READING; ms++) {
		uint32_t owner = __atomic_load_n(&n->pid, __ATOMIC_SEQ_CST);

		if (ms >= WAIT_MAX_MS ||
		    (syscall(SYS_kill, (pid_t)owner, 0) != 0 && errno == ESRCH)) {
			if (__atomic_compare_exchange_n(&n->pid, &owner, self, false,
							__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
				return true;
			ms = 0;
		}
		(void)syscall(SYS_nanosleep, &one_ms, NULL);
	}
	return false;
}

enum reclog_claim reclog_claim_inode(struct reclog *l, uint64_t dev, uint64_t ino)
{
	struct reclog_header *h = reclog_header(l);
	enum reclog_claim claim = RECLOG_NO_ROOM;
	int saved = errno;

	for (;;) {
		struct reclog_inode *n = find(h, dev, ino, inode_count(h)), *mine;

		if (n == NULL) {
			mine = take(h, dev, ino, RECLOG_READING);
			n = find(h, dev, ino, inode_count(h));
			if (mine != NULL && n == mine)
				claim = RECLOG_CLAIMED;
			if (mine == NULL || n == mine)
				break;
			set_state(mine, RECLOG_FREE);
			continue;
		}
		if (wait_or_inherit(n)) {
			claim = RECLOG_CLAIMED;
			break;
		}
		if (state_of(n) == RECLOG_DONE) {
			claim = RECLOG_KNOWN;
			break;
		}
	}
	errno = saved;
	return claim;
}

void reclog_inode_done(struct reclog *l, uint64_t dev, uint64_t ino)
{
	struct reclog_header *h = reclog_header(l);
	struct reclog_inode *n = find(h, dev, ino, inode_count(h));

	if (n != NULL)
		set_state(n, RECLOG_DONE);
	else
		(void)take(h, dev, ino, RECLOG_DONE);
}

void reclog_forget_inode(struct reclog *l, uint64_t dev, uint64_t ino)
{
	struct reclog_header *h = reclog_header(l);
	struct reclog_inode *n;

	while ((n = find(h, dev, ino, inode_count(h))) != NULL)
		set_state(n, RECLOG_FREE);
}
