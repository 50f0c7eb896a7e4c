/*
 * rename, unlink, link. See preload.h.
 *
 * A file that comes to a recorded name from one that is not is known from then on, with what it
 * held: how it was written was not seen.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool on(void)
{
	return preload_on() &&
	       __atomic_load_n(&reclog_header(&preload_log)->database_count, __ATOMIC_ACQUIRE) > 0;
}

/* Resolves the name; is it a recorded one (but not of a WAL index, which is not followed)? */
static bool recorded_name(int at, const char *path, char ret[RECLOG_PATH_MAX])
{
	bool shm;

	ret[0] = '\0';
	return path_resolve(at, path, false, ret) && reclog_is_recorded(&preload_log, ret, &shm) &&
	       !shm;
}

/* ---- unlink ---- */

struct removing {
	struct preload_call call;
	bool logged, last;
	struct stat st;
};

static void before_unlink(struct removing *r, int at, const char *path)
{
	char resolved[RECLOG_PATH_MAX];
	struct reclog_entry e = {.head = {.type = RECLOG_UNLINK}, .path = resolved};

	r->logged = on() && path != NULL && recorded_name(at, path, resolved);
	if (!r->logged)
		return;
	r->last =
	    raw_stat(AT_FDCWD, resolved, AT_SYMLINK_NOFOLLOW, &r->st) == 0 && r->st.st_nlink == 1;
	/* When it is closed, nobody reads it any more if it is large. */
	if (r->last)
		file_digest_one(&r->st);
	r->call = preload_begin(&e);
}

static void after_unlink(struct removing *r, int rc)
{
	if (!r->logged)
		return;
	if (rc == 0 && r->last)
		reclog_forget_inode(&preload_log, r->st.st_dev, r->st.st_ino);
	preload_end(r->call, NULL, rc);
}

EXPORT int unlink(const char *path)
{
	struct removing r;
	int rc;

	before_unlink(&r, AT_FDCWD, path);
	rc = REAL(unlink)(path);
	after_unlink(&r, rc);
	return rc;
}

EXPORT int unlinkat(int at, const char *path, int flags)
{
	struct removing r = {0};
	int rc;

	if ((flags & AT_REMOVEDIR) == 0)
		before_unlink(&r, at, path);
	rc = REAL(unlinkat)(at, path, flags);
	after_unlink(&r, rc);
	return rc;
}

EXPORT int remove(const char *path)
{
	struct removing r;
	int rc;

	before_unlink(&r, AT_FDCWD, path);
	rc = REAL(remove)(path);
	after_unlink(&r, rc);
	return rc;
}

/* ---- rename, link ---- */

struct naming {
	struct preload_call call;
	bool logged, replaces;
	struct stat old; /* what the new name led to, if `replaces` */
};

static void before_naming(struct naming *n, uint8_t type, int from_at, const char *from, int to_at,
			  const char *to, unsigned flags)
{
	char path[RECLOG_PATH_MAX], path2[RECLOG_PATH_MAX];
	struct reclog_entry e = {
	    .head = {.type = type, .mode = flags & RENAME_EXCHANGE}, .path = path, .path2 = path2};
	bool a, b;
	struct stat st;

	n->logged = n->replaces = false;
	if (!on() || from == NULL || to == NULL)
		return;
	a = recorded_name(from_at, from, path);
	b = recorded_name(to_at, to, path2);
	if (path[0] != '\0' && reclog_has_below(&preload_log, path))
		preload_trouble("a folder with a database in it was renamed", path);
	if (!a && !b)
		return;
	n->logged = true;
	if (!a && raw_stat(AT_FDCWD, path, 0, &st) == 0 && S_ISREG(st.st_mode))
		file_known(path, &st, -1, false);
	if ((flags & RENAME_EXCHANGE) != 0 && !b && raw_stat(AT_FDCWD, path2, 0, &st) == 0 &&
	    S_ISREG(st.st_mode))
		file_known(path2, &st, -1, false);
	n->replaces = type == RECLOG_RENAME && flags == 0 &&
		      raw_stat(AT_FDCWD, path2, AT_SYMLINK_NOFOLLOW, &n->old) == 0 &&
		      n->old.st_nlink == 1;
	n->call = preload_begin(&e);
}

static void after_naming(struct naming *n, int rc)
{
	if (!n->logged)
		return;
	if (rc == 0 && n->replaces)
		reclog_forget_inode(&preload_log, n->old.st_dev, n->old.st_ino);
	reclog_names_changed(&preload_log);
	preload_end(n->call, NULL, rc);
}

EXPORT int rename(const char *from, const char *to)
{
	struct naming n;
	int rc;

	before_naming(&n, RECLOG_RENAME, AT_FDCWD, from, AT_FDCWD, to, 0);
	rc = REAL(rename)(from, to);
	after_naming(&n, rc);
	return rc;
}

EXPORT int renameat(int from_at, const char *from, int to_at, const char *to)
{
	struct naming n;
	int rc;

	before_naming(&n, RECLOG_RENAME, from_at, from, to_at, to, 0);
	rc = REAL(renameat)(from_at, from, to_at, to);
	after_naming(&n, rc);
	return rc;
}

EXPORT int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
	struct naming n;
	int rc;

	before_naming(&n, RECLOG_RENAME, from_at, from, to_at, to, flags);
	rc = REAL(renameat2)(from_at, from, to_at, to, flags);
	after_naming(&n, rc);
	return rc;
}

EXPORT int link(const char *from, const char *to)
{
	struct naming n;
	int rc;

	before_naming(&n, RECLOG_LINK, AT_FDCWD, from, AT_FDCWD, to, 0);
	rc = REAL(link)(from, to);
	after_naming(&n, rc);
	return rc;
}

EXPORT int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	struct naming n;
	int rc;

	before_naming(&n, RECLOG_LINK, from_at, from, to_at, to, 0);
	rc = REAL(linkat)(from_at, from, to_at, to, flags);
	after_naming(&n, rc);
	return rc;
}
