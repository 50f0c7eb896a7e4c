/*
 * What several processes do to real files, in one order, kept where a SIGKILL does not reach it: a
 * log in memory that the processes share with the parent that mapped it. From it the parent builds
 * a trace (trace.h) of which a disk model can then drop what was not synced: a kill becomes a power
 * cut.
 *
 * Order. An operation that changes files gets its place before it is carried out, by one atomic
 * counter; that it was carried out is marked behind it. So whatever a process learnt of another
 * one's work stands in the log in front of what it did with it, as long as the two exclude each
 * other by locks, as SQLite's connections do.
 *
 * The end. The process that dies inside a sync seals the log first. From then on whoever wants a
 * place waits for its own kill, so that nothing happens after the cut, and nobody is told of
 * anything that is not in the log. What had a place and was not marked when its process died did
 * not happen.
 *
 * Every function may be called by several threads and processes at once, but for those that say
 * otherwise. Paths are absolute. A log that has no room left says so (fi_kill_log_full()) and takes
 * no more; nothing else changes.
 */
#ifndef FI_VFS_KILL_LOG_H
#define FI_VFS_KILL_LOG_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FI_KILL_LOG_OPERATIONS_MAX = 1 << 16,
	FI_KILL_LOG_BYTES_MAX = 64 << 20, /* of data and paths; memory is taken as it is used */
};

struct fi_kill_log;

/* A place in the log. 0: none was given. */
typedef uint64_t fi_kill_place;

/* Maps an empty log; processes that are forked afterwards share it. ERR_HARNESS. */
int fi_kill_log_create(struct fi_kill_log **ret_log, struct err *err);
void fi_kill_log_free(struct fi_kill_log *l); /* accepts NULL */
/* Empties it. By the parent alone, while no other process uses it. */
void fi_kill_log_reset(struct fi_kill_log *l);

/* Who is acting in this process, from 1; set after fork(), before anything is logged. */
void fi_kill_log_actor(uint16_t process);

/* `path` is opened, and created where it is not there and `create`; `empty`: its content goes. The
 * result names the open file in what follows. */
fi_kill_place fi_kill_log_open(struct fi_kill_log *l, const char *path, bool create, bool empty);
fi_kill_place fi_kill_log_write(struct fi_kill_log *l, fi_kill_place file, const void *data,
				size_t size, uint64_t offset);
fi_kill_place fi_kill_log_truncate(struct fi_kill_log *l, fi_kill_place file, uint64_t size);
fi_kill_place fi_kill_log_sync(struct fi_kill_log *l, fi_kill_place file, bool data_only);
fi_kill_place fi_kill_log_unlink(struct fi_kill_log *l, const char *path);
fi_kill_place fi_kill_log_rename(struct fi_kill_log *l, const char *from, const char *to);
/* Of the folder `folder`. */
fi_kill_place fi_kill_log_folder_sync(struct fi_kill_log *l, const char *folder);

/* The operation was carried out, or failed without effect (`ok` false). For a sync this takes a
 * place of its own: what it made durable is durable from there on. */
void fi_kill_log_done(struct fi_kill_log *l, fi_kill_place place, bool ok);

/* Nothing takes a place any more, in any process: whoever asks for one never returns. */
void fi_kill_log_seal(struct fi_kill_log *l);
bool fi_kill_log_sealed(const struct fi_kill_log *l);
bool fi_kill_log_full(const struct fi_kill_log *l);

/* A file as it was before the first operation. */
struct fi_kill_file {
	char *path;    /* owned by whoever holds it */
	uint8_t *data; /* likewise */
	uint64_t size;
};

/* The trace, over the files as they were. By the parent, when every other process is dead. *ret is
 * the caller's. *ret_open: operations that were begun and not carried out, and are left out. */
void fi_kill_log_trace(const struct fi_kill_log *l, const struct fi_kill_file *base,
		       size_t base_count, struct trace **ret, size_t *ret_open);

#endif
