/*
 * See strace_internal.h. The first walk: which files are databases. A file is one when it
 *
 *     gets an fcntl lock where SQLite locks,
 *     begins with SQLite's header string in something that was read or written, or
 *     has a "-journal" or "-wal" beside it that is opened, and was opened itself,
 *
 * and one that is renamed to a database, or from one, is one. Of these only those are kept that the
 * program changes, or whose journal or log it changes: one that is only read loses nothing, and its
 * content would have to be known.
 *
 * Does not see: a database that is opened for the whole time as a file without a name.
 */
#include "faultinject/op.h"
#include "faultinject/record/strace_internal.h"

#include <stdlib.h>
#include <string.h>

static const char magic[] = "SQLite format 3"; /* with its end */

static bool is_file_path(const char *path)
{
	static const char *const others[] = {"/dev/", "/proc/", "/sys/"};

	if (path[0] != '/')
		return false;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (strncmp(path, others[i], strlen(others[i])) == 0)
			return false;
	return true;
}

/* The path of the call's descriptor, while its file has a name. */
static const char *run_file(const struct strace_run *run)
{
	return run->path != NULL && !run->fd.deleted && is_file_path(run->path) ? run->path : NULL;
}

static void found(struct importer *m, const char *path)
{
	(void)strace_path_add(m, &m->databases, path);
}

static void changed(struct importer *m, const char *path)
{
	if (path != NULL)
		(void)strace_path_add(m, &m->changed, path);
}

static void on_lock(struct importer *m, const struct strace_run *run)
{
	struct span lock = strace_arg(&run->args, 2);
	int64_t start;

	if (run_file(run) != NULL && strace_arg_field(lock, "l_start=", &start) &&
	    start >= OP_PENDING_BYTE && start < OP_SHARED_FIRST + OP_SHARED_SIZE)
		found(m, run->path);
}

/* `offset` is the argument that says where the bytes stand; 0: none. */
static void on_bytes(struct importer *m, const struct strace_run *run, size_t offset)
{
	struct span data = strace_arg(&run->args, 1);
	int64_t at = 0;

	if (run_file(run) == NULL)
		return;
	if (offset != 0 && (!strace_arg_number(strace_arg(&run->args, offset), &at) || at > 0))
		return;
	buf_clear(&m->scratch);
	if (strace_arg_head(data, sizeof magic, &m->scratch) && m->scratch.size == sizeof magic &&
	    memcmp(m->scratch.data, magic, sizeof magic) == 0)
		found(m, run->path);
}

static void on_open(struct importer *m, struct task *t, const struct strace_call *c)
{
	static const char *const sides[] = {"-journal", "-wal"};
	bool deleted = false;

	if (!strace_arg_path(c->path, &m->scratch2, &deleted)) {
		importer_fail(m, ERR_INPUT,
			      "the name of the file behind the descriptor is not shown: run strace "
			      "with -y");
		return;
	}
	const char *path = buf_str(&m->scratch2);

	if (deleted || !is_file_path(path))
		return;
	strace_learn_link(m, t, c, path);
	(void)strace_path_add(m, &m->opened, path);
	for (size_t i = 0; i < c->run->args.count; i++)
		if (strace_arg_has(c->run->args.items[i], "O_TRUNC"))
			changed(m, path);
	for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
		size_t size = strlen(path), n = strlen(sides[i]);

		if (size <= n || strcmp(path + size - n, sides[i]) != 0)
			continue;
		/* Whether the file beside it was opened is asked in the end. */
		struct path_item *side = strace_path_add(m, &m->sides, path);

		if (side != NULL && side->to == NULL)
			side->to = xasprintf("%.*s", (int)(size - n), path);
	}
}

/* The key is both paths, which have no empty part. */
static void on_pair(struct importer *m, const char *from, const char *to)
{
	char *key = xasprintf("%s//%s", from, to);
	struct path_item *item = strace_path_add(m, &m->renames, key);

	if (item != NULL && item->to == NULL)
		item->to = xstrdup(to);
	free(key);
}

/* A descriptor other than the first that a call writes to. */
static void on_target(struct importer *m, struct span arg)
{
	struct fd_arg fd;

	if (strace_arg_fd(arg, &fd, &m->scratch) && fd.has_path && !fd.deleted &&
	    is_file_path(buf_str(&m->scratch)))
		changed(m, buf_str(&m->scratch));
}

static void on_names(struct importer *m, struct task *t, struct strace_call *c)
{
	struct buf from, to;

	buf_init(&from);
	buf_init(&to);
	if (strace_two_paths(m, t, c, &from, &to)) {
		on_pair(m, buf_str(&from), buf_str(&to));
		changed(m, buf_str(&from));
		changed(m, buf_str(&to));
	}
	buf_release(&from);
	buf_release(&to);
}

static void on_end(struct importer *m, struct task *t, struct strace_call *c)
{
	const struct strace_run *run = c->run;

	if (c->failed)
		return;
	switch (c->name) {
	case ST_OPEN:
	case ST_OPENAT:
	case ST_OPENAT2:
	case ST_CREAT:
		on_open(m, t, c);
		break;
	case ST_FCNTL:
		on_lock(m, run);
		break;
	case ST_READ:
		on_bytes(m, run, 0);
		break;
	case ST_PREAD:
		on_bytes(m, run, 3);
		break;
	case ST_WRITE:
	case ST_WRITEV:
		changed(m, run_file(run));
		on_bytes(m, run, 0);
		break;
	case ST_PWRITE:
	case ST_PWRITEV:
	case ST_PWRITEV2:
		changed(m, run_file(run));
		on_bytes(m, run, 3);
		break;
	case ST_FTRUNCATE:
	case ST_FALLOCATE:
	case ST_SENDFILE:
		changed(m, run_file(run));
		break;
	case ST_IOCTL:
		if (strace_ioctl_writes(strace_arg(&run->args, 1)))
			changed(m, run_file(run));
		break;
	case ST_COPY_FILE_RANGE:
	case ST_SPLICE:
		on_target(m, strace_arg(&run->args, 2));
		break;
	case ST_MMAP:
		if (strace_maps_writable(&run->args))
			on_target(m, strace_arg(&run->args, 4));
		break;
	case ST_TRUNCATE:
	case ST_UNLINK:
	case ST_UNLINKAT:
		if (strace_one_path(m, t, c, c->name == ST_TRUNCATE, &m->scratch2))
			changed(m, buf_str(&m->scratch2));
		break;
	case ST_RENAME:
	case ST_RENAMEAT:
	case ST_RENAMEAT2:
	case ST_LINK:
	case ST_LINKAT:
		on_names(m, t, c);
		break;
	default:
		break;
	}
}

/* A write that never returned may be all that changed a database. */
static void on_begin(struct importer *m, struct task *t, struct strace_call *c)
{
	if (!c->ended && (c->name == ST_WRITE || c->name == ST_WRITEV || c->name == ST_PWRITE ||
			  c->name == ST_PWRITEV || c->name == ST_PWRITEV2 ||
			  c->name == ST_FTRUNCATE || c->name == ST_FALLOCATE))
		changed(m, run_file(c->run));
	(void)t;
}

bool strace_ioctl_writes(struct span request)
{
	static const char *const requests[] = {
	    "FICLONE",	       "FICLONERANGE",		"FIDEDUPERANGE",
	    "BTRFS_IOC_CLONE", "BTRFS_IOC_CLONE_RANGE", "F2FS_IOC_COMMIT_ATOMIC_WRITE"};

	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
		if (strace_arg_has(request, requests[i]))
			return true;
	return false;
}

bool strace_maps_writable(const struct args *args)
{
	struct span flags = strace_arg(args, 3);

	return strace_arg_has(strace_arg(args, 2), "PROT_WRITE") &&
	       (strace_arg_has(flags, "MAP_SHARED") ||
		strace_arg_has(flags, "MAP_SHARED_VALIDATE"));
}

const struct walk strace_walk_databases = {on_begin, on_end};

/* ---- after the walk ---- */

/* Calls fn for the path and for each beginning of it that a "-" in its last part ends. */
static bool any_stem(const char *path, bool (*fn)(struct importer *m, const char *stem),
		     struct importer *m)
{
	char *copy = xstrdup(path);
	char *name = strrchr(copy, '/');
	bool yes = fn(m, copy);

	for (char *dash = copy + strlen(copy); !yes && name != NULL && dash-- > name + 1;) {
		if (*dash != '-')
			continue;
		*dash = '\0';
		yes = fn(m, copy);
	}
	free(copy);
	return yes;
}

static bool keep_stem(struct importer *m, const char *stem)
{
	struct path_item *item = strace_path_find(m->databases, stem);

	if (item != NULL)
		item->kept = true;
	return false; /* all of them */
}

static bool is_database(struct importer *m, const char *stem)
{
	const struct path_item *d = strace_path_find(m->databases, stem);

	return d != NULL && d->kept;
}

static void spread_names(struct importer *m)
{
	for (bool more = true; more;) {
		struct path_item *pair, *next;

		more = false;
		HASH_ITER (hh, m->renames, pair, next) {
			char *other = xasprintf(
			    "%.*s", (int)(strlen(pair->path) - strlen(pair->to) - 2), pair->path);
			bool from = strace_path_find(m->databases, other) != NULL;
			bool to = strace_path_find(m->databases, pair->to) != NULL;

			if (from != to) {
				found(m, from ? pair->to : other);
				more = m->rc == 0;
			}
			free(other);
		}
	}
}

void strace_databases_settle(struct importer *m)
{
	struct path_item *item, *next;

	HASH_ITER (hh, m->sides, item, next)
		if (strace_path_find(m->opened, item->to) != NULL)
			found(m, item->to);
	spread_names(m);
	HASH_ITER (hh, m->changed, item, next)
		(void)any_stem(item->path, keep_stem, m);
	HASH_ITER (hh, m->databases, item, next) {
		if (!item->kept)
			continue;
		char *slash = strrchr(item->path, '/');
		char *folder = slash == item->path
				   ? xstrdup("/")
				   : xasprintf("%.*s", (int)(slash - item->path), item->path);

		(void)strace_path_add(m, &m->folders, folder);
		free(folder);
	}
	strace_paths_free(&m->opened);
	strace_paths_free(&m->sides);
	strace_paths_free(&m->changed);
}

enum part strace_part(struct importer *m, const char *path)
{
	size_t size = strlen(path);

	if (m->databases == NULL || path[0] != '/')
		return PART_NONE;
	if (is_database(m, path))
		return PART_DATABASE;
	if (!any_stem(path, is_database, m))
		return PART_NONE;
	return size > 4 && strcmp(path + size - 4, "-shm") == 0 ? PART_SHM : PART_SIDE;
}

bool strace_is_folder(struct importer *m, const char *path)
{
	return strace_path_find(m->folders, path) != NULL;
}
