/* See materialize.h. */
#include "harness/drive/materialize_internal.h"

#include "faultinject/base/buf.h"
#include "harness/drive/check_gate.h"
#include "harness/drive/check_sample.h"
#include "harness/drive/gate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEFT_FILES_MAX = 1 << 20 };

const char *materialized_name(enum materialized which)
{
	static const char *const names[] = {"before", "after", "expected"};

	return names[which];
}

/* ---- the folder ---------------------------------------------------------------------------- */

int materialize_check(const char *directory, struct err *err)
{
	char parent[4096];
	struct stat st;
	DIR *d;
	bool empty = true;

	if (directory[0] == '\0' || strlen(directory) >= sizeof parent)
		return err_set(err, ERR_USAGE, "option --materialize: a folder is expected");
	if (lstat(directory, &st) != 0) {
		if (errno != ENOENT)
			return err_set(err, ERR_USAGE, "option --materialize: %s: %s", directory,
				       strerror(errno));
		(void)snprintf(parent, sizeof parent, "%s", directory);
		for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--)
			parent[n - 1] = '\0';
		char *slash = strrchr(parent, '/');
		if (slash == NULL)
			(void)snprintf(parent, sizeof parent, ".");
		else
			slash[slash == parent ? 1 : 0] = '\0';
		if (stat(parent, &st) != 0 || !S_ISDIR(st.st_mode))
			return err_set(err, ERR_USAGE, "option --materialize: no folder %s",
				       parent);
		return 0;
	}
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE, "option --materialize: %s is no folder", directory);
	d = opendir(directory);
	if (d == NULL)
		return err_set(err, ERR_USAGE, "option --materialize: %s: %s", directory,
			       strerror(errno));
	for (struct dirent *e; (e = readdir(d)) != NULL && empty;)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	(void)closedir(d);
	return empty
		   ? 0
		   : err_set(err, ERR_USAGE,
			     "option --materialize: %s is not empty; name a new folder", directory);
}

/* ---- reading the states -------------------------------------------------------------------- */

static void add_path(struct materializing *w, const char *path)
{
	w->paths = xgrow(w->paths, w->count, &w->cap, sizeof *w->paths);
	w->paths[w->count++] = xstrdup(path);
}

/* Recovery may open what the trace never named, or never as a file. */
static void add_opened(void *ctx, const char *path)
{
	struct materializing *w = ctx;
	uint32_t name = trace_find_name(w->m->c->trace, path);

	for (size_t i = name == 0 ? w->traced : 0; i < w->count; i++)
		if (strcmp(w->paths[i], path) == 0)
			return;
	add_path(w, path);
}

/* What the crash left, as a source: numbers are indexes of `files`. */
struct left {
	struct crashdisk *disk;
	struct crashdisk_left *files; /* owned */
	size_t count, cap;
};

static int left_open(void *ctx, const char *path, uint32_t *ret_file)
{
	struct left *l = ctx;
	struct crashdisk_left file;

	if (!crashdisk_left_open(l->disk, path, &file))
		return -ENOENT;
	for (size_t i = 0; i < l->count; i++) {
		if (l->files[i].disk == file.disk && l->files[i].inode == file.inode) {
			*ret_file = (uint32_t)i;
			return 0;
		}
	}
	if (l->count == LEFT_FILES_MAX)
		return -EMFILE;
	l->files = xgrow(l->files, l->count, &l->cap, sizeof *l->files);
	l->files[l->count] = file;
	*ret_file = (uint32_t)l->count++;
	return 0;
}

static int left_size(void *ctx, uint32_t file, uint64_t *ret_size)
{
	const struct left *l = ctx;

	*ret_size = crashdisk_left_size(&l->files[file]);
	return 0;
}

static int left_read(void *ctx, uint32_t file, uint64_t offset, void *buf, size_t size)
{
	const struct left *l = ctx;

	crashdisk_left_read(&l->files[file], offset, buf, size);
	return 0;
}

static int read_from(struct materializing *w, enum materialized which,
		     const struct state_source *source, struct err *err)
{
	struct materialized_state *s = &w->states[which];
	int rc =
	    state_files_read(&s->files, source, (const char *const *)w->paths, w->count, 0, err);

	s->is_there = rc == 0;
	return rc;
}

static int read_left(struct materializing *w, struct crashdisk *disk, struct err *err)
{
	struct left left = {.disk = disk};
	const struct state_source source = {left_open, left_size, left_read, &left};
	int rc = read_from(w, MATERIALIZED_BEFORE, &source, err);

	free(left.files);
	return rc;
}

/* explore_callbacks, with the calls of a recovery in place of the recovery. */
struct repeating {
	struct materializing *w;
	struct disk_calls_reader calls;
};

static int recover(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   enum explore_next *ret_next, struct err *err)
{
	struct repeating *r = ctx;
	struct materializing *w = r->w;

	(void)point;
	(void)ret_next;
	int rc = disk_calls_repeat(&r->calls, crashdisk_storage(disk), add_opened, w, err);
	if (rc != 0)
		return rc;
	if (!w->m->calls->ended && !disk_calls_more(&r->calls)) {
		w->first_died = true;
		rc = read_left(w, disk, err);
		/* There is no second crash to go on to. */
		return rc != 0 ? rc : err_set(err, ERR_INTERRUPTED, "the recovery died");
	}
	crashdisk_end_recovery(disk);
	return 0;
}

static int examine(void *ctx, const struct explore_point *point, struct crashdisk *disk,
		   const struct choice *choice, enum explore_next *ret_next, struct err *err)
{
	struct repeating *r = ctx;
	struct materializing *w = r->w;
	const struct state_source now = state_source_of(crashdisk_storage(disk));

	(void)point;
	(void)ret_next;
	int rc = disk_calls_repeat(&r->calls, crashdisk_storage(disk), add_opened, w, err);
	size_t asked = choice->count;
	if (rc == 0)
		rc = read_left(w, disk, err);
	w->left_open = choice->count - asked;
	if (rc == 0 && w->m->calls->ended)
		rc = read_from(w, MATERIALIZED_AFTER, &now, err);
	return rc;
}

static int read_recovery(struct materializing *w, const struct trace_index *ix,
			 const struct model *model, struct err *err)
{
	const struct case_state *state = &w->m->c->state;
	const struct explore_point point = gate_point(state);
	struct repeating r = {.w = w, .calls = {.calls = w->m->calls}};
	struct explore_callbacks callbacks = {.examine = examine,
					      .recover = recover,
					      .ctx = &r,
					      .representative = state->representative};
	int rc = explore_replay(ix, model, &point, state->answers, state->answer_count, NULL,
				&callbacks, err);

	disk_calls_reader_release(&r.calls);
	/* A recovery that died may have asked less than the case has answers for. */
	if (w->states[MATERIALIZED_BEFORE].is_there && !w->m->calls->ended)
		rc = 0;
	return rc;
}

/* The sampler of --check reads all names of the trace, which are ours, in the same order. */
static int read_check(struct materializing *w, const struct trace_index *ix,
		      const struct model *model, struct err *err)
{
	const struct subject *s = w->m->c->subject;
	struct check_job job = {.ix = ix, .model = model, .command = s->check, .seed = s->seed};
	struct materialized_state *before = &w->states[MATERIALIZED_BEFORE];
	int rc = check_read(&job, &w->m->c->state, &before->files, err);

	before->is_there = rc == 0;
	return rc;
}

/* What the processes saw: everything that they had done. */
static int read_expected(struct materializing *w, const struct trace_index *ix, struct err *err)
{
	struct model whole = {.name = "process-crash", .process_crash = true};
	struct crashdisk *disk = crashdisk_create(ix, &whole);
	const struct state_source source = state_source_of(crashdisk_storage(disk));
	struct choice choice;

	choice_init(&choice);
	choice_begin(&choice, NULL, 0, 0, CHOICE_FIRST);
	crashdisk_open(disk, w->m->c->state.promise, SIZE_MAX);
	crashdisk_begin(disk, &choice);
	int rc = read_from(w, MATERIALIZED_EXPECTED, &source, err);
	choice_release(&choice);
	crashdisk_free(disk);
	return rc;
}

static int read_states(struct materializing *w, struct err *err)
{
	const struct case_file *c = w->m->c;
	struct trace_index *ix = NULL;
	struct model model;
	size_t count = 0;
	uint32_t *names = state_files_names(c->trace, &count);

	for (size_t i = 0; i < count; i++)
		add_path(w, c->trace->names[names[i]]);
	w->traced = w->count;
	free(names);
	int rc = subject_model(c->subject, &model, err);
	if (rc == 0)
		rc = trace_index_build(c->trace, &model, &ix, err);
	if (rc == 0)
		rc = check_is_oracle(c->finding.oracle) ? read_check(w, ix, &model, err)
							: read_recovery(w, ix, &model, err);
	if (rc == 0)
		rc = read_expected(w, ix, err);
	trace_index_free(ix);
	return rc;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int write_state(const struct materializing *w, enum materialized which, const char *part,
		       struct err *err)
{
	const struct state_files *from = &w->states[which].files;
	struct laid_file *files = xcalloc(from->count + 1, sizeof *files);
	char *folder = xasprintf("%s/%s", part, materialized_name(which));
	size_t count = 0;
	int rc = 0;

	/* Links point into the list, which loses what is not there. */
	struct laid_file **at = xcalloc(from->count + 1, sizeof *at);
	for (size_t i = 0; i < from->count; i++) {
		if (!from->items[i].present)
			continue;
		files[count] = from->items[i];
		files[count].path = w->files[i];
		if (files[count].same_as != NULL)
			files[count].same_as = at[from->items[i].same_as - from->items];
		at[i] = &files[count++];
	}
	if (mkdir(folder, 0700) != 0)
		rc = err_set(err, ERR_IO, "cannot create %s: %s", folder, strerror(errno));
	else
		rc = lay_out(folder, files, count, err);
	free(at);
	free(files);
	free(folder);
	return rc;
}

static int write_all(const struct materializing *w, const char *part, struct err *err)
{
	struct buf note;
	int rc = 0;

	for (int which = 0; which < MATERIALIZED_STATES && rc == 0; which++)
		if (w->states[which].is_there)
			rc = write_state(w, (enum materialized)which, part, err);
	buf_init(&note);
	materialize_note(w, &note);
	char *path = xasprintf("%s/README.txt", part);
	if (rc == 0)
		rc = lay_out_file(path, note.data, note.size, err);
	if (rc == 0)
		rc = case_file_save(w->m->c, part, err);
	free(path);
	buf_release(&note);
	return rc;
}

int materialize(const struct materialize *m, const char *directory, struct err *err)
{
	struct materializing w = {.m = m};
	size_t size = strlen(directory);
	char *part = NULL;
	int rc = 0;

	while (size > 1 && directory[size - 1] == '/')
		size--;
	for (int which = 0; which < MATERIALIZED_STATES; which++)
		state_files_init(&w.states[which].files);
	rc = read_states(&w, err);
	if (rc != 0)
		goto out;
	materialize_places(&w);
	part = xasprintf("%.*s.part-XXXXXX", (int)size, directory);
	if (mkdtemp(part) == NULL) {
		rc = err_set(err, ERR_IO, "cannot create %s: %s", part, strerror(errno));
		goto out;
	}
	rc = write_all(&w, part, err);
	if (rc == 0) {
		char *whole = xasprintf("%.*s", (int)size, directory);

		if (rename(part, whole) != 0)
			rc = err_set(err, ERR_IO, "cannot rename %s to %s: %s", part, whole,
				     strerror(errno));
		free(whole);
	}
	if (rc != 0)
		(void)lay_out_remove(part);
out:
	for (int which = 0; which < MATERIALIZED_STATES; which++)
		state_files_release(&w.states[which].files);
	for (size_t i = 0; i < w.count; i++) {
		free(w.paths[i]);
		free(w.files == NULL ? NULL : w.files[i]);
	}
	free(w.paths);
	free(w.files);
	free(part);
	return rc;
}
