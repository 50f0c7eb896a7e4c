/*
 * What each descriptor is. See preload.h.
 *
 * An entry is one word, so that threads see it whole: state, flags, the slot of a recorded file,
 * and the generation (log.h) of a regular file that is not recorded, which is looked at again when
 * that has grown. Entries of recorded descriptors have a slot each, also when they are of the same
 * file.
 *
 * The table can be wrong: the C library closes descriptors inside itself (fclose, posix_spawn), and
 * programs do by raw system calls. FD_VERIFY finds that out; open() finds it out when it returns a
 * descriptor that the table thinks open. Descriptors that came from elsewhere (inherited, received)
 * are looked at when they are used first.
 */
#include "faultinject/record/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	FDS_MAX = 1 << 16, /* descriptors that are looked at */
	SLOTS_MAX = 2048,  /* recorded ones at a time */
};

enum fd_state {
	FD_UNKNOWN,
	FD_PLAIN, /* a regular file that is not recorded */
	FD_SOCKET,
	FD_FOLDER,
	FD_OTHER,
	FD_FILE, /* recorded */
};

enum { ENTRY_CREATED = 1 };

struct entry {
	uint8_t state, flags;
	uint16_t slot;
	uint32_t generation;
};
_Static_assert(sizeof(struct entry) == sizeof(uint64_t), "one word");

static struct entry fds[FDS_MAX];
static struct file slots[SLOTS_MAX];
static int fd_end; /* all entries from here on are zero */

static struct entry entry_of(int fd)
{
	struct entry e = {0};

	if (fd >= 0 && fd < FDS_MAX)
		__atomic_load(&fds[fd], &e, __ATOMIC_ACQUIRE);
	return e;
}

static void set_entry(int fd, struct entry e)
{
	int end = __atomic_load_n(&fd_end, __ATOMIC_RELAXED);

	if (fd < 0 || fd >= FDS_MAX)
		return;
	__atomic_store(&fds[fd], &e, __ATOMIC_RELEASE);
	while (end <= fd && !__atomic_compare_exchange_n(&fd_end, &end, fd + 1, false,
							 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

int raw_fstat(int fd, struct stat *ret)
{
	return (int)syscall(SYS_fstat, fd, ret);
}

int raw_stat(int at, const char *path, int flags, struct stat *ret)
{
	int saved = errno, rc = (int)syscall(SYS_newfstatat, at, path, ret, flags);

	errno = saved;
	return rc;
}

long raw_fcntl(int fd, int command)
{
	int saved = errno;
	long rc = syscall(SYS_fcntl, fd, command, 0);

	errno = saved;
	return rc;
}

ssize_t raw_pread(int fd, void *buf, size_t size, off_t offset)
{
	return syscall(SYS_pread64, fd, buf, size, offset);
}

static uint32_t generation_now(void)
{
	return __atomic_load_n(&reclog_header(&preload_log)->generation, __ATOMIC_ACQUIRE);
}

/* ---- slots ---- */

static struct file *slot_of(struct entry e)
{
	return e.state == FD_FILE ? &slots[e.slot] : NULL;
}

static struct file *take_slot(void)
{
	for (int i = 0; i < SLOTS_MAX; i++) {
		uint32_t expected = 0;

		if (__atomic_compare_exchange_n(&slots[i].taken, &expected, 1, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return &slots[i];
	}
	return NULL;
}

static void give_slot(struct file *f)
{
	f->flags = 0;
	__atomic_store_n(&f->taken, 0, __ATOMIC_RELEASE);
}

static uint32_t open_flags(int fd)
{
	long flags = raw_fcntl(fd, F_GETFL);
	uint32_t ret = 0;

	if (flags >= 0 && (flags & O_APPEND) != 0)
		ret |= FILE_APPEND;
	if (flags >= 0 && (flags & O_DSYNC) != 0) /* O_SYNC has its bit, too */
		ret |= FILE_DSYNC;
	return ret;
}

/* Another descriptor of the file of `f`, or -1. */
static int sibling_of(int fd, const struct file *f)
{
	int end = __atomic_load_n(&fd_end, __ATOMIC_RELAXED);

	for (int i = 0; i < end; i++) {
		const struct file *other = i == fd ? NULL : slot_of(entry_of(i));

		if (other != NULL && other->ino == f->ino && other->dev == f->dev)
			return i;
	}
	return -1;
}

/* ---- looking ---- */

static struct file *keep(int fd, const char *path, const struct stat *st, bool shm)
{
	struct file *f = fd < FDS_MAX ? take_slot() : NULL;

	if (f == NULL) {
		preload_trouble("too many descriptors of databases are open to record", path);
		return NULL;
	}
	f->flags = open_flags(fd) | (shm ? FILE_SHM : 0u);
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->family = delta_family(path);
	memcpy(f->path, path, strlen(path) + 1);
	set_entry(fd, (struct entry){.state = FD_FILE, .slot = (uint16_t)(f - slots)});
	return f;
}

/* A WAL index is recorded by its locks only, which need its name. */
static void name_shm(const char *path, const struct stat *st)
{
	struct reclog_entry e = {.head = {.type = RECLOG_OPEN,
					  .flags = RECLOG_SHM | RECLOG_EXISTED,
					  .dev = st->st_dev,
					  .ino = st->st_ino},
				 .path = path};

	preload_once(&e);
}

/* Finds out what `fd` is. In a child of vfork the table stays as it is. */
static struct file *look(int fd, bool created)
{
	struct entry e = {.state = FD_OTHER, .generation = generation_now()};
	char path[RECLOG_PATH_MAX];
	struct stat st;
	bool shm = false;

	if (raw_fstat(fd, &st) != 0)
		return NULL;
	if (S_ISREG(st.st_mode))
		e.state = FD_PLAIN;
	else if (S_ISSOCK(st.st_mode))
		e.state = FD_SOCKET;
	else if (S_ISDIR(st.st_mode))
		e.state = FD_FOLDER;
	if (created)
		e.flags |= ENTRY_CREATED;

	if (e.state == FD_PLAIN && st.st_nlink > 0 && e.generation > 0 && path_of_fd(fd, path) &&
	    reclog_is_recorded(&preload_log, path, &shm)) {
		if (preload_self.vforked) {
			preload_trouble("a child of vfork uses a file", path);
			return NULL;
		}
		if (!shm)
			file_known(path, &st, fd, created);
		else
			name_shm(path, &st);
		return keep(fd, path, &st, shm);
	}
	if (!preload_self.vforked)
		set_entry(fd, e);
	return NULL;
}

/* A descriptor that nobody saw opened, of a recorded file. */
static struct file *found(int fd)
{
	bool created = (entry_of(fd).flags & ENTRY_CREATED) != 0;
	struct file *f = look(fd, created);

	if (f != NULL && (f->flags & FILE_SHM) == 0) {
		struct reclog_entry e = {.head = {.type = RECLOG_OPEN,
						  .flags = RECLOG_EXISTED,
						  .dev = f->dev,
						  .ino = f->ino},
					 .path = f->path};

		preload_once(&e);
	}
	return f;
}

/* The descriptor was closed behind our back. */
static void lost(int fd)
{
	struct file *f = slot_of(entry_of(fd));

	set_entry(fd, (struct entry){0});
	if (f == NULL)
		return;
	if (sibling_of(fd, f) < 0) {
		struct reclog_entry e = {
		    .head = {.type = RECLOG_CLOSE,
			     .flags = (f->flags & FILE_SHM) != 0 ? RECLOG_SHM : 0,
			     .dev = f->dev,
			     .ino = f->ino},
		    .path = f->path};

		preload_once(&e);
	}
	give_slot(f);
}

static bool is_still(int fd, const struct file *f)
{
	struct stat st;

	return raw_fstat(fd, &st) == 0 && st.st_ino == f->ino && st.st_dev == f->dev;
}

struct file *fd_file(int fd, enum fd_check check)
{
	struct entry e = entry_of(fd);
	struct file *f = slot_of(e);
	int saved;

	if (e.state == FD_PLAIN && e.generation == generation_now())
		return NULL;
	if (e.state > FD_PLAIN && e.state < FD_FILE)
		return NULL;
	if (f != NULL && check == FD_TRUST && !preload_self.vforked)
		return f;
	saved = errno;
	if (f != NULL && !is_still(fd, f)) {
		if (!preload_self.vforked)
			lost(fd);
		f = NULL;
	}
	if (f == NULL)
		f = found(fd);
	errno = saved;
	return f;
}

struct file *fd_make_file(int fd, const char *path, const struct stat *st)
{
	if (entry_of(fd).state == FD_FILE)
		lost(fd);
	return keep(fd, path, st, false);
}

bool fd_was_created(int fd)
{
	return (entry_of(fd).flags & ENTRY_CREATED) != 0;
}

bool fd_is_plain(int fd)
{
	enum fd_state state = entry_of(fd).state;

	return state == FD_PLAIN || state == FD_UNKNOWN;
}

bool fd_is_socket(int fd)
{
	if (entry_of(fd).state == FD_UNKNOWN)
		(void)fd_file(fd, FD_TRUST);
	return entry_of(fd).state == FD_SOCKET;
}

bool fd_is_folder(int fd, char ret[RECLOG_PATH_MAX])
{
	struct stat st;

	return generation_now() > 0 && raw_fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) &&
	       path_of_fd(fd, ret) && reclog_has_folder(&preload_log, ret);
}

/* ---- what the program does to descriptors ---- */

struct file *fd_opened(int fd, bool created)
{
	struct file *f = NULL;
	int saved = errno;

	if (preload_self.vforked)
		return NULL;
	if (entry_of(fd).state == FD_FILE)
		lost(fd);
	if (generation_now() > 0)
		f = look(fd, created);
	else
		set_entry(fd, (struct entry){.flags = created ? ENTRY_CREATED : 0});
	errno = saved;
	return f;
}

void fd_duplicated(int from, int to)
{
	struct entry e = entry_of(from);
	struct file *f = slot_of(e), *copy;

	if (preload_self.vforked || from == to)
		return;
	if (entry_of(to).state == FD_FILE)
		lost(to);
	if (f == NULL) {
		set_entry(to, e);
		return;
	}
	copy = to < FDS_MAX ? take_slot() : NULL;
	if (copy == NULL) {
		preload_trouble("too many descriptors of databases are open to record", f->path);
		return;
	}
	copy->flags = f->flags & ~(uint32_t)FILE_WRITTEN;
	copy->dev = f->dev;
	copy->ino = f->ino;
	copy->family = f->family;
	memcpy(copy->path, f->path, strlen(f->path) + 1);
	e.slot = (uint16_t)(copy - slots);
	set_entry(to, e);
}

static struct reclog_entry entry_for(uint8_t type, const struct file *f)
{
	return (struct reclog_entry){.head = {.type = type,
					      .flags = (f->flags & FILE_SHM) != 0 ? RECLOG_SHM : 0,
					      .dev = f->dev,
					      .ino = f->ino},
				     .path = f->path};
}

void fd_closing(int fd)
{
	struct entry e = entry_of(fd);
	int saved = errno, sibling;
	struct file *f;

	if (preload_self.vforked || (e.state == FD_UNKNOWN && generation_now() == 0))
		return;
	/* Closing any descriptor of a recorded file counts, so one that became recorded does. */
	f = e.state == FD_UNKNOWN ? NULL : fd_file(fd, FD_VERIFY);
	if (f != NULL) {
		sibling = sibling_of(fd, f);
		if (sibling >= 0) {
			struct file *other = slot_of(entry_of(sibling));

			if (other != NULL)
				other->flags |= f->flags & (FILE_WRITTEN | FILE_LOCKED);
			if (((other != NULL ? other : f)->flags & FILE_LOCKED) != 0) {
				struct reclog_entry unlock = entry_for(RECLOG_UNLOCK, f);

				preload_once(&unlock);
			}
		} else {
			struct reclog_entry close = entry_for(RECLOG_CLOSE, f);

			file_digest(fd, f, true);
			preload_once(&close);
		}
	}
	set_entry(fd, (struct entry){0});
	if (f != NULL)
		give_slot(f);
	errno = saved;
}

void fd_closing_range(unsigned first, unsigned last)
{
	int end = __atomic_load_n(&fd_end, __ATOMIC_RELAXED);

	for (unsigned i = first; i <= last && i < (unsigned)end; i++)
		fd_closing((int)i);
}

void fd_flags_changed(int fd)
{
	int end = __atomic_load_n(&fd_end, __ATOMIC_RELAXED);
	const struct file *f = slot_of(entry_of(fd));

	for (int i = 0; f != NULL && i < end; i++) {
		struct file *other = slot_of(entry_of(i));

		if (other != NULL && other->ino == f->ino)
			other->flags =
			    (other->flags & ~(uint32_t)(FILE_APPEND | FILE_DSYNC)) | open_flags(i);
	}
}

void fd_each_file(void (*use)(int fd, struct file *f, const struct stat *of), const struct stat *of)
{
	int end = __atomic_load_n(&fd_end, __ATOMIC_RELAXED);

	for (int i = 0; i < end; i++) {
		struct file *f = slot_of(entry_of(i));

		if (f != NULL)
			use(i, f, of);
	}
}

/* ---- fork, exec ---- */

static void is_a_copy(int fd, struct file *f, const struct stat *of)
{
	(void)fd;
	(void)of;
	f->flags &= ~(uint32_t)(FILE_WRITTEN | FILE_LOCKED);
}

void fd_after_fork(void)
{
	fd_each_file(is_a_copy, NULL);
}

static bool stays_open(int fd)
{
	long flags = raw_fcntl(fd, F_GETFD);

	return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

/* Appends a record for each file of which the exec closes all descriptors. */
static void log_closed_by_exec(uint8_t type, uint16_t flags)
{
	int end = __atomic_load_n(&fd_end, __ATOMIC_RELAXED);

	for (int i = 0; i < end; i++) {
		struct file *f = slot_of(entry_of(i));
		bool first = f != NULL, stays = false;

		for (int j = 0; f != NULL && j < end; j++) {
			const struct file *other = slot_of(entry_of(j));

			if (other == NULL || other->ino != f->ino || other->dev != f->dev)
				continue;
			first = first && j >= i;
			stays = stays || stays_open(j);
		}
		if (first && !stays && ((f->flags & FILE_SHM) == 0 || type == RECLOG_CLOSE)) {
			struct reclog_entry e = entry_for(type, f);

			e.head.flags |= flags;
			preload_once(&e);
		}
	}
}

void fd_before_exec(void)
{
	log_closed_by_exec(RECLOG_CLOSE, 0);
}

void fd_exec_failed(void)
{
	log_closed_by_exec(RECLOG_OPEN, RECLOG_EXISTED);
}

/* ---- our own descriptors of a file that we know by its inode ---- */

struct linux_dirent64 {
	uint64_t ino;
	int64_t next;
	unsigned short size;
	unsigned char type;
	char name[];
};

static int number(const char *s)
{
	int v = 0;

	for (; *s >= '0' && *s <= '9' && v < 100000000; s++)
		v = v * 10 + (*s - '0');
	return *s == '\0' ? v : -1;
}

int fd_of_inode(uint64_t dev, uint64_t ino)
{
	int folder = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd",
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	_Alignas(struct linux_dirent64) char buf[2048];
	int found_fd = -1;
	long size;

	while (found_fd < 0 && folder >= 0 &&
	       (size = syscall(SYS_getdents64, folder, buf, sizeof buf)) > 0) {
		const struct linux_dirent64 *d;

		for (long at = 0; at < size && found_fd < 0; at += d->size) {
			struct stat st;
			int fd;

			d = (const struct linux_dirent64 *)(const void *)(buf + at);
			fd = d->name[0] == '.' ? -1 : number(d->name);
			if (fd < 0 || raw_fstat(fd, &st) != 0 || st.st_ino != ino ||
			    st.st_dev != dev)
				continue;
			if ((raw_fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
				found_fd = -2;
			else
				found_fd = fd;
		}
	}
	if (folder >= 0)
		(void)syscall(SYS_close, folder);
	return found_fd;
}
