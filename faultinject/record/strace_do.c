/*
 * See strace_internal.h. The second walk: what was done to the files of databases, as calls.
 *
 * A call that never returned (its process was killed in it, or the text ends there) is
 * CALL_PERHAPS where it began. A lock that was never got is left out.
 */
#include "faultinject/record/strace_internal.h"

#include <errno.h>
#include <string.h>

/* ---- descriptors ---- */

/* What the call's descriptor is. One that no line made has the name that is shown. */
static struct desc *find_desc(struct importer *m, struct task *t, const struct strace_run *run)
{
	struct slot *slot = strace_slot_find(t->fds, run->fd.fd);
	struct desc *d = slot == NULL ? NULL : slot->desc;
	struct name *n;
	enum part part;

	if (run->path == NULL)
		return d;
	if (d != NULL && (strcmp(run->path, d->path) == 0 ||
			  (d->file != NULL && strcmp(run->path, d->file->path) == 0)))
		return d;
	part = run->fd.deleted ? PART_NONE : strace_part(m, run->path);
	if (d != NULL)
		strace_slot_close(m, t, run->fd.fd);
	if (part == PART_NONE)
		return NULL;
	if (part == PART_SHM) {
		d = strace_desc_create(part, NULL, run->path);
	} else {
		n = strace_name_get(m, run->path);
		if (n == NULL)
			return NULL;
		if (n->file == NULL)
			(void)strace_file_create(m, t, n, EXISTED_YES);
		d = strace_desc_create(part, n->file, run->path);
	}
	strace_slot_put(m, t, run->fd.fd, d, false);
	return d;
}

/* ---- locks ---- */

static void put_lock(struct importer *m, struct task *t, const struct strace_call *c, bool unlock)
{
	const struct strace_run *run = c->run;
	const struct desc *d = run->desc;
	struct span lock = strace_arg(&run->args, 2);
	struct call *call;
	int64_t start, length;

	if (!strace_arg_has(lock, "SEEK_SET") || !strace_arg_field(lock, "l_start=", &start) ||
	    !strace_arg_field(lock, "l_len=", &length) || start < 0 || length < 0) {
		importer_trouble(m, t, d->file, "a lock of %s whose range is not followed",
				 d->path);
		return;
	}
	call = importer_call(m, unlock ? CALL_UNLOCK : CALL_LOCK, t, d->file);
	call->path = importer_string(m, d->path);
	call->offset = (uint64_t)start;
	call->length = (uint64_t)length;
	if (d->part == PART_SHM)
		call->flags |= CALL_SHM;
	if (!unlock && strace_arg_has(lock, "F_RDLCK"))
		call->flags |= CALL_SHARED;
}

static bool is_set_lock(struct span command)
{
	static const char *const words[] = {"F_SETLK",	  "F_SETLKW",	 "F_SETLK64",
					    "F_SETLKW64", "F_OFD_SETLK", "F_OFD_SETLKW"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strace_arg_has(command, words[i]))
			return true;
	return false;
}

static bool is_unlock(const struct strace_run *run)
{
	return is_set_lock(strace_arg(&run->args, 1)) &&
	       strace_arg_has(strace_arg(&run->args, 2), "F_UNLCK");
}

static void duplicate(struct importer *m, struct task *t, const struct strace_call *c, bool cloexec)
{
	struct desc *d = c->run->desc;

	if (c->run->fd.fd == c->result)
		return;
	if (d == NULL) {
		strace_slot_close(m, t, c->result);
		return;
	}
	d->refs++;
	strace_slot_put(m, t, c->result, d, cloexec);
}

static void end_fcntl(struct importer *m, struct task *t, struct strace_call *c)
{
	struct strace_run *run = c->run;
	struct span command = strace_arg(&run->args, 1), value = strace_arg(&run->args, 2);

	if (strace_arg_has(command, "F_DUPFD") || strace_arg_has(command, "F_DUPFD_CLOEXEC")) {
		duplicate(m, t, c, strace_arg_has(command, "F_DUPFD_CLOEXEC"));
	} else if (run->desc == NULL) {
		return;
	} else if (strace_arg_has(command, "F_SETFD")) {
		struct slot *slot = strace_slot_find(t->fds, run->fd.fd);

		if (slot != NULL)
			slot->cloexec = strace_arg_has(value, "FD_CLOEXEC");
	} else if (strace_arg_has(command, "F_SETFL")) {
		run->desc->appends = strace_arg_has(value, "O_APPEND");
	} else if (is_set_lock(command) && !is_unlock(run)) {
		put_lock(m, t, c, false);
	}
}

static void close_range_of(struct importer *m, struct task *t, const struct strace_run *run)
{
	int64_t first = strace_number(run, 0), last = strace_number(run, 1);
	struct span flags = strace_arg(&run->args, 2);
	bool cloexec = strace_arg_has(flags, "CLOSE_RANGE_CLOEXEC");

	if (strace_arg_has(flags, "CLOSE_RANGE_UNSHARE"))
		strace_task_unshared(t, (struct span){"CLONE_FILES", strlen("CLONE_FILES")});
	if (last < 0) /* ~0U, in words */
		last = INT64_MAX;
	for (size_t i = t->fds->count; i-- > 0;) {
		struct slot *slot = &t->fds->slots[i];

		if (slot->fd < first || slot->fd > last)
			continue;
		if (cloexec)
			slot->cloexec = true;
		else
			strace_slot_close(m, t, slot->fd);
	}
}

/* ---- syncs ---- */

static void begin_sync(struct importer *m, struct task *t, struct strace_call *c)
{
	struct strace_run *run = c->run;
	struct file *f = strace_run_file(run);
	struct call *call = NULL;

	if (c->injected && !c->failed)
		return;
	if (c->name == ST_SYNC || c->name == ST_SYNCFS) {
		call = importer_call(m, CALL_SYNC_ALL_BEGIN, t, NULL);
	} else if (f != NULL) {
		call = importer_call(m, CALL_SYNC_BEGIN, t, f);
	} else if (run->path != NULL && !run->fd.deleted && strace_is_folder(m, run->path)) {
		call = importer_call(m, CALL_DIRSYNC_BEGIN, t, NULL);
		call->path = importer_string(m, run->path);
	}
	if (call == NULL)
		return;
	if (c->name == ST_FDATASYNC && call->kind == CALL_SYNC_BEGIN)
		call->flags |= CALL_DATA_ONLY;
	run->begin = m->list->count - 1;
}

static void end_sync(struct importer *m, struct task *t, const struct strace_call *c)
{
	struct call begin, *call;

	if (c->run->begin == SIZE_MAX)
		return;
	begin = m->list->items[c->run->begin];
	call = importer_call(m, begin.kind + 1, t, NULL);
	call->flags = begin.flags;
	call->ino = begin.ino;
	call->path = begin.path;
	call->begin = c->run->begin;
	call->result = c->failed ? c->result : 0;
}

/* ---- the walk ---- */

/* Calls whose descriptor is that of a file. */
static bool wants_desc(enum strace_name name)
{
	switch (name) {
	case ST_CLOSE:
	case ST_DUP:
	case ST_DUP2:
	case ST_DUP3:
	case ST_FCNTL:
	case ST_READ:
	case ST_PREAD:
	case ST_READV:
	case ST_PREADV:
	case ST_PREADV2:
	case ST_LSEEK:
	case ST_FTRUNCATE:
	case ST_FALLOCATE:
	case ST_FSYNC:
	case ST_FDATASYNC:
	case ST_FSTAT:
	case ST_NEWFSTATAT:
	case ST_STATX:
		return true;
	default:
		return strace_is_write(name);
	}
}

static void on_begin(struct importer *m, struct task *t, struct strace_call *c)
{
	struct strace_run *run = c->run;
	struct file *f;

	if (wants_desc(c->name) && run->fd.fd >= 0) {
		run->desc = find_desc(m, t, run);
		if (run->desc != NULL)
			run->desc->refs++;
	}
	f = strace_run_file(run);
	if (f != NULL)
		run->changes = f->changes;
	if (!c->ended) {
		strace_change(m, t, c, true);
	} else if (f != NULL && !c->failed &&
		   (strace_is_write(c->name) || c->name == ST_FTRUNCATE ||
		    c->name == ST_FALLOCATE)) {
		run->writes = true;
		f->writing++;
	}
	switch (c->name) {
	case ST_CLOSE:
		if (!c->failed || c->result != -EBADF)
			strace_slot_close(m, t, run->fd.fd);
		break;
	case ST_CLOSE_RANGE:
		if (!c->failed)
			close_range_of(m, t, run);
		break;
	case ST_FCNTL:
		if (run->desc != NULL && !c->failed && is_unlock(run))
			put_lock(m, t, c, true);
		break;
	case ST_FSYNC:
	case ST_FDATASYNC:
	case ST_SYNC:
	case ST_SYNCFS:
		begin_sync(m, t, c);
		break;
	default:
		break;
	}
}

static void on_success(struct importer *m, struct task *t, struct strace_call *c)
{
	struct strace_run *run = c->run;
	struct file *f = strace_run_file(run);

	switch (c->name) {
	case ST_EXECVE:
	case ST_EXECVEAT:
		strace_program(m, t, c);
		break;
	case ST_OPEN:
	case ST_OPENAT:
	case ST_OPENAT2:
	case ST_CREAT:
		strace_open(m, t, c);
		break;
	case ST_DUP:
	case ST_DUP2:
	case ST_DUP3:
		duplicate(m, t, c, strace_arg_has(strace_arg(&run->args, 2), "O_CLOEXEC"));
		break;
	case ST_FCNTL:
		end_fcntl(m, t, c);
		break;
	case ST_READ:
	case ST_READV:
	case ST_PREAD:
	case ST_PREADV:
	case ST_PREADV2:
		if (f != NULL)
			strace_bytes_read(m, t, c);
		break;
	case ST_LSEEK:
		if (run->desc != NULL && c->result >= 0) {
			run->desc->offset = (uint64_t)c->result;
			run->desc->offset_known = true;
		}
		break;
	case ST_SEND:
		strace_output(m, t, c);
		break;
	default:
		if (strace_is_write(c->name) && f == NULL)
			strace_output(m, t, c);
		strace_change(m, t, c, false);
		strace_unknown(m, t, c);
		break;
	}
}

static void on_end(struct importer *m, struct task *t, struct strace_call *c)
{
	struct strace_run *run = c->run;

	if (run->writes)
		run->desc->file->writing--;
	switch (c->name) {
	case ST_FSYNC:
	case ST_FDATASYNC:
	case ST_SYNC:
	case ST_SYNCFS:
		end_sync(m, t, c);
		return;
	case ST_STAT:
	case ST_FSTAT:
	case ST_NEWFSTATAT:
	case ST_STATX:
	case ST_ACCESS:
	case ST_FACCESSAT:
		strace_look(m, t, c);
		return;
	case ST_OPEN:
	case ST_OPENAT:
	case ST_OPENAT2:
		if (c->failed) {
			strace_look(m, t, c);
			return;
		}
		break;
	default:
		break;
	}
	if (!c->failed)
		on_success(m, t, c);
}

const struct walk strace_walk_calls = {on_begin, on_end};
