/*
 * See strace_internal.h. The calls that make, look for, change and remove names.
 *
 * Whether a file was there before it was opened, open(2) with O_CREAT does not say. So what the
 * program was told before (SQLite looks for a journal before it makes one, and its size says
 * whether a database is new) decides; a file of no bytes counts as made by the open.
 *
 * Symbolic links: -y shows where a descriptor's file really is. From what was given and what was
 * shown the links are learnt that calls without descriptors (unlink, rename) go through.
 */
#include "faultinject/record/strace_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the paths of a call ---- */

/* A path argument, relative to the descriptor argument before it if `at`. */
static bool get_path(struct importer *m, struct task *t, const struct strace_call *c, size_t i,
		     bool at, bool follow, struct buf *ret)
{
	struct span arg = strace_arg(&c->run->args, i);
	struct fd_arg fd;
	struct buf folder;
	bool ok;

	buf_init(&folder);
	bool has = at && strace_arg_fd(strace_arg(&c->run->args, i - 1), &fd, &folder) &&
		   fd.has_path && !fd.deleted;

	ok = strace_path_resolve(m, t, has ? buf_str(&folder) : NULL, arg, follow, ret);
	buf_release(&folder);
	return ok;
}

/* Could the last part of this path be that of a database's file? */
static bool could_matter(struct importer *m, struct span arg)
{
	struct path_item *d, *next;
	struct buf given;
	bool cut, yes = false;

	buf_init(&given);
	if (strace_arg_string(arg, &given, &cut)) {
		const char *last = strrchr(buf_str(&given), '/');

		last = last == NULL ? buf_str(&given) : last + 1;
		HASH_ITER (hh, m->databases, d, next) {
			const char *name = strrchr(d->path, '/') + 1;

			yes = yes || (d->kept && strncmp(last, name, strlen(name)) == 0);
		}
	}
	buf_release(&given);
	return yes;
}

static bool need_path(struct importer *m, struct task *t, const struct strace_call *c, size_t i,
		      bool at, bool follow, struct buf *ret)
{
	if (get_path(m, t, c, i, at, follow, ret))
		return true;
	if (m->list != NULL && could_matter(m, strace_arg(&c->run->args, i)))
		importer_fail(m, ERR_INPUT,
			      "a path is relative to a folder that is not shown: run strace with "
			      "-y, from the start of the program");
	return false;
}

bool strace_two_paths(struct importer *m, struct task *t, struct strace_call *c, struct buf *from,
		      struct buf *to)
{
	bool at = c->name == ST_RENAMEAT || c->name == ST_RENAMEAT2 || c->name == ST_LINKAT;
	bool follow = c->name == ST_LINKAT &&
		      strace_arg_has(strace_arg(&c->run->args, 4), "AT_SYMLINK_FOLLOW");

	return need_path(m, t, c, at ? 1 : 0, at, follow, from) &&
	       need_path(m, t, c, at ? 3 : 1, at, false, to);
}

bool strace_one_path(struct importer *m, struct task *t, struct strace_call *c, bool follow,
		     struct buf *ret)
{
	bool at = c->name == ST_OPENAT || c->name == ST_OPENAT2 || c->name == ST_UNLINKAT ||
		  c->name == ST_NEWFSTATAT || c->name == ST_STATX || c->name == ST_FACCESSAT ||
		  c->name == ST_EXECVEAT;

	return need_path(m, t, c, at ? 1 : 0, at, follow, ret);
}

/* ---- open ---- */

/* A link on the way to what was given, or at its end. */
void strace_learn_link(struct importer *m, struct task *t, const struct strace_call *c,
		       const char *real)
{
	bool at = c->name == ST_OPENAT || c->name == ST_OPENAT2;
	const char *a, *b, *given;
	struct path_item *link;
	char *folder;

	if (!get_path(m, t, c, at ? 1 : 0, at, false, &m->scratch))
		return;
	given = buf_str(&m->scratch);
	if (strcmp(given, real) == 0)
		return;
	a = strrchr(given, '/');
	b = strrchr(real, '/');
	bool same_name = a != NULL && b != NULL && strcmp(a, b) == 0;

	folder = same_name ? xasprintf("%.*s", (int)(a - given), given) : xstrdup(given);
	link = folder[0] == '\0' ? NULL : strace_path_add(m, &m->aliases, folder);
	if (link != NULL) {
		free(link->to);
		link->to = same_name ? xasprintf("%.*s", (int)(b - real), real) : xstrdup(real);
	}
	free(folder);
}

/* Of what is behind the descriptor. */
static enum existed judge_existed(const struct name *n, struct span flags, bool creates)
{
	if (!creates)
		return EXISTED_YES;
	if (strace_arg_has(flags, "O_EXCL") || n->absent)
		return EXISTED_NO;
	return n->present ? EXISTED_YES : EXISTED_PERHAPS;
}

/* An unlink of the name that nobody knew of did or did not happen. */
static void unlink_happened(struct importer *m, struct name *n, bool happened)
{
	if (n->doubt == 0)
		return;
	importer_decide(m, n->doubt - 1, happened);
	n->doubt = 0;
	if (happened) {
		n->file = NULL;
		n->absent = true;
	}
}

static struct file *open_file(struct importer *m, struct task *t, const char *path,
			      struct span flags, bool creates)
{
	struct name *n = strace_name_get(m, path);
	bool fresh = creates && strace_arg_has(flags, "O_EXCL");
	enum existed existed;

	if (n == NULL)
		return NULL;
	if (n->doubt != 0 && creates && !fresh)
		importer_trouble(m, t, n->file,
				 "nothing shows whether a process that was killed had removed %s",
				 path);
	unlink_happened(m, n, fresh);
	/* Somebody's unlink is a moment late in the text. */
	if (n->file != NULL && fresh)
		n->file = NULL;
	if (n->file != NULL)
		return n->file;
	existed = judge_existed(n, flags, creates);
	return strace_file_create(m, t, n, existed);
}

static void put_open(struct importer *m, struct task *t, struct file *f, const char *path,
		     bool truncates, bool existed)
{
	struct call *call;

	if (f->open_call == SIZE_MAX)
		f->open_call = m->list->count;
	call = importer_call(m, CALL_OPEN, t, f);
	call->path = importer_string(m, path);
	if (existed)
		call->flags |= CALL_EXISTED;
	if (truncates) {
		call->flags |= CALL_TRUNCATED;
		strace_file_truncate(f, 0);
	}
}

void strace_open(struct importer *m, struct task *t, struct strace_call *c)
{
	const struct args *args = &c->run->args;
	bool at = c->name == ST_OPENAT || c->name == ST_OPENAT2;
	struct span flags = strace_arg(args, at ? 2 : 1);
	bool creat = c->name == ST_CREAT, deleted = false;
	struct buf *real = &m->scratch2;
	struct desc *d = NULL;
	enum part part;

	if (!strace_arg_path(c->path, real, &deleted)) {
		importer_fail(m, ERR_INPUT,
			      "the name of the file is not shown: run strace with -y");
		return;
	}
	const char *path = buf_str(real);

	part = deleted ? PART_NONE : strace_part(m, path);
	if (part == PART_NONE || strace_arg_has(flags, "O_PATH") ||
	    strace_arg_has(flags, "O_TMPFILE")) {
		strace_slot_close(m, t, c->result);
		return;
	}
	if (part == PART_SHM) {
		d = strace_desc_create(part, NULL, path);
	} else {
		bool creates = creat || strace_arg_has(flags, "O_CREAT");
		bool truncates = creat || strace_arg_has(flags, "O_TRUNC");
		size_t before = m->list->count;
		struct file *f = open_file(m, t, path, flags, creates);

		if (f == NULL)
			return;
		put_open(m, t, f, path, truncates, m->list->count == before);
		d = strace_desc_create(part, f, path);
	}
	d->offset_known = true;
	d->appends = strace_arg_has(flags, "O_APPEND");
	d->dsync = strace_arg_has(flags, "O_SYNC") || strace_arg_has(flags, "O_DSYNC");
	strace_slot_put(m, t, c->result, d, strace_arg_has(flags, "O_CLOEXEC"));
}

/* ---- looks ---- */

/* stat(2) and access(2) of a path, and open(2) that found none: was there a file? */
static void look_at_path(struct importer *m, struct task *t, struct strace_call *c)
{
	struct name *n;
	int64_t size = -1;

	if ((c->failed && c->result != -ENOENT) || !strace_one_path(m, t, c, true, &m->scratch))
		return;
	enum part part = strace_part(m, buf_str(&m->scratch));

	if (part == PART_NONE || part == PART_SHM)
		return;
	n = strace_name_get(m, buf_str(&m->scratch));
	if (n == NULL)
		return;
	if (!c->failed)
		for (size_t i = 1; i < c->run->args.count && size < 0; i++)
			if (!strace_arg_field(c->run->args.items[i], "st_size=", &size) &&
			    !strace_arg_field(c->run->args.items[i], "stx_size=", &size))
				size = -1;
	unlink_happened(m, n, c->failed);
	if (n->file != NULL) {
		if (size >= 0 && n->file->writing == 0)
			strace_file_has_size(m, t, n->file, (uint64_t)size);
		return;
	}
	n->absent = c->failed;
	n->present = size >= 0;
	n->size = size >= 0 ? (uint64_t)size : 0;
}

void strace_look(struct importer *m, struct task *t, struct strace_call *c)
{
	const struct strace_run *run = c->run;
	bool of_fd =
	    c->name == ST_FSTAT || strace_arg_has(strace_arg(&run->args, 3), "AT_EMPTY_PATH") ||
	    (c->name == ST_STATX && strace_arg_has(strace_arg(&run->args, 2), "AT_EMPTY_PATH"));
	int64_t size;

	if (!of_fd) {
		look_at_path(m, t, c);
		return;
	}
	if (c->failed || run->desc == NULL || run->desc->file == NULL)
		return;
	struct file *f = run->desc->file;

	if (f->writing > 0 || f->changes != run->changes)
		return;
	for (size_t i = 1; i < run->args.count; i++)
		if ((strace_arg_field(run->args.items[i], "st_size=", &size) ||
		     strace_arg_field(run->args.items[i], "stx_size=", &size)) &&
		    size >= 0)
			strace_file_has_size(m, t, f, (uint64_t)size);
}

/* ---- rename, link, unlink ---- */

/* The file at a name of a database's file, which must have been there. */
static struct file *name_file(struct importer *m, struct task *t, struct name *n)
{
	if (n->file == NULL)
		(void)strace_file_create(m, t, n, EXISTED_YES);
	return n->file;
}

/* A folder on the way to a database was renamed: its name is not followed. */
static void check_folder(struct importer *m, struct task *t, const char *path)
{
	struct path_item *d, *next;
	size_t n = strlen(path);

	HASH_ITER (hh, m->databases, d, next)
		if (d->kept && strncmp(d->path, path, n) == 0 && d->path[n] == '/') {
			importer_trouble(m, t, NULL, "the folder %s, which holds %s, was renamed",
					 path, d->path);
			return;
		}
}

static void put_names(struct importer *m, enum call_kind kind, struct task *t, const char *from,
		      const char *to, bool perhaps)
{
	struct call *call = importer_call(m, kind, t, NULL);

	call->path = importer_string(m, from);
	if (to != NULL)
		call->path2 = importer_string(m, to);
	if (perhaps)
		call->flags |= CALL_PERHAPS;
}

static void move_name(struct importer *m, struct task *t, enum call_kind kind, const char *from,
		      const char *to, bool perhaps)
{
	enum part a = strace_part(m, from), b = strace_part(m, to);
	struct name *old, *new;
	struct file *f;

	if (a == PART_SHM || b == PART_SHM || (a == PART_NONE && b == PART_NONE)) {
		if (kind == CALL_RENAME)
			check_folder(m, t, from);
		return;
	}
	old = strace_name_get(m, from);
	new = strace_name_get(m, to);
	if (old == NULL || new == NULL || strcmp(from, to) == 0)
		return;
	if (a == PART_NONE && old->file == NULL)
		importer_trouble(m, t, NULL, "what became %s is not known", to);
	f = name_file(m, t, old);
	if (f == NULL)
		return;
	put_names(m, kind, t, from, to, perhaps);
	if (perhaps) {
		importer_trouble(m, t, f,
				 "nothing shows whether %s became %s before its process ended",
				 from, to);
		return;
	}
	new->doubt = old->doubt = 0;
	new->file = f;
	if (kind == CALL_RENAME) {
		old->file = NULL;
		old->absent = true;
		free(f->path);
		f->path = xstrdup(to);
		f->part = b != PART_NONE ? b : a;
	}
}

void strace_rename(struct importer *m, struct task *t, struct strace_call *c, bool perhaps)
{
	if (!strace_two_paths(m, t, c, &m->scratch, &m->scratch2))
		return;
	const char *from = buf_str(&m->scratch), *to = buf_str(&m->scratch2);

	if (strace_arg_has(strace_arg(&c->run->args, 4), "RENAME_EXCHANGE") &&
	    (strace_part(m, from) != PART_NONE || strace_part(m, to) != PART_NONE)) {
		importer_trouble(m, t, NULL, "%s and %s were exchanged, which is not followed",
				 from, to);
		return;
	}
	move_name(m, t, CALL_RENAME, from, to, perhaps);
}

void strace_link(struct importer *m, struct task *t, struct strace_call *c, bool perhaps)
{
	if (strace_two_paths(m, t, c, &m->scratch, &m->scratch2))
		move_name(m, t, CALL_LINK, buf_str(&m->scratch), buf_str(&m->scratch2), perhaps);
}

void strace_unlink(struct importer *m, struct task *t, struct strace_call *c, bool perhaps)
{
	struct name *n;

	if (strace_arg_has(strace_arg(&c->run->args, 2), "AT_REMOVEDIR") ||
	    !strace_one_path(m, t, c, false, &m->scratch))
		return;
	enum part part = strace_part(m, buf_str(&m->scratch));

	if (part == PART_NONE || part == PART_SHM)
		return;
	n = strace_name_get(m, buf_str(&m->scratch));
	if (n == NULL || name_file(m, t, n) == NULL)
		return;
	if (!perhaps)
		unlink_happened(m, n, false);
	put_names(m, CALL_UNLINK, t, n->path, NULL, perhaps);
	if (perhaps) {
		n->doubt = m->list->count;
		return;
	}
	n->file = NULL;
	n->absent = true;
}
