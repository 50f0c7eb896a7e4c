/*
 * Shared by the files of the assembler only:
 *
 *     assemble.c          the pass over the calls; who does it, notes, looks, holes
 *     assemble_base.c     what the files held before, and what they hold after
 *     assemble_names.c    open, rename, unlink, link
 *     assemble_content.c  write, truncate, allocate, sync
 *     assemble_statements.c  the statements, and whose they are
 */
#ifndef RECORD_ASSEMBLE_INTERNAL_H
#define RECORD_ASSEMBLE_INTERNAL_H

#include "faultinject/record/assemble.h"
#include "faultinject/record/log.h"
#include "faultinject/trace_image.h"
#include "faultinject/record/map.h"

#include <stdbool.h>
#include <stdint.h>

struct file_key {
	uint64_t dev, ino;
};

/* What (dev, ino) is now. */
struct known_file {
	struct file_key key;
	uint32_t inode; /* of the trace */
	UT_hash_handle hh;
};

struct actor_key {
	uint32_t process; /* of a thread: its process's number; of a process: 0 */
	uint32_t id;
};

struct actor_number {
	struct actor_key key;
	uint16_t number;
	UT_hash_handle hh;
};

/* The program that a process runs, until it has touched a file. */
struct running_program {
	uint32_t pid;
	const char *path; /* borrowed from the calls */
	UT_hash_handle hh;
};

/* Write locks that a process has: of a database, or (shm) of its WAL index. */
struct held_lock {
	uint32_t pid, inode;
	uint64_t dev, ino; /* of the file with the lock */
	bool shm;
	unsigned bytes; /* enum held_byte; never 0 */
};

/* Of an inode of the trace. */
struct file_state {
	uint64_t changed; /* position of its last write or truncation; 0 = none */
	uint64_t dev;	  /* of the file; 0: not known */
	bool met;	  /* somebody opened it, so its number is known to be its own */
	bool unsynced;	  /* some of them is covered by no sync */
	bool differs;	  /* a hole was found: looking again tells nothing new */
};

struct found_hole {
	uint32_t inode;
	size_t call;  /* index */
	char *why;    /* owned */
	bool looked;  /* found by comparing bytes at `call` ... */
	bool excused; /* ... while a write was under way */
};

/* Who ran a statement of the trace, and the first operations that may have come of it. */
struct statement_origin {
	uint32_t pid, tid;
	uint64_t connection; /* as the call has it */
	uint64_t change;     /* position of a change or a sync of a file; 0 = none */
	uint64_t lock;	     /* of a lock */
};

struct waiting_statement;

struct assembler {
	const struct call_list *calls;
	struct trace *t;
	struct trace_image *image;
	struct known_file *files;
	struct actor_number *processes, *threads;
	struct running_program *programs;
	uint16_t process_count, thread_count;
	struct file_state *states; /* [inode] */
	size_t state_count;
	uint64_t *begun; /* [call]: the position of its begin, or what the trace held then */
	struct found_hole *holes;
	size_t hole_count, hole_cap;
	struct held_lock *held;
	size_t held_count, held_cap;
	struct statement_origin *origins; /* owned; beside the trace's statements */
	size_t origin_cap;
	struct waiting_statement *waiting; /* the last one of each thread */
	struct assemble_report report;
	int rc;
	struct err err;
};

/* From here on (dev, ino) is `inode`. */
void assembler_bind(struct assembler *a, uint64_t dev, uint64_t ino, uint32_t inode);

uint32_t assembler_inode(const struct assembler *a, uint64_t dev, uint64_t ino); /* 0: not known */
/* The number of a name in the trace's table; 0, with a->rc, when it cannot be in one. */
uint32_t assembler_name(struct assembler *a, const char *path);
/* What the name of that number is now, or 0. */
uint32_t assembler_named(struct assembler *a, uint32_t name);
uint64_t assembler_size(struct assembler *a, uint32_t inode); /* bytes it has now */
struct file_state *assembler_state(struct assembler *a, uint32_t inode);

/* Appends an operation by the process of `c`; its position. 0 when the trace cannot take it: then
 * a->rc says so, and nothing is appended any more. */
uint64_t assembler_put(struct assembler *a, const struct call *c, struct op op);
/* Something happened to the inode (0: to some file) that was not recorded; `call`: what shows it.
 */
void assembler_hole(struct assembler *a, uint32_t inode, size_t call, const char *why);
void assembler_hole_at(struct assembler *a, uint32_t inode, const struct call *c, const char *what);

/* A call, as operations. `index`: its own. */
void assemble_open(struct assembler *a, const struct call *c);
void assemble_rename(struct assembler *a, const struct call *c);
void assemble_unlink(struct assembler *a, const struct call *c);
void assemble_link(struct assembler *a, const struct call *c);
void assemble_write(struct assembler *a, const struct call *c);
void assemble_truncate(struct assembler *a, const struct call *c);
void assemble_allocate(struct assembler *a, const struct call *c);
void assemble_sync_begin(struct assembler *a, const struct call *c, size_t index);
void assemble_dirsync_begin(struct assembler *a, const struct call *c, size_t index);
void assemble_sync_end(struct assembler *a, const struct call *c);
void assemble_sync_all_end(struct assembler *a, const struct call *c);

void assemble_statement(struct assembler *a, const struct call *c);
/* An operation of this kind, of the call's process and thread, was appended. */
void assemble_statement_done(struct assembler *a, const struct call *c, enum op_kind kind,
			     uint64_t position);
/* Says whose the statements are, once the operations have their connections, and leaves out those
 * of connections that did nothing to a recorded file. */
void assemble_statements_assign(struct assembler *a);
void assemble_statements_release(struct assembler *a);

/* Adds the files that were there before to the trace, and binds them. */
int assemble_base(struct assembler *a, struct err *err);

/* Compares a file of the image (inode 0: there is none) with what `path` holds now. In words how
 * they differ, the caller's, or NULL when they do not. */
char *assemble_compare_file(const struct trace_image *image, uint32_t inode, const char *path);

#endif
