/*
 * The text of strace as a list of events: which task did what, line by line. Knows the grammar of
 * the lines and nothing of what the calls mean. The second step of strace.c.
 *
 *     [pid ]NAME(ARGUMENTS) = RESULT                a call that nothing came between
 *     [pid ]NAME(ARGUMENTS <unfinished ...>         its begin ...
 *     [pid ]<... NAME resumed>ARGUMENTS) = RESULT   ... and its end
 *     [pid ]+++ exited with N +++
 *
 * Source: strace(1) and src/strace.c, src/syscall.c of strace 6.1, whose output this was tried on.
 */
#ifndef RECORD_STRACE_TEXT_H
#define RECORD_STRACE_TEXT_H

#include "faultinject/base/arena.h"
#include "faultinject/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	STRACE_EVENTS_MAX = 1 << 26,
	STRACE_LINES_MAX = INT32_MAX,
};

/* The calls that matter: number here, name in the text. Several names may be one call. */
#define STRACE_CALLS(X)                                                                            \
	X(ST_EXECVE, "execve")                                                                     \
	X(ST_EXECVEAT, "execveat")                                                                 \
	X(ST_OPEN, "open")                                                                         \
	X(ST_OPENAT, "openat")                                                                     \
	X(ST_OPENAT2, "openat2")                                                                   \
	X(ST_CREAT, "creat")                                                                       \
	X(ST_CLOSE, "close")                                                                       \
	X(ST_CLOSE_RANGE, "close_range")                                                           \
	X(ST_DUP, "dup")                                                                           \
	X(ST_DUP2, "dup2")                                                                         \
	X(ST_DUP3, "dup3")                                                                         \
	X(ST_FCNTL, "fcntl")                                                                       \
	X(ST_READ, "read")                                                                         \
	X(ST_PREAD, "pread64")                                                                     \
	X(ST_READV, "readv")                                                                       \
	X(ST_PREADV, "preadv")                                                                     \
	X(ST_PREADV2, "preadv2")                                                                   \
	X(ST_WRITE, "write")                                                                       \
	X(ST_PWRITE, "pwrite64")                                                                   \
	X(ST_WRITEV, "writev")                                                                     \
	X(ST_PWRITEV, "pwritev")                                                                   \
	X(ST_PWRITEV2, "pwritev2")                                                                 \
	X(ST_LSEEK, "lseek")                                                                       \
	X(ST_FTRUNCATE, "ftruncate")                                                               \
	X(ST_TRUNCATE, "truncate")                                                                 \
	X(ST_FALLOCATE, "fallocate")                                                               \
	X(ST_FSYNC, "fsync")                                                                       \
	X(ST_FDATASYNC, "fdatasync")                                                               \
	X(ST_SYNC, "sync")                                                                         \
	X(ST_SYNCFS, "syncfs")                                                                     \
	X(ST_RENAME, "rename")                                                                     \
	X(ST_RENAMEAT, "renameat")                                                                 \
	X(ST_RENAMEAT2, "renameat2")                                                               \
	X(ST_UNLINK, "unlink")                                                                     \
	X(ST_UNLINKAT, "unlinkat")                                                                 \
	X(ST_LINK, "link")                                                                         \
	X(ST_LINKAT, "linkat")                                                                     \
	X(ST_CHDIR, "chdir")                                                                       \
	X(ST_FCHDIR, "fchdir")                                                                     \
	X(ST_GETCWD, "getcwd")                                                                     \
	X(ST_CLONE, "clone")                                                                       \
	X(ST_CLONE3, "clone3")                                                                     \
	X(ST_FORK, "fork")                                                                         \
	X(ST_VFORK, "vfork")                                                                       \
	X(ST_UNSHARE, "unshare")                                                                   \
	X(ST_MMAP, "mmap")                                                                         \
	X(ST_IO_URING_SETUP, "io_uring_setup")                                                     \
	X(ST_IO_URING_ENTER, "io_uring_enter")                                                     \
	X(ST_IO_SUBMIT, "io_submit")                                                               \
	X(ST_COPY_FILE_RANGE, "copy_file_range")                                                   \
	X(ST_SENDFILE, "sendfile")                                                                 \
	X(ST_SPLICE, "splice")                                                                     \
	X(ST_IOCTL, "ioctl")                                                                       \
	X(ST_STAT, "stat")                                                                         \
	X(ST_STAT, "lstat")                                                                        \
	X(ST_FSTAT, "fstat")                                                                       \
	X(ST_NEWFSTATAT, "newfstatat")                                                             \
	X(ST_STATX, "statx")                                                                       \
	X(ST_ACCESS, "access")                                                                     \
	X(ST_FACCESSAT, "faccessat")                                                               \
	X(ST_FACCESSAT, "faccessat2")                                                              \
	X(ST_SEND, "sendto")                                                                       \
	X(ST_SEND, "sendmsg")                                                                      \
	X(ST_SEND, "sendmmsg")

enum strace_name {
	ST_NONE,
	ST_EXECVE,
	ST_EXECVEAT,
	ST_OPEN,
	ST_OPENAT,
	ST_OPENAT2,
	ST_CREAT,
	ST_CLOSE,
	ST_CLOSE_RANGE,
	ST_DUP,
	ST_DUP2,
	ST_DUP3,
	ST_FCNTL,
	ST_READ,
	ST_PREAD,
	ST_READV,
	ST_PREADV,
	ST_PREADV2,
	ST_WRITE,
	ST_PWRITE,
	ST_WRITEV,
	ST_PWRITEV,
	ST_PWRITEV2,
	ST_LSEEK,
	ST_FTRUNCATE,
	ST_TRUNCATE,
	ST_FALLOCATE,
	ST_FSYNC,
	ST_FDATASYNC,
	ST_SYNC,
	ST_SYNCFS,
	ST_RENAME,
	ST_RENAMEAT,
	ST_RENAMEAT2,
	ST_UNLINK,
	ST_UNLINKAT,
	ST_LINK,
	ST_LINKAT,
	ST_CHDIR,
	ST_FCHDIR,
	ST_GETCWD,
	ST_CLONE,
	ST_CLONE3,
	ST_FORK,
	ST_VFORK,
	ST_UNSHARE,
	ST_MMAP,
	ST_IO_URING_SETUP,
	ST_IO_URING_ENTER,
	ST_IO_SUBMIT,
	ST_COPY_FILE_RANGE,
	ST_SENDFILE,
	ST_SPLICE,
	ST_IOCTL,
	ST_STAT,
	ST_FSTAT,
	ST_NEWFSTATAT,
	ST_STATX,
	ST_ACCESS,
	ST_FACCESSAT,
	ST_SEND,
};

struct strace_run;

/* Some bytes of the text, or of what was put together of it. */
struct span {
	const char *p;
	size_t size;
};

/* A system call. */
struct strace_call {
	enum strace_name name;
	uint32_t tid;	  /* as in the text; 0: the line shows none */
	uint32_t line;	  /* where it begins, from 1 */
	struct span args; /* what stands between the brackets, as far as it is shown */
	bool ended;	  /* it returned; otherwise its process, or the text, ended before */
	bool failed;
	bool injected;		/* strace's -e inject: the kernel did not do it */
	int64_t result;		/* of one that ended; minus errno when it failed */
	struct span path;	/* of a descriptor that it returned, escaped as in the text */
	struct strace_run *run; /* strace_internal.h: what its begin leaves for its end */
};

enum strace_event_kind {
	STRACE_BEGIN, /* the next two of a call at two lines ... */
	STRACE_END,
	STRACE_WHOLE,	   /* ... or both at one */
	STRACE_EXITED,	   /* value = status */
	STRACE_KILLED,	   /* value = signal, 0 when it is not known by number */
	STRACE_SUPERSEDED, /* the task is that of thread `value` from now on, which is gone */
	STRACE_DETACHED,   /* strace let it go; it may run on */
};

struct strace_event {
	enum strace_event_kind kind;
	uint32_t tid, line;
	uint32_t value;
	size_t call; /* index, of the first three kinds */
};

struct strace_text {
	struct strace_call *calls; /* owned; they borrow from the text and from the arena */
	size_t call_count, call_cap;
	struct strace_event *events; /* owned */
	size_t event_count, event_cap;
	bool has_numbers; /* some line has a process number */
	struct arena arena;
};

/* Parses `text`, which must outlive *ret. A last line that was cut off is passed over. ERR_INPUT
 * with the line, ERR_LIMIT; *ret is to be released in any case. */
int strace_text_parse(const char *text, size_t size, struct strace_text *ret, struct err *err);
void strace_text_release(struct strace_text *t); /* accepts a zeroed one */

#endif
