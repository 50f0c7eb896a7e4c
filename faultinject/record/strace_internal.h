/*
 * Shared by the files strace*.c only, all of which work on one struct importer:
 *
 *     strace_text        lines -> events           strace_arg    what the arguments say
 *     strace_databases   first walk: which files   strace_tasks  processes, descriptors, folders
 *     strace_do          second walk: calls        strace_names  names that are made and removed
 *     strace_bytes       what is read and written  strace_other  output, marks, programs
 *     strace_files       files by name, their bytes as far as the text shows them
 *     strace             strace_read(): the two walks
 */
#ifndef RECORD_STRACE_INTERNAL_H
#define RECORD_STRACE_INTERNAL_H

#include "faultinject/base/buf.h"
#include "faultinject/base/err.h"
#include "faultinject/record/call.h"
#include "faultinject/record/strace_arg.h"
#include "faultinject/record/strace_text.h"
#include "faultinject/record/map.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	STRACE_PATHS_MAX = 1 << 20,   /* different paths of one kind that are kept */
	STRACE_TROUBLES_MAX = 1000,   /* that are said one by one */
	STRACE_BLOCK = 4096,	      /* bytes of a file that are kept together */
	STRACE_UNREAD_MAX = 16 << 20, /* bytes of a file that existed and that nobody read */
};

/* ---- sets of paths ---- */

struct path_item {
	char *path; /* owned */
	char *to;   /* owned; another path that belongs to it; or NULL */
	bool kept;  /* of a database: it is written */
	UT_hash_handle hh;
};

/* What a path is to a database that is written (strace_part()). */
enum part {
	PART_NONE,
	PART_DATABASE,
	PART_SIDE, /* its name begins with the database's and "-" */
	PART_SHM,  /* the WAL index: only its locks are recorded */
};

/* ---- files ---- */

struct block {
	uint64_t number;
	uint8_t data[STRACE_BLOCK];
	uint8_t known[STRACE_BLOCK / 8];   /* bits: `data` is what the file holds */
	uint8_t changed[STRACE_BLOCK / 8]; /* bits: not what it held at the start */
	UT_hash_handle hh;
};

struct learnt {
	uint64_t offset;
	size_t size;
	const uint8_t *data; /* in the list's arena */
};

/* A change by a call that never returned, so that it may not have happened. What is told of the
 * file later decides; until then it is not part of what is known. */
struct doubt {
	enum call_kind kind; /* CALL_WRITE, CALL_TRUNCATE */
	size_t call;	     /* index */
	uint64_t offset, length;
	const uint8_t *data; /* in the list's arena */
};

enum existed { EXISTED_NO, EXISTED_YES, EXISTED_PERHAPS };

/* A file of a database. */
struct file {
	uint64_t ino;	  /* from 1, in order of appearance */
	char *path;	  /* owned; its last name */
	enum part part;	  /* never SHM */
	size_t file_call; /* index of its CALL_FILE and of the first CALL_OPEN ... */
	size_t open_call; /* ... to be completed at the end; SIZE_MAX: none */
	enum existed existed;
	uint64_t size; /* now; a lower bound while !size_known */
	bool size_known;
	uint64_t written_end; /* of the last byte that is known to have been written */
	uint64_t size_first;  /* at the start, if it is shown */
	bool size_first_known;
	uint64_t first_limit; /* below it are bytes of the start, where nothing changed them */
	bool compares;	      /* what reads show is compared with what is known */
	struct block *blocks;
	struct learnt *learnt; /* what it held at the start; disjoint */
	size_t learnt_count, learnt_cap;
	struct doubt *doubts; /* owned; in order */
	size_t doubt_count, doubt_cap;
	unsigned writing;  /* calls that are changing it now */
	uint64_t changes;  /* calls that have changed it */
	struct file *next; /* all files */
};

struct name {
	char *path;	      /* owned */
	struct file *file;    /* NULL: none that we know */
	size_t doubt;	      /* index + 1 of an unlink of it that may not have happened; 0: none */
	bool absent, present; /* while there is no file: what somebody who looked was told ... */
	uint64_t size;	      /* ... with this size */
	UT_hash_handle hh;
};

/* ---- processes ---- */

/* An open file description. Only of files of databases. */
struct desc {
	unsigned refs;
	enum part part;
	struct file *file; /* NULL for PART_SHM */
	char *path;	   /* owned; when it was opened */
	uint64_t offset;
	bool offset_known, appends, dsync;
};

struct slot {
	int64_t fd;
	struct desc *desc;
	bool cloexec;
};

struct fd_table {
	unsigned refs;
	struct slot *slots; /* owned; by fd */
	size_t count, cap;
};

struct folder {
	unsigned refs;
	char *path; /* owned; NULL: not known */
};

struct process {
	uint32_t pid, parent;
	size_t task_count;
	bool threaded; /* it had more than one task at some time */
	int64_t status;
	struct process *next;
};

struct task {
	uint32_t tid;
	bool seen; /* a line is about it */
	struct process *process;
	struct fd_table *fds;
	struct folder *cwd;
	UT_hash_handle hh;
};

/* A call that has begun, and what it was about. */
struct strace_run {
	struct args args;
	struct fd_arg fd;  /* the first argument, where it is a descriptor */
	char *path;	   /* owned; what the text says that it is; or NULL */
	struct desc *desc; /* a reference; or NULL */
	uint64_t changes;  /* of the file, then */
	size_t begin;	   /* index of its CALL_..._BEGIN; SIZE_MAX: none */
	bool writes;	   /* file->writing counts it */
};

struct importer;

struct walk {
	/* Either may be NULL. `c` has a run in both. */
	void (*on_begin)(struct importer *m, struct task *t, struct strace_call *c);
	void (*on_end)(struct importer *m, struct task *t, struct strace_call *c);
};

struct importer {
	struct strace_text text;
	struct call_list *list; /* NULL in the first walk */
	int rc;
	struct err *err;

	const struct walk *walk;
	uint32_t line;			   /* of the event that is looked at */
	uint32_t first_pid;		   /* of the process whose first lines have no number */
	const struct strace_call **clones; /* owned; those that returned, by result */
	size_t clone_count;

	struct task *tasks;
	struct process *processes;
	struct buf scratch, scratch2; /* for paths and data of one call */

	/* strace_databases.c */
	struct path_item *databases, *opened, *changed, *folders;
	struct path_item *sides;   /* a journal or log that was opened -> its database */
	struct path_item *renames; /* PATH//TO -> to */

	struct path_item *aliases; /* symbolic links that were met: path -> to */
	struct name *names;
	struct file *files, **files_end;
	uint64_t file_count;
	size_t trouble_count;

	char *mark_path; /* owned; $PLUGPULL_MARK of a program; or NULL */
	struct buf mark; /* an unfinished line */
};

/* ---- strace.c ---- */

/* The first error is kept. Messages get the line. */
void importer_fail(struct importer *m, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A CALL_TROUBLE about `f` (or NULL), with the line. */
void importer_trouble(struct importer *m, const struct task *t, const struct file *f,
		      const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Adds a call of the task. Valid until the next. */
struct call *importer_call(struct importer *m, enum call_kind kind, const struct task *t,
			   const struct file *f);
const char *importer_string(struct importer *m, const char *s);
const uint8_t *importer_data(struct importer *m, const void *data, size_t size);
/* Of a call that was CALL_PERHAPS. */
void importer_decide(struct importer *m, size_t call, bool happened);
/* Adds `path`, unless it is there. NULL when there are too many (then m->rc is set). */
struct path_item *strace_path_add(struct importer *m, struct path_item **set, const char *path);
struct path_item *strace_path_find(struct path_item *set, const char *path);
void strace_paths_free(struct path_item **set);

/* ---- strace_databases.c ---- */

extern const struct walk strace_walk_databases;
/* After that walk: keeps the databases that are written. */
void strace_databases_settle(struct importer *m);
enum part strace_part(struct importer *m, const char *path);
/* Does such an ioctl() change what the descriptor's file holds? */
bool strace_ioctl_writes(struct span request);
bool strace_maps_writable(const struct args *mmap);
/* Is it the folder of a file of a database? */
bool strace_is_folder(struct importer *m, const char *path);

/* ---- strace_tasks.c ---- */

/* The task of a line, which may be its first. NULL after importer_fail(). */
struct task *strace_task_get(struct importer *m, uint32_t tid, const struct strace_event *e);
/* The child of a clone that returned, unless it was met already. */
void strace_task_cloned(struct importer *m, struct task *t, struct strace_call *c);
void strace_task_unshared(struct task *t, struct span flags);
void strace_task_executed(struct importer *m, struct task *t);
void strace_task_ended(struct importer *m, struct task *t, const struct strace_event *e);
void strace_task_superseded(struct importer *m, struct task *t, uint32_t by);
void strace_task_set_cwd(struct task *t, const char *path);
void strace_tasks_free(struct importer *m);
int strace_clones_index(struct importer *m);

struct slot *strace_slot_find(const struct fd_table *fds, int64_t fd);
/* Takes over a reference to desc. */
void strace_slot_put(struct importer *m, struct task *t, int64_t fd, struct desc *desc,
		     bool cloexec);
/* Says CALL_CLOSE when it was the last of its file. */
void strace_slot_close(struct importer *m, struct task *t, int64_t fd);
struct desc *strace_desc_create(enum part part, struct file *file, const char *path);
void strace_desc_release(struct desc *d);

/* Makes an absolute path of what a program gave, relative to `folder` (NULL: the task's own), in
 * `ret`. `follow`: if its last part is a known symbolic link, where that leads. False: not known.
 */
bool strace_path_resolve(struct importer *m, const struct task *t, const char *folder,
			 struct span arg, bool follow, struct buf *ret);

/* ---- strace_files.c ---- */

struct name *strace_name_get(struct importer *m, const char *path);
/* The file at a name, made if need be; `created`: there was none before. */
struct file *strace_file_create(struct importer *m, const struct task *t, struct name *n,
				enum existed existed);
void strace_files_free(struct importer *m);
/* Completes the CALL_FILEs and adds what the files held. */
void strace_files_settle(struct importer *m);

void strace_file_write(struct file *f, uint64_t offset, const uint8_t *data, size_t size);
void strace_file_truncate(struct file *f, uint64_t size);
/* It did one of the two, or did not; `call` is the index of that call. */
void strace_file_doubt(struct importer *m, struct file *f, size_t call);
/* Somebody was told its size when nobody was changing it. */
void strace_file_has_size(struct importer *m, const struct task *t, struct file *f, uint64_t size);
/* The same for its bytes. */
void strace_file_has_bytes(struct importer *m, const struct task *t, struct file *f,
			   uint64_t offset, const uint8_t *data, size_t size);

/* ---- strace_do.c ---- */

extern const struct walk strace_walk_calls;

static inline struct file *strace_run_file(const struct strace_run *run)
{
	return run->desc == NULL ? NULL : run->desc->file;
}

/* An argument that is a number; -1: it is none. */
static inline int64_t strace_number(const struct strace_run *run, size_t i)
{
	int64_t value;

	return strace_arg_number(strace_arg(&run->args, i), &value) ? value : -1;
}

/* ---- strace_bytes.c ---- */

bool strace_is_write(enum strace_name name);
/* A change of a file or a name: one that succeeded, or, `perhaps`, one that never returned. */
void strace_change(struct importer *m, struct task *t, struct strace_call *c, bool perhaps);
/* Of a file of a database. */
void strace_bytes_read(struct importer *m, struct task *t, struct strace_call *c);

/* ---- strace_other.c ---- */

/* A write to something else than a database. */
void strace_output(struct importer *m, struct task *t, const struct strace_call *c);
void strace_program(struct importer *m, struct task *t, struct strace_call *c);
/* Whether a database was changed in a way that does not show how. */
void strace_unknown(struct importer *m, struct task *t, const struct strace_call *c);

/* ---- strace_names.c ---- */

void strace_open(struct importer *m, struct task *t, struct strace_call *c);
/* Whether the call shows a symbolic link; `real` is what its path led to. */
void strace_learn_link(struct importer *m, struct task *t, const struct strace_call *c,
		       const char *real);
void strace_look(struct importer *m, struct task *t, struct strace_call *c);
void strace_rename(struct importer *m, struct task *t, struct strace_call *c, bool perhaps);
void strace_unlink(struct importer *m, struct task *t, struct strace_call *c, bool perhaps);
void strace_link(struct importer *m, struct task *t, struct strace_call *c, bool perhaps);
/* Where the paths of such a call stand: argument numbers. */
bool strace_two_paths(struct importer *m, struct task *t, struct strace_call *c, struct buf *from,
		      struct buf *to);
bool strace_one_path(struct importer *m, struct task *t, struct strace_call *c, bool follow,
		     struct buf *ret);

#endif
