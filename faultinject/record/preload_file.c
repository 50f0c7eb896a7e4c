/*
 * Files: when one becomes a database, what it held before, and what it holds in the end. See
 * preload.h.
 *
 * A file is a database when SQLite locks it, or when its magic is written at its beginning, or when
 * somebody opens its journal or log for writing, or empties it. Before the first lock SQLite
 * changes nothing, so what the file holds then is what it held before.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#define XXH_NO_STDLIB
#include <xxhash.h>

enum {
	PIECE_SIZE = 16 << 10,	   /* read at a time; it is on the stack */
	CLOSE_SIZE_MAX = 16 << 20, /* of a file whose digest is taken whenever it is closed */
};

const char preload_magic[16] = "SQLite format 3";

/* ---- what it held before ---- */

static bool in_recording(int64_t seconds, uint64_t ns)
{
	return (uint64_t)seconds * 1000000000u + ns >= reclog_header(&preload_log)->started_ns;
}

/* When the file was made; false: the file system does not say. */
static bool birth(int fd, const char *path, struct statx_timestamp *ret)
{
	struct statx sx;
	long rc = fd >= 0 ? syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BTIME, &sx)
			  : syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BTIME, &sx);

	if (rc != 0 || (sx.stx_mask & STATX_BTIME) == 0)
		return false;
	*ret = sx.stx_btime;
	return true;
}

/* Returns 0 or minus errno. */
static int log_pieces(int fd, uint64_t begin, const struct stat *st, uint64_t *ret_size)
{
	char buf[PIECE_SIZE];
	uint64_t at = 0;
	ssize_t n = 0;

	while (at < (uint64_t)st->st_size && (n = raw_pread(fd, buf, sizeof buf, (off_t)at)) > 0) {
		struct reclog_entry e = {.head = {.type = RECLOG_CONTENT,
						  .begin = begin,
						  .dev = st->st_dev,
						  .ino = st->st_ino,
						  .offset = at},
					 .data = buf,
					 .data_size = (size_t)n};

		preload_once(&e);
		at += (uint64_t)n;
	}
	*ret_size = at;
	return n < 0 ? -errno : 0;
}

/* A descriptor of the file that can be read. *ret_ours: it was opened here, and nobody of this
 * process has another one that would lose its locks when it is closed. */
static int readable(const char *path, const struct stat *st, int fd, bool *ret_ours)
{
	*ret_ours = false;
	if (fd >= 0 && (raw_fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY)
		return fd;
	fd = fd_of_inode(st->st_dev, st->st_ino);
	if (fd == -1) {
		fd = (int)syscall(SYS_openat, AT_FDCWD, path,
				  O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
		*ret_ours = fd >= 0;
	}
	return fd;
}

static void log_content(const char *path, const struct stat *st, int fd)
{
	struct reclog_entry e = {.head = {.type = RECLOG_FILE,
					  .moment = RECLOG_BEGIN,
					  .flags = RECLOG_EXISTED,
					  .dev = st->st_dev,
					  .ino = st->st_ino,
					  .length = (uint64_t)st->st_size},
				 .path = path};
	const struct preload_self who = preload_who();
	uint64_t size = 0;
	bool ours = false;
	int from = -1, rc = 0;

	e.head.pid = who.pid;
	e.head.tid = who.tid;
	e.head.begin = reclog_append(&preload_log, &e);
	if (st->st_size > 0) {
		from = readable(path, st, fd, &ours);
		rc = from >= 0 ? log_pieces(from, e.head.begin, st, &size) : -EBADF;
	}
	if (ours)
		(void)syscall(SYS_close, from);
	if (rc != 0 || size != (uint64_t)st->st_size)
		preload_trouble("what it held before cannot be read", path);
	e.head.moment = RECLOG_END;
	(void)reclog_append(&preload_log, &e);
}

void file_known(const char *path, const struct stat *st, int fd, bool created)
{
	const bool written = in_recording(st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec);
	int saved = errno;
	struct statx_timestamp born = {0};
	bool fresh, has_birth;

	if (reclog_claim_inode(&preload_log, st->st_dev, st->st_ino) == RECLOG_KNOWN)
		return;
	has_birth = birth(fd, path, &born);
	fresh = created || (has_birth && in_recording(born.tv_sec, born.tv_nsec));
	if (st->st_size == 0 && fresh) {
		struct reclog_entry e = {
		    .head = {.type = RECLOG_FILE, .dev = st->st_dev, .ino = st->st_ino},
		    .path = path};

		preload_once(&e);
	} else {
		/* What it holds counts as durable, so it must be from before. An empty one that
		 * is older than the recording was emptied in it; without a birth time nobody
		 * knows. */
		if (created)
			preload_trouble("was written before it was known to be a database, or "
					"unseen",
					path);
		else if ((fresh || written) && (st->st_size > 0 || has_birth))
			preload_trouble("was written while the program ran, before it was known to "
					"be a database",
					path);
		log_content(path, st, fd);
	}
	reclog_inode_done(&preload_log, st->st_dev, st->st_ino);
	errno = saved;
}

/* ---- becoming a database ---- */

struct linux_dirent64 {
	uint64_t ino;
	int64_t next;
	unsigned short size;
	unsigned char type;
	char name[];
};

static void sibling_known(const char *path)
{
	struct stat st;

	if (raw_stat(AT_FDCWD, path, 0, &st) == 0 && S_ISREG(st.st_mode))
		file_known(path, &st, -1, false);
}

/* The files beside it whose names are its own and something behind. */
static void siblings_known(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t folder = (size_t)(slash - path), length = strlen(slash + 1);
	_Alignas(struct linux_dirent64) char buf[2048];
	char other[RECLOG_PATH_MAX];
	long size;
	int fd;

	memcpy(other, path, folder + 1);
	other[folder + 1] = '\0';
	fd = (int)syscall(SYS_openat, AT_FDCWD, other, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	while (fd >= 0 && (size = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0) {
		const struct linux_dirent64 *d;

		for (long at = 0; at < size; at += d->size) {
			d = (const struct linux_dirent64 *)(const void *)(buf + at);
			if (strlen(d->name) <= length || memcmp(d->name, slash + 1, length) != 0 ||
			    d->name[length] != '-' || strcmp(d->name + length, "-shm") == 0 ||
			    folder + 1 + strlen(d->name) >= sizeof other)
				continue;
			memcpy(other + folder + 1, d->name, strlen(d->name) + 1);
			sibling_known(other);
		}
	}
	if (fd >= 0)
		(void)syscall(SYS_close, fd);
}

static bool has_suffix(const char *path, const char *suffix)
{
	size_t a = strlen(path), b = strlen(suffix);

	return a > b && strcmp(path + a - b, suffix) == 0;
}

struct file *file_is_database(int fd)
{
	char path[RECLOG_PATH_MAX];
	int saved = errno;
	struct file *f = NULL;
	struct stat st;

	if (!preload_self.vforked && raw_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_nlink > 0 && path_of_fd(fd, path) && !has_suffix(path, "-shm") &&
	    reclog_add_database(&preload_log, path)) {
		file_known(path, &st, fd, fd_was_created(fd));
		siblings_known(path);
		f = fd_make_file(fd, path, &st);
	}
	errno = saved;
	return f;
}

/* Is it a database, by its magic, or empty and open here? It is not opened for that look when this
 * process has it open already. */
static bool looks_like_one(const char *path, const struct stat *st)
{
	char buf[sizeof preload_magic];
	bool ours, is;
	int fd;

	if (st->st_size == 0)
		return fd_of_inode(st->st_dev, st->st_ino) >= 0;
	fd = readable(path, st, -1, &ours);
	is = fd >= 0 && raw_pread(fd, buf, sizeof buf, 0) == sizeof buf &&
	     memcmp(buf, preload_magic, sizeof buf) == 0;
	if (ours)
		(void)syscall(SYS_close, fd);
	return is;
}

static void is_known_as_one(const char *path, const struct stat *st)
{
	bool shm;

	if (!reclog_is_recorded(&preload_log, path, &shm) && looks_like_one(path, st) &&
	    reclog_add_database(&preload_log, path)) {
		file_known(path, st, -1, false);
		siblings_known(path);
	}
}

void file_look_beside(const char *path)
{
	size_t suffix = has_suffix(path, "-wal") ? 4 : has_suffix(path, "-journal") ? 8 : 0;
	size_t length = strlen(path) - suffix;
	char name[RECLOG_PATH_MAX];
	struct stat st;

	if (suffix == 0)
		return;
	memcpy(name, path, length);
	name[length] = '\0';
	if (raw_stat(AT_FDCWD, name, 0, &st) == 0 && S_ISREG(st.st_mode))
		is_known_as_one(name, &st);
}

void file_look_inside(const char *path, const struct stat *st)
{
	if (st->st_size > 0)
		is_known_as_one(path, st);
}

/* ---- what it holds in the end ---- */

static int64_t digest(int fd, uint64_t *ret_size, uint64_t *ret_hash)
{
	XXH3_state_t state;
	char buf[PIECE_SIZE];
	uint64_t at = 0;
	ssize_t n;

	(void)XXH3_64bits_reset(&state);
	while ((n = raw_pread(fd, buf, sizeof buf, (off_t)at)) > 0) {
		(void)XXH3_64bits_update(&state, buf, (size_t)n);
		at += (uint64_t)n;
	}
	*ret_size = at;
	*ret_hash = XXH3_64bits_digest(&state);
	return n < 0 ? -errno : 0;
}

void file_digest(int fd, struct file *f, bool closing)
{
	struct reclog_entry e = {
	    .head = {.type = RECLOG_DIGEST, .dev = f->dev, .ino = f->ino, .moment = RECLOG_BEGIN},
	    .path = f->path};
	const struct preload_self who = preload_who();
	struct stat st;

	if ((f->flags & FILE_WRITTEN) == 0 || (f->flags & FILE_SHM) != 0 ||
	    raw_fstat(fd, &st) != 0 || st.st_ino != f->ino || st.st_dev != f->dev ||
	    (closing && st.st_size > CLOSE_SIZE_MAX))
		return;
	e.head.pid = who.pid;
	e.head.tid = who.tid;
	e.head.begin = reclog_append(&preload_log, &e);
	if (e.head.begin == 0)
		return;
	e.head.moment = RECLOG_END;
	e.head.result = digest(fd, &e.head.length, &e.head.offset);
	(void)reclog_append(&preload_log, &e);
	f->flags &= ~(uint32_t)FILE_WRITTEN;
}

static void digest_now(int fd, struct file *f, const struct stat *of)
{
	if (of == NULL || (f->ino == of->st_ino && f->dev == of->st_dev))
		file_digest(fd, f, false);
}

void file_digest_all(void)
{
	int saved = errno;

	fd_each_file(digest_now, NULL);
	errno = saved;
}

void file_digest_one(const struct stat *of)
{
	int saved = errno;

	fd_each_file(digest_now, of);
	errno = saved;
}
