/*
 * The LD_PRELOAD recorder, inside. It stands between a program and the C library's file functions
 * and writes what they do to the files of databases into the log (log.h).
 *
 *     preload.c          start, end, fork, vfork
 *     preload_log.c      a call in the log: its begin, its end, output, marks, kills
 *     preload_fd.c       what each descriptor is
 *     preload_file.c     when a file becomes a database; its content, its digest
 *     preload_path.c     names without symbolic links
 *     preload_open.c     open, close, dup
 *     preload_write.c    write, pwrite, writev
 *     preload_delta.c    what of a write is new
 *     preload_size.c     truncate, fallocate, mmap, sync
 *     preload_copy.c     copies from descriptor to descriptor
 *     preload_name.c     rename, unlink, link
 *     preload_lock.c     fcntl
 *     preload_exec.c     exec, posix_spawn
 *     preload_socket.c   send
 *     preload_statement.c  the statements that SQLite runs
 *
 * The rules of all of them. A function does what the C library's does, returns what it returns, and
 * leaves errno as that left it. Nothing is allocated, no lock is held, and raw system calls are
 * used, because a program calls these functions in signal handlers, between fork and exec, and
 * inside its malloc. The raw calls must not disturb the program: closing a descriptor of a file
 * drops all the POSIX locks that the process has on it, so no descriptor of a database's main file
 * is ever opened.
 *
 * Not seen: system calls that a program makes itself or through the C library's insides (stdio),
 * io_uring, writes through a mapping. They show when the content of the file is compared (DIGEST).
 * Before a file is known they show in its times: what it holds then counts as durable, so a file
 * that was made or written since the recording began is a TROUBLE.
 *
 * For glibc on 64-bit Linux.
 */
#ifndef RECORD_PRELOAD_H
#define RECORD_PRELOAD_H

#include "faultinject/record/log.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

_Static_assert(sizeof(off_t) == 8, "the functions with and without 64 are the same");

#define EXPORT __attribute__((visibility("default")))

/* The function that the program would have got without us. */
void *preload_next(const char *name);
#define REAL(name)                                                                                 \
	({                                                                                         \
		static __typeof__(&(name)) next_;                                                  \
		if (__builtin_expect(next_ == NULL, 0))                                            \
			next_ = (__typeof__(&(name)))preload_next(#name);                          \
		next_;                                                                             \
	})

/* On 64-bit machines the functions with and without 64 are the same. */
#define SAME_AS(name, other)                                                                       \
	extern __typeof__(name)(other) __attribute__((alias(#name), visibility("default")))

/* ---- preload.c ---- */

extern struct reclog preload_log;

enum { PRELOAD_NEW, PRELOAD_STARTING, PRELOAD_OFF, PRELOAD_ON };
extern uint32_t preload_state_;
bool preload_on_slowly(void);

/* Is anything recorded in this process? Starts the recorder when it did not run yet: another
 * library's constructor may come first. */
static inline bool preload_on(void)
{
	uint32_t state = __atomic_load_n(&preload_state_, __ATOMIC_ACQUIRE);

	return state == PRELOAD_ON || (state == PRELOAD_NEW && preload_on_slowly());
}

struct preload_self {
	uint32_t pid, tid;
	bool vforked; /* in the child of a vfork, which borrows the parent's memory */
};
extern __thread struct preload_self preload_self __attribute__((tls_model("initial-exec")));
struct preload_self preload_ask(void);
static inline struct preload_self preload_who(void)
{
	struct preload_self who = preload_self;

	return __builtin_expect(who.tid != 0 && !who.vforked, 1) ? who : preload_ask();
}
extern char preload_library[RECLOG_PATH_MAX]; /* our own path */

/* ---- preload_log.c ---- */

struct iovec;

/* Appends a record of moment ONCE. */
void preload_once(struct reclog_entry *e);
/* "what: path", to the log. */
void preload_trouble(const char *what, const char *path);

/* An effective call under way. */
struct preload_call {
	uint64_t begin;	 /* of its record */
	uint64_t number; /* among the effective calls */
	uint8_t type;
};

/* Before an effective call: notes output and marks, counts, kills when told to, appends the BEGIN.
 * With RECLOG_LOCK and RECLOG_UNLOCK nothing is appended. */
struct preload_call preload_begin(struct reclog_entry *e);
struct preload_call preload_begin_pieces(struct reclog_entry *e, const struct iovec *pieces,
					 int piece_count);
/* After it. `result`: what it returned; when that is -1, errno says why. `e` may be NULL; errno is
 * kept. */
void preload_end(struct preload_call c, struct reclog_entry *e, int64_t result);
void preload_look(void); /* notes output and marks */
bool preload_watches_output(void);
/* The program opens this file, for writing: is it the one of the output or of the marks? Marks are
 * watched from then on. NULL: it is none, or the open does not take anything away; else what to say
 * to preload_trouble() when the open succeeds. */
const char *preload_watched(const struct stat *st, bool truncates);
void preload_output(const struct iovec *v, int count, size_t size);

/* ---- preload_delta.c ---- */

enum { DELTA_PIECES_MAX = 24 };
/* preload_begin_pieces() of a RECLOG_WRITE, with no more data than needed. */
struct preload_call delta_begin(struct reclog_entry *e, const struct iovec *v, int count,
				uint32_t family);
/* The same for a database, its log and its journal. */
uint32_t delta_family(const char *path);

/* ---- preload_path.c ---- */

enum { FD_LINK_SIZE = 32 };
/* "/proc/self/fd/N" */
void path_fd_link(int fd, char ret[FD_LINK_SIZE]);
/* The name of an open file; false: it has none any more. */
bool path_of_fd(int fd, char ret[RECLOG_PATH_MAX]);
/* Where `path` leads from the folder `at`, all symbolic links followed but, without `follow`, that
 * of the last part. The last part need not exist. */
bool path_resolve(int at, const char *path, bool follow, char ret[RECLOG_PATH_MAX]);

/* ---- preload_fd.c ---- */

enum {
	FILE_SHM = 1,
	FILE_APPEND = 2,
	FILE_DSYNC = 4,
	FILE_WRITTEN = 8, /* by this process, since the last digest */
	FILE_LOCKED = 16, /* a POSIX lock was taken */
};

/* A recorded descriptor. */
struct file {
	uint32_t taken; /* atomic */
	uint32_t flags;
	uint64_t dev, ino;
	uint32_t family; /* delta_family() */
	char path[RECLOG_PATH_MAX];
};

int raw_fstat(int fd, struct stat *ret);
int raw_stat(int at, const char *path, int flags, struct stat *ret);
long raw_fcntl(int fd, int command); /* of those without an argument */
ssize_t raw_pread(int fd, void *buf, size_t size, off_t offset);

enum fd_check { FD_TRUST, FD_VERIFY };
/* The recorded file behind a descriptor, or NULL. FD_VERIFY: makes sure that the descriptor was not
 * closed and taken again behind our back. Valid until it is closed. errno is kept. */
struct file *fd_file(int fd, enum fd_check check);
/* A regular file that is not recorded, as far as we know? */
bool fd_is_plain(int fd);
bool fd_is_socket(int fd);
/* A folder with a database? Then its path. */
bool fd_is_folder(int fd, char ret[RECLOG_PATH_MAX]);
/* The descriptor is a recorded file's from now on. */
struct file *fd_make_file(int fd, const char *path, const struct stat *st);
/* The open of this descriptor made the file. */
bool fd_was_created(int fd);

/* The program opened `fd`; `created`: that made the file. Returns the file if it is recorded. */
struct file *fd_opened(int fd, bool created);
void fd_duplicated(int from, int to);
/* Before the real close: logs it and forgets the descriptor. */
void fd_closing(int fd);
void fd_closing_range(unsigned first, unsigned last); /* both included */
void fd_flags_changed(int fd);			      /* F_SETFL */
/* Calls `use` for each recorded descriptor, with `of`. */
void fd_each_file(void (*use)(int fd, struct file *f, const struct stat *of),
		  const struct stat *of);
void fd_after_fork(void); /* in the child */
/* Before an exec: logs what it closes. After one that failed: takes that back. */
void fd_before_exec(void);
void fd_exec_failed(void);

/* A descriptor of this process for the file, whether we know it or not: one that can be read; -1:
 * there is none; -2: there are, but none can be read. */
int fd_of_inode(uint64_t dev, uint64_t ino);

/* ---- preload_file.c ---- */

extern const char preload_magic[16];

/* The file behind `fd` becomes a database, if it has a name. NULL: it does not. errno is kept. */
struct file *file_is_database(int fd);
/* `path`, resolved, is opened for writing: is it the journal or log of a file that looks like a
 * database? Then that becomes one. */
void file_look_beside(const char *path);
/* `path`, resolved, is about to be emptied: if it looks like a database, it becomes one. */
void file_look_inside(const char *path, const struct stat *st);
/* Logs what a file held when its recording began, if nobody has. `fd`: of the file, or -1.
 * `created`: this program made it. errno is kept. */
void file_known(const char *path, const struct stat *st, int fd, bool created);
/* Logs size and digest of the file if this process has written it. closing: unless it is large. */
void file_digest(int fd, struct file *f, bool closing);
void file_digest_all(void);
/* The same for one file, if this process still has it open. */
void file_digest_one(const struct stat *of);

/* ---- preload_statement.c ---- */

void statement_look(const void *caller);
/* The program opens a file like this; `caller` is where open() returns to. If that is in an SQLite
 * that can be asked, its connections are listened to from now on, the one that opens the file
 * included. errno is kept. */
static inline void statement_opening(int flags, const void *caller)
{
	/* As os_unix opens a database. */
	if ((flags & O_ACCMODE) == O_RDWR && (flags & O_CLOEXEC) != 0)
		statement_look(caller);
}

#endif
